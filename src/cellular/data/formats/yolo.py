"""YOLO text files: a line per cell, class and box or class and polygon, in fractions of the image.

What a line holds is told as Ultralytics does (``verify_image_label``): more than six columns are a polygon, fewer a
box; with ``kpt_shape`` in the data file, a box and key points. Predictions saved with ``save_conf`` or tracked have
a confidence or a track number behind (``Results.save_txt``).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellular.data.formats.annotation import Annotation, Remarks
from cellular.data.formats.boxes import from_box
from cellular.errors import InputError, import_extra
from cellular.labels.cells import CellMask
from cellular.labels.outlines import fill

CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "data.yaml", "data.yml", "dataset.yaml")
_PARENTS = 3  # dataset/data.yaml, dataset/labels/train/f.txt
_LARGEST = 1.01  # as Ultralytics: rounded coordinates may be a little outside


@dataclass(frozen=True)
class Classes:
    """Class names by number; `keypoints` is the count of numbers behind the box of a pose data set, 0 for others."""

    names: Mapping[int, str] = field(default_factory=dict)
    keypoints: int = 0


def read_yolo(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of one image. Boxes become ellipses; class names come from a class list beside the file or above it.

    A line that is neither a box (4 numbers, 5 with a confidence) nor a polygon is left out and named.
    """
    classes = read_classes(path)
    cells = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        where = f"{path.name}, line {number}"
        if not line.strip():
            continue
        with remarks.item(where, "yolo"):
            index, values = _numbers(line, where)
            corners = _corners(values, classes.keypoints, where)
            name = classes.names.get(index, f"class_{index}")
            drawn = len(corners) > 4
            cells.append(Annotation(name, _cell(corners, shape), f"{path.name}:{number}", drawn))
    return cells


def holds_yolo(path: Path) -> bool:
    """Whether some line of a text file is of YOLO; others hold what microscopes tell of an image, or nothing."""
    with suppress(ValueError), open(path, encoding="utf-8-sig") as lines:
        keypoints = read_classes(path).keypoints
        return any(_is_cell(line, keypoints) for line in lines)
    return False


def _is_cell(line: str, keypoints: int) -> bool:
    with suppress(ValueError):
        return bool(line.strip()) and _corners(_numbers(line, "")[1], keypoints, "").size > 0
    return False


def _numbers(line: str, where: str) -> tuple[int, np.ndarray]:
    try:
        index, *values = (float(word) for word in line.split())
    except ValueError as error:
        raise InputError(f"{where}: expected numbers, got {line[:80]!r}") from error
    if not (np.isfinite(index) and index == int(index) and index >= 0):
        raise InputError(f"{where}: a class is a whole number from 0, got {line.split()[0]!r}")
    return int(index), np.array(values)


def _corners(values: np.ndarray, keypoints: int, where: str) -> np.ndarray:
    """A line's box (4 numbers) or polygon, without the key points, confidence and track number behind it."""
    if keypoints and 0 <= len(values) - 4 - keypoints <= 2:
        values = values[:4]
    elif len(values) > 6 and len(values) % 2:
        values = values[:-1]
    elif len(values) > 5 and values[-1] > _LARGEST and values[-1] == int(values[-1]):
        values = values[:-2]
    elif len(values) == 5:
        values = values[:4]
    if len(values) < 4 or len(values) == 5:
        raise InputError(
            f"{where}: {len(values)} numbers after the class are neither a box (4) nor a polygon (x y ...)"
        )
    if not ((values >= 1 - _LARGEST) & (values <= _LARGEST)).all():
        raise InputError(f"{where}: coordinates are fractions of the image, 0 to 1, not pixels or key points")
    return values


def _cell(corners: np.ndarray, shape: tuple[int, int]) -> CellMask:
    height, width = shape
    if len(corners) == 4:
        x, y, w, h = corners * [width, height, width, height]
        return from_box(x - w / 2, y - h / 2, w, h, shape)
    return fill([corners.reshape(-1, 2) * [width, height]], shape)


def class_list(path: Path) -> Path | None:
    """The class list for a label file: the first beside it or in one of the folders above it."""
    folders = [path.absolute().parent, *path.absolute().parent.parents][:_PARENTS]
    return next((folder / name for folder in folders for name in CLASS_LISTS if (folder / name).is_file()), None)


def read_classes(path: Path) -> Classes:
    """Classes of a label file; without a class list none.

    Raises InputError for a class list without names.
    """
    found = class_list(path)
    if found is None:
        return Classes()
    text = found.read_text(encoding="utf-8-sig")
    if found.suffix not in (".yaml", ".yml"):
        return Classes({number: line.strip() for number, line in enumerate(text.split("\n")) if line.strip()})
    yaml = import_extra("yaml", "export")
    try:
        content = yaml.safe_load(text)
        names = content["names"]
        names = names if isinstance(names, dict) else dict(enumerate(names))
        return Classes(
            {int(key): str(name) for key, name in names.items()}, int(np.prod(content.get("kpt_shape") or [0]))
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{found} has no list of class 'names'") from error
