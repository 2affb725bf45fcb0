"""Every column that `cellular measure`, `classify` and `quality` write: its unit, its type, one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cellular.autophagy.measure.unmix import REPORTER


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "1" for pure numbers and "" for text; "level" is a camera count or grey level."""

    unit: str
    dtype: str
    meaning: str


def _of_reporter(columns: dict[str, Column]) -> dict[str, Column]:
    """`{feature}__{channel}` of :data:`PATTERNS` for both channels of the reporter, which most tables have."""
    return {
        f"{feature}__{channel}": replace(column, meaning=column.meaning.format(channel=channel))
        for channel in REPORTER
        for feature, column in columns.items()
    }


_NAMES = {
    "field": Column("", "str", "Name of the field of view."),
    "label": Column("", "int64", "Value of the cell in the field's label image."),
}
_PLACE = {
    "y": Column("px", "float64", "Row of the centroid, pixel centres at whole numbers."),
    "x": Column("px", "float64", "Column of the centroid, pixel centres at whole numbers."),
}

SHAPE = {
    **_PLACE,
    "area": Column("px²", "int64", "Pixels of the cell."),
    "perimeter": Column("px", "float64", "Length of the outline through border pixels' centres, as in scikit-image."),
    "eccentricity": Column("1", "float64", "Of the ellipse with equal second moments: 0 = circle, towards 1 = line."),
    "solidity": Column("1", "float64", "Pixels of the cell over pixels of its convex hull."),
    "extent": Column("1", "float64", "Area over the area of the bounding box."),
    "major_axis": Column("px", "float64", "Long axis of the ellipse with the same second moments."),
    "minor_axis": Column("px", "float64", "Short axis of the ellipse with the same second moments."),
    "orientation": Column("rad", "float64", "Angle of the long axis from the vertical, -pi/2 to pi/2."),
    "circularity": Column("1", "float64", "4 pi area over squared perimeter, at most 1 (a circle)."),
    "touches_border": Column("", "bool", "The cell touches the image's border: its shape and sums are cut short."),
}
_LIGHT = {
    "mean": Column("level", "float64", "Mean {channel} of the cell, the field's background subtracted."),
    "median": Column("level", "float64", "Median {channel} of the cell, background subtracted."),
    "integrated": Column("level px²", "float64", "Sum of {channel} over the cell, background subtracted."),
    "upper": Column("level", "float64", "99 % quantile of {channel} in the cell, background subtracted."),
    "deviation": Column("level", "float64", "Standard deviation of {channel} over the cell's pixels."),
    "saturated": Column("1", "float64", "Share of the cell's pixels that are saturated in {channel}."),
}
INTENSITY = {
    **_of_reporter(_LIGHT),
    "saturated": Column(
        "", "bool", "Some pixel of the cell is saturated in the reporter (in any channel without one): too low."
    ),
}
RATIO = {
    "log2_ratio": Column(
        "1",
        "float64",
        "log2 of mean mRFP over mean EGFP: higher where more of the reporter is acidified; NaN where either mean is "
        "not above the field's noise.",
    )
}
COLOCALISATION = {
    "pearson": Column("1", "float64", "Pearson correlation of mRFP and EGFP over the cell's pixels."),
    "manders_m1": Column(
        "1", "float64", "Share of mRFP in pixels whose EGFP is over 15 % of the cell's maximum (as CellProfiler)."
    ),
    "manders_m2": Column(
        "1", "float64", "Share of EGFP in pixels whose mRFP is over 15 % of the cell's maximum (as CellProfiler)."
    ),
}
_OF_PUNCTA = {
    "puncta_mean_contrast": Column("level", "float64", "Mean {channel} contrast of the puncta; NaN without any.")
}
COUNTS = {
    "puncta_total": Column("1", "int64", "Puncta of any kind in the cell at this moment; a count, not flux."),
    "puncta_yellow": Column("1", "int64", "Yellow puncta: mRFP and EGFP, not acidified, so autophagosomes."),
    "puncta_red_only": Column("1", "int64", "Red-only puncta: EGFP quenched in acid, so autolysosomes."),
    "puncta_green_only": Column("1", "int64", "Green-only puncta: EGFP without mRFP; rare, often artefacts."),
    "puncta_area_fraction": Column("1", "float64", "Area of all puncta over the cell's area, at most 1."),
    "puncta_density": Column("1/1000 px²", "float64", "Puncta per 1000 square pixels of cell."),
    "red_only_fraction": Column(
        "1",
        "float64",
        "(red-only + 0.5) / (red-only + yellow + 1): the pseudocounts pull few puncta towards one half; NaN where the "
        "cell has neither.",
    ),
    "puncta_mean_sigma": Column("px", "float64", "Mean sigma of the cell's puncta; NaN without any."),
    **_of_reporter(_OF_PUNCTA),
}
CELLS = {**_NAMES, **SHAPE, **INTENSITY, **RATIO, **COLOCALISATION, **COUNTS}

