"""Arrays to what the page draws: channels in their colours, a scale bar."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellular.report.colours import KINDS

# The part of a field's width that a scale bar takes at most.
BAR = 0.25
# How much more than is seen is read, so that panning meets it.
MARGIN = 0.5
# What is seen from top to bottom, px at least, and times the whole field at most: numbers end, and wheels do not.
CLOSEST, FARTHEST = 4.0, 8.0


def compose(
    planes: Sequence[np.ndarray], ranges: Sequence[tuple[float, float]], colours: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """(h, w) uint32 RGBA of `planes` (h, w), each from dark to its colour between the two levels of its range.

    >>> hex(compose([np.array([[0, 50, 200]])], [(0, 100)], [(255, 0, 0)])[0, 1])
    '0xff00007f'
    """
    total = np.zeros((*planes[0].shape, 3), np.float32)
    for plane, (low, high), colour in zip(planes, ranges, colours):
        light = ((plane.astype(np.float32) - low) / max(high - low, 1e-9)).clip(0, 1)
        total += np.nan_to_num(light)[..., None] * np.asarray(colour, np.float32)
    picture = np.full((*total.shape[:2], 4), 255, np.uint8)
    picture[..., :3] = total.clip(0, 255)
    return picture.view(np.uint32)[..., 0]


def contrast(plane: np.ndarray) -> tuple[float, float]:
    """Levels at which a plane is drawn dark and full: the 1 % and 99.5 % of what is a number in it.

    >>> contrast(np.array([[np.nan, 5.0], [np.inf, 5.0]]))
    (5.0, 5.000001)
    """
    known = plane[np.isfinite(plane)]
    low, high = np.percentile(known, (1, 99.5)) if known.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def whole(shape: tuple[int, int], aspect: float) -> float:
    """What is seen from top to bottom, px, of a field (Y, X) seen whole in a frame `aspect` times as wide as high."""
    return max(float(shape[0]), shape[1] / aspect)


def looked_at(
    x: float, y: float, height: float, shape: tuple[int, int], aspect: float
) -> tuple[dict[str, float], dict[str, float]]:
    """What axes x and y are to be where `height` px, within limits, are seen about a place of a field `shape` (Y, X).

    >>> looked_at(50.0, 50.0, 0.001, (100, 100), 2.0)[0]
    {'start': 46.0, 'end': 54.0, 'min_interval': 8.0, 'max_interval': 1600.0}
    """
    most = whole(shape, aspect)
    least, most = min(CLOSEST, most), most * FARTHEST
    half = min(max(height, least), most) / 2
    wide = {"start": x - half * aspect, "end": x + half * aspect}
    limits = {"min_interval": least, "max_interval": most}
    across = {name: limit * aspect for name, limit in limits.items()}
    return wide | across, {"start": y + half, "end": y - half} | limits


def to_read(low: float, high: float, size: int, step: int) -> tuple[int, int]:
    """What to read, from and to, of a side of `size` px of which low to high is seen: more, on a grid of the step.

    >>> to_read(100.0, 200.0, 1000, 1), to_read(-10.0, 30.0, 35, 1)
    ((50, 250), (0, 35))
    """
    more, grid = (high - low) * MARGIN, max(step, int(high - low) // 4)
    first, last = (low - more) // grid * grid, -(-(high + more) // grid) * grid
    return int(np.clip(first, 0, size)), int(np.clip(last, 0, size))


def scale_bar(left: float, right: float, bottom: float, pixel_size_um: float | None) -> dict[str, list]:
    """Columns ``x0``, ``x1``, ``y`` (px) and ``text`` of the bar in the corner of what is seen; in px without a size.

    >>> scale_bar(0.0, 1000.0, 800.0, 0.5)
    {'x0': [30.0], 'x1': [230.0], 'y': [770.0], 'text': ['100 µm']}
    """
    width, size = right - left, pixel_size_um or 1.0
    length = bar_length(width * size)
    x, text = left + 0.03 * width, f"{length:g} {'µm' if pixel_size_um else 'px'}"
    return {"x0": [x], "x1": [x + length / size], "y": [bottom - 0.03 * width], "text": [text]}


def bar_length(width_um: float) -> float:
    """Length of a scale bar, um: the longest of 1, 2, 5, 10, ... that takes at most :data:`BAR` of `width_um`.

    >>> bar_length(100.0), bar_length(210.0)
    (20.0, 50.0)
    """
    most = width_um * BAR
    decade = 10.0 ** np.floor(np.log10(most))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= most))


def spots(puncta: pd.DataFrame | None) -> dict[str, list]:
    """Columns ``x``, ``y`` (px, 0 where the picture begins), ``kind`` and ``colour`` of puncta; empty for None."""
    mine = pd.DataFrame({"x": [], "y": []}) if puncta is None else puncta
    kinds = mine["kind"].tolist() if "kind" in mine else [""] * len(mine)
    x, y = ((mine[axis] + 0.5).tolist() for axis in "xy")
    return {"x": x, "y": y, "kind": kinds, "colour": [KINDS.get(kind, "#FFFFFF") for kind in kinds]}


def ramp(values: pd.Series, palette: Sequence[str]) -> list[str]:
    """A colour for each number, from the 2 % to the 98 % of them; grey for none, and for what is infinite."""
    known = values.astype(float).replace([np.inf, -np.inf], np.nan)
    low, high = np.nanpercentile(known, (2, 98)) if known.notna().any() else (0, 1)
    place = ((known - low) / max(high - low, 1e-12)).clip(0, 1) * (len(palette) - 1)
    return ["#999999" if value != value else palette[int(value)] for value in place]
