"""Labels -> flows in torch, for GPUs: many cells of many images side by side, the arithmetic of the numba kernels."""

from collections.abc import Iterator
from typing import NamedTuple

import torch

# Pixels of one batch of cells' boxes; double precision twice over makes 16 bytes each.
BATCH_PIXELS = 1 << 26

# The 3x3 neighbourhood in the order Cellpose's CPU code adds it up.
NEIGHBOURS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


class TorchCells(NamedTuple):
    """Cells of a stack of label images, largest box first; F foreground pixels, grouped by cell.

    Attributes
    ----------
    pixels : (F,) int64, flat index into the stack.
    y, x : (F,) int64, place in the cell's box, counted from 1.
    cell : (F,) int64, row of the pixel's cell in the arrays below.
    area, height, width : (N,) int64, px.
    centre : (N, 2) int64, the cell's pixel nearest to its mean position, in the box, counted from 1.
    """

    pixels: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    cell: torch.Tensor
    area: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor
    centre: torch.Tensor


def labels_to_flows_torch(
    labels: torch.Tensor, niter: int | None = None, batch_pixels: int = BATCH_PIXELS
) -> torch.Tensor:
    """Flows (N, 2, Y, X) float32 of a stack of label images (N, Y, X) on the device of `labels`.

    Same contract as :func:`cellular.segment.labels_to_flows`, image by image. `batch_pixels` bounds the memory.
    """
    images, height, width = labels.shape
    flows = torch.zeros((images, 2, height, width), dtype=torch.float32, device=labels.device)
    cells = _find_cells(labels)
    ends = cells.area.cumsum(0)
    for first, stop in _batches(cells, batch_pixels):
        part = slice(int(ends[first - 1]) if first else 0, int(ends[stop - 1]))
        heat = _diffuse(cells, first, stop, part, niter)
        _write_gradient(heat, cells, first, part, flows)
    return flows


def segment_min(values: torch.Tensor, group: torch.Tensor, groups: int) -> torch.Tensor:
    """Least value of each of `groups` groups."""
    empty = torch.empty(groups, dtype=values.dtype, device=values.device)
    return empty.scatter_reduce(0, group, values, "amin", include_self=False)


def _find_cells(labels: torch.Tensor) -> TorchCells:
    images, height, width = labels.shape
    flat = labels.reshape(-1).long()
    pixels = flat.nonzero().squeeze(1)
    image, y, x = pixels // (height * width), pixels // width % height, pixels % width
    names, cell = torch.unique(image * (flat.max() + 1 if len(flat) else 1) + flat[pixels], return_inverse=True)
    count = len(names)
    top, left = segment_min(y, cell, count), segment_min(x, cell, count)
    y, x = y - top[cell] + 1, x - left[cell] + 1
    box_height, box_width = -segment_min(-y, cell, count), -segment_min(-x, cell, count)
    area = torch.bincount(cell, minlength=count)
    centre = _centres(y, x, cell, area)
    largest_first = (box_height + box_width).argsort(descending=True, stable=True)
    rank = torch.empty_like(largest_first)
    rank[largest_first] = torch.arange(count, device=labels.device)
    by_cell = rank[cell].argsort(stable=True)
    return TorchCells(
        pixels[by_cell],
        y[by_cell],
        x[by_cell],
        rank[cell][by_cell],
        area[largest_first],
        box_height[largest_first],
        box_width[largest_first],
        centre[largest_first],
    )


def _centres(y: torch.Tensor, x: torch.Tensor, cell: torch.Tensor, area: torch.Tensor) -> torch.Tensor:
    """(N, 2) int64: the pixel nearest to each cell's mean position, the first in raster order on a tie."""
    mean_y = torch.zeros_like(area).index_add_(0, cell, y).double() / area
    mean_x = torch.zeros_like(area).index_add_(0, cell, x).double() / area
    distance = (x - mean_x[cell]) ** 2 + (y - mean_y[cell]) ** 2
    nearest = (distance == segment_min(distance, cell, len(area))[cell]).nonzero().squeeze(1)
    first = segment_min(nearest, cell[nearest], len(area))
    return torch.stack([y[first], x[first]], 1)


def _batches(cells: TorchCells, batch_pixels: int) -> Iterator[tuple[int, int]]:
    """Runs ``(first, stop)`` of cells whose boxes, all padded to the run's largest, stay within `batch_pixels`.

    A run also ends where boxes have shrunk to half, so that padding costs little.
    """
    heights, widths = cells.height.tolist(), cells.width.tolist()
    first, tallest, widest = 0, 0, 0
    for k in range(len(heights)):
        tallest, widest = max(tallest, heights[k]), max(widest, widths[k])
        full = (k + 1 - first) * (tallest + 2) * (widest + 2) > batch_pixels
        if k > first and (full or heights[k] + widths[k] < (heights[first] + widths[first]) // 2):
            yield first, k
            first, tallest, widest = k, heights[k], widths[k]
    if heights:
        yield first, len(heights)


def _diffuse(cells: TorchCells, first: int, stop: int, part: slice, niter: int | None) -> torch.Tensor:
    """Heat (stop - first, H + 2, W + 2) float64 of a run of cells; see the numba kernel for the rule."""
    device = cells.pixels.device
    height, width = int(cells.height[first:stop].max()), int(cells.width[first:stop].max())
    heat = torch.zeros((stop - first, height + 2, width + 2), dtype=torch.float64, device=device)
    weight = torch.zeros((stop - first, height, width), dtype=torch.float64, device=device)
    weight[cells.cell[part] - first, cells.y[part] - 1, cells.x[part] - 1] = 1.0 / 9.0
    own = 2 * (cells.height[first:stop] + cells.width[first:stop] + 4)
    steps = own.tolist() if niter is None else [niter] * (stop - first)
    which = torch.arange(stop - first, device=device)
    centre_y, centre_x = cells.centre[first:stop].unbind(1)
    going = stop - first
    for step in range(steps[0]):
        while steps[going - 1] <= step:  # steps fall along the run: finished cells are at its end
            going -= 1
        heat[which[:going], centre_y[:going], centre_x[:going]] += 1
        terms = [heat[:going, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in NEIGHBOURS]
        total = terms[0].clone()
        for term in terms[1:]:
            total.add_(term)
        heat[:going, 1:-1, 1:-1] = total.mul_(weight[:going])
    return heat


def _write_gradient(heat: torch.Tensor, cells: TorchCells, first: int, part: slice, flows: torch.Tensor) -> None:
    plane = flows.shape[2] * flows.shape[3]
    k, y, x = cells.cell[part] - first, cells.y[part], cells.x[part]
    dy = heat[k, y + 1, x] - heat[k, y - 1, x]
    dx = heat[k, y, x + 1] - heat[k, y, x - 1]
    norm = 1e-60 + torch.sqrt(dy * dy + dx * dx)
    at = cells.pixels[part] // plane * (2 * plane) + cells.pixels[part] % plane
    flat = flows.view(-1)
    flat[at] = (dy / norm).float()
    flat[at + plane] = (dx / norm).float()