_OF_PUNCTUM = {
    "contrast": Column("level", "float64", "Peak of {channel} above the punctum's surroundings."),
    "background": Column("level", "float64", "{channel} around the punctum, over the field's background."),
}
PUNCTA = {
    "field": _NAMES["field"],
    "label": Column("", "int64", "The cell that the punctum lies in."),
    "kind": Column(
        "", "str", "yellow, red_only or green_only, by the contrasts in the two channels; without both, the channel."
    ),
    "y": Column("px", "float64", "Row of the centre, sub-pixel, pixel centres at whole numbers."),
    "x": Column("px", "float64", "Column of the centre, sub-pixel, pixel centres at whole numbers."),
    "sigma": Column("px", "float64", "Standard deviation of the Gaussian that the spot resembles, blur included."),
    "area": Column("px²", "float64", "Area of the disc of radius sqrt(2) sigma, 2 pi sigma squared."),
    **_of_reporter(_OF_PUNCTUM),
    "snr": Column("1", "float64", "Response over that of its surroundings, in the channel it was found in."),
}

_OF_IMAGE = {
    "background": Column("level", "float64", "Median {channel} off the cells; subtracted from intensities."),
    "noise": Column("level", "float64", "Robust standard deviation of {channel} off the cells."),
    "transmitted_share": Column(
        "1", "float64", "Multiple of transmitted light taken off {channel} of a composite; 0 for raw."
    ),
}
IMAGES = {
    "field": _NAMES["field"],
    "date": Column("YYMMDD", "str", "Date of acquisition, from names of files or folders."),
    "plate": Column("", "str", "Plate, from names of files or folders."),
    "well": Column("", "str", "Well, as in A01."),
    "site": Column("", "int64", "Position inside the well."),
    "timepoint": Column("", "int64", "Number of the image in its time series."),
    "treatment": Column("", "str", "What the plate map says that the well was given."),
    "height": Column("px", "int64", "Rows of the image."),
    "width": Column("px", "int64", "Columns of the image."),
    "pixel_size_um": Column("um/px", "float64", "Size of a pixel, as given or from the file; NaN where neither says."),
    "source": Column("", "str", "raw channels or composite."),
    "cells": Column("1", "int64", "Cells measured."),
    "puncta": Column("1", "int64", "Puncta found in them."),
    **_of_reporter(_OF_IMAGE),
}

STATE = {
    "state": Column("", "str", "basal or activated, whichever is more probable; or Unidentified as a class."),
    "probability_activated": Column("1", "float64", "Calibrated, that the cell is activated; 1 or 0 if told by hand."),
    "state_by_hand": Column("", "bool", "The state was told by hand (--corrections); no such column where none was."),
    "state_model": Column("", "str", "What the model said, whether or not the state was told by hand."),
    "probability_activated_model": Column("1", "float64", "The model's probability, also of cells told by hand."),
}

