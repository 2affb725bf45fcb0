"""Training a network on crops of cells, judged by units never seen."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch.nn import functional

from cellular.autophagy.state.crop_model import (
    Calibration,
    CropModel,
    CropSettings,
    network_inputs,
    raw_logits,
    told_states,
)
from cellular.autophagy.state.crops import Crops
from cellular.autophagy.state.network import CropNetwork
from cellular.autophagy.state.unseen import (
    Validation,
    importance_table,
    score,
    unit_folds,
    unlabelled_beside,
    usable,
)
from cellular.device import resolve_device
from cellular.errors import InputError
from cellular.progress import progress

logger = logging.getLogger(__name__)

_SHUFFLES = 3


def train(crops: Crops, table: pd.DataFrame, settings: CropSettings | None = None) -> tuple[CropModel, Validation]:
    """A network trained on all labelled cells, and how well such networks do on units they have not seen.

    Parameters
    ----------
    crops : cut with the settings' channels, side and size.
    table : ``field, label, truth`` and units of cells, as for
        :func:`cellular.autophagy.state.trees.train`; cells without a crop are an error.

    A network is trained for every unit left out (:func:`cellular.autophagy.state.unseen.unit_folds`), and one on all.
    Calibration (Platt 1999; one slope, one bias per state) rests on predictions of unseen units alone: the final
    model's on all, a left-out unit's on all others.

    Raises InputError for missing columns or crops, one state only or nothing to leave out.
    """
    settings = settings or CropSettings()
    used = usable(table, settings)
    rows = rows_of(crops, used)
    truth = used["truth"].map(settings.known.index).to_numpy()
    told: list[pd.DataFrame] = []
    raw: list[np.ndarray] = []
    importances = []
    wells = _wells(used)
    folds = unit_folds(used, settings.folds)
    for number, (fit_rows, test_rows) in enumerate(progress(folds.rows, desc="left out", unit=folds.unit)):
        network, scale = _fit(crops, rows[fit_rows], truth[fit_rows], wells.iloc[fit_rows], settings)
        unseen = used.iloc[test_rows]
        also = unlabelled_beside(table, unseen, folds.unit, settings)
        together = pd.concat([unseen, also], ignore_index=True)
        known = together[["field", "label", "truth"]].assign(left_out=together[folds.unit], fold=number)
        told.append(known)
        raw.append(raw_logits(network, crops, rows_of(crops, together), scale, settings))
        importances.append(_importance(network, crops, rows[test_rows], truth[test_rows], scale, settings))
    cells, logits = pd.concat(told, ignore_index=True), np.concatenate(raw)
    calibration, calibrated = _calibrate_across(logits, cells, settings)
    cells = cells.drop(columns="fold").join(told_states(calibrated, settings))
    importance = importance_table([*crops.channels, "outline"], importances)
    network, scale = _fit(crops, rows, truth, wells, settings)
    usual = _usual(network_inputs(crops, rows[:: max(1, len(rows) // 2000)], scale, settings))
    model = CropModel(network, settings, tuple(scale.tolist()), usual, calibration, crops.source, crops.pixel_size_um)
    return model, score(cells, importance, settings, folds)


def _wells(used: pd.DataFrame) -> pd.Series:
    """The well of each cell, its field where that is not known."""
    return used["well"].fillna(used["field"]) if "well" in used else used["field"]


def rows_of(crops: Crops, table: pd.DataFrame) -> np.ndarray:
    """(N,) row in `crops` of each cell of `table`.

    Raises InputError for a cell of the table without a crop.
    """
    known = pd.Series(np.arange(len(crops)), pd.MultiIndex.from_frame(crops.cells))
    rows = known.reindex(pd.MultiIndex.from_frame(table[["field", "label"]])).to_numpy()
    if np.isnan(rows).any():
        cell = table.iloc[int(np.flatnonzero(np.isnan(rows))[0])]
        raise InputError(f"No crop of cell {cell['label']} of {cell['field']}: table and label images do not match")
    return rows.astype(np.int64)


def _fit(
    crops: Crops, rows: np.ndarray, truth: np.ndarray, wells: pd.Series, settings: CropSettings
) -> tuple[CropNetwork, np.ndarray]:
    """A network trained on crops `rows` (N,) of states `truth` (N,), and the brightness of its channels (C,)."""
    device = resolve_device(settings.device)
    draw = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = CropNetwork(len(crops.channels) + 1, len(settings.known), settings.width)
        network.to(device).train()
        scale = _brightness(crops, rows)
        chance = _chances(truth, wells.to_numpy())
        steps = max(1, settings.cells_per_epoch // settings.batch) * settings.epochs
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            chosen = torch.multinomial(chance, settings.batch, replacement=True, generator=draw).numpy()
            inputs = _augment(network_inputs(crops, rows[chosen], scale, settings), draw).to(device)
            loss = functional.cross_entropy(network(inputs), torch.from_numpy(truth[chosen]).to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval(), scale


def _chances(truth: np.ndarray, wells: np.ndarray) -> torch.Tensor:
    """(N,) chance of each cell to be drawn: states alike, wells alike within a state, cells alike within a well."""
    groups = pd.DataFrame({"truth": truth, "well": wells})
    each = groups.groupby(["truth", "well"])["truth"].transform("size")
    wells_of = groups.groupby("truth")["well"].transform("nunique")
    return torch.from_numpy((1 / (each * wells_of)).to_numpy(np.float64, copy=True))


def _brightness(crops: Crops, rows: np.ndarray) -> np.ndarray:
    """(C,) 99th percentile of each channel inside at most 2000 of the cells; 1 where there is no light."""
    sample = crops.pixels[rows[:: max(1, len(rows) // 2000)]].astype(np.float32)
    inside = sample[:, -1] > 0.5
    levels = [
        np.quantile(np.abs(sample[:, c][inside]), 0.99) if inside.any() else 1 for c in range(len(crops.channels))
    ]
    return np.where(np.array(levels) > 0, levels, 1.0)


def _usual(inputs: torch.Tensor) -> tuple[float, ...]:
    """Mean brightness of each channel over the cells' pixels."""
    light, outline = inputs[:, :-1], inputs[:, -1:]
    return tuple((light.sum(dim=(0, 2, 3)) / outline.sum().clamp(min=1e-3)).tolist())


