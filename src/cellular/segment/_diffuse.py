"""Diffusion from each cell's centre: the kernel behind labels -> flows."""

import numba
import numpy as np

from cellular.segment._cells import Cells

# Unsigned constants: with them numba leaves out its test for negative indices, and the loops become vector code.
UNSIGNED = np.uint64
ONE = np.uint64(1)

# The fast mode: steps at full resolution that smooth out the coarse grid, and the smallest box side it is for, px.
FINE_STEPS = 12
FAST_FROM = 24


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
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


@numba.njit(nogil=True, cache=True)
def diffuse(
    heat: np.ndarray, weight: np.ndarray, extent: np.ndarray, y0: int, x0: int, niter: int, grown: int
) -> np.ndarray:
    """Heat in a cell `niter` steps on: one unit enters at (y0, x0), then each pixel takes its 3x3 mean.

    In t steps heat comes t pixels far, so a step visits only that square, and only the cell's columns in each row.
    The nine terms are summed in the order of Cellpose's CPU code: from no heat at all, the result is equal to the
    last bit.

    Parameters
    ----------
    heat : (h, w) float64 to start from, 0 outside the cell; used as work space.
    weight, extent : from :func:`cell_weights`.
    grown : px from (y0, x0) that `heat` has spread already.
    """
    height, width = weight.shape
    weights, before, after = weight.ravel(), heat.ravel(), np.zeros(height * width, np.float64)
    row = UNSIGNED(width)
    for reach in range(grown + 1, grown + niter + 1):
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


@numba.njit(nogil=True, cache=True)
def head_start(weight: np.ndarray, y0: int, x0: int, niter: int) -> tuple[np.ndarray, int]:
    """Heat (h, w) that stands for most of `niter` steps, at half the resolution, and how many full steps are left.

    None is taken, so that `niter` are left, where the cell is small or hangs together too narrowly for a coarse grid.
    """
    coarse_steps = (niter - FINE_STEPS) // 4
    if min(weight.shape) >= FAST_FROM and coarse_steps > 0:
        heat = _coarse_heat(weight, y0, x0, coarse_steps)
        if _reached(heat, weight):
            return heat, niter - 4 * coarse_steps
    return np.zeros(weight.shape, np.float64), niter


@numba.njit(nogil=True, cache=True)
def _coarse_heat(weight: np.ndarray, y0: int, x0: int, steps: int) -> np.ndarray:
    """Heat (h, w) after `steps` steps among every second pixel, (y0, x0) one of them; linear in between."""
    height, width = weight.shape
    odd_y, odd_x = y0 % 2, x0 % 2
    coarse = np.zeros(((height - 1 + odd_y) // 2 + 2, (width - 1 + odd_x) // 2 + 2), np.float64)
    extent = np.zeros((coarse.shape[0], 2), np.int64)
    for y in range(2 - odd_y, height - 1, 2):
        for x in range(2 - odd_x, width - 1, 2):
            if weight[y, x] > 0:
                i, j = (y + odd_y) // 2, (x + odd_x) // 2
                coarse[i, j] = weight[y, x]
                if extent[i, 1] == 0:
                    extent[i, 0] = j
                extent[i, 1] = j + 1
    start = np.zeros(coarse.shape, np.float64)
    coarse_heat = diffuse(start, coarse, extent, (y0 + odd_y) // 2, (x0 + odd_x) // 2, steps, 0)
    heat = np.zeros((height, width), np.float64)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if weight[y, x] > 0:
                i, j = (y + odd_y) // 2, (x + odd_x) // 2
                u, v = (y + odd_y + 1) // 2, (x + odd_x + 1) // 2
                heat[y, x] = (coarse_heat[i, j] + coarse_heat[i, v] + coarse_heat[u, j] + coarse_heat[u, v]) / 4
    return heat


@numba.njit(nogil=True, cache=True)
def _reached(heat: np.ndarray, weight: np.ndarray) -> bool:
    for y in range(heat.shape[0]):
        for x in range(heat.shape[1]):
            if weight[y, x] > 0 and heat[y, x] == 0:
                return False
    return True


@numba.njit(nogil=True, cache=True)
def write_gradient(heat: np.ndarray, weight: np.ndarray, y0: int, x0: int, flows: np.ndarray) -> None:
    """Unit vectors of the central differences of `heat` into `flows` (2, Y, X), the cell's pixels only."""
    for y in range(1, heat.shape[0] - 1):
        for x in range(1, heat.shape[1] - 1):
            if weight[y, x] > 0:
                dy = heat[y + 1, x] - heat[y - 1, x]
                dx = heat[y, x + 1] - heat[y, x - 1]
                norm = 1e-60 + np.sqrt(dy * dy + dx * dx)
                flows[0, y0 + y - 1, x0 + x - 1] = dy / norm
                flows[1, y0 + y - 1, x0 + x - 1] = dx / norm


@numba.njit(nogil=True, cache=True)
def flows_of_cells(
    which: np.ndarray, labels: np.ndarray, cells: Cells, niter: int, fast: bool, flows: np.ndarray
) -> None:
    """Flows of the cells `which` (labels minus one) into `flows` (2, Y, X); `niter` < 0: by each cell's size."""
    for k in which:
        box = cells.box[k]
        y0, x0 = centre_of(labels, k + 1, box, cells.area[k], cells.total[k])
        weight, extent = cell_weights(labels, k + 1, box)
        y0, x0 = y0 - box[0] + 1, x0 - box[2] + 1
        steps = niter if niter >= 0 else 2 * (weight.shape[0] + weight.shape[1])
        heat, left = head_start(weight, y0, x0, steps) if fast else (np.zeros(weight.shape, np.float64), steps)
        heat = diffuse(heat, weight, extent, y0, x0, left, steps - left)
        write_gradient(heat, weight, box[0], box[2], flows)