_OF_PLANE = {
    "power_slope": Column(
        "1", "float64", "Slope of log power of {channel} against log frequency (CellProfiler's PowerLogLogSlope)."
    ),
    "sharpness": Column(
        "1", "float64", "1 - autocovariance of {channel} 2 px on over that 1 px on (after Vollath's F4)."
    ),
    "saturated": Column("1", "float64", "Share of the field's pixels that are saturated in {channel}."),
    "background": Column("level", "float64", "Most common level of {channel}: that of the ground between cells."),
    "background_range": Column(
        "level", "float64", "Brightest less darkest part of a bowl fitted to the background of {channel}."
    ),
    "noise": Column("level", "float64", "Robust standard deviation of {channel} in a pixel of the background."),
    "signal": Column("level", "float64", "99 % quantile of {channel} in the field less its background."),
    "debris": Column(
        "1", "float64", "Share of the ground off the cells brighter in {channel} than nine tenths of their pixels."
    ),
}
QUALITY = {
    "field": Column("", "str", "Name of the field of view."),
    "date": Column("YYMMDD", "str", "Date of acquisition."),
    "plate": Column("", "str", "Plate; fields are judged against others of their plate."),
    "well": Column("", "str", "Well, as in A01."),
    "site": Column("", "int64", "Position inside the well."),
    "timepoint": Column("", "int64", "Number of the image in its time series."),
    "cells": Column("1", "int64", "Cells outlined; missing where none were sought."),
    "flagged": Column("", "bool", "Something sets the field apart from its plate."),
    "reasons": Column("", "str", "What that is, in words; empty for a field that is not flagged."),
}

TABLES = {"cells": CELLS, "puncta": PUNCTA, "images": IMAGES, "quality": QUALITY}

