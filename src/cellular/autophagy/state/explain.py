"""What a network's call of a cell rests on: pixel by pixel, and summed up by channel."""

import numpy as np
import pandas as pd
import torch

from cellular.autophagy.state.crop_model import BATCH, CropModel, batches, device_of, network_inputs
from cellular.autophagy.state.crops import Crops


def integrated_gradients(model: CropModel, crops: Crops, rows: np.ndarray, steps: int = 32) -> np.ndarray:
    """(len(rows), C, S, S) float32: what each pixel adds to the positive state's calibrated log-odds.

    Sundararajan, Taly & Yan, ICML 2017, along the straight path from the same outline filled evenly with the light of
    the usual cell, by the midpoint rule. The pixels of a crop add up to its log-odds less those of that even cell
    (completeness), so an effect tells of brightness and pattern, not of the outline.
    """
    inputs = network_inputs(crops, rows, np.array(model.scale), model.settings).to(device_of(model.network))
    even = evenly_lit(inputs, model.usual)
    total = torch.zeros_like(inputs)
    for step in range(steps):
        point = (even + (inputs - even) * ((step + 0.5) / steps)).requires_grad_()
        logits = model.network(point)
        (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), point)
        total += gradient
    return (model.calibration.slope * total * (inputs - even) / steps)[:, :-1].cpu().numpy()


def evenly_lit(inputs: torch.Tensor, usual: tuple[float, ...]) -> torch.Tensor:
    """The same outlines (B, C + 1, S, S), every channel at its usual brightness inside."""
    outline = inputs[:, -1:]
    return torch.cat([outline * torch.tensor(usual).view(1, -1, 1, 1).to(inputs), outline], dim=1)


def explain_crops(model: CropModel, crops: Crops) -> pd.DataFrame:
    """What each channel adds to each cell's log-odds: ``field, label, rank, feature, value, effect, method``.

    Effects are :func:`integrated_gradients` summed over the pixels; ``value`` is the channel's mean in the cell.
    """
    names = list(crops.channels)
    parts = [
        integrated_gradients(model, crops, rows).sum(axis=(2, 3)) for rows in batches(np.arange(len(crops)), BATCH)
    ]
    effects = np.concatenate([np.empty((0, len(names)), np.float32), *parts])
    pixels = crops.pixels.astype(np.float32)
    inside = np.maximum(pixels[:, -1].sum(axis=(1, 2)), 1e-3)
    values = pixels[:, :-1].sum(axis=(2, 3)) / inside[:, None]
    order = np.argsort(-np.abs(effects), axis=1)
    rows = np.repeat(np.arange(len(crops)), len(names))
    chosen = order.ravel()
    return pd.DataFrame(
        {
            "field": crops.cells["field"].to_numpy()[rows],
            "label": crops.cells["label"].to_numpy()[rows],
            "rank": np.tile(np.arange(1, len(names) + 1), len(crops)),
            "feature": np.array(names)[chosen],
            "value": values[rows, chosen],
            "effect": effects[rows, chosen],
            "method": "integrated gradients",
        }
    )