def _augment(inputs: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Turned by any angle, mirrored, up to a tenth larger or smaller, each channel up to a third brighter or dimmer."""
    n = len(inputs)

    def uniform(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(*shape, generator=draw) - 1

    angle, size, mirror = np.pi * uniform(n), 1 + 0.1 * uniform(n), torch.sign(uniform(n))
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    turn = torch.stack([cosine * mirror, -sine, sine * mirror, cosine], dim=1).view(n, 2, 2)
    grid = functional.affine_grid(torch.cat([turn, torch.zeros(n, 2, 1)], dim=2), list(inputs.shape), False)
    turned = functional.grid_sample(inputs, grid, align_corners=False)
    turned[:, :-1] *= torch.exp(0.3 * uniform(n, inputs.shape[1] - 1, 1, 1))
    return turned


def _importance(
    network: CropNetwork, crops: Crops, rows: np.ndarray, truth: np.ndarray, scale: np.ndarray, settings: CropSettings
) -> np.ndarray:
    """(C + 1, R) balanced accuracy lost on unseen cells with a channel of other cells (Breiman 2001)."""
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(rows))[:400]
    sample, known = replace(crops, pixels=crops.pixels[rows[chosen]]), truth[chosen]
    everyone = np.arange(len(known))

    def accuracy(pixels: np.ndarray) -> float:
        found = raw_logits(network, replace(sample, pixels=pixels), everyone, scale, settings).argmax(axis=1)
        return float(np.mean([(found == known)[known == state].mean() for state in np.unique(known)]))

    whole = accuracy(sample.pixels)
    lost = np.empty((sample.pixels.shape[1], _SHUFFLES))
    for (channel, repeat), _ in np.ndenumerate(lost):
        pixels = sample.pixels.copy()
        pixels[:, channel] = pixels[rng.permutation(len(known)), channel]
        lost[channel, repeat] = whole - accuracy(pixels)
    return lost


def _calibrate_across(
    logits: np.ndarray, cells: pd.DataFrame, settings: CropSettings
) -> tuple[Calibration, np.ndarray]:
    """The calibration by all unseen predictions, and (N, K) logits of each unit calibrated by those of the others."""
    states = settings.known
    known = cells["truth"].isin(states).to_numpy()
    truth = cells["truth"].map({state: k for k, state in enumerate(states)}).to_numpy(np.float64)
    calibrated = np.empty_like(logits)
    for fold in cells["fold"].unique():
        here = (cells["fold"] == fold).to_numpy()
        others = known & ~here
        calibrated[here] = _calibrate(logits[others], truth[others].astype(int)).logits(logits[here])
    return _calibrate(logits[known], truth[known].astype(int)), calibrated


def _calibrate(logits: np.ndarray, truth: np.ndarray) -> Calibration:
    """Slope and biases of least cross-entropy, states weighing the same; logits as they are with one state only."""
    k = logits.shape[1]
    counts = np.bincount(truth, minlength=k)
    if np.count_nonzero(counts) < k:
        logger.warning("too few units of each state: probabilities of some are not calibrated")
        return Calibration(1.0, (0.0,) * k)
    weight = (len(truth) / k / counts)[truth]

    def cross_entropy(parameters: np.ndarray) -> float:
        bias = np.append(0.0, parameters[1:])
        scaled = parameters[0] * logits + bias
        return float(np.mean(weight * (np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(truth)), truth])))

    best = minimize(cross_entropy, np.append(1.0, np.zeros(k - 1)), bounds=[(0.01, 10)] + [(-10, 10)] * (k - 1))
    return Calibration(float(best.x[0]), (0.0, *(float(b) for b in best.x[1:])))