# Further columns: not what states are told by, or there only with DNA, a threshold, or a reporter of mitophagy.
_NUCLEUS_DISTANCE = "To the nearest pixel of the cell's own nuclei, 0 inside; NaN in a cell without one."
OPTIONAL = {
    "cells": {
        "puncta_area": Column("px²", "float64", "Area of all puncta of the cell together."),
        "puncta_area_yellow": Column("px²", "float64", "Area of the yellow puncta together."),
        "puncta_area_red_only": Column("px²", "float64", "Area of the red-only puncta together."),
        "puncta_area_green_only": Column("px²", "float64", "Area of the green-only puncta together."),
        "puncta_per_level": Column(
            "1/level",
            "float64",
            "Puncta over the cell's mean of the reporter, mRFP where it is there (EGFP dims in acid): cells that "
            "express more show more. NaN where the mean is not above the field's noise.",
        ),
        "nuclei": Column("1", "int64", "Nuclei of the cell."),
        "nuclei_flagged": Column("", "bool", "The cell has no nucleus, or more than one: look whether it is one cell."),
        "nucleus_area": Column(
            "px²", "int64", "Pixels of the cell's nuclei together, also where they stand out of it."
        ),
        "nucleus_share": Column("1", "float64", "Pixels of the cell that are nucleus, over all its pixels."),
        "puncta_nucleus_distance": Column("px", "float64", "Mean of the puncta's nucleus_distance; NaN without any."),
        "puncta_many": Column("1", "int64", "1 in a cell with --many_puncta or more, else 0: its mean is their share."),
        "mitolysosomes": Column("1", "int64", "mito-QC: connected patches (8 neighbours) of acid mitochondria."),
        "mitolysosome_area": Column("px²", "int64", "mito-QC: pixels of acid mitochondria, by ratio and by red light."),
        "mitolysosome_share": Column("1", "float64", "mito-QC: mitolysosome_area over the cell's area."),
        "keima_ratio": Column("1", "float64", "mt-Keima: sum of Keima-acid over sum of Keima-neutral on mitochondria."),
        "mitochondria_area": Column("px²", "int64", "mt-Keima: pixels of mitochondria, well above the field's noise."),
        "acid_area": Column("px²", "int64", "mt-Keima: pixels of mitochondria whose ratio is at least --keima_ratio."),
        "acid_share": Column("1", "float64", "mt-Keima: acid_area over mitochondria_area; NaN without mitochondria."),
    },
    "puncta": {"nucleus_distance": Column("px", "float64", _NUCLEUS_DISTANCE)},
    "images": {
        "nuclei_found": Column("1", "int64", "Nuclei found."),
        "nuclei_without_cell": Column("1", "int64", "Nuclei that lie by less than half in a single cell."),
        "cells_without_nucleus": Column("1", "int64", "Cells without a nucleus, those at the image's border included."),
        "cells_with_more_nuclei": Column("1", "int64", "Cells with two nuclei or more."),
        "marker_puncta": Column("1", "int64", "Puncta found in the markers' channels."),
        "puncta_many_share": Column("1", "float64", "Share of the field's cells with --many_puncta or more."),
        "cells_edited": Column("1", "int64", "Cells that were drawn or changed by hand (--corrections)."),
        "cells_deleted": Column("1", "int64", "Cells of the segmentation that were deleted, merged or split by hand."),
    },
    "nuclei": {
        "field": _NAMES["field"],
        "nucleus": Column(
            "", "int64", "Value of the nucleus in the label image of nuclei: its cell's, or a further one."
        ),
        "label": Column("", "int64", "The cell that holds more than half of it; 0 for none."),
        **_PLACE,
        "area": Column("px²", "int64", "Pixels of the nucleus."),
        "eccentricity": SHAPE["eccentricity"],
        "solidity": replace(SHAPE["solidity"], meaning="Pixels of the nucleus over pixels of its convex hull."),
        "touches_border": Column("", "bool", "The nucleus touches the image's border."),
    },
    "quality": {
        "channel_shift_y": Column(
            "px",
            "float64",
            "How far EGFP lies below mRFP, by what both show; Keima's second excitation below its first.",
        ),
        "channel_shift_x": Column("px", "float64", "How far it lies to the right."),
        "channel_agreement": Column(
            "1",
            "float64",
            "Correlation of the two where they lie on each other best.",
        ),
        "outline_agreement": Column(
            "1",
            "float64",
            "Correlation of cells and light as they lie, over that where they lie on each other best: near 1 where the "
            "outlines are this field's, near 0 where they are another's, turned or mirrored.",
        ),
    },
    "marker_puncta": {
        **{name: PUNCTA[name] for name in ("field", "label")},
        "channel": Column("", "str", "The marker."),
        **{name: PUNCTA[name] for name in ("y", "x", "sigma", "area")},
        "contrast": Column("level", "float64", "Peak above the punctum's surroundings."),
        "background": Column("level", "float64", "Light around the punctum, over the field's background."),
        "snr": Column("1", "float64", "Response over that of its surroundings."),
    },
}

