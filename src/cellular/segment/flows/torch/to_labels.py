"""Flows -> labels in torch, for GPUs: a stack of images at a time, the arithmetic of the numba kernels."""

import itertools

import numpy as np
import torch

from cellular.segment.flows.numba.seeds import PEAK_COUNT, PEAK_RADIUS, SINK_COUNT, SINK_RADIUS, rising_order
from cellular.segment.flows.numba.tidy import fill_holes_and_drop_small
from cellular.segment.flows.torch.to_flows import labels_to_flows_torch, segment_min

FLOW_SCALE = 5.0
# Steps between two looks for walks that have settled; each look waits for the device.
STRIDE = 16
# Seeds whose windows are grown at a time.
SEED_BATCH = 1 << 16


def flows_to_labels_torch(
    flows: torch.Tensor,
    cell_probability: torch.Tensor,
    niter: int,
    flow_threshold: float | None,
    cellprob_threshold: float,
    min_size: int,
    max_size_fraction: float,
) -> tuple[np.ndarray, list[np.ndarray] | None]:
    """Labels (N, Y, X) uint32 of a stack of flows (N, 2, Y, X) and cell probabilities (N, Y, X), float32.

    With them, image by image, the flow errors of the cells, or None where `flow_threshold` leaves the check out.
    Same contract as :func:`cellular.segment.flows.to_labels.labels_and_errors`, image by image, on `flows`' device
    up to the filling of holes, which walks from pixel to pixel and is the CPU's work.
    """
    active = cell_probability > cellprob_threshold
    starts = active.reshape(-1).nonzero().squeeze(1)
    ends = follow_flows_torch(flows, active, starts, niter)
    labels = _label_by_sinks(starts, ends, active.shape)
    labels = _keep(labels, torch.bincount(labels.reshape(-1))[1:] <= labels[0].numel() * max_size_fraction)
    passed: np.ndarray | None = None
    if flow_threshold:
        every = flow_error_torch(labels, flows)
        labels = _keep(labels, every <= flow_threshold)
        passed = every[every <= flow_threshold].cpu().numpy()
    result: np.ndarray = _number_by_image(labels).cpu().numpy().astype(np.uint32)
    counts = result.max((1, 2))
    former = [fill_holes_and_drop_small(image, min_size) for image in result]
    if passed is None:
        return result, None
    return result, [own[f - 1] for own, f in zip(np.split(passed, np.cumsum(counts)[:-1]), former)]


