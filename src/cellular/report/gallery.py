"""Cells to look at: the median, the extreme and random ones of each condition, with what was counted drawn in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cellular.report.autophagy import circle_puncta
from cellular.report.outlines import NUCLEUS, PLAIN, labels_at, only_numbers

_WORDS_OF_ALL = (
    "Cells of each condition, chosen by number and not by eye: those nearest to the median, the lowest, the highest "
    "and some at random. The upper row is the image, all conditions at one brightness; in the lower one the cell and "
    "its nuclei are outlined, and the puncta that were counted have circles."
)
# Cells of each sort in a strip, in the order they stand there.
SORTS = {"median": 2, "lowest": 2, "highest": 2, "random": 3}
# Side of a cell in the strip, px, the gap between two, and the room for words over them.
_SIDE, _GAP, _WORDS = 150, 4, 18


@dataclass(frozen=True)
class Gallery:
    """Strips of cells, a condition each.

    Attributes
    ----------
    strips : the pictures by caption. conditions : of how many conditions there are cells to show.
    """

    strips: Mapping[str, Path] = field(default_factory=dict)
    conditions: int = 0

    @property
    def words(self) -> str:
        """What the strips show, and of how many conditions."""
        left = self.conditions - len(self.strips)
        return _WORDS_OF_ALL + (
            f" Shown are the first {len(self.strips)} of {self.conditions} conditions, by name." if left else ""
        )


@dataclass(frozen=True)
class CellPicture:
    """A cell cut out of its field.

    Attributes
    ----------
    pixels : (h, w, 3) of the field's colours, in the image's own levels.
    cell, nuclei : (h, w) label images of this cell alone, and of its nuclei (None where they are not known).
    puncta : those of the cell.
    y0, x0 : where the cut begins in the field, px.
    """

    pixels: np.ndarray
    cell: np.ndarray
    nuclei: np.ndarray | None
    puncta: pd.DataFrame
    y0: int
    x0: int


def choose_cells(cells: pd.DataFrame, feature: str, seed: int = 0) -> pd.DataFrame:
    """Rows of `cells` for a strip, with the column ``sort``: as many of each sort as :data:`SORTS` says, none twice.

    Cells at the image's border and without a value of `feature` are left out. Median cells are those nearest to it.
    """
    whole = cells[~cells["touches_border"].astype(bool) & cells[feature].notna()]
    ordered = whole.sort_values([feature, "field", "label"], kind="stable")
    away = (ordered[feature].astype(float) - ordered[feature].astype(float).median()).abs()
    picked = {
        "median": away.sort_values(kind="stable").index[: SORTS["median"]],
        "lowest": ordered.index[: SORTS["lowest"]],
        "highest": ordered.index[::-1][: SORTS["highest"]],
        "random": np.random.default_rng(seed).permutation(ordered.index),
    }
    rows: dict[object, str] = {}
    for sort, found in picked.items():
        fresh = [index for index in found if index not in rows]
        rows |= dict.fromkeys(fresh[: SORTS[sort]], sort)
    return ordered.loc[list(rows)].assign(sort=list(rows.values()))


def cut_cell(
    pixels: np.ndarray, labels: np.ndarray, label: int, side: int, puncta: pd.DataFrame, nuclei: np.ndarray | None
) -> CellPicture:
    """The square of `side` px about a cell of a field (Y, X, 3), moved inwards at the image's border."""
    rows, columns = np.nonzero(labels == label)
    corner = []
    for values, length in zip((rows, columns), labels.shape):
        middle = (int(values.min()) + int(values.max()) + 1) // 2
        corner.append(max(0, min(middle - side // 2, length - side)))
    window = tuple(slice(start, start + side) for start in corner)
    own = np.where(labels[window] == label, labels[window], 0)
    mine = None if nuclei is None else np.where(own > 0, nuclei[window], 0)
    return CellPicture(only_numbers(pixels[window]), own, mine, puncta[puncta["label"] == label], *corner)


def brightness(pictures: Sequence[CellPicture]) -> tuple[np.ndarray, np.ndarray]:
    """Levels of black and white by colour (3,), for all pictures alike.

    Of each picture 1 % and 99.7 % of its pixels, and of those over all pictures the median and the 80 % quantile: one
    saturated field must not darken all others.
    """
    each = np.stack([np.percentile(picture.pixels.reshape(-1, 3), (1, 99.7), axis=0) for picture in pictures])
    low, high = np.median(each[:, 0], axis=0), np.quantile(each[:, 1], 0.8, axis=0)
    return low, np.maximum(high, low + 1e-9)


def strip(pictures: Sequence[CellPicture], words: Sequence[str], levels: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The pictures side by side as RGB, plain above and drawn over below, `words` over each."""
    step = _SIDE + _GAP
    image = np.full((_WORDS + 2 * step, len(pictures) * step, 3), 255, np.uint8)
    for column, (picture, text) in enumerate(zip(pictures, words)):
        left = slice(column * step, column * step + _SIDE)
        cv2.putText(image, text, (left.start, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
        plain = _shown(picture, levels)
        image[_WORDS : _WORDS + _SIDE, left] = plain
        image[_WORDS + step : _WORDS + step + _SIDE, left] = _drawn(picture, plain)
    return image


def _shown(picture: CellPicture, levels: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The pixels as 8-bit RGB, `_SIDE` px a side."""
    low, high = levels
    scaled = (255 * ((picture.pixels - low) / (high - low)).clip(0, 1)).astype(np.uint8)
    return cv2.resize(scaled, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)


def _drawn(picture: CellPicture, plain: np.ndarray) -> np.ndarray:
    """The picture with outlines and circles."""
    image, scale = plain.copy(), _SIDE / picture.cell.shape[0]
    for labels, colour in ((picture.nuclei, NUCLEUS), (picture.cell, PLAIN)):
        if labels is not None:
            large = labels_at(labels, (_SIDE, _SIDE))
            image[(large > 0) & (cv2.erode(large, np.ones((3, 3), np.uint8)) != large)] = colour
    circle_puncta(image, picture.puncta, scale, picture.y0, picture.x0)
    return image


def captions(strips: Mapping[str, int], feature: str) -> dict[str, str]:
    """A caption of each condition's strip, from its number of cells."""
    return {
        name: f"{name}: {count:,} cells whole in the image, chosen by {feature}, whose value is over each."
        for name, count in strips.items()
    }
