"""Colours that mean something, each written once: channels, states of cells, kinds of puncta.

States and kinds are of Okabe and Ito's palette (jfly.uni-koeln.de/color), which stays distinct under colour blindness.
"""

from collections.abc import Sequence

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
