"""Basins: pixels of which it is proven that every walk from them ends in one pixel, so that none need be walked there.

Flows of a network are smooth about a cell's middle and lead there from all sides. Where that can be proven the walk's
end is known as soon as it comes in, to the very pixel: three quarters of the pixels of real cells lie in such a basin.
"""

import numpy as np

from cellular.jit import njit

UNSIGNED = np.uint64

# Within this many px of where they lead, steps are to bring walks nearer to each other; further out, nearer to it.
CORE = 3
NEWTON = 20
# A ring takes as long as its slowest square: those this much slower than the mean are left out, and what leads to them.
SLOW = 0.4
# Steps that lead further than so many squares are not followed; so many lie around a box, outside.
EDGE = 2
ONE, TWO, THREE = UNSIGNED(1), UNSIGNED(2), UNSIGNED(3)
OUTSIDE, INSIDE, WITHIN_CORE = np.uint8(0), np.uint8(1), np.uint8(2)


@njit(error_model="numpy")
def find_basins(
    which: np.ndarray, sinks: np.ndarray, boxes: np.ndarray, steps: np.ndarray, most: int, goals: np.ndarray
) -> None:
    """Write the flat index of some `sinks` into `goals` wherever walks are proven to end there.

    Around the point where nothing moves, a set of squares between four pixels is sought from each of which every step
    leads nearer to the point and into no square but the set's own. A step is bilinear in a square, so it leads into the
    box about where the square's corners are led. Let a walk be d from the point, at p, and s its step: it comes nearer
    by at least -(2 s.p + s.s) / (2 d), which has a bound from the corners. The sum over rings about the point is how
    many steps a walk takes at most to the core. There every step brings two walks, or a walk and the point, nearer by
    the norm of the steps' derivative (Banach), until the walk is nearer to the point than the pixel's edges are.
    Rounding of positions to single precision is added to every step.

    Parameters
    ----------
    which : indices into `sinks` of those to work on.
    sinks : (N,) flat indices y * X + x of pixels that walks end in; of distinct pixels, basins are disjoint.
    boxes : (N, 4) int64, first and last row, first and last column of where a sink's basin is sought.
    steps : (Y + 1, X + 1, 2) float32, of :func:`cellular.segment.flows.numba.follow.lay_out_steps`.
    most : steps that a walk in the basin may take to its end.
    goals : (Y, X) int32, filled in place.
    """
    height, width = goals.shape
    spacing = np.float64(np.spacing(np.float32(max(height, width))))
    for k in which:
        sink_y, sink_x = sinks[k] // width, sinks[k] % width
        y, x, residue = _point_of_rest(steps, sink_y, sink_x)
        # Half a spacing a coordinate for the position; the rest is far more than steps and bounds lose by theirs.
        error = residue + np.sqrt(2.0) * 1.5 * spacing
        margin = min(min(y - sink_y, sink_y + 1 - y), min(x - sink_x, sink_x + 1 - x)) - spacing
        # What would leave the image is clipped to it, which brings walks nearer to a point in it.
        if not (margin > 0 and y <= height - 1 and x <= width - 1):
            continue
        taken = _steps_in_core(steps, y, x, margin, error)
        if not taken <= most:
            continue
        gains, far = _gains(steps, boxes[k], y, x)
        inside = _candidates(gains, far, error)
        _close(inside, steps, boxes[k], np.float32(spacing))
        radius = _radius(inside, gains, far, error, most - taken)
        for i in range(far.shape[0]):
            for j in range(far.shape[1]):
                if inside[i + EDGE, j + EDGE] and far[i, j] <= radius:
                    goals[boxes[k, 0] + i, boxes[k, 2] + j] = sinks[k]


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
    for i in range(max(0, int(y) - CORE), min(int(y) + CORE + 1, steps.shape[0] - 1)):
        for j in range(max(0, int(x) - CORE), min(int(x) + CORE + 1, steps.shape[1] - 1)):
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
def _gains(steps: np.ndarray, box: np.ndarray, y: float, x: float) -> tuple[np.ndarray, np.ndarray]:
    """How much nearer, at least, steps from each square of `box` lead to the point of rest (y, x).

    Returns ``(gains, far)``, both (h, w) float32, px: the gain, and the distance of the square's farthest corner.
    """
    height, width = box[1] - box[0] + 1, box[3] - box[2] + 1
    gains, far = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    none, half, one, from_left = np.float32(0), np.float32(0.5), np.float32(1), np.float32(box[2] - x)
    for i in range(height):
        p = np.float32(box[0] + i - y)
        upper = steps[box[0] + i, box[2] : box[3] + 2].ravel()
        lower = steps[box[0] + i + 1, box[2] : box[3] + 2].ravel()
        for n in range(width):
            j = UNSIGNED(n)
            m = j + j
            a, b, c, d = upper[m], upper[m + TWO], lower[m], lower[m + TWO]
            e, f, g, h = upper[m + ONE], upper[m + THREE], lower[m + ONE], lower[m + THREE]
            q = from_left + np.float32(n)
            # s.p is a mean of the corners' steps, each at its most where, of the square, p is farthest along it.
            upper_left = a * p + e * q + max(a, none) + max(e, none) + half * (a * a + e * e)
            upper_right = b * p + f * (q + one) + max(b, none) + max(-f, none) + half * (b * b + f * f)
            lower_left = c * (p + one) + g * q + max(-c, none) + max(g, none) + half * (c * c + g * g)
            lower_right = d * (p + one) + h * (q + one) + max(-d, none) + max(-h, none) + half * (d * d + h * h)
            down, right = max(abs(p), abs(p + one)), max(abs(q), abs(q + one))
            far[i, j] = np.sqrt(down * down + right * right)
            gains[i, j] = -max(max(upper_left, upper_right), max(lower_left, lower_right)) / far[i, j]
    return gains, far


