"""Diffusion from each cell's centre: the kernels behind labels -> flows.

Two of them compute the same thing: one as Cellpose does, in double precision and to the last bit, the other in single
precision with fewer additions, several times faster and within 1e-4.
"""

import numpy as np

from cellular.jit import njit
from cellular.segment.flows.numba.cells import Cells

# Unsigned constants: with them numba leaves out its test for negative indices, and the loops become vector code.
UNSIGNED = np.uint64
ONE = np.uint64(1)

# Single-precision numbers in 64 bytes, a cache line and the widest vector: rows start at multiples of it.
LANES = 16
# Rows that are summed at a time, few enough to stay in the first-level cache.
BAND = 16
# Heat that enters at each step in single precision, and the least sum of nine that is no nothing: all in between are
# normal numbers (others are slow), from 1e-73 of what enters up. Cellpose adds 1e-60 of it to the length of the
# gradient, so that less than 1e-64 shows in no flow.
UNIT = np.float32(2.0**119)
NOTHING = np.float32(2.0**-122)
# Arguments that as plain numbers would have numba compile their own variants.
BY_SIZE, ORIGIN, NO = np.int64(-1), np.int64(0), np.bool_(False)
# Cells under this many px take the exact kernel, whose cost does not matter there: their centre, where the gradient
# is mere rounding, weighs in the flow error of so few pixels.
SMALL = 256


@njit
def centre_of(labels: np.ndarray, label: int, box: np.ndarray, area: int, total: np.ndarray) -> tuple[int, int]:
    """Pixel of the cell nearest to its mean position, the first in raster order on a tie.

    Coordinates count from one pixel before the box, as Cellpose counts them, so that ties round the same way.
    """
    mean_y = (total[0] - area * (box[0] - 1)) / area
    mean_x = (total[1] - area * (box[2] - 1)) / area
    nearest, best_y, best_x = np.inf, 0, 0
    for y in range(box[0], box[1] + 1):
        for x in range(box[2], box[3] + 1):
            if labels[y, x] == label:
                off_x = x - box[2] + 1 - mean_x
                off_y = y - box[0] + 1 - mean_y
                distance = off_x * off_x + off_y * off_y
                if distance < nearest:
                    nearest, best_y, best_x = distance, y, x
    return best_y, best_x


