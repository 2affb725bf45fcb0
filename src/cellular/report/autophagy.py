"""Pictures of the autophagy readout: puncta over their image, the classifier's confusion and what it rests on."""

from collections.abc import Mapping, Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.report.colours import KINDS, rgb
from cellular.report.outlines import NUCLEUS, PLAIN, display_image, outline_overlay
from cellular.report.style import PALETTE

KIND_COLOURS = {kind: rgb(colour) for kind, colour in KINDS.items()}
_CIRCLE_SIGMAS = 2.5


def puncta_overlay(
    image: np.ndarray, labels: np.ndarray, puncta: pd.DataFrame | None, nuclei: np.ndarray | None = None
) -> np.ndarray:
    """The image (Y, X, C) as 8-bit RGB with outlines of cells and nuclei and circles about puncta, coloured by kind."""
    layers = [(labels, PLAIN)] if nuclei is None else [(nuclei, NUCLEUS), (labels, PLAIN)]
    picture = outline_overlay(display_image(image), layers)
    if puncta is not None:
        circle_puncta(picture, puncta, picture.shape[0] / image.shape[0])
    return picture


def circle_puncta(picture: np.ndarray, puncta: pd.DataFrame, scale: float = 1.0, y0: float = 0, x0: float = 0) -> None:
    """Draw circles about puncta into an RGB picture with its corner at (`y0`, `x0`), `scale` times as large."""
    kinds = puncta["kind"] if "kind" in puncta else [None] * len(puncta)
    for kind, row in zip(kinds, puncta.itertuples()):
        # centres of pixels are at whole numbers; four binary places of a pixel, as OpenCV's circles take them
        centre = tuple(round(16 * (scale * (value + 0.5) - 0.5)) for value in (row.x - x0, row.y - y0))
        radius = round(16 * scale * _CIRCLE_SIGMAS * row.sigma + 16)
        cv2.circle(picture, centre, radius, KIND_COLOURS.get(kind, PLAIN), 1, cv2.LINE_AA, shift=4)


def confusion_figure(matrices: Mapping[str, pd.DataFrame]) -> Figure:
    """Confusion matrices side by side: rows the truth, columns the prediction, counts with the row's share."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(3.6 * len(matrices), 3.4), squeeze=False)
    for axis, (title, matrix) in zip(axes[0], matrices.items()):
        shares = matrix.to_numpy() / np.maximum(matrix.to_numpy().sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (i, j), share in np.ndenumerate(shares):
            text = f"{matrix.iloc[i, j]}\n{share:.0%}"
            axis.text(j, i, text, ha="center", va="center", color="white" if share > 0.5 else "black")
        axis.set(title=title, xlabel="predicted", ylabel="truth")
        axis.set_xticks(range(matrix.shape[1]), matrix.columns)
        axis.set_yticks(range(matrix.shape[0]), matrix.index)
    figure.tight_layout()
    return figure


def importance_figure(importance: pd.DataFrame, most: int = 15) -> Figure:
    """Loss of balanced accuracy when a feature is shuffled, the most telling at the top; columns of `classify`."""
    shown = importance.sort_values("importance", ascending=False).head(most)[::-1]
    figure, axis = plt.subplots(figsize=(6, 0.3 * len(shown) + 1))
    axis.barh(shown["feature"], shown["importance"], xerr=shown["spread"], color=PALETTE[0])
    axis.set_xlabel("balanced accuracy lost when shuffled")
    figure.tight_layout()
    return figure


def calibration_figure(table: pd.DataFrame, positive: str = "activated") -> Figure:
    """Share of cells that are `positive` against the probability that was predicted for them."""
    figure, axis = plt.subplots(figsize=(3.8, 3.6))
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axis.plot(table["predicted"], table["observed"], "o-", color=PALETTE[1])
    axis.set(xlabel="predicted probability", ylabel=f"share {positive}", xlim=(0, 1), ylim=(0, 1))
    figure.tight_layout()
    return figure


def saliency_figure(
    pixels: np.ndarray,
    saliency: np.ndarray,
    channels: Sequence[str],
    titles: Sequence[str],
    states: Sequence[str] = ("basal", "activated"),
) -> Figure:
    """Cells from left to right: the crop above, what its pixels add to the log-odds of the second of `states` below.

    Parameters
    ----------
    pixels : (N, C + 1, S, S), as :class:`cellular.autophagy.state.crops.Crops` holds them, outline last.
    saliency : (N, C, S, S), of :func:`cellular.autophagy.state.explain.integrated_gradients`.
    channels : names of the C channels. titles : N lines over the crops.

    mRFP is drawn magenta and EGFP green, each up to the cell's own 99.5th percentile: where both are, white.
    """
    n = len(pixels)
    limit = float(np.quantile(np.abs(saliency.sum(axis=1)), 0.99)) or 1.0
    figure, axes = plt.subplots(2, n, figsize=(0.6 + n, 2.6), squeeze=False, layout="constrained")
    for column, title in enumerate(titles):
        axes[0, column].imshow(_magenta_green(pixels[column].astype(np.float32), channels))
        axes[0, column].set_title(title, fontsize=8)
        # convolutions of stride two leave a checkerboard in gradients
        effect = cv2.GaussianBlur(saliency[column].sum(axis=0), (0, 0), 1)
        shown = axes[1, column].imshow(effect, cmap="PuOr_r", vmin=-limit, vmax=limit)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("mRFP magenta\nEGFP green", fontsize=7)
    axes[1, 0].set_ylabel("adds to\nlog-odds", fontsize=7)
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=14, pad=0.01)
    bar.set_label(f"orange: {states[1]}\npurple: {states[0]}", fontsize=7)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(f"probability of {states[1]}" + (" (and truth)" if "\n" in "".join(titles) else ""), fontsize=9)
    return figure


def _magenta_green(crop: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """(S, S, 3) in 0..1 of a crop (C + 1, S, S)."""
    inside = crop[-1] > 0.5
    picture = np.zeros((*crop.shape[1:], 3), np.float32)
    for name, colour in (("mRFP", (1, 0, 1)), ("EGFP", (0, 1, 0))):
        if name in channels and inside.any():
            plane = crop[list(channels).index(name)]
            top = max(float(np.quantile(plane[inside], 0.995)), 1e-6)
            picture += (plane / top).clip(0, 1)[..., None] * np.array(colour, np.float32)
    return picture
