"""Batch normalisation and the ReLU after it in one pass over memory, on a processor.

Torch takes a pass for each, slow ones in bfloat16: they were two fifths of a slim network's time in use, and more of it
in training. Of single precision in use its passes cost a twentieth, and are left to it. Of an image in torch's
"channels last" layout a kernel sees rows of pixels whose channels lie side by side.
"""

from collections.abc import Callable
from typing import Any, TypeGuard, cast

import numba
import numpy as np
import torch
from numba.extending import overload
from torch import nn
from torch.autograd.function import once_differentiable

from cellular.jit import njit
from cellular.segment.threads import over_threads

# A kernel's rows have so many values at most: then few are left over beside whole vectors.
LONGEST_ROW = 512
# Values of a part of the work, whatever the number of threads: sums are the same for any.
PART = 1 << 17


def can_fuse(norm: nn.Module, x: torch.Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Whether :func:`norm_relu` takes `x` (B, C, Y, X): in memory, and neither exported nor on a GPU.

    That is in training, by the statistics of the batch, and in inference in bfloat16.
    """
    return (
        type(norm) is nn.BatchNorm2d
        and type(x) is torch.Tensor
        and x.device.type == "cpu"
        and x.dtype in ((torch.float32, torch.bfloat16) if norm.training else (torch.bfloat16,))
        and (torch.is_grad_enabled() if norm.training else torch.is_inference_mode_enabled())
        and x.numel() > x.shape[1]
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def norm_relu(
    norm: nn.BatchNorm2d, x: torch.Tensor, shift: torch.Tensor | None = None, *, relu: bool = True
) -> torch.Tensor:
    """``relu(norm(x + shift))``, with gradients in training, the same to the last bit for any number of threads.

    Parameters
    ----------
    norm : in training it goes by the batch, and moves its running values towards it; else it goes by these.
    x : (B, C, Y, X) float32 or bfloat16, as :func:`can_fuse` wants it; the result is like it.
    shift : (B, C), added to every pixel of an image before; None for nothing.
    relu : False for the norm alone.

    References
    ----------
    Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1 and the gradients of section 3.
    """
    if shift is None:
        shift = torch.zeros(x.shape[:2])
    return cast(torch.Tensor, _NormRelu.apply(x, shift, norm.weight, norm.bias, norm, 0.0 if relu else -np.inf))


class _NormRelu(torch.autograd.Function):
    """What is few numbers is left to numpy: torch takes ten times as long over it, and there are many such steps."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        shift: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        norm: nn.BatchNorm2d,
        least: float,
    ) -> torch.Tensor:
        shifts, factor = _numbers(shift), _numbers(weight)
        means, mean, variance = None, _numbers(norm.running_mean), _numbers(norm.running_var)
        if norm.training:
            means, mean, variance = _of_batch(x, shifts)
            _keep(norm, mean, variance, x.numel() / x.shape[1])
        deviation = 1 / np.sqrt(variance + norm.eps)
        # Of values as they are: the norm is scale * x + offset, of each image.
        scale = factor * deviation
        offset = _numbers(bias) + (shifts - mean) * scale
        result = torch.empty_like(x)
        _run(_apply, x, _single(scale), _single(offset), np.float32(least), _values(result))
        ctx.save_for_backward(x)
        ctx.told = scale, offset, deviation, shifts, means, mean, np.float32(least)
        ctx.dtypes = shift.dtype, weight.dtype, bias.dtype
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        scale, offset, deviation, shifts, means, mean, least = ctx.told
        given = _values(gradient.contiguous(memory_format=torch.channels_last)), _single(scale), _single(offset), least
        centre = mean - shifts
        # (B, C): of the gradient before the ReLU, and of it times the centred values.
        of_gradient, of_product = _sums(_gradient_sums, x, *given, _single(centre))
        by_bias, by_weight = of_gradient.sum(0), of_product.sum(0) * deviation
        pixels, count = x[0, 0].numel(), x[:, 0].numel()
        # the batch's statistics move with its values
        slope = -scale * deviation * by_weight / count
        level = -scale * by_bias / count - slope * centre
        by_shift = scale * of_gradient + pixels * (slope * (means - mean) - scale * by_bias / count)
        result = torch.empty_like(x)
        _run(_gradient, x, *given, _single(slope), _single(level), _values(result))
        others = (torch.from_numpy(part).to(dtype) for part, dtype in zip((by_shift, by_weight, by_bias), ctx.dtypes))
        return result, *others, None, None


