"""Any lab's annotations into the published layout of per-cell masks, which `prepare` takes."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from cellular.data.fields import split_channel
from cellular.data.formats.annotation import Annotation
from cellular.data.formats.coco import coco_fields
from cellular.data.formats.images import IMAGE_SUFFIXES, read_image, write_image
from cellular.data.formats.read import read_annotations
from cellular.errors import InputError, MissingInputError
from cellular.progress import progress

logger = logging.getLogger(__name__)

# Endings of an annotation's file name after the field's own, most telling first.
ENDINGS = (
    *("_seg.npy", "_rois.zip", "_RoiSet.zip", ".zip", ".roi", ".geojson"),
    *(f"_masks{suffix}" for suffix in (".tif", ".tiff", ".png")),
    *(f"_cp_masks{suffix}" for suffix in (".tif", ".tiff", ".png")),
    *(".json", ".txt"),
)
NOT_CELLS = ("classes.txt", "train.txt", "val.txt", "test.txt", "readme.txt")


def find_annotations(source: str | Path, fields: set[str]) -> dict[str, Path]:
    """Annotation file of every field in `fields` that has one: a COCO file for all, or a file for each in a folder.

    Looks in the folder itself and in its ``labels``, ``masks`` and ``annotations``. A field with two annotation
    files raises InputError, so does a source without any.
    """
    source = Path(source)
    if not source.exists():
        raise MissingInputError(f"No such annotations: {source}")
    if source.is_file():
        named = coco_fields(source) if source.suffix == ".json" else [_field_of(source)]
        found = {field: source for field in named if field in fields}
    else:
        found = _in_folder(source, fields)
    if not found:
        raise InputError(f"{source} holds annotations of none of the {len(fields)} fields with images")
    return found


def _in_folder(source: Path, fields: set[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    folders = [source, *(source / name for name in ("labels", "masks", "annotations"))]
    for path in sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()):
        if path.name.lower() in NOT_CELLS or path.name.startswith("."):
            continue
        named = [_field_of(path)]
        if path.suffix == ".json":
            named = coco_fields(path) or named
        for field in named:
            if field in fields:
                if field in found:
                    raise InputError(f"Two annotations of field {field}: {found[field]} and {path}; remove one")
                found[field] = path
    return found


def _field_of(path: Path) -> str | None:
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
    return path.name[: -len(ending)] if ending else None


def to_mask_folders(
    source: str | Path, images: str | Path, out: str | Path, classes: Mapping[str, str] | None = None
) -> Path:
    """Write ``out/<field>/<class>/<field>_cell_0001.png`` for every annotated field; returns `out`.

    Parameters
    ----------
    source : annotations in any format of `read_annotations`: a folder of them, or one file.
    images : folder of the images; a field's size is its image's.
    out : folder of masks, as the CELLULAR archive has them.
    classes : new names of classes, e.g. ``{"class_0": "fed"}``.
    """
    out, pictures, boxes = Path(out), _images(Path(images)), 0
    for field, path in progress(find_annotations(source, set(pictures)).items(), desc="annotations", unit="field"):
        shape = read_image(pictures[field]).shape[:2]
        annotations = read_annotations(path, shape, field=field)
        boxes += sum(not annotation.drawn for annotation in annotations)
        _write(field, annotations, out / field, dict(classes or {}))
    if boxes:
        logger.warning("%d cells have a box and no outline; each became the ellipse inside its box", boxes)
    return out


def is_published_layout(folder: str | Path) -> bool:
    """Whether `folder`, or its ``masks``, holds ``<field>/<class>/`` folders of per-cell masks."""
    masks = Path(folder) / "masks"
    top = masks if masks.is_dir() else Path(folder)
    return top.is_dir() and any(path.is_dir() for field in top.iterdir() if field.is_dir() for path in field.iterdir())


def images_beside(source: str | Path) -> Path:
    """Folder of the images that go with annotations: ``images-color`` or ``images`` near `source`, else its own."""
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    named = (place / name for place in (folder, folder.parent) for name in ("images-color", "images"))
    return next((path for path in named if path.is_dir()), folder)


def _images(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of images: {folder}")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return {split_channel(path.stem)[0]: path for path in files if not path.stem.endswith("_masks")}


def _write(field: str, annotations: list[Annotation], out: Path, classes: dict[str, str]) -> None:
    numbers: Counter[str] = Counter()
    for annotation in annotations:
        name = classes.get(annotation.class_name, annotation.class_name).replace("/", "_").replace("\\", "_")
        if name in ("", ".", ".."):
            raise InputError(f"{annotation.source}: a class cannot be called {annotation.class_name!r}")
        numbers[name] += 1
        pixels = annotation.cell.full().astype("uint8") * 255
        write_image(out / name / f"{field}_cell_{numbers[name]:04d}.png", pixels)
