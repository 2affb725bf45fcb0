"""Which reader a file is for, and the calls that read it: as annotated cells, or as a label image."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cellular.data.formats.annotation import Annotation, Remarks, draw_numbered
from cellular.data.formats.coco import is_coco, read_coco
from cellular.data.formats.endings import named_format
from cellular.data.formats.geojson import features_of, read_geojson
from cellular.data.formats.imagej import read_imagej
from cellular.data.formats.images import read_labels
from cellular.data.formats.labels import (
    load_seg_npy,
    read_label_image,
    read_mask_folder,
    read_outlines,
    read_seg_npy,
)
from cellular.data.formats.ome_zarr import is_ome_zarr
from cellular.data.formats.suffixes import kind_of
from cellular.data.formats.yolo import read_yolo
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.files import read_json
from cellular.labels.cells import areas_of

logger = logging.getLogger(__name__)

Reader = Callable[[Path, tuple[int, int], str | None, Remarks], list[Annotation]]

FORMATS: dict[str, Reader] = {
    "folder": read_mask_folder,
    "labels": read_label_image,
    "cellpose": read_seg_npy,
    "outlines": read_outlines,
    "coco": read_coco,
    "yolo": read_yolo,
    "imagej": read_imagej,
    "geojson": read_geojson,
}


class OtherJsonError(InputError):
    """JSON that holds no annotations."""


def format_of(path: Path) -> str | None:
    """Name of the format of an annotation file or folder, by its ending and, for JSON, its content; None if unknown.

    Raises OtherJsonError for JSON of another kind, InputError for what is no JSON.
    """
    if path.is_dir():
        return "labels" if is_ome_zarr(path) else "folder"
    name = named_format(path) or ("labels" if kind_of(path) in ("image", "ignore") else None)
    if name != "json":
        return name
    content = read_json(path)
    if is_coco(content):
        return "coco"
    features = features_of(content)
    if isinstance(features, list) and all(isinstance(item, dict) and "geometry" in item for item in features):
        return "geojson"
    raise OtherJsonError(
        f"{path} is neither COCO (with 'images' and 'annotations') nor GeoJSON (with 'features'); "
        "LabelMe, Label Studio, VIA and others can export COCO"
    )


def read_annotations(
    path: str | Path,
    shape: tuple[int, int],
    *,
    field: str | None = None,
    format: str | None = None,
    remarks: Remarks | None = None,
) -> list[Annotation]:
    """Annotated cells of one field, from any supported format; none where nobody found a cell.

    Parameters
    ----------
    path : label image, ``_seg.npy``, ``_cp_outlines.txt``, COCO ``.json``, YOLO ``.txt``, ImageJ ``.roi``/``.zip``,
        ``.geojson``, or a folder ``<class>/*.png`` of per-cell masks.
    shape : (Y, X) of the field, px.
    field : the field's name; needed where a COCO file holds several images.
    format : a key of FORMATS; None tells by the file's ending and content.
    remarks : takes a sentence for every item that was left out; without it they are logged as warnings.

    Raises MissingInputError, or InputError that names the file, also where a file is damaged or none of its items can
    be used.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such annotations: {path}")
    said = remarks or Remarks()
    name = format or format_of(path)
    if name not in FORMATS:
        raise InputError(f"{path}: unknown annotation format '{name or path.suffix}'; known: {', '.join(FORMATS)}")
    before = len(said.problems)
    found = _with_pixels(_guarded(name, path, (shape[0], shape[1]), field, said), path, said)
    problems = said.problems[before:]
    if problems and not found:
        del said.problems[before:]
        raise InputError(f"{path}: none of its {len(problems)} items can be used, first: {problems[0]}")
    if remarks is None:
        for sentence in (*said.problems, *said.notices):
            logger.warning("%s", sentence)
    return found


def _guarded(name: str, path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    try:
        return FORMATS[name](path, shape, field, remarks)
    except CellularError as error:
        if str(path) in str(error) or not isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file makes a parser raise whatever its bytes spell
        raise InputError(f"{path} cannot be read as {name} annotations: {type(error).__name__}: {error}") from error


def _with_pixels(found: list[Annotation], path: Path, remarks: Remarks) -> list[Annotation]:
    """The cells that have pixels; an outline without area or outside of the field has none, and is named."""
    for annotation in found:
        if not annotation.cell.area:
            remarks.problems.append(f"{path}: {annotation.source} has no pixel in the field; left out")
    return [annotation for annotation in found if annotation.cell.area]


def has_size(path: Path) -> bool:
    """Whether a file of labels says how large its field is; outlines do not."""
    return format_of(path) in ("labels", "cellpose")


def read_any_labels(path: str | Path, shape: tuple[int, int] | None, *, field: str | None = None) -> np.ndarray:
    """Label image (Y, X), uint16 or uint32, of whatever holds one field's outlines: see :func:`read_annotations`.

    A label image and a ``_seg.npy`` are as they are. Outlines are painted in their order, and keep the numbers they
    have in the file (a GeoJSON object's name, a ROI's property ``label``).

    Parameters
    ----------
    path : a file of any format of `read_annotations`, or a folder of per-cell masks.
    shape : (Y, X) of the field, px; None takes the size of a label image as it is.
    field : the field's name; needed where a COCO file holds several images.

    What a label image cannot show of them is said in warnings: pixels of several cells, boxes without outlines.

    Raises MissingInputError or InputError that names the file; also for outlines without `shape`.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such labels: {path}")
    exact = {"labels": read_labels, "cellpose": load_seg_npy}.get(format_of(path) or "")
    if exact is None:
        if shape is None:
            raise InputError(
                f"{path} holds outlines, which do not say how large the field is; cellular export OUTLINES --images "
                "IMAGES --to cellpose makes label images of them"
            )
        return _drawn(read_annotations(path, shape, field=field), path, (shape[0], shape[1]))
    labels = exact(path)
    if shape is not None and labels.shape != tuple(shape):
        raise InputError(f"{path}: label image of {labels.shape} px, the field has {tuple(shape)}")
    return labels


def _drawn(annotations: list[Annotation], path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Label image of the annotations, and warnings of cells that are not in it as they were drawn."""
    labels = draw_numbered(annotations, shape)
    shared = sum(annotation.cell.area for annotation in annotations) - np.count_nonzero(labels)
    if shared:
        hidden = len(annotations) - len(areas_of(labels))
        logger.warning(
            "%s: cells overlap in %d px, which the later one has here%s", path, shared,
            f"; {hidden} of {len(annotations)} lie wholly under others and are none any more" if hidden else "",
        )  # fmt: skip
    if boxes := sum(not annotation.drawn for annotation in annotations):
        logger.warning("%s: %d cells have a box and no outline; each is the ellipse inside its box", path, boxes)
    return labels
