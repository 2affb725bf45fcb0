"""Markers beside the reporter (LAMP1, p62, ...): their puncta, and which of the reporter's lie in them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cellular.autophagy.measure.intensity import divide, measure_colocalisation
from cellular.autophagy.measure.puncta import find_puncta
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.unmix import Channels
from cellular.labels.regions import Regions

# For chance, puncta are moved by this many of the largest sigma sought, in eight directions: discs no longer overlap.
_SHIFT_SIGMAS = 4
_DIRECTIONS = np.array([(np.sin(a), np.cos(a)) for a in np.arange(8) * np.pi / 4])


def marker_puncta(
    channels: Channels, labels: np.ndarray, settings: PunctaSettings, pixel_size_um: float | None
) -> pd.DataFrame:
    """The puncta of every marker, found as the reporter's are; one row each, ``channel`` says which."""
    tables = []
    for name in channels.markers:
        found = find_puncta(channels, labels, settings, pixel_size_um, (name,))
        plain = {"kind": "channel", f"contrast__{name}": "contrast", f"background__{name}": "background"}
        tables.append(found.rename(columns=plain))
    return pd.concat(tables, ignore_index=True)


def positive_puncta(
    puncta: pd.DataFrame, others: pd.DataFrame, labels: np.ndarray, shift_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which puncta lie in a punctum of a marker, and how often they would by chance.

    The centre of one in the disc of the other (centres-particles coincidence: Bolte & Cordelieres, J Microsc 224, 213,
    2006), the disc's radius sqrt(2) sigma, the two in one cell. For chance the puncta are moved by `shift_px` in eight
    directions while the marker stays (as images are shifted for chance by van Steensel et al., J Cell Sci 109, 787,
    1996); places outside of the punctum's own cell do not count.

    Parameters
    ----------
    puncta, others : tables of the reporter's puncta (P) and of one marker's, with ``label, y, x, sigma``, px.
    labels : (Y, X), the cells.

    Returns
    -------
    positive (P,) bool, and chance (P,) float64 in 0..1, NaN where all eight places are outside of the cell.
    """
    cell = puncta["label"].to_numpy()
    centres = puncta[["y", "x"]].to_numpy(float).reshape(-1, 2)
    positive = _covered(centres, cell, others)
    inside, hits = np.zeros(len(puncta)), np.zeros(len(puncta))
    for direction in _DIRECTIONS:
        moved = centres + shift_px * direction
        own = _label_at(labels, moved) == cell
        inside += own
        hits += own & _covered(moved, cell, others)
    return positive, divide(hits, inside)


def _covered(centres: np.ndarray, cell: np.ndarray, others: pd.DataFrame) -> np.ndarray:
    """(P,) bool: centres (P, 2) that lie in a disc of `others` of the same cell."""
    covered = np.zeros(len(centres), bool)
    if not len(others) or not len(centres):
        return covered
    radius = np.sqrt(2) * others["sigma"].to_numpy()
    discs, owner = others[["y", "x"]].to_numpy(float), others["label"].to_numpy()
    near = cKDTree(centres).query_ball_point(discs, radius)
    for index, found in enumerate(near):
        found = np.asarray(found, int)
        covered[found[cell[found] == owner[index]]] = True
    return covered


def _label_at(labels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(P,) label at places (P, 2), px; 0 outside of the image."""
    y, x = np.rint(places).astype(int).T
    within = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < labels.shape[1])
    found = np.zeros(len(places), np.int64)
    found[within] = labels[y[within], x[within]]
    return found


def coincidence(
    puncta: pd.DataFrame, others: pd.DataFrame, labels: np.ndarray, markers: Sequence[str], largest_sigma: float
) -> dict[str, np.ndarray]:
    """Columns (P,) ``positive__MARKER`` and ``chance__MARKER`` of the reporter's puncta."""
    columns: dict[str, np.ndarray] = {}
    for name in markers:
        own = others[others["channel"] == name]
        positive, chance = positive_puncta(puncta, own, labels, _SHIFT_SIGMAS * largest_sigma)
        columns |= {f"positive__{name}": positive, f"chance__{name}": chance}
    return columns


def markers_of_cells(
    puncta: pd.DataFrame | None, others: pd.DataFrame, channels: Channels, regions: Regions
) -> dict[str, np.ndarray]:
    """Columns (N,) of each cell: the markers' puncta, their light beside the reporter's, and shares that are positive.

    `puncta` are the reporter's with the columns of :func:`coincidence`, None without a reporter.
    """
    n = regions.labels.size
    columns: dict[str, np.ndarray] = {}
    for name in channels.markers:
        own = others[others["channel"] == name]
        cell = np.searchsorted(regions.labels, own["label"])
        columns[f"puncta__{name}"] = np.bincount(cell, minlength=n)
        columns[f"puncta_area__{name}"] = np.bincount(cell, own["area"], n)
        for reporter in channels.reporter:
            found = measure_colocalisation(channels, regions, (reporter, name))
            columns |= {f"{feature}__{reporter}__{name}": values for feature, values in found.items()}
        for kind, mine in _kinds(puncta):
            cell = np.searchsorted(regions.labels, mine["label"])
            for what in ("positive", "chance"):
                values = mine[f"{what}__{name}"].astype(float)
                told = np.bincount(cell, values.notna(), n)
                columns[f"{kind}_{what}__{name}"] = divide(np.bincount(cell, values.fillna(0), n), told)
    return columns


def _kinds(puncta: pd.DataFrame | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """All puncta, and where kinds are told the yellow and the red-only ones."""
    if puncta is None:
        return
    yield "puncta", puncta
    if "contrast__mRFP" in puncta and "contrast__EGFP" in puncta:
        yield from ((kind, puncta[puncta["kind"] == kind]) for kind in ("yellow", "red_only"))
