"""Simulated fields on disk, laid out as the published archive is."""

from pathlib import Path

import pandas as pd

from cellular.data.fields import parse_field
from cellular.data.formats.images import write_image, write_labels
from cellular.simulate.field import SimulatedField
from cellular.simulate.mask_file import write_mask

CHANNEL_FILES = (1, 2, 3)


def write_field(folder: Path, field: SimulatedField) -> None:
    """Write raw channels, composite, one mask per cell, and the true label image."""
    for channel, image in zip(CHANNEL_FILES, field.channels):
        write_image(folder / "images" / f"{field.name}_w{channel}.TIF", image)
    write_image(folder / "images-color" / f"{field.name}.jpg", field.composite())
    for cell in field.cells:
        path = folder / "masks" / field.name / cell.class_name / f"{field.name}_{cell.label}.png"
        write_mask(path, cell.box, cell.mask, field.channels.shape[1:], _colour(cell.label))
    write_labels(folder / "truth" / f"{field.name}_labels.tif", field.labels())


def _colour(label: int) -> tuple[int, int, int]:
    """A colour that is never black and otherwise means nothing, as in the archive."""
    return 60 + 97 * label % 196, 60 + 57 * label % 196, 60 + 31 * label % 196


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
    """Rows of ``truth/tracks.csv``: one per cell and timepoint; track numbers count within a series."""
    parts = parse_field(field.name)
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
    ]


def puncta_rows(field: SimulatedField) -> pd.DataFrame:
    """``truth/puncta.csv`` of one field, rounded to what means something."""
    return field.puncta.round(
        {"y": 3, "x": 3, "sigma": 3, "snr": 2} | {f"amplitude{channel}": 1 for channel in ("", "_egfp", "_mrfp")}
    )