def _of_batch(x: torch.Tensor, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (B, C) of each image of ``x + shifts``, mean (C,) and variance (C,) of all."""
    pixels = x[0, 0].numel()
    pivots = _numbers(x[:, :, 0, 0])  # near enough to the mean that squares of what is above it lose no digits
    first, second = _sums(_deviations, x, _single(pivots))
    means = pivots + first / pixels + shifts
    mean = means.mean(0)
    within = (second - first**2 / pixels).sum(0)
    return means, mean, (within / pixels + ((means - mean) ** 2).sum(0)) / len(x)


def _keep(norm: nn.BatchNorm2d, mean: np.ndarray, variance: np.ndarray, count: float) -> None:
    """Move the running values towards those of a batch of `count` values a channel."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    unbiased = variance * count / max(1, count - 1)
    for running, value in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.lerp_(torch.from_numpy(value).to(running.dtype), cast(float, norm.momentum))


def _numbers(values: torch.Tensor | None) -> np.ndarray:
    return cast(torch.Tensor, values).detach().double().numpy()


def _single(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _values(x: torch.Tensor) -> np.ndarray:
    """The values (B, rows, length) of a tensor (B, C, Y, X), several pixels a row; of bfloat16 the bits; no copy."""
    images, channels, height, width = x.shape
    together = 1
    while height * width % (2 * together) == 0 and 2 * together * channels <= LONGEST_ROW:
        together *= 2
    rows = x.detach().permute(0, 2, 3, 1).reshape(images, -1, together * channels)
    return (rows.view(torch.int16) if x.dtype == torch.bfloat16 else rows).numpy()


def _parts(values: np.ndarray) -> int:
    """How many parts the work over an image of :func:`_values` is done in."""
    return max(1, min(values.shape[1], values[0].size // PART))


def _run(kernel: Callable[..., Any], x: torch.Tensor, *arguments: Any) -> None:
    values = _values(x)
    share = _parts(values)
    over_threads(kernel, np.arange(len(values) * share), share, values, *arguments)


def _sums(kernel: Callable[..., Any], x: torch.Tensor, *arguments: Any) -> np.ndarray:
    """What a kernel adds up, two numbers of each image and channel: (2, B, C) float64."""
    values, channels = _values(x), x.shape[1]
    share = _parts(values)
    sums = np.empty((2, len(values), share, values.shape[2] // channels, channels), np.float32)
    over_threads(kernel, np.arange(len(values) * share), share, values, *arguments, sums)
    return sums.sum((2, 3), dtype=np.float64)


def _widen(value: Any) -> Any:
    """float32 of a value that is one, or of the bits of a bfloat16."""


def _narrow(value: Any, like: Any) -> Any:
    """A float32 as the elements of `like`: itself, or the bits of the nearest bfloat16, ties to even."""


@overload(_widen, inline="always")
def _widen_as(value):  # type: ignore[no-untyped-def]  # numba compares signatures
    if value is numba.types.float32:
        return lambda value: value
    return lambda value: np.uint32(np.uint32(np.uint16(value)) << np.uint32(16)).view(np.float32)


@overload(_narrow, inline="always")
def _narrow_as(value, like):  # type: ignore[no-untyped-def]
    if like.dtype is numba.types.float32:
        return lambda value, like: value

    def narrow(value, like):  # type: ignore[no-untyped-def]
        bits = np.float32(value).view(np.uint32)
        odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
        rounded = np.uint32(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
        return np.int16(np.uint16(rounded if value == value else np.uint32(0x7FC0)))

    return narrow


@njit
def _apply(parts: Any, share: int, x: Any, scale: Any, offset: Any, least: Any, result: Any) -> None:
    images, rows, length = x.shape
    channels = len(scale)
    scales, offsets = np.empty(length, np.float32), np.empty(length, np.float32)
    for part in parts:
        image, number = part // share, part % share
        for i in range(length):
            scales[i], offsets[i] = scale[i % channels], offset[image, i % channels]
        for row in range(rows * number // share, rows * (number + 1) // share):
            for i in range(length):
                value = _widen(x[image, row, i]) * scales[i] + offsets[i]
                # Not a maximum: what is no number stays none.
                result[image, row, i] = _narrow(least if value < least else value, result)


@njit
def _deviations(parts: Any, share: int, x: Any, pivots: Any, sums: Any) -> None:
    """Sums of what lies above `pivots` and of its squares, part by part."""
    images, rows, length = x.shape
    channels = pivots.shape[1]
    wide, first, second = np.empty(length, np.float32), np.empty(length, np.float32), np.empty(length, np.float32)
    for part in parts:
        image, number = part // share, part % share
        for i in range(length):
            wide[i] = pivots[image, i % channels]
        first[:] = 0
        second[:] = 0
        for row in range(rows * number // share, rows * (number + 1) // share):
            for i in range(length):
                value = _widen(x[image, row, i]) - wide[i]
                first[i] += value
                second[i] += value * value
        sums[0, image, number] = first.reshape(-1, channels)
        sums[1, image, number] = second.reshape(-1, channels)


@njit
def _gradient_sums(
    parts: Any, share: int, x: Any, gradient: Any, scale: Any, offset: Any, least: Any, centre: Any, sums: Any
) -> None:
    """Sums of the gradient before the ReLU, and of it times the centred values, part by part."""
    images, rows, length = x.shape
    channels = len(scale)
    scales, offsets, centres = np.empty(length, np.float32), np.empty(length, np.float32), np.empty(length, np.float32)
    first, second = np.empty(length, np.float32), np.empty(length, np.float32)
    for part in parts:
        image, number = part // share, part % share
        for i in range(length):
            c = i % channels
            scales[i], offsets[i], centres[i] = scale[c], offset[image, c], centre[image, c]
        first[:] = 0
        second[:] = 0
        for row in range(rows * number // share, rows * (number + 1) // share):
            for i in range(length):
                value = _widen(x[image, row, i])
                passed = _widen(gradient[image, row, i])
                if not value * scales[i] + offsets[i] > least:
                    passed = np.float32(0)
                first[i] += passed
                second[i] += passed * (value - centres[i])
        sums[0, image, number] = first.reshape(-1, channels)
        sums[1, image, number] = second.reshape(-1, channels)


@njit
def _gradient(
    parts: Any,
    share: int,
    x: Any,
    gradient: Any,
    scale: Any,
    offset: Any,
    least: Any,
    slope: Any,
    level: Any,
    result: Any,
) -> None:
    images, rows, length = x.shape
    channels = len(scale)
    scales, offsets = np.empty(length, np.float32), np.empty(length, np.float32)
    slopes, levels = np.empty(length, np.float32), np.empty(length, np.float32)
    for part in parts:
        image, number = part // share, part % share
        for i in range(length):
            c = i % channels
            scales[i], offsets[i], slopes[i], levels[i] = scale[c], offset[image, c], slope[c], level[image, c]
        for row in range(rows * number // share, rows * (number + 1) // share):
            for i in range(length):
                value = _widen(x[image, row, i])
                passed = _widen(gradient[image, row, i])
                if not value * scales[i] + offsets[i] > least:
                    passed = np.float32(0)
                passed = passed * scales[i] + value * slopes[i] + levels[i]
                result[image, row, i] = _narrow(passed, result)
