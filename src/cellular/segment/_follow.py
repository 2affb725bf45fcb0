"""Following flows: every cell pixel walks along the flow field to its end point.

Walks run side by side in blocks, each step as a few loops over the block that become vector code; a single walk
would wait for its own previous step all the time.
"""

from typing import NamedTuple

import numba
import numpy as np

BLOCK = 256
# Steps between two looks for walks that have settled.
STRIDE = 8


class Walks(NamedTuple):
    """State of a block of walks: single-precision positions, now and one and two steps ago, and work space."""

    origin: np.ndarray
    y: np.ndarray
    x: np.ndarray
    y1: np.ndarray
    x1: np.ndarray
    y2: np.ndarray
    x2: np.ndarray
    at: np.ndarray
    down: np.ndarray
    right: np.ndarray
    corners: np.ndarray


def follow(blocks: np.ndarray, starts: np.ndarray, steps: np.ndarray, niter: int, ends: np.ndarray) -> None:
    """End points of the walks of some `blocks` of `starts`, after `niter` steps, as Cellpose's CPU code has them.

    A step adds the bilinear interpolation of `steps`, taken in double precision and rounded to single, and clips
    to the image. The position alone decides the next one, so a walk that is back at its last-but-one position
    stands still or goes to and fro for ever, and its end is known; nearly all get there long before `niter`. The
    end point is the same to the last bit.

    Parameters
    ----------
    blocks : numbers of the blocks to work on; block k holds ``starts[k * BLOCK : (k + 1) * BLOCK]``.
    starts : (N,) int32, flat indices y * X + x of the pixels that walk.
    steps : (2, Y + 1, X + 1) float32, steps (dy, dx) in px, last row and column repeated.
    niter : steps.
    ends : (N,) int32, filled with the flat indices of the end points rounded down.
    """
    _follow(blocks, starts, steps[0].ravel(), steps[1].ravel(), steps.shape[1] - 1, steps.shape[2] - 1, niter, ends)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _follow(
    blocks: np.ndarray,
    starts: np.ndarray,
    steps_y: np.ndarray,
    steps_x: np.ndarray,
    height: int,
    width: int,
    niter: int,
    ends: np.ndarray,
) -> None:
    position = np.empty((6, BLOCK), np.float32)
    walks = Walks(
        np.empty(BLOCK, np.int64),
        position[0],
        position[1],
        position[2],
        position[3],
        position[4],
        position[5],
        np.empty(BLOCK, np.int32),
        np.empty(BLOCK, np.float64),
        np.empty(BLOCK, np.float64),
        np.empty((4, BLOCK), np.float32),
    )
    for block in blocks:
        first = block * BLOCK
        count = min(BLOCK, len(starts) - first)
        for k in range(count):
            walks.origin[k] = first + k
            walks.y[k] = starts[first + k] // width
            walks.x[k] = starts[first + k] % width
        left = niter
        while count > 0 and left >= STRIDE:
            for step in range(STRIDE):
                if step >= STRIDE - 2:
                    _remember(walks, count)
                _step(walks, count, steps_y, steps_x, height, width)
            left -= STRIDE
            count = _retire(walks, count, left, width, ends)
        for _ in range(left if count > 0 else 0):
            _step(walks, count, steps_y, steps_x, height, width)
        for k in range(count):
            ends[walks.origin[k]] = np.int32(walks.y[k]) * width + np.int32(walks.x[k])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _remember(walks: Walks, count: int) -> None:
    y, x, y1, x1, y2, x2 = walks.y, walks.x, walks.y1, walks.x1, walks.y2, walks.x2
    for k in range(count):
        y2[k], x2[k] = y1[k], x1[k]
        y1[k], x1[k] = y[k], x[k]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _step(walks: Walks, count: int, steps_y: np.ndarray, steps_x: np.ndarray, height: int, width: int) -> None:
    """One step of the first `count` walks."""
    y, x, at, down, right = walks.y, walks.x, walks.at, walks.down, walks.right
    stride = np.int32(width + 1)
    for k in range(count):
        at[k] = np.int32(y[k]) * stride + np.int32(x[k])
        down[k] = np.float64(y[k]) - np.int32(y[k])
        right[k] = np.float64(x[k]) - np.int32(x[k])
    _gather(walks.corners, count, steps_y, at, stride)
    _move(y, np.float32(height - 1), count, walks.corners, down, right)
    _gather(walks.corners, count, steps_x, at, stride)
    _move(x, np.float32(width - 1), count, walks.corners, down, right)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _gather(corners: np.ndarray, count: int, steps: np.ndarray, at: np.ndarray, stride: int) -> None:
    """The four pixels around each walk. Unsigned indices spare numba's test for negative ones."""
    top_left, top_right, low_left, low_right = corners[0], corners[1], corners[2], corners[3]
    one, row = np.uint64(1), np.uint64(stride)
    for k in range(count):
        i = np.uint64(at[k])
        top_left[k] = steps[i]
        top_right[k] = steps[i + one]
        low_left[k] = steps[i + row]
        low_right[k] = steps[i + row + one]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _move(
    position: np.ndarray, last: float, count: int, corners: np.ndarray, down: np.ndarray, right: np.ndarray
) -> None:
    """Add the bilinear interpolation of `corners` to `position`, clipped to 0..last; Cellpose's order of factors."""
    top_left, top_right, low_left, low_right = corners[0], corners[1], corners[2], corners[3]
    zero = np.float32(0)
    for k in range(count):
        v, u = down[k], right[k]
        step = np.float32(
            top_left[k] * (1 - v) * (1 - u)
            + top_right[k] * (1 - v) * u
            + low_left[k] * v * (1 - u)
            + low_right[k] * v * u
        )
        position[k] = min(last, max(zero, position[k] + step))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _retire(walks: Walks, count: int, left: int, width: int, ends: np.ndarray) -> int:
    """Write the ends of settled walks, `left` steps before their time, and close the gaps. Returns how many go on."""
    y, x, y1, x1, y2, x2 = walks.y, walks.x, walks.y1, walks.x1, walks.y2, walks.x2
    going = 0
    for k in range(count):
        if y[k] == y2[k] and x[k] == x2[k]:
            end_y, end_x = (y[k], x[k]) if left % 2 == 0 else (y1[k], x1[k])
            ends[walks.origin[k]] = np.int32(end_y) * width + np.int32(end_x)
        else:
            walks.origin[going] = walks.origin[k]
            y[going], x[going] = y[k], x[k]
            going += 1
    return going
