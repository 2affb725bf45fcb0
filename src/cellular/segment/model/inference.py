"""A network made ready to be run and no longer trained: the same function in fewer passes over memory."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cellular.segment.model.network import CPnet, ResidualDown, ResidualUp


def for_inference(network: CPnet, dtype: torch.dtype = torch.float32) -> CPnet:
    """A copy of a network in evaluation mode that computes the same, for :func:`torch.inference_mode` only.

    A batch normalisation that precedes a convolution with nothing between them becomes part of it, and one that follows
    does in single precision, where it would cost a pass; the others, the style and the last layer keep single precision
    whatever `dtype` the convolutions compute in.
    """
    network = deepcopy(network).eval()
    for block in network.modules():
        if not isinstance(block, ResidualDown | ResidualUp):
            continue
        if isinstance(block, ResidualDown) and dtype == torch.float32:
            _absorb_following(block.conv["conv_0"], block.conv["conv_1"])
            _absorb_following(block.conv["conv_2"], block.conv["conv_3"])
        _absorb_preceding(block.proj)
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                layer.to(dtype)
    return network


def _absorb_following(first: Any, second: Any) -> None:
    """Let the convolution of `first` do the batch normalisation that `second` begins with."""
    first[2] = fuse_conv_bn_eval(first[2], second[0])
    second[0] = nn.Identity()


def _absorb_preceding(projection: Any) -> None:
    """Let a 1x1 convolution do the batch normalisation before it: it has no border, where padding would be wrong."""
    norm, conv = projection
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    conv.bias.data = conv.bias + conv.weight[:, :, 0, 0] @ shift
    conv.weight.data = conv.weight * scale[None, :, None, None]
    projection[0] = nn.Identity()
