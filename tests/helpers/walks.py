"""Walks along flows, step by step to the end: what following flows must give to the very pixel."""

import numpy as np


def walked(flows: np.ndarray, starts: np.ndarray, niter: int) -> np.ndarray:
    """Flat end points (N,) of walks along flows (2, Y, X) from `starts` (N,), flat, side by side.

    The rule: bilinear in double precision, positions in single, clipped to the image.
    """
    steps, shape = flows / np.float32(5), flows.shape[1:]
    last = np.array(shape)[:, None] - 1
    position = np.stack(np.unravel_index(starts, shape)).astype(np.float32)
    for _ in range(niter):
        low = position.astype(int)
        high = np.minimum(low + 1, last)
        v, u = position.astype(np.float64) - low
        step = (
            steps[:, low[0], low[1]] * (1 - v) * (1 - u)
            + steps[:, low[0], high[1]] * (1 - v) * u
            + steps[:, high[0], low[1]] * v * (1 - u)
            + steps[:, high[0], high[1]] * v * u
        ).astype(np.float32)
        position = np.clip(position + step, 0, last).astype(np.float32)
    return np.ravel_multi_index(tuple(position.astype(int)), shape)
