"""Label images at a finer scale, with smooth outlines."""

import numpy as np

from cellular.jit import njit


def enlarge_labels(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Label image (h, w) uint16 or uint32 brought to `shape` (Y, X), not smaller along either axis.

    Each pixel takes the label with the largest bilinear weight among its four neighbours, the background counting as
    one: outlines come out smooth instead of in blocks. Every label stays: one that is too thin to win anywhere gets the
    pixels nearest to its own.
    """
    if labels.shape == tuple(shape):
        return labels
    output = np.empty(shape, labels.dtype)
    rows, columns = (_neighbours(length, finer) for length, finer in zip(labels.shape, shape))
    _enlarge(labels, output, *rows, *columns)
    lost = (np.bincount(labels.ravel()) > 0) & (np.bincount(output.ravel(), minlength=int(labels.max()) + 1) == 0)
    if lost.any():
        nearest = labels[np.ix_(_nearest(*rows), _nearest(*columns))]
        np.copyto(output, nearest, where=lost[nearest])
    return output


def _neighbours(length: int, finer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `finer` pixels the two of `length` around its centre, and the weight (float32) of the second."""
    centre = np.clip((np.arange(finer) + 0.5) * length / finer - 0.5, 0, length - 1)
    first = centre.astype(np.int64)
    return first, np.minimum(first + 1, length - 1), (centre - first).astype(np.float32)


def _nearest(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.where(weight > 0.5, second, first)


@njit
def _enlarge(
    labels: np.ndarray,
    output: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    down: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    across: np.ndarray,
) -> None:
    one = np.float32(1)
    for y in range(output.shape[0]):
        for x in range(output.shape[1]):
            a, b = labels[top[y], left[x]], labels[top[y], right[x]]
            c, d = labels[bottom[y], left[x]], labels[bottom[y], right[x]]
            if a == b and a == c and a == d:
                output[y, x] = a
                continue
            v, u = down[y], across[x]
            weights = ((one - v) * (one - u), (one - v) * u, v * (one - u), v * u)
            around = (a, b, c, d)
            best, most = a, np.float32(-1)
            for k in range(4):
                total = np.float32(0)
                for m in range(4):
                    if around[m] == around[k]:
                        total += weights[m]
                if total > most:
                    best, most = around[k], total
            output[y, x] = best
