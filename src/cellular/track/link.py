"""Following cells over time with LapTrack: frame to frame, over gaps, and through divisions.

The linear assignment is Jaqaman et al., Nature Methods 5, 695 (2008), as LapTrack implements it; the costs are ours
(:mod:`cellular.track.costs`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cellular.errors import InputError, SettingsError
from cellular.track.costs import Cells, PairCosts, cells_of, drift

if TYPE_CHECKING:
    import networkx as nx

# Daughters share the parent's cytoplasm: each is clearly smaller, and together they are about as large. In a crowd one
# of them is often half hidden: an eighth of the parent is enough.
DAUGHTER_AREA = (0.12, 0.85)
LITTER_AREA = (0.6, 1.5)
# Two outlines that ran into one: of their areas together it has at least so much.
_BOTH = 0.8


@dataclass(frozen=True)
class TrackSettings:
    """How cells are linked.

    Attributes
    ----------
    max_distance : farthest step between two timepoints, after drift, in median cell diameters.
    max_cost : 0..1, dearest link; a link costs the weighted mean of the three terms below.
    weight_centroid, weight_overlap, weight_appearance : weights of squared distance over `max_distance`, of one minus
        intersection over union, and of the difference in area (and features, where given); at least one above 0.
    max_gap : missing timepoints that a track may bridge.
    divisions : whether a cell may have two daughters.
    correct_drift : whether the field's common movement is taken off first.
    """

    max_distance: float = 0.8
    max_cost: float = 0.8
    weight_centroid: float = 1.0
    weight_overlap: float = 1.0
    weight_appearance: float = 0.5
    max_gap: int = 1
    divisions: bool = True
    correct_drift: bool = True

    def __post_init__(self) -> None:
        weights = (self.weight_centroid, self.weight_overlap, self.weight_appearance)
        if min(weights) < 0 or sum(weights) == 0:
            raise SettingsError(f"Weights must be 0 or more and not all 0, got {weights}")
        if not self.max_distance > 0:
            raise SettingsError(f"max_distance must be above 0 cell diameters, got {self.max_distance}")
        if not 0 < self.max_cost <= 1:
            raise SettingsError(f"max_cost must lie in (0, 1], got {self.max_cost}")
        if self.max_gap < 0:
            raise SettingsError(f"max_gap must be 0 or more timepoints, got {self.max_gap}")


class _Costs:
    """Costs of all links within reach, worked out beforehand, a pair of frames at a time.

    LapTrack asks for one pair of "coordinates" at a time; ours are the cells' numbers, counted over all frames.
    """

    def __init__(self, frames: Sequence[Cells], position: np.ndarray, settings: TrackSettings) -> None:
        self.settings = settings
        self.reach = settings.max_distance * float(np.median(np.concatenate([cells.diameters for cells in frames])))
        self.first = np.cumsum([0, *(len(cells.labels) for cells in frames)])
        self._links: dict[tuple[float, float], float] = {}
        self._splits: dict[tuple[float, float], float] = {}
        for a in range(len(frames)):
            for b in range(a + 1, min(a + settings.max_gap + 2, len(frames))):
                pair = PairCosts(frames[a], frames[b], position[b] - position[a])
                self._store(self._links, self._same_cell(pair), a, b)
                if b == a + 1:
                    self._store(self._splits, self._daughter(pair), a, b)

    def _store(self, table: dict, costs: np.ndarray, a: int, b: int) -> None:
        i, j = np.nonzero(costs <= self.settings.max_cost)
        table.update(zip(zip((i + self.first[a]).tolist(), (j + self.first[b]).tolist()), costs[i, j].tolist()))

    def link(self, earlier: np.ndarray, later: np.ndarray) -> float:
        """Cost of being the same cell, 0..1, infinite out of reach."""
        return self._links.get((earlier.item(), later.item()), np.inf)

    def split(self, daughter: np.ndarray, parent: np.ndarray) -> float:
        """Cost of being daughter and parent (LapTrack asks in this order), infinite where the areas forbid it."""
        return self._splits.get((parent.item(), daughter.item()), np.inf)

    def _same_cell(self, pair: PairCosts) -> np.ndarray:
        chosen = self.settings
        terms = (
            (chosen.weight_centroid, lambda: (pair.distance / self.reach) ** 2),
            (chosen.weight_overlap, lambda: 1 - pair.overlap),
            (chosen.weight_appearance, lambda: pair.appearance),
        )
        total = sum(weight * term() for weight, term in terms if weight > 0)
        return np.where(pair.distance <= self.reach, total / sum(weight for weight, _ in terms), np.inf)

    def _daughter(self, pair: PairCosts) -> np.ndarray:
        """The nearer the likelier; a daughter starts inside or at the edge of where its parent was."""
        low, high = DAUGHTER_AREA
        possible = (pair.distance <= self.reach) & (pair.area_ratio >= low) & (pair.area_ratio <= high)
        return np.where(possible, (pair.distance / self.reach) ** 2, np.inf)


def _drifted(frames: Sequence[Cells]) -> np.ndarray:
    """(T, 2) where the field as a whole has moved to by each frame, px; those without cells stay where the last was."""
    position = np.zeros((len(frames), 2))
    seen = [t for t, cells in enumerate(frames) if len(cells.labels)]
    for before, after in pairwise(seen):
        position[after:] = position[before] + drift(frames[before], frames[after])
    return position


def link(
    images: Sequence[np.ndarray],
    settings: TrackSettings | None = None,
    features: Sequence[pd.DataFrame] | None = None,
    times: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Link the cells of a series of label images.

    Parameters
    ----------
    images : label images (Y, X) of one shape in time order, 0 = background.
    settings : see :class:`TrackSettings`.
    features : per image, a table indexed by label of numbers to compare appearance by (brightness, texture...), in
        any units: each column is scaled by its robust spread over the series. Area is always compared.
    times : number of each image's timepoint, ascending; a number left out is a timepoint that was lost, which counts
        towards `max_gap`. None takes the images for consecutive ones.

    Returns
    -------
    One row for every cell of every image, none left out, in order of frame and label: ``frame`` (0-based), ``label``,
    ``y``, ``x`` (centroid, px), ``area`` (px), ``track`` (1-based; a division ends a track and starts two),
    ``parent`` (track it divided from, 0 = none) and ``lineage`` (1-based; the family a track belongs to).

    Raises
    ------
    InputError : no images, images of different shapes, features without a row for some label, times that fall.
    """
    settings = settings or TrackSettings()
    _check(images)
    places = _places(times, len(images))
    seen = [cells_of(image) for image in images]
    if features is not None:
        seen = _with_appearance(seen, features)
    nothing = replace(
        cells_of(np.zeros_like(images[0])), appearance=np.zeros((0, seen[0].appearance.shape[1]), np.float64)
    )
    frames = [nothing] * (places[-1] + 1)
    for place, cells in zip(places, seen):
        frames[place] = cells
    position = _drifted(frames) if settings.correct_drift else np.zeros((len(frames), 2))
    graph = _part_merged(_assign(frames, position, settings), frames, position, settings)
    table = _table(frames, _prune(graph, frames))
    return table.assign(frame=np.searchsorted(places, table["frame"]))


