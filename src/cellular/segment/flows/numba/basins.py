"""Basins: discs of which it is proven that every walk in them ends in one pixel, so that none need be walked there.

Flows of a network are smooth about a cell's middle and lead there from all sides. Where that can be proven the walk's
end is known as soon as it comes in, to the very pixel: two fifths of the pixels of real cells begin in such a disc.
"""

import numpy as np

from cellular.jit import njit

# Within this many px of where they lead, steps are to bring walks nearer to each other; further out, nearer to it.
CORE = 4
# Widest disc, px; cells are rarely so wide.
WIDEST = 1024
NEWTON = 20


@njit(error_model="numpy")
def find_basins(which: np.ndarray, sinks: np.ndarray, steps: np.ndarray, most: int, goals: np.ndarray) -> None:
    """Write the flat index of some `sinks` into `goals` wherever walks are proven to end there.

    Around the point where nothing moves, the disc is sought that every step leads further into. Let a walk be d from
    the point, at p, and s its step. The step brings it nearer by at least -(2 s.p + s.s) / (2 d), a bound that is had
    over all of a ring from its pixels; the sum over the rings is how many steps it takes at most to the core. There
    every step brings two walks, or a walk and the point, nearer by the norm of the steps' derivative (Banach), until
    the walk is nearer to the point than the pixel's edges are. Rounding of positions to single precision is added to
    every step.

    Parameters
    ----------
    which : indices into `sinks` of those to work on.
    sinks : (N,) flat indices y * X + x of pixels that walks end in; of distinct pixels, discs are disjoint.
    steps : (Y + 1, X + 1, 2) float32, of :func:`cellular.segment.flows.numba.follow.lay_out_steps`.
    most : steps that a walk in the disc may take to its end.
    goals : (Y, X) int32, filled in place.
    """
    height, width = goals.shape
    spacing = np.float64(np.spacing(np.float32(max(height, width))))
    worst = np.empty(WIDEST)
    for k in which:
        sink_y, sink_x = sinks[k] // width, sinks[k] % width
        if sink_y >= height - 1 or sink_x >= width - 1:
            continue
        y, x, residue = _point_of_rest(steps, sink_y, sink_x)
        # Half a spacing a coordinate for the position, and at most a whole one for a step as long as the image.
        error = residue + np.sqrt(2.0) * 1.5 * spacing
        margin = min(min(y - sink_y, sink_y + 1 - y), min(x - sink_x, sink_x + 1 - x)) - spacing
        if not margin > 0:
            continue
        # Below and to the right squares of pixels end with the image.
        limit = min(WIDEST - 3.0, min(height - 2 - y, width - 2 - x))
        if limit < CORE:
            continue
        taken = _steps_in_core(steps, y, x, margin, error)
        if not taken <= most:
            continue
        radius = _radius(steps, y, x, limit, error, most - taken, worst)
        _claim(goals, sinks[k], y, x, radius)


@njit(error_model="numpy")
def _point_of_rest(steps: np.ndarray, i: int, j: int) -> tuple[float, float, float]:
    """Where in the square from pixel (i, j) on steps are nought, by Newton's method, and the step left there."""
    v, u = 0.5, 0.5
    for _ in range(NEWTON):
        a, b = _between(steps, i, j, 0, v, u), _between(steps, i, j, 1, v, u)
        det = a[1] * b[2] - a[2] * b[1]
        if det == 0 or np.sqrt(a[0] ** 2 + b[0] ** 2) < 1e-12:
            break
        v, u = v - (a[0] * b[2] - b[0] * a[2]) / det, u - (b[0] * a[1] - a[0] * b[1]) / det
    a, b = _between(steps, i, j, 0, v, u), _between(steps, i, j, 1, v, u)
    return i + v, j + u, np.sqrt(a[0] ** 2 + b[0] ** 2)


