"""Following flows: every cell pixel walks along the flow field to its end point."""

import numba
import numpy as np

# Steps between two moves of the position that a walk is compared with: cycles up to this long are found.
LONGEST_CYCLE = 16


@numba.njit(nogil=True, cache=True)
def follow(rows: np.ndarray, active: np.ndarray, flows: np.ndarray, niter: int, ends: np.ndarray) -> None:
    """End points after `niter` unit steps from every pixel of `rows`, as Cellpose's CPU code computes them.

    A step adds the bilinear interpolation of `flows`, taken in double precision and rounded to single, and clips to
    the image. The position alone decides the next one, so a walk that returns to an earlier position goes round
    for ever: once it meets its last-but-one position, or the one kept every `LONGEST_CYCLE` steps, the rest of the
    steps is taken modulo the cycle's length. Most walks end in a cycle of two, long before `niter`; the end point
    is the same to the last bit.

    Parameters
    ----------
    rows : rows to work on.
    active : (Y, X) bool, pixels that walk.
    flows : (Y, X, 2) float32, steps (dy, dx) in px.
    niter : steps.
    ends : (Y, X, 2) int32, filled with the end points rounded down.
    """
    height, width = active.shape
    last_y, last_x = np.float32(height - 1), np.float32(width - 1)
    zero = np.float32(0)
    for start_y in rows:
        for start_x in range(width):
            if not active[start_y, start_x]:
                continue
            y, x = np.float32(start_y), np.float32(start_x)
            before_y, before_x = np.float32(-1), np.float32(-1)
            kept_y, kept_x, kept_left = y, x, niter
            left = niter
            while left > 0:
                y_low, x_low = int(y), int(x)
                y_high, x_high = min(y_low + 1, height - 1), min(x_low + 1, width - 1)
                v, u = np.float64(y) - y_low, np.float64(x) - x_low
                dy = np.float32(
                    flows[y_low, x_low, 0] * (1 - v) * (1 - u)
                    + flows[y_low, x_high, 0] * (1 - v) * u
                    + flows[y_high, x_low, 0] * v * (1 - u)
                    + flows[y_high, x_high, 0] * v * u
                )
                dx = np.float32(
                    flows[y_low, x_low, 1] * (1 - v) * (1 - u)
                    + flows[y_low, x_high, 1] * (1 - v) * u
                    + flows[y_high, x_low, 1] * v * (1 - u)
                    + flows[y_high, x_high, 1] * v * u
                )
                next_y = min(last_y, max(zero, y + dy))
                next_x = min(last_x, max(zero, x + dx))
                left -= 1
                if next_y == before_y and next_x == before_x:
                    left %= 2
                elif next_y == kept_y and next_x == kept_x:
                    left %= kept_left - left
                elif kept_left - left == LONGEST_CYCLE:
                    kept_y, kept_x, kept_left = next_y, next_x, left
                before_y, before_x = y, x
                y, x = next_y, next_x
            ends[start_y, start_x, 0] = np.int32(y)
            ends[start_y, start_x, 1] = np.int32(x)
