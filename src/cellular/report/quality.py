"""The quality of a plate's fields as a section of a page: what is flagged and why, how it looks, the flat field."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cellular.data.image import FieldImage
from cellular.report.html import Page

# Longer side of a thumbnail, px.
THUMBNAIL = 360
# Profiles side by side.
_IN_A_ROW = 4
# Blocks of a profile along a side, in its table.
_BLOCKS = 32
_COLOURS: dict[str | None, int] = {"mRFP": 0, "EGFP": 1, "DNA": 2}


def thumbnail(image: FieldImage, levels: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """A small picture (Y', X', 3) uint8: mRFP red, EGFP green, DNA blue, each from dark to bright by `levels`.

    `levels` are the plate's, by channel, so that thumbnails compare. Colour pictures are shown as they are; of channels
    of other roles the first is shown grey.
    """
    scale = min(1.0, THUMBNAIL / max(image.shape))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    planes = [_small(image.pixels[:, :, index], size) for index in range(len(image.roles))]
    if image.kind != "raw" and len(planes) >= 3 and image.pixels.dtype == np.uint8:
        return np.stack(planes[:3], axis=-1).round().astype(np.uint8)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for index in [index for index, role in enumerate(image.roles) if role in _COLOURS] or [0]:
        low, high = levels[image.channels[index]]
        light = np.clip((planes[index] - low) / max(high - low, 1e-9), 0, 1)
        at = [_COLOURS[role]] if (role := image.roles[index]) in _COLOURS else [0, 1, 2]
        picture[:, :, at] = light[:, :, None]
    return (255 * picture).astype(np.uint8)


def _small(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def add_quality(
    page: Page,
    quality: pd.DataFrame,
    notes: list[str],
    drift: pd.DataFrame,
    flat_field: pd.DataFrame,
    profiles: Path | None,
    thumbnails: Mapping[str, Path],
    excluded: pd.DataFrame | None = None,
) -> Page:
    """The section "Quality of fields".

    Parameters
    ----------
    quality : with ``flagged`` and ``reasons``. notes : sentences on whole plates. drift : of measure_drift.
    flat_field : the table ``flat_field.csv``; profiles : :func:`profile_figure`, where it lies.
    thumbnails : picture files by field; those of fields that are not flagged are there to compare with.
    excluded : the ledger of what is left out of the comparison; None where nothing was to be left out.
    """
    odd = quality[quality["flagged"].astype(bool)]
    page.section("Quality of fields")
    if odd.empty:
        page.text(f"None of the {len(quality)} fields is set apart from the others.")
    else:
        page.text(f"{len(odd)} of {len(quality)} fields are set apart from the others:")
        page.table(odd[["field", "reasons"]])
        if excluded is None:
            page.caveat("Flagged fields are in all results; --exclude flagged of analyse and stats leaves them out.")
    for note in notes:
        page.caveat(note[0].upper() + note[1:] + ".")
    if excluded is not None:
        measured = int(excluded["field"].isin(quality["field"]).sum())
        others = f" {len(excluded) - measured} more could not be measured." if measured < len(excluded) else ""
        page.text(f"Left out of the comparison: {measured} of {len(quality)} fields; they stay in all tables.{others}")
        page.table(excluded)
    pictured = int(odd["field"].isin(list(thumbnails)).sum())
    if 0 < pictured < len(odd):
        page.text(f"Pictures are of the first {pictured} of the {len(odd)} fields, and of usual ones.")
    page.figures({_caption(quality, name): path for name, path in thumbnails.items()})
    if len(flat_field):
        _add_flat_field(page, flat_field, profiles)
    if len(drift):
        page.table(drift, caption="Change over time, medians over the fields of each timepoint", folded=True)
    return page


def _caption(quality: pd.DataFrame, name: str) -> str:
    row = quality[quality["field"] == name].iloc[0]
    return f"{name}: {row['reasons'] if row['flagged'] else 'a usual field'}"


def _add_flat_field(page: Page, table: pd.DataFrame, profiles: Path | None) -> None:
    applied, uneven = (list(dict.fromkeys(table["channel"][table[name].astype(bool)])) for name in ("applied", "helps"))
    if applied:
        page.text(f"Evened out by the flat field before measuring: {', '.join(applied)}.")
    elif uneven:
        page.caveat(
            f"The light is uneven in {', '.join(uneven)}: cells measure brighter or dimmer by where they lie. It was "
            "left as it is; --flat_field auto of analyse and measure evens it out."
        )
    else:
        page.text("A flat field would not help: it was left as it is.")
    page.table(
        table,
        caption="How much cells' light (relative) and background (levels) vary from position to position, before and "
        "after the flat field; 'after' is of fields that it was not fitted to. Corner error is the standard error of "
        "the profile where it is known least; a row without a plate is for all of them:",
    )
    if profiles is not None:
        page.figure(profiles, "The light across the field, 1 is its mean.")


def profile_data(profiles: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Profiles (Y, X) by channel as ``channel, y, x, light``: means over at most 32 x 32 blocks, their middles in px.

    >>> profile_data({"mRFP": np.ones((8, 64))})["x"].unique()[:3].tolist()
    [0.5, 2.5, 4.5]
    """
    parts = []
    for name, profile in profiles.items():
        rows, columns = (min(_BLOCKS, length) for length in profile.shape)
        light = cv2.resize(profile.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        y, x = ((np.arange(n) + 0.5) * length / n - 0.5 for n, length in zip((rows, columns), profile.shape))
        at = {"y": np.repeat(y, columns), "x": np.tile(x, rows)}
        parts.append(pd.DataFrame({"channel": name, **at, "light": light.ravel()}))
    return pd.concat(parts)


def profile_figure(profiles: Mapping[str, np.ndarray]) -> Figure:
    """Each channel's profile as a map with its own contours."""
    columns = min(len(profiles), _IN_A_ROW)
    rows = -(-len(profiles) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.0 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.flat[len(profiles) :]:
        axis.remove()
    lowest = min(float(profile.min()) for profile in profiles.values())
    highest = max(float(profile.max()) for profile in profiles.values())
    for axis, (name, profile) in zip(axes.flat, profiles.items()):
        shown = axis.imshow(profile, vmin=lowest, vmax=highest, cmap="cividis")
        axis.set_title(f"{name}: {profile.min():.2f} to {profile.max():.2f}", fontsize=9)
        axis.set_axis_off()
    figure.colorbar(shown, ax=list(axes.flat[: len(profiles)]), shrink=0.8)
    return figure
