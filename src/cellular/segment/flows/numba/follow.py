"""Following flows: every cell pixel walks along the flow field to its end point.

Walks run side by side in blocks, each step as a few loops over the block that become vector code; a single walk
would wait for its own previous step all the time.
"""

import numpy as np

from cellular.jit import njit

# The network's flows are this many times the unit vectors (Cellpose's scale of training).
FLOW_SCALE = np.float32(5.0)
BLOCK = 1024
# Steps between two looks for walks that have settled; even, so that a walk to and fro is back where it is seen.
STRIDE = 8

UNSIGNED = np.uint64
ONE = np.uint64(1)


@njit(error_model="numpy")
def lay_out_steps(rows: np.ndarray, flows: np.ndarray, active: np.ndarray, steps: np.ndarray) -> None:
    """Fill some `rows` of `steps` (Y + 1, X + 1, 2) float32: what a walk at a pixel moves (dy, dx) in one step, px.

    Side by side, both halves come with one access to memory. Outside `active` (Y, X) nothing moves; the last row and
    column are repeated.
    """
    height, width = active.shape
    for row in rows:
        y = min(row, height - 1)
        for axis in range(2):
            for x in range(width):
                steps[row, x, axis] = flows[axis, y, x] / FLOW_SCALE if active[y, x] else np.float32(0)
            steps[row, width, axis] = steps[row, width - 1, axis]


@njit(error_model="numpy")
def find_traps(rows: np.ndarray, steps: np.ndarray, least: float, goals: np.ndarray) -> None:
    """Write their own flat index into some `rows` of `goals` (Y, X) int32 where a walk in a pixel's square stays there.

    The square is y <= position < y + 1, x <= position < x + 1; everywhere else -1 is written.

    It does where the steps at all four corners lead inward, and by less than one pixel: a step in between is their
    mean by distance, so that from the way v down from the top edge it leads to (1 - v) * a + v * (1 - b) at most, with
    a < 1 and b > 0 the steps in from the top and the bottom edge. `least` is the spacing of positions in single
    precision, by which a and b must keep from 1 and 0 lest rounding carries the walk over.
    """
    most = np.float32(1) - least
    for y in rows:
        top, low = steps[y], steps[y + 1]
        for x in range(goals.shape[1] - 1):
            trap = (
                (min(top[x, 0], top[x + 1, 0]) >= 0)
                & (max(top[x, 0], top[x + 1, 0]) <= most)
                & (-most <= min(low[x, 0], low[x + 1, 0]))
                & (max(low[x, 0], low[x + 1, 0]) <= -least)
                & (min(top[x, 1], low[x, 1]) >= 0)
                & (max(top[x, 1], low[x, 1]) <= most)
                & (-most <= min(top[x + 1, 1], low[x + 1, 1]))
                & (max(top[x + 1, 1], low[x + 1, 1]) <= -least)
            )
            goals[y, x] = y * goals.shape[1] + x if trap else -1


@njit
def time_in_basins(niter: int) -> int:
    """Steps of a walk's `niter` that those in a basin are left at least, to get to its sink."""
    return niter - niter // 4


