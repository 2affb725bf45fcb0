import numba
import pytest
import torch
from torch import nn

from cellular.segment.model import network as network_module
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


def test_single_precision_in_use_and_what_is_not_trained_are_left_to_torch():
    x, norm = image_of(1, 16, 8, 8), norm_of(16)
    assert not can_fuse(norm, x)
    with torch.inference_mode():
        assert not can_fuse(norm, x.float())
        assert not can_fuse(norm, x.contiguous())
        assert not can_fuse(nn.Identity(), x)
        assert not can_fuse(norm.train(), x)
    assert can_fuse(norm, x)
    assert not can_fuse(norm, x[:, :, :1, :1]), "of one value there is no variance, and torch says so"


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shape", [(2, 24, 33, 7), (3, 5, 2, 1), (1, 700, 4, 6), (4, 16, 64, 64)])
@pytest.mark.parametrize("relu", [True, False])
def test_in_training_it_is_what_torch_does_in_double_precision(shape, dtype, near, relu):
    torch.manual_seed(0)
    # far from nought, where squares of single precision alone would lose the variance
    x = (image_of(*shape) + 40).to(dtype).requires_grad_()
    shift, norm = torch.randn(shape[:2], requires_grad=True), norm_of(shape[1]).train()
    exact = nn.BatchNorm2d(shape[1]).double()
    exact.load_state_dict(norm.state_dict())
    weight = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
    assert can_fuse(norm, x)
    found = norm_relu(norm, x, shift, relu=relu)
    found.backward(weight)
    again, moved = x.detach().double().requires_grad_(), shift.detach().double().requires_grad_()
    wanted = exact(again + moved[:, :, None, None])
    # cut where what was found is: of values about nought, rounding settles which side they are on
    wanted = wanted * (found > 0) if relu else wanted
    wanted.backward(weight.double())
    assert found.dtype == dtype
    pairs = [(found, wanted), (x.grad, again.grad), (shift.grad, moved.grad)]
    pairs += [(getattr(norm, name).grad, getattr(exact, name).grad) for name in ("weight", "bias")]
    pairs += [(getattr(norm, name), getattr(exact, name)) for name in ("running_mean", "running_var")]
    for one, other in pairs:
        assert (
            one - other
        ).abs().max() <= near * other.abs().max() + 1e-6  # of one image, what shifts it changes nothing
    assert norm.num_batches_tracked == 1


def test_what_is_learned_is_the_same_for_any_number_of_threads(monkeypatch):
    x, norm, found = image_of(2, 24, 200, 220), norm_of(24).train(), []
    for threads in (1, 3):
        monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", threads)
        given = x.clone().requires_grad_()
        norm.zero_grad()
        norm_relu(norm, given).sum().backward()
        found.append((given.grad, norm.weight.grad))
    for one, other in zip(*found):
        assert torch.equal(one, other)


def test_a_network_learns_what_it_would_by_torch(monkeypatch):
    image = torch.rand(2, 2, 32, 32).contiguous(memory_format=torch.channels_last)
    gradients = []
    for fused in (True, False):
        if not fused:
            monkeypatch.setattr(network_module, "can_fuse", lambda *_: False)
        torch.manual_seed(0)
        network = network_module.build_network(2, 4).to(memory_format=torch.channels_last).train()
        (network(image)[0] ** 2).mean().backward()
        gradients.append({name: part.grad for name, part in network.named_parameters() if part.requires_grad})
    size = max(part.abs().max() for part in gradients[1].values())
    for name, part in gradients[0].items():
        assert (part - gradients[1][name]).abs().max() < 1e-4 * size, name
