"""COCO instance annotations: polygons, run lengths (plain and packed) and bare boxes."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation
from cellular.data.formats.boxes import from_box
from cellular.errors import InputError
from cellular.files import read_json
from cellular.labels.cells import CellMask, crop_mask
from cellular.labels.outlines import fill


def read_coco(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of one image of a COCO file; `field` is its file name without ending, needed where the file has several."""
    content = _content(path)
    image = _image(content, field, path)
    for axis, key in enumerate(("height", "width")):
        if image.get(key, shape[axis]) != shape[axis]:
            raise InputError(f"{path}: image {image.get('file_name')} has {key} {image[key]}, the field {shape[axis]}")
    names = {category.get("id"): str(category.get("name", DEFAULT_CLASS)) for category in content["categories"]}
    return [
        Annotation(
            names.get(item.get("category_id"), DEFAULT_CLASS),
            _cell(item, shape),
            f"{path.name}#{item.get('id', n)}",
            drawn=bool(item.get("segmentation")),
        )
        for n, item in enumerate(content["annotations"])
        if item.get("image_id") == image["id"]
    ]


def coco_fields(path: Path) -> list[str]:
    """Names of the images a COCO file is about, without folder and ending; empty where it is no COCO file."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        return []
    return [PurePosixPath(str(image.get("file_name", ""))).stem for image in _content(path)["images"]]


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise InputError(f"{path} is not a COCO file: it needs 'images' and 'annotations'")
    content.setdefault("categories", [])
    for key in ("images", "annotations", "categories"):
        if not isinstance(content[key], list) or not all(isinstance(item, dict) for item in content[key]):
            raise InputError(f"{path}: '{key}' must be a list of objects")
    return content


def _image(content: dict[str, Any], field: str | None, path: Path) -> dict[str, Any]:
    images = [i for i in content["images"] if field in (None, PurePosixPath(str(i.get("file_name", ""))).stem)]
    if len(images) != 1 or "id" not in images[0]:
        raise InputError(
            f"{path} has {len(images)} images {'' if field is None else f'called {field} '}with an id, not 1"
        )
    return images[0]


def _cell(item: dict[str, Any], shape: tuple[int, int]) -> CellMask:
    segmentation = item.get("segmentation")
    if isinstance(segmentation, dict):
        return _from_run_lengths(segmentation, shape)
    if segmentation:
        # The parts of one cell may touch or overlap, so they are joined, where the rings of one part cancel.
        parts = [fill([np.asarray(part, np.float64).reshape(-1, 2)], shape).full() for part in segmentation]
        return crop_mask(np.logical_or.reduce(parts))
    return from_box(*(float(value) for value in item["bbox"]), shape)


def _from_run_lengths(segmentation: dict[str, Any], shape: tuple[int, int]) -> CellMask:
    counts = segmentation["counts"]
    if isinstance(counts, str):
        counts = unpack_counts(counts)
    counts = np.asarray(counts, np.int64)
    if tuple(segmentation["size"]) != tuple(shape) or (counts < 0).any() or counts.sum() != shape[0] * shape[1]:
        raise InputError(f"run lengths of size {segmentation['size']} do not fill a field of {tuple(shape)}")
    values = np.arange(len(counts)) % 2 == 1
    return crop_mask(np.repeat(values, counts).reshape(shape, order="F"))


def unpack_counts(text: str) -> list[int]:
    """Run lengths from COCO's packed form: groups of 5 bits, low first, from the 4th on minus the count 2 before.

    Read here and not by pycocotools, whose C code trusts what it is given.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift > 60:
            raise InputError("run lengths hold characters or numbers that no COCO file has")
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