@njit
def cell_weights(labels: np.ndarray, label: int, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the diffusion on the box with a margin of one pixel: 1/9 in the cell, 0 outside.

    Returns ``(weight, extent)``: (h + 2, w + 2) float64, and (h + 2, 2) int64, first column of the cell in each row
    and one past its last (0, 0 in a row without).
    """
    height, width = box[1] - box[0] + 3, box[3] - box[2] + 3
    weight = np.zeros((height, width), np.float64)
    extent = np.zeros((height, 2), np.int64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if labels[box[0] + y - 1, box[2] + x - 1] == label:
                weight[y, x] = 1.0 / 9.0
                if extent[y, 1] == 0:
                    extent[y, 0] = x
                extent[y, 1] = x + 1
    return weight, extent


@njit
def diffuse(weight: np.ndarray, extent: np.ndarray, y0: int, x0: int, niter: int) -> np.ndarray:
    """Heat (h, w) float64 in a cell: `niter` times one unit enters at (y0, x0), then each pixel takes its 3x3 mean.

    In t steps heat comes t pixels far, so a step visits only that square, and only the cell's columns in each row.
    The nine terms are summed in the order of Cellpose's CPU code: the result is equal to the last bit. `weight` and
    `extent` are those of :func:`cell_weights`.
    """
    height, width = weight.shape
    weights = weight.ravel()
    before, after = np.zeros(height * width, np.float64), np.zeros(height * width, np.float64)
    row = UNSIGNED(width)
    for reach in range(1, niter + 1):
        before[y0 * width + x0] += 1.0
        for y in range(max(1, y0 - reach), min(height - 1, y0 + reach + 1)):
            first = UNSIGNED(y * width + max(extent[y, 0], x0 - reach))
            stop = UNSIGNED(y * width + min(extent[y, 1], x0 + reach + 1))
            for i in range(first, stop):
                after[i] = weights[i] * (
                    before[i]
                    + before[i - row]
                    + before[i + row]
                    + before[i - ONE]
                    + before[i + ONE]
                    + before[i - row - ONE]
                    + before[i - row + ONE]
                    + before[i + row - ONE]
                    + before[i + row + ONE]
                )
        before, after = after, before
    return before.reshape((height, width))


@njit
def _zeros(count: int) -> np.ndarray:
    """(count,) float32 zeros that begin at a multiple of 64 bytes."""
    room = np.zeros(count + LANES, np.float32)
    first = (-room.ctypes.data // 4) % LANES
    return room[first : first + count]


@njit
def single_weights(labels: np.ndarray, label: int, box: np.ndarray) -> np.ndarray:
    """Weights of :func:`cell_weights` in single precision, (h + 2, width), width a multiple of LANES over w + 2."""
    height, width = box[1] - box[0] + 3, -(-(box[3] - box[2] + 3) // LANES) * LANES
    weight = _zeros(height * width).reshape((height, width))
    for y in range(box[0], box[1] + 1):
        for x in range(box[2], box[3] + 1):
            if labels[y, x] == label:
                weight[y - box[0] + 1, x - box[2] + 1] = np.float32(1.0 / 9.0)
    return weight


@njit
def diffuse_single(weight: np.ndarray, y0: int, x0: int, niter: int) -> np.ndarray:
    """What :func:`diffuse` computes, in units of UNIT and in single precision: (h, w) float32.

    A 3x3 sum is a sum across of three, then a sum down of three of those. A step goes down the rows that heat has
    reached, band by band and in place: a band's sums across are taken before the band above is overwritten, and wait
    in a buffer. Rows follow each other in memory with the margin between them, so that a band is one long loop.
    """
    height, width = weight.shape
    weights, heat = weight.ravel(), _zeros(height * width + LANES)
    across = _zeros((BAND + 2) * width)
    for reach in range(1, niter + 1):
        heat[y0 * width + x0] += UNIT
        top, bottom = max(1, y0 - reach), min(height - 1, y0 + reach + 1)
        _copy(heat, (top - 1) * width, across, width)  # no heat has come there
        _sum_across(heat, top * width, across, width, width)
        for y in range(top, bottom, BAND):
            rows = min(BAND, bottom - y)
            _sum_across(heat, (y + 1) * width, across, 2 * width, rows * width)
            _sum_down(across, width, weights, heat, y * width, rows * width)
            _copy(across, BAND * width, across, 2 * width)
    return heat[: height * width].reshape((height, width))


@njit
def _copy(source: np.ndarray, first: int, target: np.ndarray, count: int) -> None:
    """``target[:count] = source[first:first + count]``, which would take numba seconds to compile."""
    for i in range(count):
        target[i] = source[first + i]


@njit
def _sum_across(heat: np.ndarray, first: int, across: np.ndarray, to: int, count: int) -> None:
    """Sums of three; kept from turn to turn, two of them come by shuffles of vectors, which is quicker than loads."""
    start, goal = UNSIGNED(first), UNSIGNED(to)
    left, middle = heat[start - ONE], heat[start]
    for i in range(UNSIGNED(0), UNSIGNED(count)):
        right = heat[start + i + ONE]
        across[goal + i] = left + right + middle
        left, middle = middle, right


@njit
def _sum_down(across: np.ndarray, width: int, weights: np.ndarray, heat: np.ndarray, first: int, count: int) -> None:
    start, row, two_rows = UNSIGNED(first), UNSIGNED(width), UNSIGNED(2 * width)
    for i in range(UNSIGNED(0), UNSIGNED(count)):
        total = across[i] + across[i + two_rows] + across[i + row]
        heat[start + i] = weights[start + i] * total if total > NOTHING else np.float32(0)


@njit
def write_gradient(heat: np.ndarray, weight: np.ndarray, unit: float, y0: int, x0: int, flows: np.ndarray) -> None:
    """Unit vectors of the central differences of `heat` into `flows` (2, Y, X), the cell's pixels only."""
    for y in range(1, heat.shape[0] - 1):
        for x in range(1, heat.shape[1] - 1):
            if weight[y, x] > 0:
                dy = np.float64(heat[y + 1, x]) - np.float64(heat[y - 1, x])
                dx = np.float64(heat[y, x + 1]) - np.float64(heat[y, x - 1])
                norm = 1e-60 * unit + np.sqrt(dy * dy + dx * dx)
                flows[0, y0 + y - 1, x0 + x - 1] = dy / norm
                flows[1, y0 + y - 1, x0 + x - 1] = dx / norm


@njit
def flows_of_cell(
    labels: np.ndarray, k: int, cells: Cells, niter: int, exact: bool, y0: int, x0: int, flows: np.ndarray
) -> None:
    """Flows of cell `k` (label minus one) into `flows` (2, h, w), its box beginning at (y0, x0); `niter` as below."""
    box = cells.box[k]
    y, x = centre_of(labels, k + 1, box, cells.area[k], cells.total[k])
    y, x = y - box[0] + 1, x - box[2] + 1
    steps = niter if niter >= 0 else 2 * (box[1] - box[0] + box[3] - box[2] + 6)
    if exact or cells.area[k] < SMALL:
        weight, extent = cell_weights(labels, k + 1, box)
        write_gradient(diffuse(weight, extent, y, x, steps), weight, 1.0, y0, x0, flows)
    else:
        weights = single_weights(labels, k + 1, box)
        write_gradient(diffuse_single(weights, y, x, steps), weights, np.float64(UNIT), y0, x0, flows)


@njit
def flows_of_cells(
    which: np.ndarray, labels: np.ndarray, cells: Cells, niter: int, exact: bool, flows: np.ndarray
) -> None:
    """Flows of the cells `which` (labels minus one) into `flows` (2, Y, X); `niter` < 0: by each cell's size."""
    for k in which:
        flows_of_cell(labels, k, cells, niter, exact, cells.box[k, 0], cells.box[k, 2], flows)


@njit
def errors_of_cells(
    which: np.ndarray, labels: np.ndarray, cells: Cells, flows: np.ndarray, scale: float, errors: np.ndarray
) -> None:
    """Mean squared differences between the own flows of the cells `which` and `flows` / `scale` into `errors` (N,)."""
    for k in which:
        top, left = cells.box[k, 0], cells.box[k, 2]
        own = np.zeros((2, cells.box[k, 1] - top + 1, cells.box[k, 3] - left + 1), np.float32)
        flows_of_cell(labels, k, cells, BY_SIZE, NO, ORIGIN, ORIGIN, own)
        total = 0.0
        for y in range(own.shape[1]):
            for x in range(own.shape[2]):
                if labels[top + y, left + x] == k + 1:
                    dy = np.float64(own[0, y, x]) - flows[0, top + y, left + x] / scale
                    dx = np.float64(own[1, y, x]) - flows[1, top + y, left + x] / scale
                    total += dy * dy + dx * dx
        errors[k] = total / cells.area[k]
