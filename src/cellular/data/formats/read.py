"""Which reader a file is for, and the one call that reads it."""

from collections.abc import Callable
from pathlib import Path

from cellular.data.formats.annotation import Annotation
from cellular.data.formats.coco import read_coco
from cellular.data.formats.geojson import read_geojson
from cellular.data.formats.imagej import read_imagej
from cellular.data.formats.images import IMAGE_SUFFIXES
from cellular.data.formats.labels import read_label_image, read_mask_folder, read_seg_npy
from cellular.data.formats.yolo import read_yolo
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.files import read_json

Reader = Callable[[Path, tuple[int, int], str | None], list[Annotation]]

FORMATS: dict[str, Reader] = {
    "folder": read_mask_folder,
    "labels": read_label_image,
    "cellpose": read_seg_npy,
    "coco": read_coco,
    "yolo": read_yolo,
    "imagej": read_imagej,
    "geojson": read_geojson,
}
_BY_SUFFIX = {
    **dict.fromkeys(IMAGE_SUFFIXES, "labels"),
    ".npy": "cellpose",
    ".txt": "yolo",
    ".zip": "imagej",
    ".roi": "imagej",
    ".geojson": "geojson",
}


def format_of(path: Path) -> str | None:
    """Name of the format of an annotation file or folder, by its ending and, for JSON, its content; None if unknown."""
    if path.is_dir():
        return "folder"
    if path.suffix.lower() == ".json":
        content = read_json(path)
        return "coco" if isinstance(content, dict) and "images" in content else "geojson"
    return _BY_SUFFIX.get(path.suffix.lower())


def read_annotations(
    path: str | Path, shape: tuple[int, int], *, field: str | None = None, format: str | None = None
) -> list[Annotation]:
    """Annotated cells of one field, from any supported format.

    Parameters
    ----------
    path : label image, ``_seg.npy``, COCO ``.json``, YOLO ``.txt``, ImageJ ``.roi``/``.zip``, ``.geojson``, or a folder
        ``<class>/*.png`` of per-cell masks.
    shape : (Y, X) of the field, px.
    field : the field's name; needed where a COCO file holds several images.
    format : a key of FORMATS; None tells by the file's ending and content.

    Raises MissingInputError, or InputError that names the file, also where a file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such annotations: {path}")
    name = format or format_of(path)
    if name not in FORMATS:
        raise InputError(f"{path}: unknown annotation format '{name or path.suffix}'; known: {', '.join(FORMATS)}")
    try:
        return FORMATS[name](path, tuple(shape), field)
    except CellularError as error:
        if str(path) in str(error) or not isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file makes a parser raise whatever its bytes spell
        raise InputError(f"{path} cannot be read as {name} annotations: {type(error).__name__}: {error}") from error