@njit(error_model="numpy")
def _between(steps: np.ndarray, i: int, j: int, axis: int, v: float, u: float) -> tuple[float, float, float]:
    """One axis' step at (i + v, j + u), and its derivatives down and to the right."""
    a, b = np.float64(steps[i, j, axis]), np.float64(steps[i, j + 1, axis])
    c, d = np.float64(steps[i + 1, j, axis]), np.float64(steps[i + 1, j + 1, axis])
    top, low = a + (b - a) * u, c + (d - c) * u
    return top + (low - top) * v, low - top, (b - a) * (1 - v) + (d - c) * v


@njit(error_model="numpy")
def _steps_in_core(steps: np.ndarray, y: float, x: float, margin: float, error: float) -> float:
    """Steps at most from anywhere in the core to within `margin` of (y, x); infinite where none are certain.

    In a square the derivative is a mean of those at its corners, and so its norm is at most the largest of theirs.
    """
    rate = 0.0
    for i in range(max(0, int(y) - CORE), int(y) + CORE + 1):
        for j in range(max(0, int(x) - CORE), int(x) + CORE + 1):
            for corner in range(4):
                down = _between(steps, i, j, 0, corner // 2, corner % 2)
                right = _between(steps, i, j, 1, corner // 2, corner % 2)
                a, b, c, d = 1 + down[1], down[2], right[1], 1 + right[2]
                total, det = a * a + b * b + c * c + d * d, a * d - b * c
                rate = max(rate, (total + np.sqrt(max(0.0, total * total - 4 * det * det))) / 2)
    rate = max(np.sqrt(rate), 0.01)
    rest = error / (1 - rate)
    if not (rate < 1 and rest < margin):
        return np.inf
    return np.ceil(np.log((margin - rest) / CORE) / np.log(rate)) if margin - rest < CORE else 0.0


@njit(error_model="numpy")
def _radius(steps: np.ndarray, y: float, x: float, limit: float, error: float, most: float, worst: np.ndarray) -> float:
    """Radius of the widest disc about (y, x) from which at most `most` steps lead to its core.

    `worst` is work space: per ring of one pixel's width, the largest bound of 2 s.p + s.s over the squares about its
    pixels. It is had for twice as wide a box as long as the disc fills the former one.
    """
    half = 4 * CORE
    while True:
        half = min(half, int(limit))
        worst[: half + 3] = -np.inf
        for i in range(max(0, int(y) - half - 1), int(y) + half + 2):
            for j in range(max(0, int(x) - half - 1), int(x) + half + 2):
                down, right = np.float64(steps[i, j, 0]), np.float64(steps[i, j, 1])
                ring = int(np.sqrt((i - y) ** 2 + (j - x) ** 2))
                if ring < half + 3:
                    bound = 2 * (down * (i - y) + right * (j - x) + abs(down) + abs(right)) + down**2 + right**2
                    worst[ring] = max(worst[ring], bound)
        taken, ring, inner = 0.0, CORE, np.inf
        while ring < half:
            # Squares that touch a ring have their pixels at most the square root of two away from it.
            gain = -worst[ring - 2 : ring + 3].max() / (2 * (ring + 1)) - error
            # A step that ends further in covers the rest of its way no slower, unless that ring's least gain is larger.
            taken += 1 / gain + (gain < inner)
            if not (gain > 0 and taken <= most):
                return ring
            ring, inner = ring + 1, gain
        if half == int(limit):
            return half
        half *= 2


@njit(error_model="numpy")
def _claim(goals: np.ndarray, sink: int, y: float, x: float, radius: float) -> None:
    """Write `sink` where the whole square from a pixel on lies within `radius` of (y, x)."""
    reach = int(radius) + 1
    for i in range(max(0, int(y) - reach), min(goals.shape[0], int(y) + reach + 1)):
        far = max(abs(i - y), abs(i + 1 - y))
        for j in range(max(0, int(x) - reach), min(goals.shape[1], int(x) + reach + 1)):
            if far**2 + max(abs(j - x), abs(j + 1 - x)) ** 2 <= radius**2:
                goals[i, j] = sink