def _places(times: Sequence[int] | None, count: int) -> list[int]:
    """Where each image stands among all timepoints, lost ones included, from 0."""
    if times is None:
        return list(range(count))
    places = [int(time) - int(times[0]) for time in times]
    if len(places) != count or any(after <= before for before, after in pairwise(places)):
        raise InputError(f"Each of the {count} label images needs a timepoint of its own, in order; got {list(times)}")
    if places[-1] > 100 * count + 1000:
        raise InputError(f"Timepoints {times[0]} to {times[-1]} of {count} images: number them by image, not by minute")
    return places


def _check(images: Sequence[np.ndarray]) -> None:
    if len(images) == 0:
        raise InputError("No label images to track")
    for number, image in enumerate(images):
        if image.ndim != 2 or image.dtype.kind not in "ui":
            raise InputError(f"Label image {number}: expected whole numbers (Y, X), got {image.dtype} {image.shape}")
        if image.shape != images[0].shape:
            raise InputError(f"Label image {number} has shape {image.shape}, the first has {images[0].shape}")


def _with_appearance(frames: list[Cells], features: Sequence[pd.DataFrame]) -> list[Cells]:
    tables = []
    for number, (cells, table) in enumerate(zip(frames, features, strict=True)):
        missing = sorted(set(cells.labels.tolist()) - set(table.index))
        if missing:
            raise InputError(f"Features of label image {number} have no row for label {missing[0]}")
        tables.append(table.loc[cells.labels].to_numpy(np.float64))
    values = np.concatenate(tables)
    middle = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
    useful = spread > 0
    # a missing value counts as the usual one: it speaks neither for nor against a link
    scaled = [np.nan_to_num((table - middle) / np.where(useful, spread, 1))[:, useful] for table in tables]
    return [replace(cells, appearance=table) for cells, table in zip(frames, scaled)]


def _assign(frames: list[Cells], position: np.ndarray, settings: TrackSettings) -> "nx.DiGraph":
    """LapTrack's graph: nodes (frame, index), edges forward in time."""
    import networkx as nx  # both slow to import, and what takes the settings alone needs neither
    from laptrack import LapTrack

    if not any(len(cells.labels) for cells in frames):
        return nx.DiGraph()
    costs = _Costs(frames, position, settings)
    coordinates = [np.arange(start, stop)[:, None] for start, stop in pairwise(costs.first)]
    # Leaving two cells unlinked costs as much as two links at the limit, so a link within it is always taken where
    # nothing better competes. (Left to itself, LapTrack derives this from the links on offer in the frame.)
    limit = settings.max_cost
    tracker = LapTrack(  # type: ignore[call-arg]  # its defaults are pydantic's, which mypy cannot see
        metric=costs.link,
        cutoff=limit,
        gap_closing_metric=costs.link,
        gap_closing_cutoff=limit if settings.max_gap else False,
        gap_closing_max_frame_count=settings.max_gap + 1,
        splitting_metric=costs.split,
        splitting_cutoff=limit if settings.divisions else False,
        track_start_cost=limit,
        track_end_cost=limit,
        segment_start_cost=limit,
        segment_end_cost=limit,
        no_splitting_cost=limit,
        no_merging_cost=limit,
    )
    return tracker.predict(coordinates)


