"""The truth of simulated fields as rows of tables."""

import numpy as np
import pandas as pd

from cellular.data.fields import parse_field
from cellular.simulate.field import SimulatedField


def cell_rows(field: SimulatedField) -> list[dict]:
    """Rows of ``truth/cells.csv``."""
    return [
        {
            "field": field.name,
            "label": cell.label,
            "class": cell.class_name,
            "state": "activated" if cell.activated else "basal",
            "treatment": field.treatment,
            "area_px": cell.area_px,
            "y": round(cell.y, 3),
            "x": round(cell.x, 3),
            "expression": round(cell.expression, 3),
            "track": cell.track,
        }
        for cell in field.cells
    ]


def track_rows(field: SimulatedField) -> list[dict]:
    """Rows of ``truth/tracks.csv``: one per cell and timepoint; track numbers count within a series.

    A cell that others cover wholly has none: it is not in the label image, which tracks are scored on.
    """
    parts, seen = parse_field(field.name), set(np.unique(field.labels()).tolist())
    return [
        {
            "series": parts.series,
            "track": cell.track,
            "timepoint": parts.timepoint,
            "field": field.name,
            "cell": cell.label,
            "parent": cell.parent,
            "y": round(cell.y, 3),
            "x": round(cell.x, 3),
            "state": "activated" if cell.activated else "basal",
        }
        for cell in field.cells
        if cell.label in seen
    ]


def puncta_rows(field: SimulatedField) -> pd.DataFrame:
    """``truth/puncta.csv`` of one field, rounded to what means something."""
    return field.puncta.round(
        {"y": 3, "x": 3, "sigma": 3, "snr": 2} | {f"amplitude{channel}": 1 for channel in ("", "_egfp", "_mrfp")}
    )
