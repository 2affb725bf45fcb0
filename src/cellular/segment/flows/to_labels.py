"""Flows -> labels: pixels that flow to the same place are one cell."""

from typing import TYPE_CHECKING

import numpy as np

from cellular.errors import InputError, SettingsError
from cellular.labels.checks import as_labels
from cellular.segment.flows.numba.basins import find_basins
from cellular.segment.flows.numba.cells import checked_labels, find_cells, largest_first
from cellular.segment.flows.numba.diffuse import errors_of_cells
from cellular.segment.flows.numba.follow import BLOCK, FLOW_SCALE, find_traps, follow, lay_out_steps, time_in_basins
from cellular.segment.flows.numba.seeds import label_by_sinks
from cellular.segment.flows.numba.tidy import areas, fill_holes_and_drop_small, keep_labels
from cellular.segment.flows.to_flows import cuda_device
from cellular.segment.threads import over_threads

if TYPE_CHECKING:
    import torch

DEFAULT_NITER = 200
# One pixel in so many, each way, walks ahead.
PILOTS = 16


def flows_to_labels(
    flows: np.ndarray,
    cell_probability: np.ndarray,
    niter: int | None = None,
    flow_threshold: float | None = 0.4,
    cellprob_threshold: float = 0.0,
    min_size: int = 15,
    max_size_fraction: float = 0.4,
    device: "str | torch.device | None" = None,
) -> np.ndarray:
    """Label image from the network's flows and cell probability, the same as Cellpose makes of them.

    Pixels with a cell probability above the threshold walk `niter` steps along the flows; those that end in the
    same sink become one cell; cells whose own flows differ too much from the given ones are dropped; holes are
    filled and small cells dropped. Labels are numbered in raster order of each cell's first pixel.

    Parameters
    ----------
    flows : (2, Y, X) float32, (dy, dx) as the network gives them, five times the unit vectors.
    cell_probability : (Y, X) float32 logits.
    niter : steps; None takes 200. Cellpose takes 200 * diameter / 30 px for an image segmented at its own scale.
    flow_threshold : largest mean squared error of a cell's flows; None or 0 leaves the check out.
    cellprob_threshold : logit above which a pixel belongs to a cell.
    min_size : smallest cell, px; 0 or less keeps all.
    max_size_fraction : largest cell, as a fraction of the image's pixels (before the flow check).
    device : None or "cpu" runs numba on all cores, "cuda" or "cuda:N" torch there, "auto" chooses; "mps" is "cpu"
        here, having no double precision.

    Returns
    -------
    (Y, X) uint16, or uint32 above 65,535 cells; 0 = background.

    Raises
    ------
    InputError : shapes do not agree or the flows hold NaN or infinity.
    SettingsError : `niter` is negative.

    References
    ----------
    Stringer et al., Cellpose: a generalist algorithm for cellular segmentation, Nature Methods 18 (2021), Methods,
    "Gradient flow tracking". Where this differs from Cellpose 3.1.1.3: docs/differences.md.
    """
    settings = (niter, flow_threshold, cellprob_threshold, min_size, max_size_fraction, device)
    return labels_and_errors(flows, cell_probability, *settings)[0]


