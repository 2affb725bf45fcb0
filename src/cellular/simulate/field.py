"""One simulated field in memory: its channels and everything that is true about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from cellular.data.platemap import cellular_treatment
from cellular.simulate.optics import (
    COUNTS_PER_ELECTRON,
    COUNTS_PER_GREY,
    OFFSET_COUNTS,
    Canvas,
    composite_of,
    focus_sigmas,
)
from cellular.simulate.population import Cell, first_cells, next_cells
from cellular.simulate.puncta import Puncta, draw_puncta
from cellular.simulate.settings import SimulationSettings
from cellular.simulate.shapes import Shape, outlines, pressing_pairs, shape_on

# In this order the published patterns (valid ST_I06, test ST_C03) fill train, valid and test from three fields on,
# and five fields bring two fed and two starved wells besides.
WELLS = ("C05", "I06", "C03", "I04", "C06", "K07")
CLASSES = {False: "fed", True: "unfed"}
UNIDENTIFIED = "Unidentified"
LEAST_AREA_PX = 20

PUNCTA_COLUMNS = [
    "field", "cell", "kind", "y", "x", "sigma", "amplitude", "amplitude_egfp", "amplitude_mrfp", "snr", "saturated",
]  # fmt: skip


@dataclass(frozen=True)
class SimulatedCell:
    """A cell of a simulated field.

    Attributes
    ----------
    label : 1.. in drawing order: its value in the label image and its number among the mask files.
    track, parent : track number in this position's series, and that of the cell it divided from (0 = none).
    class_name : 'fed' (basal), 'unfed' (activated) or 'Unidentified': what the simulated expert said.
    activated : the true state, known for Unidentified cells too.
    box : (y0, x0, y1, x1) px, half open.
    mask : (y1 - y0, x1 - x0) bool: every pixel of the cell, those under other cells included.
    y, x : centroid of the mask, px.
    expression : peak diffuse mRFP, grey levels of the composite.
    """

    label: int
    track: int
    parent: int
    class_name: str
    activated: bool
    box: tuple[int, int, int, int]
    mask: np.ndarray
    y: float
    x: float
    expression: float

    @property
    def area_px(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class SimulatedField:
    """One field of view as simulated.

    Attributes
    ----------
    name : by the archive's grammar, ``Timepoint_001_220518-ST_C05_s1``.
    treatment : 'fed' or 'starved', of the well.
    channels : (3, Y, X) uint16 camera counts: EGFP, mRFP, transmitted light (w1, w2, w3).
    cells : the cells with a pixel in the field; their masks may overlap.
    puncta : a row per punctum, columns PUNCTA_COLUMNS; see docs/simulation.md.
    """

    name: str
    treatment: str
    channels: np.ndarray
    cells: tuple[SimulatedCell, ...]
    puncta: pd.DataFrame

    @property
    def timepoint(self) -> int:
        """1-based."""
        return int(self.name.split("_")[1])

    def labels(self) -> np.ndarray:
        """(Y, X) uint16 label image; where cells overlap, the last one is on top."""
        image = np.zeros(self.channels.shape[1:], np.uint16)
        for cell in self.cells:
            y0, x0, y1, x1 = cell.box
            image[y0:y1, x0:x1][cell.mask] = cell.label
        return image

    def composite(self) -> np.ndarray:
        """(Y, X, 3) uint8 RGB, as in ``images-color``."""
        return composite_of(self.channels)


def field_name(position: int, timepoint: int) -> str:
    """Name of position 0.. at timepoint 1..: the wells in turn, then their next site."""
    well, site = WELLS[position % len(WELLS)], position // len(WELLS) + 1
    return f"Timepoint_{timepoint:03d}_220518-ST_{well}_s{site}"


def simulate_series(settings: SimulationSettings, position: int) -> Iterator[SimulatedField]:
    """Yield one position's fields, timepoint after timepoint.

    A position's first fields do not depend on how many positions and timepoints are asked for.
    """
    treatment = _treatment(position)
    population = np.random.default_rng([settings.seed, position])
    cells = first_cells(settings, treatment, population)
    free = len(cells) + 1
    for timepoint in range(1, settings.timepoints + 1):
        field, inside = _render(settings, position, timepoint, cells)
        yield field
        cells = next_cells([cells[i] for i in inside], free, settings, treatment, population)
        free = max([free - 1, *(cell.track for cell in cells)]) + 1


def simulate_field(settings: SimulationSettings, position: int = 0) -> SimulatedField:
    """Simulate one field in memory: `position` 0.. at the first timepoint (0, 2, 4 are fed wells, 1, 3, 5 starved).

    Examples
    --------
    >>> field = simulate_field(SimulationSettings(size_px=128, diameter_px=30, cells_per_field=8))
    >>> field.channels.shape, field.name
    ((3, 128, 128), 'Timepoint_001_220518-ST_C05_s1')
    """
    return next(simulate_series(settings, position))


def _render(
    settings: SimulationSettings, position: int, timepoint: int, cells: list[Cell]
) -> tuple[SimulatedField, list[int]]:
    """The field, and the indices of the cells that show in it."""
    name = field_name(position, timepoint)
    treatment = _treatment(position)
    canvas = Canvas(settings.size_px, settings.scale, treatment, _rng(settings, position, 1, timepoint))
    blurs = focus_sigmas(settings.scale)
    radii = outlines(cells, pressing_pairs(cells))
    shown: list[SimulatedCell] = []
    inside: list[int] = []
    puncta: list[Puncta] = []
    for index, cell in enumerate(cells):
        shape = shape_on(cell, radii[index], settings.size_px)
        if shape is None or shape.mask.sum() < LEAST_AREA_PX:
            continue
        inside.append(index)
        holes = _vacuoles(cell, shape, _rng(settings, position, 2, cell.track))
        canvas.add_cell(cell, shape, holes)
        rng = _rng(settings, position, 3, timepoint, cell.track)
        drawn = draw_puncta(cell, shape, holes > 0.3, settings.scale, blurs[min(cell.focus, 1)], rng)
        canvas.add_puncta(drawn)
        label = len(inside)
        shown.append(_record(cell, shape, label, settings, rng))
        puncta.append(drawn)
    channels = canvas.develop()
    table = _puncta_table(name, puncta, channels)
    return SimulatedField(name, treatment, channels, tuple(shown), table), inside


def _treatment(position: int) -> str:
    """What the well of position 0.. was given; CELLULAR's plate map has all of WELLS."""
    return cast("str", cellular_treatment(WELLS[position % len(WELLS)]))


