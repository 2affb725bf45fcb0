"""COCO: one ``annotations.json`` for all fields, cells as run lengths, and ``images/``. Exact, holes and pieces too."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pycocotools import mask as coco

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.data.formats.write_images import FOLDER, place_image, warn_of_bare
from cellular.files import write_json
from cellular.labels.cells import CellMask, cells_of

IMAGES, CELLS = "images", "cells"
BOX = ("y0", "x0", "y1", "x1")
COLUMNS = ("field", "class", "area", *BOX, "text")


def export_coco(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Put a field's image where the file names it; its cells come as a table, in order of their labels."""
    labels = item.labels()
    image = {"field": item.name, "file": f"{FOLDER}/{place_image(item, out)}"}
    image |= {"height": labels.shape[0], "width": labels.shape[1]}
    cells = [{"field": item.name, "class": item.class_of(label), **_describe(cell)} for label, cell in cells_of(labels)]
    return Written([], {IMAGES: pd.DataFrame([image]), CELLS: pd.DataFrame(cells, columns=COLUMNS)})


def _describe(cell: CellMask) -> dict[str, Any]:
    """Area, px; box, px, half-open; the mask's run lengths in COCO's letters."""
    packed = coco.encode(np.asfortranarray(cell.full().astype(np.uint8)))
    return {"area": cell.area, **dict(zip(BOX, cell.box)), "text": packed["counts"].decode("ascii")}


def annotations_file(
    fields: Sequence[LabelledField], out: Path, names: Sequence[str], tables: Mapping[str, pd.DataFrame]
) -> list[Path]:
    """Write ``annotations.json`` from the tables of all fields."""
    warn_of_bare(fields)
    numbers = {name: number for number, name in enumerate(names, 1)}
    images = [
        {"id": number, "file_name": row["file"], "height": row["height"], "width": row["width"]}
        for number, row in enumerate(tables[IMAGES].to_dict("records"), 1)
    ]
    image_of = {name: image for name, image in zip(tables[IMAGES]["field"], images)}
    annotations = [
        {"id": number, "image_id": image_of[row["field"]]["id"], **_annotation(row, image_of[row["field"]])}
        | {"category_id": numbers[row["class"]]}
        for number, row in enumerate(tables[CELLS].to_dict("records"), 1)
    ]
    categories = [{"id": number, "name": name, "supercategory": "cell"} for name, number in numbers.items()]
    write_json(out / "annotations.json", {"images": images, "annotations": annotations, "categories": categories})
    return [out / "annotations.json"]


def _annotation(row: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    y0, x0, y1, x1 = (row[name] for name in BOX)
    return {
        "segmentation": {"size": [image["height"], image["width"]], "counts": row["text"]},
        "area": row["area"],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
    }
