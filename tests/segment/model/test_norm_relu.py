import numba
import pytest
import torch
from torch import nn

from cellular.segment.model.norm_relu import can_fuse, norm_relu


def norm_of(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels).eval()
    for values, (low, high) in zip(norm.state_dict().values(), ((-2, 2), (-1, 1), (-3, 3), (0.1, 4))):
        values.uniform_(low, high)
    return norm


def image_of(*shape: int) -> torch.Tensor:
    return (3 * torch.randn(shape)).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(1, 16, 64, 64), (2, 24, 33, 7), (3, 5, 1, 1), (1, 700, 4, 6)])
@pytest.mark.parametrize("shifted", [False, True])
def test_it_is_the_norm_and_the_relu_rounded_once(shape, shifted):
    torch.manual_seed(0)
    x, norm = image_of(*shape), norm_of(shape[1])
    shift = torch.randn(shape[:2]) if shifted else None
    with torch.inference_mode():
        assert can_fuse(norm, x)
        found = norm_relu(norm, x, shift)
        shift = torch.zeros(shape[:2]) if shift is None else shift
        exact = torch.relu(norm.double()(x.double() + shift[:, :, None, None]))
        # Where two of bfloat16 are as near, the last digits of single precision settle which.
        near = [exact + e for e in (-3e-5, 3e-5)]
        low, high = (values.to(torch.bfloat16) for values in near)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert ((low <= found) & (found <= high)).all()
    assert (found == exact.to(torch.bfloat16)).float().mean() > 0.999


def test_what_is_no_number_stays_none():
    x, norm = image_of(1, 16, 8, 8), norm_of(16)
    x[0, 3, 2, 5], x[0, 4, 1, 1] = float("nan"), float("inf")
    with torch.inference_mode():
        found = norm_relu(norm, x)
    assert found.isnan().nonzero().tolist() == [[0, 3, 2, 5]]
    assert found[0, 4, 1, 1] == (float("inf") if norm.weight[4] > 0 else 0)


def test_any_number_of_threads_gives_the_same(monkeypatch):
    x, norm = image_of(2, 24, 200, 120), norm_of(24)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", threads)
        with torch.inference_mode():
            found.append(norm_relu(norm, x))
    assert torch.equal(*found)


def test_training_and_single_precision_are_left_to_torch():
    x, norm = image_of(1, 16, 8, 8), norm_of(16)
    assert not can_fuse(norm, x)
    with torch.inference_mode():
        assert not can_fuse(norm, x.float())
        assert not can_fuse(norm, x.contiguous())
        assert not can_fuse(norm.train(), x)
        assert not can_fuse(nn.Identity(), x)