def _part_merged(
    graph: "nx.DiGraph", frames: list[Cells], position: np.ndarray, settings: TrackSettings
) -> "nx.DiGraph":
    """Undo divisions of what had been two cells the frame before: outlines that ran into one for that frame.

    The other's track ended where its cell lay in the parent's outline, which is about as large as both; over the gap,
    where one may be bridged, it goes on. A cell that could be the parent of both by itself divided, whatever debris it
    had run into.
    """
    for node in [node for node in graph if graph.out_degree(node) == 2 and node[0] > 0]:
        time, parent = node
        before, daughters = next(iter(graph.predecessors(node)), (-1, -1)), list(graph.successors(node))
        if before[0] != time - 1 or any(later != time + 1 for later, _ in daughters):
            continue
        if _add_up(before, daughters, frames):
            continue
        here, earlier = frames[time], frames[time - 1]
        step = position[time] - position[time - 1]
        y, x = np.round(earlier.centroids + step).astype(int).T
        there = (y >= 0) & (y < here.index.shape[0]) & (x >= 0) & (x < here.index.shape[1])
        inside = np.flatnonzero(there)[here.index[y[there], x[there]] == parent + 1]
        area, last = here.areas[parent], earlier.areas[before[1]]
        ended = [i for i in inside.tolist() if i != before[1] and not graph.out_degree((time - 1, i))]
        ended = [i for i in ended if DAUGHTER_AREA[0] <= earlier.areas[i] / area <= 1 / _BOTH - last / area]
        if not ended:
            continue
        at, rest = earlier.centroids[ended[0]] + step, earlier.centroids[before[1]] + step
        first, second = (frames[later].centroids[i] for later, i in daughters)
        one, other = np.linalg.norm([at - first, rest - second]), np.linalg.norm([at - second, rest - first])
        back = daughters[0] if one <= other else daughters[1]
        graph.remove_edge(node, back)
        if settings.max_gap:
            graph.add_edge((time - 1, ended[0]), back)
    return graph


def _add_up(parent: tuple[int, int], daughters: list[tuple[int, int]], frames: list[Cells]) -> bool:
    """Whether each daughter is smaller than the parent, and both together are about as large."""
    low, high = LITTER_AREA
    areas = np.array([frames[t].areas[i] for t, i in daughters]) / frames[parent[0]].areas[parent[1]]
    return bool(areas.max() <= DAUGHTER_AREA[1] and low <= areas.sum() <= high)


def _prune(graph: "nx.DiGraph", frames: list[Cells]) -> "nx.DiGraph":
    """Undo divisions whose daughters do not add up to the parent: the farther daughter starts a track of its own."""
    for node in [node for node in graph if graph.out_degree(node) == 2]:
        daughters = list(graph.successors(node))
        if all(t == node[0] + 1 for t, _ in daughters) and _add_up(node, daughters, frames):
            continue
        centre = frames[node[0]].centroids[node[1]]
        far = max(daughters, key=lambda d: np.linalg.norm(frames[d[0]].centroids[d[1]] - centre))
        graph.remove_edge(node, far)
    return graph


def _table(frames: list[Cells], graph: "nx.DiGraph") -> pd.DataFrame:
    """Number tracks and lineages in order of first appearance; a cell without links is a track of its own."""
    tracks, lineages = count(1), count(1)
    family: dict[tuple[int, int], tuple[int, int, int]] = {}
    for node in ((t, i) for t, cells in enumerate(frames) for i in range(len(cells.labels))):
        before = next(iter(graph.predecessors(node)), None)
        if before is None:
            family[node] = (next(tracks), 0, next(lineages))
        elif graph.out_degree(before) == 2:
            family[node] = (next(tracks), family[before][0], family[before][2])
        else:
            family[node] = family[before]
    columns = np.array(list(family.values()), np.int64).reshape(-1, 3)
    centroids = np.concatenate([cells.centroids for cells in frames])
    return pd.DataFrame(
        {
            "frame": np.repeat(np.arange(len(frames)), [len(cells.labels) for cells in frames]),
            "label": np.concatenate([cells.labels for cells in frames]).astype(np.int64),
            "y": centroids[:, 0],
            "x": centroids[:, 1],
            "area": np.concatenate([cells.areas for cells in frames]).astype(np.int64),
            "track": columns[:, 0],
            "parent": columns[:, 1],
            "lineage": columns[:, 2],
        }
    )
