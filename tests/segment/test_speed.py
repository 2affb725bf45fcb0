"""A small guard on speed: reports ratios to plain NumPy and SciPy, and fails only when one has fallen by half.

The baselines are ratios, not seconds, and both sides run interleaved in one thread, so that a slow or busy machine
moves both; not alike, so it runs with ``-m long`` alone. The plain versions compute the same thing, and the results are
compared first.
"""

import time
from collections.abc import Callable
from statistics import median

import numba
import numpy as np
import pytest
from scipy.ndimage import find_objects, map_coordinates

from cellular.segment import labels_to_flows
from cellular.segment.flows.to_labels import follow_flows

# Times faster than the plain version, as measured when this was written; raise them when the kernels get faster.
BASELINE = {"labels to flows": 25.0, "following flows": 40.0}

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)


def cells(side: int = 150, diameter: int = 50) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(y % diameter - diameter / 2, x % diameter - diameter / 2) < diameter / 2 - 2
    return np.where(inside, y // diameter * (side // diameter) + x // diameter + 1, 0).astype(np.uint16)


def plain_flows(labels: np.ndarray) -> np.ndarray:
    """Whole-box diffusion with slices, cell by cell."""
    flows = np.zeros((2, *labels.shape), np.float32)
    for number, box in enumerate(find_objects(labels), start=1):
        inside = np.pad(labels[box] == number, 1)
        y, x = np.nonzero(inside)
        centre = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
        heat = np.zeros(inside.shape)
        for _ in range(2 * sum(inside.shape)):
            heat[y[centre], x[centre]] += 1
            rows = heat[:-2] + heat[1:-1] + heat[2:]
            heat[1:-1, 1:-1] = np.where(inside[1:-1, 1:-1], (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9, 0)
        slope = np.stack([heat[y + 1, x] - heat[y - 1, x], heat[y, x + 1] - heat[y, x - 1]])
        flows[:, y + box[0].start - 1, x + box[1].start - 1] = slope / (1e-60 + np.hypot(*slope))
    return flows


def plain_walk(flows: np.ndarray, starts: np.ndarray, niter: int) -> np.ndarray:
    """All pixels at once, every step, by scipy's interpolation."""
    last = np.array(flows.shape[1:])[:, None] - 1
    position = np.stack(np.unravel_index(starts, flows.shape[1:])).astype(np.float32)
    for _ in range(niter):
        step = np.stack([map_coordinates(axis, position, order=1, mode="nearest") for axis in flows])
        position = np.clip(position + step / 5, 0, last).astype(np.float32)
    return np.ravel_multi_index(position.astype(int), flows.shape[1:])


def ratio(ours: Callable[[], object], plain: Callable[[], object], repeats: int = 3) -> float:
    """Median of the ratios of interleaved runs."""

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return median(seconds(plain) / seconds(ours) for _ in range(repeats))


def check(name: str, measured: float, record_property) -> None:
    print(f"{name}: {measured:.1f} times plain NumPy/SciPy, baseline {BASELINE[name]}")
    record_property(name, measured)
    assert measured > BASELINE[name] / 2, f"{name} is {measured:.1f} times plain, was {BASELINE[name]}"


def test_labels_to_flows_stays_fast(record_property):
    labels = cells()
    apart = np.abs(labels_to_flows(labels) - plain_flows(labels)).max(0)
    assert np.count_nonzero(apart > 1e-4) <= labels.max()  # the centre pixels
    check("labels to flows", ratio(lambda: labels_to_flows(labels), lambda: plain_flows(labels)), record_property)


def test_following_flows_stays_fast(record_property):
    random = np.random.default_rng(0)
    labels = cells()
    flows = (5 * labels_to_flows(labels) + random.normal(0, 0.2, (2, *labels.shape))).astype(np.float32)
    active = labels > 0
    flows *= active
    starts = np.flatnonzero(active).astype(np.int32)
    ends, plain_ends = follow_flows(flows, active, starts, 60), plain_walk(flows, starts, 60)
    assert np.mean(ends != plain_ends) < 0.02  # other rounding
    measured = ratio(lambda: follow_flows(flows, active, starts, 60), lambda: plain_walk(flows, starts, 60))
    check("following flows", measured, record_property)