def follow_flows_torch(flows: torch.Tensor, active: torch.Tensor, starts: torch.Tensor, niter: int) -> torch.Tensor:
    """End points of walks from `starts`, both (P,) int64 flat indices into the stack; see the numba kernel."""
    images, height, width = active.shape
    steps = torch.nn.functional.pad((flows * active[:, None]) / FLOW_SCALE, (0, 1, 0, 1), mode="replicate")
    plane = (height + 1) * (width + 1)
    image = starts // (height * width)
    field, base = steps.reshape(-1), image * (2 * plane)
    ends = torch.empty_like(starts)
    which = torch.arange(len(starts), device=starts.device)
    position = torch.stack([starts // width % height, starts % width]).float()
    before = last = position
    left = niter
    while left > 0 and len(which):
        for _ in range(min(STRIDE, left)):
            before, last = last, position
            position = _step(field, base, position, height, width)
            left -= 1
        settled = (position == before).all(0)
        end = position if left % 2 == 0 else last
        ends[which[settled]] = _flat(end[:, settled], image[which[settled]], height, width)
        going = ~settled
        which, base, position, last = which[going], base[going], position[:, going], last[:, going]
    ends[which] = _flat(position, image[which], height, width)
    return ends


def _flat(position: torch.Tensor, image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    y, x = position.long()
    return (image * height + y) * width + x


def _step(field: torch.Tensor, base: torch.Tensor, position: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Positions (2, P) float32 one step on; the interpolation in double precision, in Cellpose's order of factors."""
    y, x = position.long()
    down, right = position[0].double() - y, position[1].double() - x
    row, plane = width + 1, (height + 1) * (width + 1)
    at = base + y * row + x
    moved = []
    for axis, last in ((0, height - 1), (1, width - 1)):
        corner = at + axis * plane
        step = (
            field[corner] * (1 - down) * (1 - right)
            + field[corner + 1] * (1 - down) * right
            + field[corner + row] * down * (1 - right)
            + field[corner + row + 1] * down * right
        )
        moved.append((position[axis] + step.float()).clamp(0, last))
    return torch.stack(moved)


def _label_by_sinks(starts: torch.Tensor, ends: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Labels (N, Y, X) int64 of the pixels `starts` by the sinks of their `ends`; numbers run through the stack."""
    images, height, width = shape
    counts = torch.bincount(ends, minlength=images * height * width).reshape(shape).double()
    peak = torch.nn.functional.max_pool2d(counts, 2 * PEAK_RADIUS + 1, stride=1, padding=PEAK_RADIUS)
    seeds = ((counts == peak) & (counts > PEAK_COUNT)).nonzero()
    if len(seeds) == 0:
        return torch.zeros(shape, dtype=torch.int64, device=starts.device)
    seeds = seeds[_order_of(seeds, counts[seeds.unbind(1)])]
    sinks = _grow_sinks(seeds, torch.nn.functional.pad(counts, [SINK_RADIUS] * 4))
    sinks = sinks[:, SINK_RADIUS:-SINK_RADIUS, SINK_RADIUS:-SINK_RADIUS].reshape(-1)
    labels = torch.zeros(images * height * width, dtype=torch.int64, device=starts.device)
    labels[starts] = sinks[ends]
    return _renumber(labels.reshape(shape))


def _order_of(seeds: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Rising order of the seeds within each image, the very order that the CPU version takes."""
    values, image = counts.int().cpu().numpy(), seeds[:, 0].cpu().numpy()
    starts = np.searchsorted(image, np.arange(image[-1] + 2))
    orders = [first + rising_order(values[first:stop]) for first, stop in itertools.pairwise(starts)]
    return torch.from_numpy(np.concatenate(orders)).to(seeds.device)


def _grow_sinks(seeds: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Sinks in the padded stack of `counts`, int64: k + 1 in the sink of seed k, later sinks over earlier ones."""
    side = 2 * SINK_RADIUS + 1
    sinks = torch.zeros(counts.numel(), dtype=torch.int64, device=counts.device)
    reach = torch.arange(side, device=counts.device)
    window = reach[:, None] * counts.shape[2] + reach[None, :]
    for first in range(0, len(seeds), SEED_BATCH):
        image, y, x = seeds[first : first + SEED_BATCH].unbind(1)
        at = ((image * counts.shape[1] + y) * counts.shape[2] + x)[:, None, None] + window
        allowed = (counts.reshape(-1)[at] > SINK_COUNT).float()
        inside = torch.zeros_like(allowed)
        inside[:, SINK_RADIUS, SINK_RADIUS] = 1
        for _ in range(SINK_RADIUS):
            inside = torch.nn.functional.max_pool2d(inside, 3, stride=1, padding=1) * allowed
        number = torch.arange(first + 1, first + 1 + len(at), device=counts.device)[:, None, None].expand_as(at)
        chosen = inside > 0
        sinks.scatter_reduce_(0, at[chosen], number[chosen], "amax")
    return sinks.reshape(counts.shape)


def flow_error_torch(labels: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
    """Mean squared difference (N,) float64 between each cell's own flows and `flows` / 5; numbers 1..N in the stack."""
    own = labels_to_flows_torch(labels)
    squared = ((own.double() - flows / FLOW_SCALE) ** 2).sum(1).reshape(-1)
    flat = labels.reshape(-1)
    total = torch.bincount(flat, weights=squared)
    return (total / torch.bincount(flat))[1:]


def _keep(labels: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    keep = torch.cat([keep.new_zeros(1), keep])
    return _renumber(torch.where(keep[labels], labels, 0))


def _renumber(labels: torch.Tensor) -> torch.Tensor:
    """Labels of the stack numbered 1..N as they first appear."""
    flat = labels.reshape(-1)
    pixels = flat.nonzero().squeeze(1)
    names, cell = torch.unique(flat[pixels], return_inverse=True)
    number = torch.empty(len(names), dtype=torch.int64, device=labels.device)
    number[segment_min(pixels, cell, len(names)).argsort()] = torch.arange(1, len(names) + 1, device=labels.device)
    result = torch.zeros_like(flat)
    result[pixels] = number[cell]
    return result.reshape(labels.shape)


def _number_by_image(labels: torch.Tensor) -> torch.Tensor:
    """Labels that run through the stack, numbered from 1 in each image."""
    largest = labels.reshape(len(labels), -1).max(1).values.cummax(0).values
    offset = torch.cat([largest.new_zeros(1), largest[:-1]])
    return torch.where(labels > 0, labels - offset[:, None, None], 0)
