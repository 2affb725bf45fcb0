"""Running the network over an image of any size."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cellular.device import keep_freed_memory
from cellular.errors import DeviceError
from cellular.segment.model.network import CPnet
from cellular.segment.settings import Tiling

logger = logging.getLogger(__name__)

# Cellpose's tiling: 224 px tiles that overlap by a tenth, and at least 8 px of padding around the image.
TILE = 224
OVERLAP = 0.1
MARGIN = 8
# "whole" runs the image in one piece up to this many pixels a side (at the network's scale); memory grows with it.
WHOLE = 1024


@dataclass(frozen=True)
class _Layout:
    """Tiles of an image padded to (Y, X): their size and the start of each along both axes."""

    size: tuple[int, ...]
    starts: tuple[np.ndarray, ...]


def run_network(
    network: CPnet,
    image: np.ndarray,
    tiling: Tiling = "whole",
    augment: bool = False,
    batch_size: int = 8,
) -> tuple[np.ndarray, np.ndarray]:
    """Network output for one image at the network's scale.

    Parameters
    ----------
    network : in evaluation mode, on the device that is to do the work.
    image : (C, Y, X) float32, normalised.
    tiling : "whole" feeds the padded image in one piece (in few large overlapping ones above 1024 px a side): fast,
        no seams. "cellpose" feeds 224 px tiles overlapping by a tenth and blends them, and equals Cellpose 3.
    augment : average over overlapping flipped copies; about four times slower.
    batch_size : 224 px tiles at a time, fewer where they are larger; halved, with a warning, as long as a GPU runs out
        of memory.

    Returns
    -------
    output : (3, Y, X) float32, flow y, flow x (five times the unit vector) and cell probability (logit).
    style : (8 * width,) float32, unit length.
    """
    keep_freed_memory()
    height, width = image.shape[1:]
    padding = [_padding(side) for side in (height, width)]
    padded = np.pad(image, [(0, 0), *padding])
    if augment:
        output, style = _run_augmented(network, padded, tiling, batch_size)
    else:
        output, style = _run_tiled(network, padded, _layout(padded.shape[1:], tiling), batch_size)
    (top, _), (left, _) = padding
    return output[:, top : top + height, left : left + width], style


def _padding(side: int) -> tuple[int, int]:
    """Zeros before and after: to a multiple of 16 px and 8 more on each end, so that the network sees past the edge."""
    missing = -side % 16
    return MARGIN + missing // 2, MARGIN + missing - missing // 2


def _layout(shape: tuple[int, ...], tiling: Tiling) -> _Layout:
    side, overlap = (TILE, OVERLAP) if tiling == "cellpose" else (WHOLE, 0.1)
    counts = [1 if length <= side else int(np.ceil((1 + 2 * overlap) * length / side)) for length in shape]
    size = tuple(min(side, length) for length in shape)
    if tiling == "whole":
        size = tuple(_even(length, count) for length, count in zip(shape, counts))
    starts = tuple(np.linspace(0, length - s, n).astype(int) for length, s, n in zip(shape, size, counts))
    return _Layout(size, starts)


def _even(length: int, count: int) -> int:
    """Side of `count` tiles that share a `length` and overlap by a tenth of WHOLE.

    So an image a little wider than one tile is two of half its width, not two whole ones on top of each other.
    """
    shared = length if count == 1 else -(-(length + (count - 1) * WHOLE // 10) // count)
    return min(length, -(-shared // 16) * 16)


def _run_tiled(network: CPnet, image: np.ndarray, layout: _Layout, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Output blended over the tiles of `layout`, and the normalised sum of their styles."""
    corners = [(y, x) for y in layout.starts[0] for x in layout.starts[1]]
    tall, wide = layout.size
    if len(corners) == 1:
        output, style = _forward(network, image[None])
        return output[0], style[0]
    weight = _taper(tall, wide)
    total = np.zeros((network.nout, *image.shape[1:]), np.float32)
    weights = np.zeros(image.shape[1:])
    styles = np.zeros(network.nbase[-1], np.float32)
    tiles = ((y, x, image[:, y : y + tall, x : x + wide]) for y, x in corners)
    # A batch is counted in tiles of Cellpose's size, so that large ones do not multiply the memory.
    batch_size = max(1, batch_size * TILE**2 // (tall * wide))
    for y, x, output, style in _batched(network, tiles, batch_size):
        total[:, y : y + tall, x : x + wide] += output * weight
        weights[y : y + tall, x : x + wide] += weight
        styles += style
    return (total / weights).astype(np.float32), styles / np.sqrt((styles**2).sum())


def _batched(
    network: CPnet, tiles: Iterator[tuple[int, int, np.ndarray]], batch_size: int
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Outputs tile by tile, computed `batch_size` at a time."""
    waiting: list[tuple[int, int, np.ndarray]] = []
    for tile in tiles:
        waiting.append(tile)
        if len(waiting) == batch_size:
            yield from _flush(network, waiting)
            waiting = []
    if waiting:
        yield from _flush(network, waiting)


def _flush(network: CPnet, waiting: list) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    outputs, styles = _forward(network, np.stack([tile for _, _, tile in waiting]))
    for (y, x, _), output, style in zip(waiting, outputs, styles):
        yield y, x, output, style


def _run_augmented(network: CPnet, image: np.ndarray, tiling: Tiling, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the four flips of the image, flows turned back."""
    layout = _layout(image.shape[1:], tiling)
    outputs, styles = [], []
    for flips in ((), (1,), (2,), (1, 2)):
        output, style = _run_tiled(network, np.ascontiguousarray(np.flip(image, flips)), layout, batch_size)
        output = np.flip(output, flips).copy()
        for axis in flips:
            output[axis - 1] *= -1
        outputs.append(output)
        styles.append(style)
    mean = np.mean(styles, axis=0)
    return np.mean(outputs, axis=0), mean / np.sqrt((mean**2).sum())


def _forward(network: CPnet, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One pass; out of GPU memory, the batch is halved until it fits or cannot be halved."""
    device = network.diam_mean.device
    try:
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(batch)).to(device).contiguous(memory_format=torch.channels_last)
            output, style = network(x)
            return output.float().cpu().numpy(), style.float().cpu().numpy()
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        if len(batch) == 1:
            raise DeviceError(
                f"The GPU lacks the memory for a tile of {batch.shape[2:]} px; try --tiling cellpose or --device cpu"
            ) from error
        half = len(batch) // 2
        logger.warning("GPU out of memory: going on with batches of %d instead of %d", half, len(batch))
        parts = [_forward(network, part) for part in (batch[:half], batch[half:])]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _taper(height: int, width: int, sigma: float = 7.5) -> np.ndarray:
    """Weights that fall off as a sigmoid 20 px before a tile's edges, as Cellpose blends its tiles."""
    side = max(TILE, height, width)
    distance = np.abs(np.arange(side) - (side - 1) / 2)
    profile = 1 / (1 + np.exp((distance - (side / 2 - 20)) / sigma))
    rows, columns = (
        profile[side // 2 - length // 2 : side // 2 + length // 2 + length % 2] for length in (height, width)
    )
    return np.outer(rows, columns)
