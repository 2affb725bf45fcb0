"""Batch normalisation and the ReLU after it in bfloat16, in one pass over memory, on a processor.

Torch takes a pass for each, slow ones in bfloat16: they were two fifths of a slim network's time. In single precision
its passes cost a twentieth, and are left to it. Of an image in torch's "channels last" layout the kernel sees rows of
pixels whose channels lie side by side.
"""

from typing import Any, TypeGuard, cast

import numpy as np
import torch
from torch import nn

from cellular.jit import njit
from cellular.segment.threads import over_threads

# A kernel's rows have so many values at most: then few are left over beside whole vectors.
LONGEST_ROW = 512
# A part of the work is so many rows that lie side by side.
PART = 64


def can_fuse(norm: nn.Module, x: torch.Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Whether :func:`norm_relu` takes `x` (B, C, Y, X): in inference, in memory, and neither exported nor on a GPU."""
    return (
        torch.is_inference_mode_enabled()
        and type(norm) is nn.BatchNorm2d
        and not norm.training
        and type(x) is torch.Tensor
        and x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def norm_relu(norm: nn.BatchNorm2d, x: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
    """``relu(norm(x + shift))`` by the norm's running values, the same to the last bit for any number of threads.

    Parameters
    ----------
    x : (B, C, Y, X) bfloat16, as :func:`can_fuse` wants it; the result is like it.
    shift : (B, C), added to every pixel of an image before; None for nothing.
    """
    told = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, weight, bias = (cast(torch.Tensor, part).double().numpy() for part in told)
    shifts = np.zeros((len(x), 1)) if shift is None else shift.double().numpy()
    scale = weight / np.sqrt(variance + norm.eps)
    offset = bias + (shifts - mean) * scale
    result = torch.empty_like(x)
    given, made = _rows(x), _rows(result)
    wide = (np.tile(part.astype(np.float32), given.shape[2] // x.shape[1]) for part in (scale, offset))
    parts = len(x) * -(-given.shape[1] // PART)
    over_threads(_norm_relu, np.arange(parts), given, *wide, made)
    return result


def _rows(x: torch.Tensor) -> np.ndarray:
    """The bits (B, rows, length) int16 of a tensor (B, C, Y, X) bfloat16, several pixels a row, without a copy."""
    images, channels, height, width = x.shape
    together = 1
    while height * width % (2 * together) == 0 and 2 * together * channels <= LONGEST_ROW:
        together *= 2
    return x.permute(0, 2, 3, 1).reshape(images, -1, together * channels).view(torch.int16).numpy()


@njit
def _widen(bits: Any) -> Any:
    """float32 of the bits of a bfloat16."""
    return np.uint32(np.uint32(np.uint16(bits)) << np.uint32(16)).view(np.float32)


@njit
def _narrow(value: Any) -> Any:
    """The bits of the bfloat16 nearest to a float32, ties to even; what is no number stays none."""
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    rounded = np.uint32(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
    return np.int16(np.uint16(rounded if value == value else np.uint32(0x7FC0)))


@njit(fastmath={"contract"})
def _norm_relu(parts: Any, x: Any, scale: Any, offset: Any, result: Any) -> None:
    images, rows, length = x.shape
    share = -(-rows // PART)
    for part in parts:
        image, first = part // share, part % share * PART
        for row in range(first, min(first + PART, rows)):
            for i in range(length):
                value = _widen(x[image, row, i]) * scale[i] + offset[image, i]
                # Not a maximum, which would make zeros of what is no number.
                result[image, row, i] = _narrow(np.float32(0) if value < 0 else value)
