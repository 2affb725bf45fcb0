"""COCO: one ``annotations.json`` for all fields, cells as run lengths, and ``images/``. Exact, holes and pieces too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from cellular.data.formats.labelled import LabelledField, class_names
from cellular.data.formats.write_images import FOLDER, place_images
from cellular.files import write_json
from cellular.labels.cells import CellMask, cells_of


def export_coco(fields: Sequence[LabelledField], out: Path) -> list[Path]:
    """Write the file and the images it names. The order of a field's annotations is the order of its labels."""
    numbers = {name: number for number, name in enumerate(class_names(fields), 1)}
    images, annotations = [], []
    for image_id, (item, name) in enumerate(zip(fields, place_images(fields, out)), 1):
        labels = item.labels()
        file_name = f"{FOLDER}/{name}"
        images.append({"id": image_id, "file_name": file_name, "height": labels.shape[0], "width": labels.shape[1]})
        for label, cell in cells_of(labels):
            described = {"id": len(annotations) + 1, "image_id": image_id, **_describe(cell)}
            annotations.append({**described, "category_id": numbers[item.class_of(label)]})
    path = out / "annotations.json"
    categories = [{"id": number, "name": name, "supercategory": "cell"} for name, number in numbers.items()]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    return [path]


def _describe(cell: CellMask) -> dict[str, Any]:
    packed = coco.encode(np.asfortranarray(cell.full().astype(np.uint8)))
    y0, x0, y1, x1 = cell.box
    return {
        "segmentation": {"size": list(cell.shape), "counts": packed["counts"].decode("ascii")},
        "area": cell.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
    }