@njit(error_model="numpy")
def _candidates(gains: np.ndarray, far: np.ndarray, error: float) -> np.ndarray:
    """Squares that may lie in the basin, (h, w) uint8 of the constants above with EDGE squares outside around them.

    Left out are those whose steps bring walks nearer by no more than rounding may undo, or by much less than their
    ring's.
    """
    height, width = gains.shape
    total, count = np.zeros(height + width), np.zeros(height + width)
    for i in range(height):
        for j in range(width):
            if gains[i, j] > 0 and far[i, j] < height + width:
                total[int(far[i, j])] += gains[i, j]
                count[int(far[i, j])] += 1
    least = np.maximum(2 * error, SLOW * total / np.maximum(count, 1))
    inside = np.zeros((height + 2 * EDGE, width + 2 * EDGE), np.uint8)
    for i in range(height):
        for j in range(width):
            if far[i, j] <= CORE:
                inside[i + EDGE, j + EDGE] = WITHIN_CORE
            elif far[i, j] < height + width and gains[i, j] >= least[int(far[i, j])]:
                inside[i + EDGE, j + EDGE] = INSIDE
    return inside


@njit(error_model="numpy")
def _close(inside: np.ndarray, steps: np.ndarray, box: np.ndarray, spacing: float) -> None:
    """Leave out squares from which a step may lead outside, and those from which one may lead to these, until none."""
    # How many rows and columns off the squares lie, first and last, that steps lead to.
    leads = np.empty((*inside.shape, 4), np.int8)
    left_out = np.empty((inside.size, 2), np.int32)
    one, count = np.float32(1), 0
    for i in range(EDGE, inside.shape[0] - EDGE):
        for j in range(EDGE, inside.shape[1] - EDGE):
            if inside[i, j] != INSIDE:
                continue
            y, x = box[0] + i - EDGE, box[2] + j - EDGE
            a, b, c, d = steps[y, x], steps[y, x + 1], steps[y + 1, x], steps[y + 1, x + 1]
            first_row = np.floor(min(min(a[0], b[0]), one + min(c[0], d[0])) - spacing)
            last_row = np.floor(max(max(a[0], b[0]), one + max(c[0], d[0])) + spacing)
            first_column = np.floor(min(min(a[1], c[1]), one + min(b[1], d[1])) - spacing)
            last_column = np.floor(max(max(a[1], c[1]), one + max(b[1], d[1])) + spacing)
            whole = min(first_row, first_column) >= -EDGE and max(last_row, last_column) <= EDGE
            if whole:
                leads[i, j, 0], leads[i, j, 1] = np.int8(first_row), np.int8(last_row)
                leads[i, j, 2], leads[i, j, 3] = np.int8(first_column), np.int8(last_column)
                for row in range(i + leads[i, j, 0], i + leads[i, j, 1] + 1):
                    for column in range(j + leads[i, j, 2], j + leads[i, j, 3] + 1):
                        whole &= inside[row, column] != OUTSIDE
            if not whole:
                inside[i, j] = OUTSIDE
                left_out[count] = i, j
                count += 1
    while count > 0:
        count -= 1
        row, column = left_out[count]
        for i in range(row - EDGE, row + EDGE + 1):
            for j in range(column - EDGE, column + EDGE + 1):
                if inside[i, j] == INSIDE:
                    lead = leads[i, j]
                    if lead[0] <= row - i <= lead[1] and lead[2] <= column - j <= lead[3]:
                        inside[i, j] = OUTSIDE
                        left_out[count] = i, j
                        count += 1


@njit(error_model="numpy")
def _radius(inside: np.ndarray, gains: np.ndarray, far: np.ndarray, error: float, most: float) -> float:
    """How far from the point of rest at most `most` steps lead from squares `inside` to the core."""
    height, width = gains.shape
    least = np.full(height + width, np.inf)
    for i in range(height):
        for j in range(width):
            if inside[i + EDGE, j + EDGE] == INSIDE:
                # A square is the square root of two wide at most.
                for ring in range(max(0, int(far[i, j] - np.sqrt(2.0))), int(far[i, j]) + 1):
                    least[ring] = min(least[ring], gains[i, j])
    taken, inner = 0.0, np.inf
    for ring in range(CORE, height + width):
        gain = least[ring] - error
        # A step that ends further in covers the rest of its way no slower, unless that ring's least gain is larger.
        taken += 1 / gain + (gain < inner)
        if not taken <= most:
            return ring
        inner = gain
    return height + width
