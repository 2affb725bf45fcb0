"""Labels -> flows: by hand, against Cellpose, and numba against torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellular.errors import DeviceError, InputError, SettingsError
from cellular.segment import labels_to_flows
from cellular.segment.flows.torch.to_flows import labels_to_flows_torch

FIXTURE = Path(__file__).parents[1] / "fixtures" / "cellpose_flows.npz"


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """Small tensors: more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def on_torch(labels: np.ndarray, **options) -> np.ndarray:
    return labels_to_flows_torch(torch.from_numpy(labels.astype(np.int64))[None], **options)[0].numpy()


def ellipse(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    inside = ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2 <= 1
    return inside.astype(np.uint16)


def test_a_line_of_pixels_flows_to_its_middle():
    flows = labels_to_flows(np.array([[0, 7, 7, 7, 7, 7, 0]]))
    assert flows.dtype == np.float32
    np.testing.assert_array_equal(flows[0], 0)
    np.testing.assert_array_equal(flows[1], [[0, 1, 1, 0, -1, -1, 0]])


def test_corners_of_a_square_flow_diagonally():
    flows = labels_to_flows(np.ones((3, 3), np.uint8))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(flows[0], [[half, 1, half], [0, 0, 0], [-half, -1, -half]], atol=1e-6)
    np.testing.assert_allclose(flows[1], [[half, 0, -half], [1, 0, -1], [half, 0, -half]], atol=1e-6)


def test_one_step_reaches_one_pixel():
    flows = labels_to_flows(np.ones((1, 7), np.uint8), niter=1)
    np.testing.assert_array_equal(flows[1], [[0, 1, 1, 0, -1, -1, 0]])
    np.testing.assert_array_equal(labels_to_flows(np.ones((1, 9), np.uint8), niter=1)[1, 0, [0, 1, 7, 8]], 0)


def test_a_piece_that_no_heat_reaches_has_no_flow():
    flows = labels_to_flows(np.array([[1, 1, 1, 1, 1, 0, 1]]))
    centre = 3  # nearest to the mean, 16 / 6; more heat is to its left, where more of the cell is
    np.testing.assert_array_equal(flows[1], [[1, 1, 1, -1, -1, 0, 0]])
    assert flows[1, 0, centre] == -1


def test_numbering_does_not_matter():
    labels = np.load(FIXTURE)["labels"]
    far_apart = np.where(labels > 0, 4_000_000_000 - 100_000 * labels.astype(np.int64), 0)
    np.testing.assert_array_equal(labels_to_flows(far_apart), labels_to_flows(labels))


def test_equal_to_cellpose_to_the_last_bit():
    fixture = np.load(FIXTURE)
    np.testing.assert_array_equal(labels_to_flows(fixture["labels"], method="cellpose"), fixture["unit_flows"])


def assert_close(labels: np.ndarray, **options) -> None:
    """The fast method is within 1e-4 of Cellpose's, but for one pixel a cell, where the gradient is mere rounding."""
    fast, cellpose = (labels_to_flows(labels, method=method, **options) for method in ("fast", "cellpose"))
    apart = np.abs(fast - cellpose).max(0) > 1e-4
    assert np.bincount(labels[apart], minlength=1).max() <= 1


def test_the_fast_method_is_close_to_cellpose():
    labels = np.zeros((150, 130), np.uint16)
    labels[:120, :100] = ellipse(120, 100)
    labels[120:150, 60:125] = 2 * ellipse(30, 65)
    assert_close(labels)
    assert_close(labels, niter=30)
    assert_close(np.kron(np.load(FIXTURE)["labels"], np.ones((3, 3), np.uint16)))


@pytest.mark.parametrize("shape", [(1, 700), (2, 600), (500, 3), (400, 400)])
def test_the_fast_method_does_not_run_out_of_numbers(shape):
    """Heat at the ends is below 1e-300 of that in the middle, or takes hundreds of steps to get there."""
    assert_close(np.ones(shape, np.uint8))


def test_the_fast_method_takes_cells_with_holes_and_in_pieces():
    y, x = np.mgrid[:120, :120]
    distance = np.hypot(y - 60, x - 60)
    ring = (distance < 55) & (distance > 45)
    labels = (ring & (x > 8)).astype(np.uint8)
    labels[distance < 20] = 1
    assert_close(labels)
    assert_close((np.random.default_rng(0).random((60, 70)) < 0.6).astype(np.uint8))


def test_the_fast_method_does_small_cells_as_cellpose():
    fixture = np.load(FIXTURE)
    labels = fixture["labels"]
    small = np.isin(labels, 1 + np.flatnonzero(np.bincount(labels.ravel())[1:] < 256))
    np.testing.assert_array_equal(labels_to_flows(labels)[:, small], fixture["unit_flows"][:, small])


label_images = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(labels=label_images, niter=st.sampled_from([None, 0, 1, 5]), blocky=st.integers(1, 4))
def test_torch_equals_numba(labels, niter, blocky):
    labels = np.kron(labels, np.ones((blocky, blocky), np.uint16))
    np.testing.assert_array_equal(on_torch(labels, niter=niter), labels_to_flows(labels, niter, "cellpose"))


@settings(max_examples=30, deadline=None)
@given(labels=label_images)
def test_flows_are_unit_vectors_or_nothing(labels):
    length = np.hypot(*labels_to_flows(labels))
    assert (np.isclose(length, 1, atol=1e-6) | (length < 1e-6)).all()
    assert (length[labels == 0] == 0).all()


def test_torch_takes_images_and_cells_in_batches():
    labels = np.load(FIXTURE)["labels"].astype(np.int64)
    stack = torch.from_numpy(np.stack([labels, np.zeros_like(labels), labels.T]))
    for batch_pixels in (1, 2000, 1 << 20):
        flows = labels_to_flows_torch(stack, batch_pixels=batch_pixels).numpy()
        for image, own in zip(stack.numpy(), flows):
            np.testing.assert_array_equal(own, labels_to_flows(image, method="cellpose"))


@pytest.mark.parametrize("count", [5_000, 70_000])
def test_many_cells(count):
    rows = -(-count // 250)
    labels = np.kron(np.arange(1, rows * 250 + 1, dtype=np.uint32).reshape(rows, 250), np.ones((2, 3), np.uint32))
    flows = labels_to_flows(labels)
    one = labels_to_flows(np.ones((2, 3), np.uint8))
    np.testing.assert_array_equal(flows, np.tile(one, (1, rows, 250)))
    np.testing.assert_array_equal(on_torch(labels), flows)


def test_background_alone_gives_zeros():
    np.testing.assert_array_equal(labels_to_flows(np.zeros((3, 4), np.uint16)), np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2, 2), np.uint8), np.zeros((0, 3), np.uint8), np.ones((2, 2)), np.array([[-1, 0]])]
)
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(InputError):
        labels_to_flows(labels)


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="-1"):
        labels_to_flows(np.ones((2, 2), np.uint8), niter=-1)
    with pytest.raises(SettingsError, match="quick"):
        labels_to_flows(np.ones((2, 2), np.uint8), method="quick")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error():
    with pytest.raises(DeviceError, match="cuda"):
        labels_to_flows(np.ones((2, 2), np.uint8), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_gpu_equals_the_cpu():
    labels = np.load(FIXTURE)["labels"]
    cpu = labels_to_flows(labels, method="cellpose")
    np.testing.assert_allclose(labels_to_flows(labels, device="cuda"), cpu, atol=1e-6)
