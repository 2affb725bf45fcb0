"""Flows -> labels: by hand, against Cellpose, numba against torch, and there and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from walks import walked

from cellular.errors import InputError, SettingsError
from cellular.segment import flows_to_labels, labels_to_flows
from cellular.segment.flows.to_labels import flow_error, follow_flows, labels_and_errors
from cellular.segment.flows.torch.to_labels import flows_to_labels_torch

FIXTURE = Path(__file__).parents[1] / "fixtures" / "cellpose_flows.npz"
EVERYTHING = {"flow_threshold": None, "min_size": 0, "max_size_fraction": 1.0}


def discs(side: int, radius: int, pitch: int) -> np.ndarray:
    """Label image (side, side) uint32 of discs on a grid."""
    y, x = np.mgrid[:side, :side]
    row, column = y // pitch, x // pitch
    inside = (y % pitch - pitch // 2) ** 2 + (x % pitch - pitch // 2) ** 2 <= radius**2
    whole = (row < side // pitch) & (column < side // pitch)
    return np.where(inside & whole, row * (side // pitch) + column + 1, 0).astype(np.uint32)


def probability_of(labels: np.ndarray) -> np.ndarray:
    return np.where(labels > 0, 3, -3).astype(np.float32)


def random_field(seed: int, shape: tuple[int, int], smooth: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random flows (2, Y, X) and cell probability (Y, X), full of sinks, saddles and cycles."""
    random = np.random.default_rng(seed)
    fields = [gaussian_filter(random.normal(size=shape), smooth) for _ in range(3)]
    fields = [f / max(float(f.std()), 1e-9) for f in fields]
    return 5 * np.stack(fields[:2]).astype(np.float32), fields[2].astype(np.float32) + 1


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """Small tensors: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def on_torch(flows: np.ndarray, probability: np.ndarray, niter: int = 200, **changed) -> np.ndarray:
    options = {"flow_threshold": 0.4, "cellprob_threshold": 0.0, "min_size": 15, "max_size_fraction": 0.4} | changed
    stacks = (torch.from_numpy(part)[None] for part in (flows, probability))
    return flows_to_labels_torch(*stacks, niter, **options)[0][0]


@pytest.mark.parametrize("niter", [0, 1, 15, 16, 17, 80, 81, 300])
def test_walks_end_where_the_rule_says(niter):
    flows, _ = random_field(niter, (11, 13), 1.5)
    active = np.ones(flows.shape[1:], bool)
    starts = np.arange(active.size, dtype=np.int32)
    ends = follow_flows(flows, active, starts, niter)
    np.testing.assert_array_equal(ends, walked(flows, starts, niter))


@pytest.mark.parametrize(("niter", "end"), [(100, 3), (101, 4), (102, 3)])
def test_walks_to_and_fro_end_by_the_number_of_steps(niter, end):
    flows = np.zeros((2, 1, 6), np.float32)
    flows[1, 0] = [5, 5, 5, 5, -5, -5]
    starts = np.array([1], np.int32)
    assert follow_flows(flows, np.ones((1, 6), bool), starts, niter)[0] == end


def test_pixels_that_end_together_are_one_cell():
    flows = np.zeros((2, 5, 24), np.float32)
    flows[1, :, :2], flows[1, :, 3:12] = 5, -5
    flows[1, :, 12:20], flows[1, :, 21:] = 5, -5
    flows[0, :2], flows[0, 3:] = 5, -5
    labels = flows_to_labels(flows, np.ones((5, 24), np.float32), **EVERYTHING)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, np.tile([1] * 12 + [2] * 12, (5, 1)))


def test_a_sink_of_ten_pixels_is_none():
    for pixels, found in ((10, 0), (11, 1)):
        flows = np.zeros((2, 1, pixels), np.float32)
        flows[1, 0, 1:] = -5
        assert flows_to_labels(flows, np.ones((1, pixels), np.float32), **EVERYTHING).max() == found


def test_cells_larger_than_the_fraction_are_dropped():
    labels = discs(64, 20, 64)
    flows, probability = 5 * labels_to_flows(labels), probability_of(labels)
    fraction = (labels > 0).mean()
    assert flows_to_labels(flows, probability, max_size_fraction=fraction).max() == 1
    assert flows_to_labels(flows, probability, max_size_fraction=fraction - 1e-3).max() == 0


def test_the_threshold_is_exclusive():
    labels = discs(40, 12, 40)
    flows, probability = 5 * labels_to_flows(labels), probability_of(labels)
    assert flows_to_labels(flows, probability, cellprob_threshold=2.9).max() == 1
    assert flows_to_labels(flows, probability, cellprob_threshold=3.0).max() == 0


def test_errors_of_the_check_belong_to_the_cells_that_are_left():
    labels = discs(120, 12, 30)
    flows = 5 * labels_to_flows(labels)
    flows[:, 30:60] *= 0.7  # the second row: error 0.3 squared
    flows[:, 90:] *= 0.2  # the last row: error 0.8 squared, dropped
    found, errors = labels_and_errors(flows, probability_of(labels))
    np.testing.assert_array_equal(found, np.where(labels > 12, 0, labels))
    np.testing.assert_allclose(errors, np.repeat([0, 0.09, 0], 4), atol=3e-3)
    np.testing.assert_allclose(errors, flow_error(found, flows), atol=1e-12)
    assert labels_and_errors(flows, probability_of(labels), flow_threshold=0)[1] is None


def test_flow_error_is_the_mean_squared_difference():
    labels = np.array([[1, 1, 1, 0, 3, 3, 3]])
    flows = np.zeros((2, 1, 7), np.float32)
    flows[1, 0, :3] = [5, 0, -5]
    flows[0, 0, 4:] = 10
    error = flow_error(labels, flows)
    assert error[0] == 0
    assert np.isnan(error[1])
    assert error[2] == pytest.approx((5 + 4 + 5) / 3)


def test_cells_whose_flows_disagree_are_dropped():
    labels = discs(80, 12, 40)
    flows = 5 * labels_to_flows(labels)
    flows[:, labels == 4] *= 0.3
    flows, probability = flows.astype(np.float32), probability_of(labels)
    np.testing.assert_array_equal(flows_to_labels(flows, probability), np.where(labels == 4, 0, labels))
    np.testing.assert_array_equal(flows_to_labels(flows, probability, flow_threshold=0), labels)


@pytest.mark.parametrize("index", range(3))
def test_equal_to_cellpose_without_the_flow_check(index):
    fixture = np.load(FIXTURE)
    labels = flows_to_labels(
        fixture["flows"].astype(np.float32),
        fixture["cell_probability"].astype(np.float32),
        niter=int(fixture["niters"][index]),
        flow_threshold=None,
        min_size=1,
    )
    np.testing.assert_array_equal(labels, fixture["unchecked"][index])


def test_equal_to_cellpose_with_the_flow_check():
    fixture = np.load(FIXTURE)
    flows, probability = fixture["flows"].astype(np.float32), fixture["cell_probability"].astype(np.float32)
    labels = flows_to_labels(flows, probability, niter=200, min_size=-1)
    np.testing.assert_array_equal(labels, fixture["checked"])
    assert 0 < labels.max() < fixture["unchecked"][2].max()


def test_there_and_back():
    labels = discs(200, 15, 40)
    back = flows_to_labels(5 * labels_to_flows(labels), probability_of(labels))
    np.testing.assert_array_equal(back, labels)


def test_there_and_back_over_65535_cells():
    labels = discs(6 * 257, 2, 6)
    back = flows_to_labels(5 * labels_to_flows(labels), probability_of(labels), niter=10, min_size=1)
    assert back.dtype == np.uint32
    np.testing.assert_array_equal(back, labels)


shapes = st.one_of(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.tuples(st.just(1), st.integers(1, 200)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=shapes,
    smooth=st.floats(0.5, 6),
    niter=st.integers(0, 120),
    flow_threshold=st.sampled_from([None, 0.4, 1.5]),
)
def test_torch_equals_numba(seed, shape, smooth, niter, flow_threshold):
    flows, probability = random_field(seed, shape, smooth)
    options = {"niter": niter, "flow_threshold": flow_threshold, "min_size": 3, "max_size_fraction": 0.9}
    np.testing.assert_array_equal(
        on_torch(flows, probability, **options), flows_to_labels(flows, probability, **options)
    )


@pytest.mark.parametrize("rows", [71, 265])
def test_torch_equals_numba_on_many_cells(rows):
    """5,041 and 70,225 touching cells."""
    labels = np.kron(np.arange(1, rows**2 + 1, dtype=np.uint32).reshape(rows, rows), np.ones((5, 5), np.uint32))
    flows, probability = 5 * labels_to_flows(labels), probability_of(labels)
    options = {"niter": 6, "flow_threshold": None}  # the flows of so many are compared elsewhere
    np.testing.assert_array_equal(flows_to_labels(flows, probability, **options), labels)
    np.testing.assert_array_equal(on_torch(flows, probability, **options), labels)


def test_no_walk_leaves_a_trap():
    """Pixels that all corners lead into end a walk; so do the very same walks taken one by one to the end."""
    y, x = np.mgrid[:24, :24].astype(np.float32)
    random = np.random.default_rng(0)
    for _ in range(3):
        sink = random.uniform(8, 16, 2)
        flows = np.stack([sink[0] - y, sink[1] - x]).astype(np.float32) * np.float32(random.uniform(0.05, 4))
        active = np.ones(y.shape, bool)
        starts = np.arange(0, active.size, 7, dtype=np.int32)
        for niter in (40, 41):
            ends = follow_flows(flows, active, starts, niter)
            np.testing.assert_array_equal(ends, walked(flows, starts, niter))


def test_torch_takes_a_stack_of_images():
    fields = [random_field(seed, (40, 50), 4) for seed in range(3)]
    fields.insert(1, (fields[0][0], np.full((40, 50), -1, np.float32)))
    flows, probability = (torch.from_numpy(np.stack(part)) for part in zip(*fields))
    stack, errors = flows_to_labels_torch(flows, probability, 40, 3.0, 0.0, 15, 0.4)
    for labels, own, field in zip(stack, errors, fields, strict=True):
        expected, expected_errors = labels_and_errors(*field, niter=40, flow_threshold=3.0)
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_allclose(own, expected_errors, rtol=1e-6)
    assert stack[0].max() > 0
    assert stack[1].max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 4)])
def test_tiny_images_and_no_cells(shape):
    flows = np.zeros((2, *shape), np.float32)
    assert flows_to_labels(flows, np.full(shape, -1, np.float32)).shape == shape
    assert flows_to_labels(flows, np.full(shape, 1, np.float32)).max() == 0


def test_what_cannot_be_followed_is_refused():
    flows, probability = np.zeros((2, 4, 5), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(InputError, match=r"\(5, 4\)"):
        flows_to_labels(flows, probability.T)
    flows[0, 1, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        flows_to_labels(flows, probability)
    with pytest.raises(SettingsError, match="-3"):
        flows_to_labels(np.zeros_like(flows), probability, niter=-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_gpu_equals_the_cpu():
    flows, probability = random_field(1, (200, 180), 5)
    labels = flows_to_labels(flows, probability, flow_threshold=None)
    np.testing.assert_array_equal(flows_to_labels(flows, probability, flow_threshold=None, device="cuda"), labels)
