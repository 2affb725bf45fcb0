"""YOLO text files: a line per cell, class and box or class and polygon, in fractions of the image."""

from pathlib import Path

import numpy as np

from cellular.data.formats.annotation import Annotation
from cellular.data.formats.boxes import from_box
from cellular.errors import InputError, import_extra
from cellular.labels.cells import CellMask
from cellular.labels.outlines import fill

CLASS_LISTS = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")


def read_yolo(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of one image. Boxes become ellipses; class names come from a class list beside the file or one folder up.

    Raises InputError for a line that is neither a box (5 numbers, or 6 with a confidence) nor a polygon.
    """
    names = class_names(path)
    cells = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, *values = (float(word) for word in line.split())
            label = int(index)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}, line {number}: expected numbers, got {line[:80]!r}") from error
        name = names[label] if 0 <= label < len(names) else f"class_{label}"
        cells.append(
            Annotation(
                name,
                _cell(np.array(values), shape, f"{path}, line {number}"),
                f"{path.name}:{number}",
                drawn=len(values) > 5,
            )
        )
    return cells


def _cell(values: np.ndarray, shape: tuple[int, int], where: str) -> CellMask:
    height, width = shape
    if len(values) in (4, 5):
        x, y, w, h = values[:4] * [width, height, width, height]
        return from_box(x - w / 2, y - h / 2, w, h, shape)
    if len(values) < 6 or len(values) % 2:
        raise InputError(
            f"{where}: {len(values)} numbers after the class are neither a box (4) nor a polygon (x y ...)"
        )
    return fill([values.reshape(-1, 2) * [width, height]], shape)


def class_names(path: Path) -> list[str]:
    """Class names by number, from the first class list found beside `path` or in the folder above; else empty."""
    lists = (folder / name for folder in (path.parent, path.parent.parent) for name in CLASS_LISTS)
    found = next((file for file in lists if file.is_file()), None)
    if found is None:
        return []
    if found.suffix in (".txt", ".names"):
        return found.read_text(encoding="utf-8").split("\n")
    yaml = import_extra("yaml", "export")
    try:
        names = yaml.safe_load(found.read_text(encoding="utf-8"))["names"]
        return [str(names[key]) for key in sorted(names)] if isinstance(names, dict) else [str(name) for name in names]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{found} has no list of class 'names'") from error
