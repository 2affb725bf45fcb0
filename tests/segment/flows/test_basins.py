"""Basins: every walk in one ends in its sink, as walks taken step by step show; and none is claimed without proof."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from walks import walked

from cellular.segment.flows.numba.basins import CORE, find_basins
from cellular.segment.flows.numba.follow import lay_out_steps
from cellular.segment.flows.to_labels import follow_flows

SIDE = 96
Y, X = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def towards(y: float, x: float, slope: float, turn: float = 0.0) -> np.ndarray:
    """Flows (2, Y, X) to a point, a step of at most one pixel, `slope` px a step for each px near it; turned."""
    away = np.stack([Y - np.float32(y), X - np.float32(x)])
    away /= np.maximum(np.hypot(*away) * slope, 1) / slope
    turned = np.cos(turn) * away + np.sin(turn) * np.stack([-away[1], away[0]])
    return (-5 * turned).astype(np.float32)


def basin(flows: np.ndarray, sink: tuple[int, int], most: int, active: np.ndarray | None = None) -> np.ndarray:
    """Where (Y, X) a basin is found of the sink."""
    steps = np.empty((SIDE + 1, SIDE + 1, 2), np.float32)
    lay_out_steps(np.arange(SIDE + 1), flows, np.ones((SIDE, SIDE), bool) if active is None else active, steps)
    goals = np.full((SIDE, SIDE), -1, np.int32)
    box = np.array([[0, SIDE - 1, 0, SIDE - 1]])
    find_basins(np.arange(1), np.array([sink[0] * SIDE + sink[1]]), box, steps, most, goals)
    assert set(np.unique(goals)) <= {-1, sink[0] * SIDE + sink[1]}
    return goals >= 0


def test_a_smooth_sink_has_a_basin_of_all_that_leads_there():
    flows = towards(47.6, 48.3, 0.15)
    assert basin(flows, (47, 48), 150).mean() > 0.9
    hole = np.hypot(Y - 47.6, X - 48.3 - 20) > 3
    held = basin(flows, (47, 48), 150, hole)
    ends = walked(np.where(hole, flows, np.float32(0)), np.arange(SIDE**2), 150).reshape(SIDE, SIDE)
    assert (ends[held] == 47 * SIDE + 48).all()
    assert not held[~hole].any(), "a walk in the hole stands still"
    assert held[47, 48 + 12]
    assert not held[47, 48 + 30], "what leads through the hole is not in the basin"
    assert held[:, : 48 + 16].all(), "what leads nowhere near it is"


def test_a_basin_keeps_to_its_box():
    steps = np.empty((SIDE + 1, SIDE + 1, 2), np.float32)
    lay_out_steps(np.arange(SIDE + 1), towards(47.6, 48.3, 0.15), np.ones((SIDE, SIDE), bool), steps)
    goals = np.full((SIDE, SIDE), -1, np.int32)
    find_basins(np.arange(1), np.array([47 * SIDE + 48]), np.array([[30, 60, 40, 70]]), steps, 150, goals)
    rows, columns = np.nonzero(goals >= 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 60, 40, 70)


def test_without_proof_there_is_none():
    flows = towards(47.6, 48.3, 0.15)
    assert not basin(flows, (47, 48), 3).any(), "too few steps to get there"
    assert not basin(flows, (46, 48), 150).any(), "nothing comes to rest in that pixel"
    assert not basin(towards(48.0, 48.3, 0.15), (48, 48), 150).any(), "on the edge rounding decides"
    assert not basin(-flows, (47, 48), 150).any(), "walks lead away"
    assert not basin(towards(47.6, 48.3, 0.15, np.pi / 2), (47, 48), 150).any(), "walks go round"
    assert not basin(towards(47.6, 48.3, 2.5), (47, 48), 150).any(), "walks shoot over to and fro"
    assert not basin(towards(47.6, SIDE - 2.6, 0.15), (47, SIDE - 3), 150).any(), "the image ends within the core"


def test_few_steps_claim_what_is_near():
    flows = towards(47.6, 48.3, 0.15)
    claimed = [int(basin(flows, (47, 48), most).sum()) for most in (40, 50, 60)]
    assert 0 < claimed[0] < claimed[1] < claimed[2]
    near = basin(flows, (47, 48), 45)
    ends = walked(flows, np.arange(SIDE**2), 45).reshape(SIDE, SIDE)
    assert near.sum() > CORE**2
    assert (ends[near] == 47 * SIDE + 48).all()


@pytest.mark.parametrize("seed", range(12))
def test_walks_end_where_they_would_step_by_step(seed):
    """Several sinks, each pixel drawn to the nearest; turned, rough, steep and slow, with holes and at the edges."""
    random = np.random.default_rng(seed)
    points = random.uniform(2, SIDE - 2, (random.integers(2, 7), 2))
    near = np.argmin([np.hypot(Y - y, X - x) for y, x in points], axis=0)
    kinds = [towards(y, x, random.uniform(0.05, 1.5), random.uniform(-1, 1) * (seed % 3) / 2) for y, x in points]
    flows = np.choose(near, kinds)
    rough = random.normal(size=(2, SIDE, SIDE)) * (seed % 4)
    flows += np.stack([gaussian_filter(plane, 2) for plane in rough]).astype(np.float32)
    if seed % 2:
        flows = np.stack([gaussian_filter(plane, 1.5) for plane in flows])
    active = gaussian_filter(random.normal(size=(SIDE, SIDE)), 4) > -0.11 - 0.05 * (seed % 3)
    starts = np.flatnonzero(active).astype(np.int32)
    for niter in (30, 101, 200):
        expected = walked(np.where(active, flows, np.float32(0)), starts, niter)
        np.testing.assert_array_equal(follow_flows(flows, active, starts, niter), expected)