def labels_and_errors(
    flows: np.ndarray,
    cell_probability: np.ndarray,
    niter: int | None = None,
    flow_threshold: float | None = 0.4,
    cellprob_threshold: float = 0.0,
    min_size: int = 15,
    max_size_fraction: float = 0.4,
    device: "str | torch.device | None" = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """What :func:`flows_to_labels` gives, and with it the flow error (N,) float64 that each cell passed the check with.

    The errors are None where the check is left out. They are of the cells before their holes were filled, which
    barely changes them, and spare who needs errors anyway a second round of :func:`flow_error`.
    """
    niter = DEFAULT_NITER if niter is None else int(niter)
    flows, cell_probability = _checked(flows, cell_probability, niter)
    if gpu := cuda_device(device):
        settings = (niter, flow_threshold, cellprob_threshold, min_size, max_size_fraction)
        return _on_gpu(flows, cell_probability, settings, gpu)
    active = cell_probability > cellprob_threshold
    starts = np.flatnonzero(active).astype(np.int32)
    ends = follow_flows(flows, active, starts, niter)
    labels = label_by_sinks(starts, ends, active.shape)
    keep_labels(labels, areas(labels) <= labels.size * max_size_fraction)
    errors = None
    if flow_threshold:
        errors = flow_error(labels, flows)
        errors = errors[keep_labels(labels, errors <= flow_threshold) - 1]
    former = fill_holes_and_drop_small(labels, min_size)
    return as_labels(labels), None if errors is None else errors[former - 1]


def follow_flows(flows: np.ndarray, active: np.ndarray, starts: np.ndarray, niter: int) -> np.ndarray:
    """End points (N,) int32 of walks from `starts` (N,) int32, both flat indices; outside `active` nothing moves."""
    height, width = active.shape
    steps = np.empty((height + 1, width + 1, 2), np.float32)
    over_threads(lay_out_steps, np.arange(height + 1), flows, active, steps)
    goals = np.full(active.shape, -1, np.int32)
    spacing = np.spacing(np.float32(max(height, width)))
    over_threads(find_traps, np.arange(height - 1), steps, spacing, goals)

    def walked(starts: np.ndarray) -> np.ndarray:
        ends = np.empty(len(starts), np.int32)
        blocks = np.arange(-(-len(starts) // BLOCK))
        over_threads(follow, blocks, starts, steps.view(np.uint64).ravel(), goals, niter, ends)
        return ends

    # A few walks show where the others lead, and about where those begin that do.
    y, x = PILOTS * np.stack(np.nonzero(active[::PILOTS, ::PILOTS]))
    sinks, which = np.unique(walked((y * width + x).astype(np.int32)), return_inverse=True)
    boxes = np.stack([sinks // width, sinks // width, sinks % width, sinks % width], axis=1).astype(np.int64)
    for k, (pick, at, beyond) in enumerate(
        [(np.minimum, y, -PILOTS), (np.maximum, y, PILOTS), (np.minimum, x, -PILOTS), (np.maximum, x, PILOTS)]
    ):
        pick.at(boxes[:, k], which, at + beyond)
    boxes = np.clip(boxes, 0, np.repeat([height, width], 2) - 1)
    over_threads(find_basins, np.arange(len(sinks)), sinks, boxes, steps, time_in_basins(niter), goals)
    ends = goals.ravel()[starts]
    walk = ends < 0
    ends[walk] = walked(starts[walk])
    return ends


def flow_error(labels: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """Mean squared difference (N,) float64 between each cell's own flows and the network's `flows` / 5.

    `labels` is (Y, X) with cells 1..N; `flows` is (2, Y, X) as the network gives them. A number that no pixel
    carries has error NaN.
    """
    labels = checked_labels(labels)
    cells = find_cells(labels)
    errors = np.full(len(cells.area), np.nan)
    over_threads(errors_of_cells, largest_first(cells), labels, cells, flows, FLOW_SCALE, errors)
    return errors


def _on_gpu(
    flows: np.ndarray,
    cell_probability: np.ndarray,
    settings: tuple[int, float | None, float, int, float],
    device: "torch.device",
) -> tuple[np.ndarray, np.ndarray | None]:
    import torch

    from cellular.segment.flows.torch.to_labels import flows_to_labels_torch

    stack, probabilities = (torch.from_numpy(a)[None].to(device) for a in (flows, cell_probability))
    labels, errors = flows_to_labels_torch(stack, probabilities, *settings)
    return as_labels(labels[0]), errors[0] if errors else None


def _checked(flows: np.ndarray, cell_probability: np.ndarray, niter: int) -> tuple[np.ndarray, np.ndarray]:
    flows = np.ascontiguousarray(flows, np.float32)
    cell_probability = np.ascontiguousarray(cell_probability, np.float32)
    if flows.ndim != 3 or flows.shape != (2, *cell_probability.shape) or flows.size == 0:
        raise InputError(
            f"Flows are (2, Y, X) beside a cell probability of (Y, X), got {flows.shape} and {cell_probability.shape}"
        )
    if not np.isfinite(flows).all():
        raise InputError("The flows hold NaN or infinity; the network or its input is broken")
    if niter < 0:
        raise SettingsError(f"niter is a number of steps, 0 or more, got {niter}")
    return flows, cell_probability
