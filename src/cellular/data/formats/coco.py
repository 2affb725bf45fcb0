"""COCO instance annotations: polygons, run lengths (plain and packed) and bare boxes.

By the format's definition (cocodataset.org/#format-data), and with what its writers do in their own way: ids that are
text in one list and numbers in the other (VIA), one polygon without the list around it (VIA), masks as run lengths
with "iscrowd" 1 (CVAT), backslashes and an eight-digit prefix in file names (Label Studio), original names in "extra"
(Roboflow).
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from cellular.data.fields import possible_fields
from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation, Remarks
from cellular.data.formats.boxes import from_box
from cellular.data.formats.suffixes import same_name
from cellular.errors import InputError
from cellular.files import read_json
from cellular.labels.cells import CellMask, crop_mask
from cellular.labels.outlines import fill


@dataclass(frozen=True)
class CocoFile:
    """A COCO file, sorted out once for all its images.

    Attributes
    ----------
    images : its images as written, each with an id.
    items : annotations by image id, each with its place in the file.
    classes : category names by id. Ids are text: writers mix 1 and "1".
    """

    images: list[dict[str, Any]]
    items: dict[str, list[tuple[int, dict[str, Any]]]]
    classes: dict[str, str]

    def orphans(self) -> int:
        """Number of annotations of images that are not in the file."""
        known = {str(image["id"]) for image in self.images}
        return sum(len(items) for image_id, items in self.items.items() if image_id not in known)


def open_coco(path: Path) -> CocoFile:
    """A COCO file; the last one is kept, so that a file for a thousand images is parsed once."""
    stat = path.stat()
    return _parsed(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1)
def _parsed(path: Path, size: int, modified: int) -> CocoFile:
    content = read_json(path)
    if not is_coco(content):
        raise InputError(f"{path} is not a COCO file: it needs 'images' and 'annotations'")
    lists = [content.get(key, []) for key in ("images", "annotations", "categories")]
    for key, value in zip(("images", "annotations", "categories"), lists):
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise InputError(f"{path}: '{key}' must be a list of objects")
    images, annotations, categories = lists
    if bare := [image for image in images if image.get("id") is None]:
        raise InputError(f"{path}: image {bare[0].get('file_name')} has no id")
    items = defaultdict(list)
    for number, item in enumerate(annotations):
        items[str(item.get("image_id"))].append((number, item))
    classes: dict[str, str] = {}
    for category in categories:
        key, name = str(category.get("id")), str(category.get("name") or DEFAULT_CLASS)
        if classes.setdefault(key, name) != name:
            raise InputError(f"{path}: categories '{classes[key]}' and '{name}' have one id, {key}")
    return CocoFile(images, dict(items), classes)


def is_coco(content: Any) -> bool:
    """Whether parsed JSON is a COCO data set."""
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def read_coco(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of one image of a COCO file; `field` is its file name without ending, needed where the file has several.

    Raises InputError where the image is not in it, or of another size than `shape`.
    """
    content = open_coco(path)
    image = _image(content, field, path)
    for axis, key in enumerate(("height", "width")):
        if image.get(key) and image[key] != shape[axis]:  # VIA and others write 0 or null where they do not know
            raise InputError(f"{path}: image {image.get('file_name')} has {key} {image[key]}, the field {shape[axis]}")
    items = content.items.get(str(image["id"]), [])
    if crowds := sum(bool(item.get("iscrowd")) for _, item in items):
        remarks.notices.append(
            f"{path.name}: {crowds} of {len(items)} annotations of {image.get('file_name')} are marked iscrowd; each "
            "is taken for one cell, since CVAT marks brushed cells so: take true crowds out of the file"
        )
    found = []
    for number, item in items:
        source = f"{path.name}#{item.get('id', number)}"
        with remarks.item(source, "coco"):
            category = item.get("category_id")
            name = DEFAULT_CLASS if category is None or not content.classes else f"category_{category}"
            cell = _cell(item, shape, source, remarks)
            drawn = item.get("segmentation") not in (None, [], [[]])
            found.append(Annotation(content.classes.get(str(category), name), cell, source, drawn))
    return found


def coco_stems(image: dict[str, Any]) -> list[str]:
    """Names, without folder and ending, that an image of a COCO file may have, likeliest first."""
    given = image.get("extra")
    extra = given if isinstance(given, dict) else {}
    names = [_file_name(str(name)) for name in (image.get("file_name"), extra.get("name"))]
    return [PurePosixPath(name).stem for name in names[: 2 if extra.get("name") else 1]]


def _file_name(name: str) -> str:
    """A path with slashes, of what may be an address: ``/data/local-files/?d=a%2Ff.png`` is ``a/f.png``."""
    address = "?d=" in name or "://" in name
    return (unquote(name.split("?d=")[-1]) if address else name).replace("\\", "/")


def _image(content: CocoFile, field: str | None, path: Path) -> dict[str, Any]:
    """The one image of the file that is called `field`; one that is called just so goes before one nearly so."""
    ranked: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for image in content.images:
        names = [name for stem in coco_stems(image) for name in possible_fields(stem)]
        if field is None:
            ranked[0].append(image)
        elif same_name(field) in names:
            ranked[names.index(same_name(field))].append(image)
    images = ranked[min(ranked)] if ranked else []
    if len(images) != 1:
        raise InputError(f"{path} has {len(images)} images {'' if field is None else f'called {field}'}, not 1")
    if Counter(str(image["id"]) for image in content.images)[str(images[0]["id"])] > 1:
        raise InputError(f"{path}: several images have the id {images[0]['id']}; whose are its annotations?")
    return images[0]


def _cell(item: dict[str, Any], shape: tuple[int, int], source: str, remarks: Remarks) -> CellMask:
    segmentation = item.get("segmentation")
    if isinstance(segmentation, dict):
        return _from_run_lengths(segmentation, shape)
    if segmentation and any(isinstance(part, int | float) or part for part in segmentation):
        if all(isinstance(value, int | float) for value in segmentation):
            segmentation = [segmentation]
        # The parts of one cell may touch or overlap, so they are joined, where the rings of one part cancel.
        rings = [np.asarray(part, np.float64).reshape(-1, 2) for part in segmentation if len(part)]
        usable = [ring for ring in rings if len(ring) > 2] or rings[:1]
        if len(usable) < len(rings):
            remarks.notices.append(f"{source}: {len(rings) - len(usable)} part(s) without area were left out")
        return crop_mask(np.logical_or.reduce([fill([ring], shape).full() for ring in usable]))
    if not item.get("bbox"):
        raise InputError("neither a segmentation nor a bbox")
    x, y, width, height = (float(value) for value in item["bbox"])
    cell = from_box(x, y, width, height, shape)
    if 2 * cell.area < np.pi / 4 * width * height - 1:
        raise InputError(
            f"a box at x {x:g}, y {y:g}, {width:g} px wide and {height:g} px high, lies mostly outside of the field; "
            "COCO's boxes are x, y, width, height, not two corners"
        )
    return cell


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

    Raises InputError for what COCO does not write.
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
