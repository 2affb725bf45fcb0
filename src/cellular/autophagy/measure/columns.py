"""Every column that `cellular measure` and `cellular classify` write: its unit, its type, one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellular.autophagy.measure.unmix import REPORTER


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "1" for pure numbers and "" for text; "level" is a camera count or grey level."""

    unit: str
    dtype: str
    meaning: str


def _per_channel(columns: dict[str, Column]) -> dict[str, Column]:
    """`{feature}__{channel}` for both channels; "{channel}" in the sentence is filled in."""
    return {
        f"{feature}__{channel}": Column(c.unit, c.dtype, c.meaning.format(channel=channel))
        for channel in REPORTER
        for feature, c in columns.items()
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
INTENSITY = {
    **_per_channel(
        {
            "mean": Column("level", "float64", "Mean {channel} of the cell, the field's background subtracted."),
            "median": Column("level", "float64", "Median {channel} of the cell, background subtracted."),
            "integrated": Column("level px²", "float64", "Sum of {channel} over the cell, background subtracted."),
            "upper": Column("level", "float64", "99 % quantile of {channel} in the cell, background subtracted."),
            "deviation": Column("level", "float64", "Standard deviation of {channel} over the cell's pixels."),
            "saturated": Column("1", "float64", "Share of the cell's pixels that are saturated in {channel}."),
        }
    ),
    "saturated": Column("", "bool", "Some pixel of the cell is saturated in mRFP or EGFP: intensities are too low."),
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
    **_per_channel(
        {"puncta_mean_contrast": Column("level", "float64", "Mean {channel} contrast of the puncta; NaN without any.")}
    ),
}
CELLS = {**_NAMES, **SHAPE, **INTENSITY, **RATIO, **COLOCALISATION, **COUNTS}

PUNCTA = {
    "field": _NAMES["field"],
    "label": Column("", "int64", "The cell that the punctum lies in."),
    "kind": Column("", "str", "yellow, red_only or green_only, by the contrasts in the two channels."),
    "y": Column("px", "float64", "Row of the centre, sub-pixel, pixel centres at whole numbers."),
    "x": Column("px", "float64", "Column of the centre, sub-pixel, pixel centres at whole numbers."),
    "sigma": Column("px", "float64", "Standard deviation of the Gaussian that the spot resembles, blur included."),
    "area": Column("px²", "float64", "Area of the disc of radius sqrt(2) sigma, 2 pi sigma squared."),
    **_per_channel(
        {
            "contrast": Column("level", "float64", "Peak of {channel} above the punctum's surroundings."),
            "background": Column("level", "float64", "{channel} around the punctum, over the field's background."),
        }
    ),
    "snr": Column("1", "float64", "Response over that of its surroundings, in the channel it was found in."),
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
    **_per_channel(
        {
            "background": Column("level", "float64", "Median {channel} off the cells; subtracted from intensities."),
            "noise": Column("level", "float64", "Robust standard deviation of {channel} off the cells."),
            "transmitted_share": Column(
                "1", "float64", "Multiple of transmitted light taken off {channel} of a composite; 0 for raw."
            ),
        }
    ),
}

STATE = {
    "state": Column("", "str", "basal or activated, whichever is more probable; or Unidentified as a class."),
    "probability_activated": Column("1", "float64", "Calibrated probability that the cell's autophagy is activated."),
}

TABLES = {"cells": CELLS, "puncta": PUNCTA, "images": IMAGES}

# Lengths and areas once more where the pixel size is known: the column, and the power of the pixel size.
_MICROMETRES = {
    "cells": {"area": 2, "perimeter": 1, "major_axis": 1, "minor_axis": 1, "puncta_mean_sigma": 1},
    "puncta": {"sigma": 1, "area": 2},
}
IN_MICROMETRES = {
    table: {
        f"{name}_um{power if power > 1 else ''}": Column(
            "um²" if power > 1 else "um", "float64", f"The same as {name}, where the pixel size is known."
        )
        for name, power in columns.items()
    }
    for table, columns in _MICROMETRES.items()
}


def in_micrometres(table: str, values: Mapping[str, np.ndarray], pixel_size_um: float) -> dict[str, np.ndarray]:
    """The columns of :data:`IN_MICROMETRES` from those in px; `pixel_size_um` in um."""
    powers = _MICROMETRES[table].items()
    return {
        name: np.asarray(values[source], float) * pixel_size_um**power
        for name, (source, power) in zip(IN_MICROMETRES[table], powers)
    }


_ABOUT_FIELDS = {"field", "label", "date", "plate", "well", "site", "timepoint", "treatment"}
# What no column of a plate map may be called.
MEASURED = frozenset(
    {*CELLS, *PUNCTA, *IMAGES, *STATE, *IN_MICROMETRES["cells"], *IN_MICROMETRES["puncta"]} - _ABOUT_FIELDS
)

_OF_CELLS = {**CELLS, **IN_MICROMETRES["cells"], **STATE}


def axis_label(name: str) -> str:
    """A measurement's name as an axis shows it, with its unit where it has one.

    >>> axis_label("mean__EGFP")
    'mean EGFP (level)'
    """
    column = _OF_CELLS.get(name)
    words = name.replace("__", " ").replace("_", " ")
    return f"{words} ({column.unit})" if column and column.unit not in ("", "1") else words


def meaning(name: str) -> str:
    """The sentence that documents a measurement of cells; empty for one that is not ours."""
    column = _OF_CELLS.get(name)
    return column.meaning if column else ""


def documentation() -> pd.DataFrame:
    """The table behind ``columns.csv``: ``table, column, unit, dtype, meaning``."""
    return pd.DataFrame(
        [
            {"table": table, "column": name, "unit": c.unit, "dtype": c.dtype, "meaning": c.meaning}
            for table, columns in TABLES.items()
            for name, c in {**columns, **IN_MICROMETRES.get(table, {})}.items()
        ]
    )


def typed(table: str, values: dict[str, np.ndarray]) -> pd.DataFrame:
    """A table with its documented columns, in their order and types (text is object, missing None), then any others."""
    types = {name: ("object" if c.dtype == "str" else c.dtype) for name, c in TABLES[table].items()}
    others = [name for name in values if name not in types]
    types |= {name: "float64" if name in IN_MICROMETRES.get(table, {}) else "object" for name in others}
    return pd.DataFrame({name: pd.Series(values[name]) for name in types}).astype(
        {name: kind for name, kind in types.items() if kind != "int64"} | _whole(types, values)
    )


def _whole(types: dict[str, str], values: dict[str, np.ndarray]) -> dict[str, str]:
    """Whole-number columns; those with missing values (a site that the name does not tell) as nullable integers."""
    return {
        name: "Int64" if pd.isna(pd.Series(values[name])).any() else "int64"
        for name, kind in types.items()
        if kind == "int64"
    }
