"""Colours that mean something, each written once: channels, states of cells, kinds of puncta.

States and kinds are of Okabe and Ito's palette (jfly.uni-koeln.de/color), which stays distinct under colour blindness.
"""

from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np

RGB = tuple[int, int, int]

# Channels as the dataset's composites have them; or with an overlap that is white and no need to tell red from green.
DATASET: dict[str, RGB] = {
    "mRFP": (255, 0, 0),
    "EGFP": (0, 255, 0),
    "DNA": (70, 120, 255),
    "transmitted": (130, 130, 130),
}
SAFE: dict[str, RGB] = DATASET | {"mRFP": (255, 0, 255)}
_FREE: tuple[RGB, ...] = ((255, 255, 255), (0, 255, 255), (255, 160, 0), (255, 0, 255))
_PICTURE: tuple[RGB, ...] = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

STATES = {"basal": "#56B4E9", "fed": "#56B4E9", "activated": "#E69F00", "unfed": "#E69F00"}
KINDS = {"yellow": "#F0E442", "red_only": "#CC79A7", "green_only": "#56B4E9"}
# Okabe and Ito's palette (jfly.uni-koeln.de/color), which stays distinct under all common colour blindness, but for its
# black: seven colours go with eight shapes, so that a colour that comes back has another shape.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
# Besides colour, every unit and treatment has its marker: the figures survive a grey printer.
MARKERS = ("o", "s", "^", "D", "v", "h", "*", "P")
TREATMENT_COLOURS = {"fed": "#0072B2", "starved": "#D55E00"}
# Outlines of cells of which nothing is told.
EDGE = "#FFFFFF"
# Those of cells that were edited by hand.
EDITED = "#CC79A7"


def colours_of(channels: Sequence[str], safe: bool = True) -> list[RGB]:
    """A colour for each channel, by its role, a free one where it has none; a single channel is grey.

    >>> colours_of(["EGFP", "marker:LAMP1"])
    [(0, 255, 0), (255, 255, 255)]
    """
    if len(channels) == 1:
        return [(255, 255, 255)]
    if len(channels) == 3 and not set(channels) & {*DATASET}:
        return list(_PICTURE)
    free, known = iter(_FREE * len(channels)), SAFE if safe else DATASET
    return [known.get(name) or next(free) for name in channels]


def rgb(colour: str) -> RGB:
    """Red, green and blue of a colour that is written as #RRGGBB.

    >>> rgb("#F0E442")
    (240, 228, 66)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def scale_of(values: Iterable[float]) -> tuple[float, float]:
    """Low and high end of a scale of colours: the 2 % and 98 % of `values`; of none 0 and 1.

    One value has a place on its scale too, and so have means of the same number, which differ by what rounding does.

    >>> scale_of([5.0, 5.0]), scale_of([np.nan, 3.0, 4.0])
    ((4.75, 5.25), (3.02, 3.98))
    """
    known = np.asarray(list(values), np.float64)
    known = known[np.isfinite(known)]
    low, high = map(float, np.percentile(known, (2, 98)) if known.size else (0.0, 1.0))
    around = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else (abs(low) or 1.0) / 20
    return low - around, high + around


def treatment_colours(treatments: Sequence[str]) -> dict[str, str]:
    """A fixed colour for fed and starved, and the palette's others, again and again, for any others."""
    fixed = {TREATMENT_COLOURS[name] for name in treatments if name in TREATMENT_COLOURS}
    free = cycle(colour for colour in PALETTE if colour not in fixed)
    return {name: TREATMENT_COLOURS.get(name) or next(free) for name in treatments}


def treatment_looks(
    drawn: Sequence[str], page: Sequence[str] = (), markers: Sequence[str] = MARKERS
) -> dict[str, tuple[str, str]]:
    """Colour and marker of each treatment: by its place in those of the `page`, so that all its figures agree.

    >>> treatment_looks(["EBSS"], ["DMSO", "EBSS"])["EBSS"] == treatment_looks(["DMSO", "EBSS"])["EBSS"]
    True
    """
    every = list(dict.fromkeys([*page, *drawn]))
    colours = treatment_colours(every)
    return {name: (colours[name], markers[k % len(markers)]) for k, name in enumerate(every)}


def unit_looks(units: Sequence[str], markers: Sequence[str] = MARKERS) -> dict[str, tuple[str, str]]:
    """Colour and marker of each well or replicate."""
    return {name: (PALETTE[k % len(PALETTE)], markers[k % len(markers)]) for k, name in enumerate(units)}