# Columns of every channel: feature__CHANNEL, and of two, feature__CHANNEL__OTHER; in the sentences {channel}, {other}.
_SHIFTED = "the same with the puncta moved about inside their cells: what chance alone gives"
PATTERNS = {
    "cells": {
        **_LIGHT,
        **_OF_PUNCTA,
        "puncta": Column("1", "int64", "Puncta of {channel} in the cell."),
        "puncta_area": Column("px²", "float64", "Area of the puncta of {channel} together."),
        "nucleus_mean": Column("level", "float64", "Mean {channel} of the cell's pixels in nuclei; NaN without any."),
        "nucleus_integrated": Column("level px²", "float64", "Sum of {channel} over the cell's pixels in nuclei."),
        "cytoplasm_mean": Column("level", "float64", "Mean {channel} of the cell's other pixels; NaN without any."),
        "nuclear_ratio": Column(
            "1", "float64", "nucleus_mean over cytoplasm_mean of {channel}; NaN if one is no light."
        ),
        **{
            f"{kind}_{what}": Column("1", "float64", f"Share of {words} puncta that {meaning}; NaN without any.")
            for kind, words in (("puncta", "all"), ("yellow", "yellow"), ("red_only", "red-only"))
            for what, meaning in (
                ("positive", "lie in a punctum of {channel}"),
                ("chance", "lie in one of {channel} by chance: " + _SHIFTED),
            )
        },
        "pearson": Column("1", "float64", "Pearson correlation of {channel} and {other} over the cell's pixels."),
        "manders_m1": Column("1", "float64", "Share of {channel} in pixels whose {other} is over 15 % of the maximum."),
        "manders_m2": Column("1", "float64", "Share of {other} in pixels whose {channel} is over 15 % of the maximum."),
    },
    "puncta": {
        **_OF_PUNCTUM,
        "positive": Column("", "bool", "The centre lies in a punctum of {channel}: within sqrt(2) of its sigmas."),
        "chance": Column(
            "1", "float64", "Share of eight places beside it, in the same cell, that lie in one of {channel}."
        ),
    },
    "images": _OF_IMAGE,
    "quality": _OF_PLANE,
    "nuclei": {
        "mean": Column("level", "float64", "Mean {channel} of the nucleus, the field's background subtracted."),
        "integrated": Column("level px²", "float64", "Sum of {channel} over the nucleus, background subtracted."),
    },
}

# Lengths and areas once more where the pixel size is known: the column, and the power of the pixel size.
_MICROMETRES = {
    "cells": {
        **{"area": 2, "perimeter": 1, "major_axis": 1, "minor_axis": 1, "puncta_mean_sigma": 1},
        **{"puncta_area": 2, "nucleus_area": 2, "puncta_nucleus_distance": 1},
    },
    "puncta": {"sigma": 1, "area": 2, "nucleus_distance": 1},
    "nuclei": {"area": 2},
    "marker_puncta": {"sigma": 1, "area": 2},
}
_POWERS = {1: "_um", 2: "_um2"}
IN_MICROMETRES = {
    table: {
        name + _POWERS[power]: Column(
            _POWERS[power][1:].replace("2", "²"), "float64", f"The same as {name}, where the pixel size is known."
        )
        for name, power in columns.items()
    }
    for table, columns in _MICROMETRES.items()
}


def in_micrometres(table: str, values: Mapping[str, np.ndarray], pixel_size_um: float | None) -> dict[str, np.ndarray]:
    """The columns of :data:`IN_MICROMETRES` of those in px that are there; `pixel_size_um` in um, none without it."""
    return {
        name + _POWERS[power]: np.asarray(values[name], float) * pixel_size_um**power
        for name, power in _MICROMETRES[table].items()
        if pixel_size_um and name in values
    }


@cache
def describe(table: str, name: str) -> Column | None:
    """What documents a column of a table; None for one that is not ours.

    >>> describe("cells", "mean__LAMP1").meaning
    "Mean LAMP1 of the cell, the field's background subtracted."
    """
    for columns in (TABLES, OPTIONAL, IN_MICROMETRES, {"cells": STATE}):
        if name in columns.get(table, {}):
            return columns[table][name]
    if name in _ABOUT_FIELDS:
        return IMAGES[name]
    feature, *channels = name.split("__")
    pattern = PATTERNS.get(table, {}).get(feature)
    if pattern is None or len(channels) != 1 + ("{other}" in pattern.meaning):
        return None
    return replace(pattern, meaning=pattern.meaning.format(channel=channels[0], other=channels[-1]))


# What tells of an image as a whole, not of a cell nor of what a well was given.
OF_IMAGES = frozenset({*IMAGES, *OPTIONAL["images"]})
_ABOUT_FIELDS = {"field", "label", "date", "plate", "well", "site", "timepoint", "treatment"}
# What no column of a plate map may be called.
MEASURED = (
    frozenset(
        {name for tables in (TABLES, OPTIONAL, IN_MICROMETRES) for columns in tables.values() for name in columns}
        | set(STATE)
    )
    - _ABOUT_FIELDS
)