def _rng(settings: SimulationSettings, *key: int) -> np.random.Generator:
    """Random numbers of their own for everything that has a key, so that nothing depends on drawing order."""
    return np.random.default_rng([settings.seed, *key])


def _vacuoles(cell: Cell, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """(box) float32: 1 inside the cell's vacuoles, 0 outside, soft at the rim. They stay with the cell over time."""
    if cell.build == "vacuolated":
        count, relative = int(rng.integers(1, 6)), rng.uniform(0.18, 0.62, 6)
    else:
        count, relative = int(rng.poisson(0.9 if cell.build == "flat" else 0.3)), rng.uniform(0.04, 0.13, 12)
    holes = np.zeros(shape.rho.shape, np.float32)
    for size in relative[:count] / (np.sqrt(count) if cell.build == "vacuolated" else 1):
        away, angle = rng.uniform(0, max(0.9 - size, 0.05)) ** 0.7, rng.uniform(0, 2 * np.pi)
        distance2 = shape.rho**2 + away**2 - 2 * away * shape.rho * np.cos(shape.theta - np.float32(angle))
        rim = 1 / (1 + np.exp((np.sqrt(np.maximum(distance2, 0)) - size) * np.float32(60)))
        holes = np.maximum(holes, rim)
    return holes * shape.mask


def _record(
    cell: Cell, shape: Shape, label: int, settings: SimulationSettings, rng: np.random.Generator
) -> SimulatedCell:
    rows, columns = np.nonzero(shape.mask)
    y0, x0 = shape.box[0] + rows.min(), shape.box[1] + columns.min()
    y1, x1 = shape.box[0] + rows.max() + 1, shape.box[1] + columns.max() + 1
    unclear = rng.random() < settings.unidentified_share
    return SimulatedCell(
        label=label,
        track=cell.track,
        parent=cell.parent,
        class_name=UNIDENTIFIED if unclear else CLASSES[cell.activated],
        activated=cell.activated,
        box=(int(y0), int(x0), int(y1), int(x1)),
        mask=shape.mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].copy(),
        y=float(shape.box[0] + rows.mean()),
        x=float(shape.box[1] + columns.mean()),
        expression=cell.expression,
    )


def _puncta_table(name: str, puncta: list[Puncta], channels: np.ndarray) -> pd.DataFrame:
    """Table of all cells' puncta in camera counts, with how well each stands out of the photon noise.

    It says too whether the composite is saturated there without it, in red or green, so that nobody could see it or
    tell its kind.
    """
    if not puncta:
        return pd.DataFrame(columns=PUNCTA_COLUMNS)
    kind, y, x, sigma, green, red = (
        np.concatenate([getattr(cell, key) for cell in puncta]) for key in ("kind", "y", "x", "sigma", "green", "red")
    )
    last = channels.shape[1] - 1
    row, column = (np.clip(np.rint(axis).astype(int), 0, last) for axis in (y, x))
    counts = channels[:, row, column].astype(float) - OFFSET_COUNTS
    amplitudes = COUNTS_PER_GREY * np.stack([green, red])
    noise = np.sqrt(COUNTS_PER_ELECTRON * np.maximum(counts[:2], COUNTS_PER_ELECTRON))
    return pd.DataFrame(
        {
            "field": name,
            "cell": np.repeat(np.arange(len(puncta)) + 1, [len(cell.kind) for cell in puncta]),
            "kind": kind,
            "y": y,
            "x": x,
            "sigma": sigma,
            "amplitude": amplitudes.max(axis=0),
            "amplitude_egfp": amplitudes[0],
            "amplitude_mrfp": amplitudes[1],
            "snr": (amplitudes / noise).max(axis=0),
            "saturated": (counts[:2] - amplitudes + counts[2] >= 255 * COUNTS_PER_GREY).any(axis=0),
        },
        columns=PUNCTA_COLUMNS,
    )
