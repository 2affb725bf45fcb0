"""End points -> labels: end points pile up in sinks, and every sink makes a cell of the pixels that ended in it."""

import numpy as np

from cellular.jit import njit
from cellular.segment.threads import over_threads

# A seed is a local maximum over 5x5 px where more than 10 pixels ended; from there a sink takes in, five times over,
# neighbours where more than 2 ended (Cellpose's numbers).
PEAK_RADIUS = 2
PEAK_COUNT = 10
SINK_RADIUS = 5
SINK_COUNT = 2

# Width of the empty margin around the counts, so that windows need no test for the image's border.
MARGIN = SINK_RADIUS
# Pixels that a thread labels at a time.
BATCH = 1 << 14


def label_by_sinks(starts: np.ndarray, ends: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Label image (Y, X) uint32 of the pixels `starts` by the sinks that their `ends` lie in; both flat indices.

    Sinks are numbered by rising seed count, and where two overlap the later one wins. Among equal counts the order
    is that of ``torch.argsort`` on the CPU, which is not stable: equal masks with Cellpose need its very order.
    """
    counts = _count_ends(ends, shape)
    seeds = _find_seeds(counts)
    if len(seeds) == 0:
        return np.zeros(shape, np.uint32)
    sinks = _grow_sinks(seeds[rising_order(counts[seeds[:, 0], seeds[:, 1]])], counts)
    labels = np.zeros(shape, np.uint32)
    own = np.ascontiguousarray(sinks[MARGIN:-MARGIN, MARGIN:-MARGIN]).ravel()
    over_threads(_label_ends, np.arange(-(-len(starts) // BATCH)), starts, ends, own, labels.ravel())
    return labels


def rising_order(counts: np.ndarray) -> np.ndarray:
    """Indices that sort the seeds' `counts` (N,) int32 upward, ties in the order of torch on the CPU."""
    import torch

    return torch.from_numpy(counts).argsort().numpy()


@njit
def _count_ends(ends: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    own = np.zeros(shape[0] * shape[1], np.int32)
    for end in ends:
        own[end] += 1
    counts = np.zeros((shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN), np.int32)
    counts[MARGIN:-MARGIN, MARGIN:-MARGIN] = own.reshape(shape)
    return counts


@njit
def _find_seeds(counts: np.ndarray) -> np.ndarray:
    """Local maxima (N, 2) int64 of the padded `counts`, in raster order; every pixel of a plateau is one."""
    seeds = []
    for y in range(MARGIN, counts.shape[0] - MARGIN):
        for x in range(MARGIN, counts.shape[1] - MARGIN):
            count = counts[y, x]
            if count > PEAK_COUNT:
                around = counts[y - PEAK_RADIUS : y + PEAK_RADIUS + 1, x - PEAK_RADIUS : x + PEAK_RADIUS + 1]
                if count == around.max():
                    seeds.append((y, x))
    found = np.empty((len(seeds), 2), np.int64)
    for k in range(len(seeds)):
        found[k, 0], found[k, 1] = seeds[k]
    return found


@njit
def _grow_sinks(seeds: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Image of `counts`' shape, int32: k + 1 in the sink of seed k, later sinks over earlier ones."""
    sinks = np.zeros(counts.shape, np.int32)
    side = 2 * SINK_RADIUS + 1
    for k in range(len(seeds)):
        top, left = seeds[k, 0] - SINK_RADIUS, seeds[k, 1] - SINK_RADIUS
        inside = np.zeros((side + 2, side + 2), np.bool_)
        inside[SINK_RADIUS + 1, SINK_RADIUS + 1] = True
        for reach in range(1, SINK_RADIUS + 1):
            grown = inside.copy()
            for y in range(SINK_RADIUS - reach, SINK_RADIUS + reach + 1):
                for x in range(SINK_RADIUS - reach, SINK_RADIUS + reach + 1):
                    grown[y + 1, x + 1] = counts[top + y, left + x] > SINK_COUNT and inside[y : y + 3, x : x + 3].any()
            inside = grown
        for y in range(side):
            for x in range(side):
                if inside[y + 1, x + 1]:
                    sinks[top + y, left + x] = k + 1
    return sinks


@njit
def _label_ends(
    batches: np.ndarray, starts: np.ndarray, ends: np.ndarray, sinks: np.ndarray, labels: np.ndarray
) -> None:
    """Give some `batches` of the pixels `starts` the numbers of the `sinks` that their `ends` lie in; all flat."""
    for batch in batches:
        for k in range(batch * BATCH, min(len(starts), (batch + 1) * BATCH)):
            labels[starts[k]] = sinks[ends[k]]