@njit(error_model="numpy")
def follow(
    blocks: np.ndarray, starts: np.ndarray, pairs: np.ndarray, goals: np.ndarray, niter: int, ends: np.ndarray
) -> None:
    """End points of the walks of some `blocks` of `starts`, after `niter` steps, as Cellpose's CPU code has them.

    A step adds the bilinear interpolation of the steps around, taken in double precision and rounded to single, and
    clips to the image. The position alone decides the next one, so a walk that is back at its last-but-one position
    stands still or goes to and fro for ever, and one whose pixel has a goal ends there; nearly all get there long
    before `niter`. The end point is the same to the last bit.

    Parameters
    ----------
    blocks : numbers of the blocks to work on; block k holds ``starts[k * BLOCK : (k + 1) * BLOCK]``.
    starts : (N,) int32, flat indices y * X + x of the pixels that walk.
    pairs : ((Y + 1) * (X + 1),) uint64, the two numbers of each pixel in :func:`lay_out_steps`, taken for one.
    goals : (Y, X) int32, flat indices from :func:`find_traps`, and those of basins, which want :func:`time_in_basins`
        steps to get there; -1 where a walk's end is not known.
    niter : steps.
    ends : (N,) int32, filled with the flat indices of the end points rounded down.
    """
    width = goals.shape[1]
    last = np.float32(goals.shape[0] - 1), np.float32(width - 1)
    position = np.empty((4, BLOCK), np.float32)
    y, x, y2, x2 = position[0], position[1], position[2], position[3]
    origin, at = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int32)
    corners = np.empty((4, BLOCK), np.uint64)
    for block in blocks:
        first = block * BLOCK
        count = min(BLOCK, len(starts) - first)
        for k in range(count):
            origin[k], y[k], x[k] = first + k, starts[first + k] // width, starts[first + k] % width
        y2[:count], x2[:count] = -1, -1
        count = _retire(origin, y, x, y2, x2, count, goals, True, ends)
        for _ in range(niter % STRIDE):
            _step(y, x, count, last, pairs, at, corners)
        for left in range(niter // STRIDE - 1 if count > 0 else -1, -1, -1):
            for step in range(STRIDE):
                if step == STRIDE - 2:
                    for k in range(count):
                        y2[k], x2[k] = y[k], x[k]
                _step(y, x, count, last, pairs, at, corners)
            count = _retire(origin, y, x, y2, x2, count, goals, left * STRIDE >= time_in_basins(niter), ends)
            if count == 0:
                break
        for k in range(count):
            ends[origin[k]] = np.int32(y[k]) * width + np.int32(x[k])


@njit(error_model="numpy")
def _step(
    y: np.ndarray,
    x: np.ndarray,
    count: int,
    last: tuple[float, float],
    pairs: np.ndarray,
    at: np.ndarray,
    corners: np.ndarray,
) -> None:
    """One step of the first `count` walks, clipped to 0..last; `at` and `corners` are work space.

    Unsigned indices spare numba's test for negative ones.
    """
    row = np.int32(last[1]) + np.int32(2)
    for k in range(count):
        at[k] = np.int32(y[k]) * row + np.int32(x[k])
    top_left, top_right, low_left, low_right = corners[0], corners[1], corners[2], corners[3]
    for k in range(count):
        i = UNSIGNED(at[k])
        top_left[k], top_right[k] = pairs[i], pairs[i + ONE]
        low_left[k], low_right[k] = pairs[i + UNSIGNED(row)], pairs[i + UNSIGNED(row) + ONE]
    numbers = corners.view(np.float32)
    a, b, c, d = numbers[0], numbers[1], numbers[2], numbers[3]
    zero = np.float32(0)
    for k in range(count):
        v, u = np.float64(y[k]) - np.int32(y[k]), np.float64(x[k]) - np.int32(x[k])
        down = _between(a[2 * k], b[2 * k], c[2 * k], d[2 * k], v, u)
        right = _between(a[2 * k + 1], b[2 * k + 1], c[2 * k + 1], d[2 * k + 1], v, u)
        y[k] = min(last[0], max(zero, y[k] + down))
        x[k] = min(last[1], max(zero, x[k] + right))


@njit(error_model="numpy")
def _between(top_left: float, top_right: float, low_left: float, low_right: float, v: float, u: float) -> np.float32:
    """Bilinear interpolation at (v, u), float32 of doubles, the factors in Cellpose's order."""
    return np.float32(
        top_left * (1 - v) * (1 - u) + top_right * (1 - v) * u + low_left * v * (1 - u) + low_right * v * u
    )


@njit(error_model="numpy")
def _retire(
    origin: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    y2: np.ndarray,
    x2: np.ndarray,
    count: int,
    goals: np.ndarray,
    in_time: bool,
    ends: np.ndarray,
) -> int:
    """Write the ends of settled walks, an even number of steps before their time. Returns how many go on.

    Those in a trap or standing still have settled, and where there is time (`in_time`) those in a basin.
    """
    going = 0
    for k in range(count):
        end_y, end_x = np.int32(y[k]), np.int32(x[k])
        end, goal = end_y * np.int32(goals.shape[1]) + end_x, goals[end_y, end_x]
        if goal == end or (goal >= 0 and in_time):
            ends[origin[k]] = goal
        elif y[k] == y2[k] and x[k] == x2[k]:
            ends[origin[k]] = end
        else:
            origin[going], y[going], x[going] = origin[k], y[k], x[k]
            going += 1
    return going
