"""Diffusion from each cell's centre: the kernel behind labels -> flows."""

import numba
import numpy as np

from cellular.segment._cells import Cells

# Unsigned constants: with them numba leaves out its test for negative indices, and the loops become vector code.
UNSIGNED = np.uint64
ONE = np.uint64(1)


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
def diffuse(weight: np.ndarray, extent: np.ndarray, y0: int, x0: int, niter: int) -> np.ndarray:
    """Heat in a cell after `niter` steps: one unit enters at (y0, x0), then each pixel takes its 3x3 mean.

    After t steps heat has come t pixels far, so a step visits only that square, and only the cell's columns in
    each row. The nine terms are summed in the order of Cellpose's CPU code: the result is equal to the last bit.

    Returns (h, w) float64 for a `weight` of that shape (from :func:`cell_weights`).
    """
    height, width = weight.shape
    weights = weight.ravel()
    heat = np.zeros(height * width, np.float64)
    after = np.zeros(height * width, np.float64)
    row = UNSIGNED(width)
    for step in range(1, niter + 1):
        heat[y0 * width + x0] += 1.0
        for y in range(max(1, y0 - step), min(height - 1, y0 + step + 1)):
            first = UNSIGNED(y * width + max(extent[y, 0], x0 - step))
            stop = UNSIGNED(y * width + min(extent[y, 1], x0 + step + 1))
            for i in range(first, stop):
                after[i] = weights[i] * (
                    heat[i]
                    + heat[i - row]
                    + heat[i + row]
                    + heat[i - ONE]
                    + heat[i + ONE]
                    + heat[i - row - ONE]
                    + heat[i - row + ONE]
                    + heat[i + row - ONE]
                    + heat[i + row + ONE]
                )
        heat, after = after, heat
    return heat.reshape((height, width))


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
def exact_flows(which: np.ndarray, labels: np.ndarray, cells: Cells, niter: int, flows: np.ndarray) -> None:
    """Flows of the cells `which` (labels minus one) into `flows` (2, Y, X); `niter` < 0: by each cell's size."""
    for k in which:
        box = cells.box[k]
        y0, x0 = centre_of(labels, k + 1, box, cells.area[k], cells.total[k])
        weight, extent = cell_weights(labels, k + 1, box)
        steps = niter if niter >= 0 else 2 * (weight.shape[0] + weight.shape[1])
        heat = diffuse(weight, extent, y0 - box[0] + 1, x0 - box[2] + 1, steps)
        write_gradient(heat, weight, box[0], box[2], flows)
