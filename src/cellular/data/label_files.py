"""Which file holds the labels of which field: label images, and what other programs write of outlines."""

import filecmp
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from cellular.data.formats.endings import cellpose_rank, is_one_fields_labels
from cellular.data.formats.ome_zarr import is_ome_zarr, ome_zarr_labels
from cellular.data.formats.suffixes import MASKS_SUFFIX, field_name, kind_of, nuclei_field, same_name
from cellular.data.plate import FieldFiles
from cellular.errors import InputError, MissingInputError

logger = logging.getLogger(__name__)


def match_labels(fields: Sequence[FieldFiles], folder: str | Path) -> dict[str, Path]:
    """Label image by name of field, from `folder` or its ``labels``.

    Files ending as label images do are taken; only where there is none of these, a COCO file of the fields or a YOLO
    file of each, beside which images are images; and where there is no such file either, images under their own names,
    but for copies of the fields' images, beside which any annotations are taken.

    Raises MissingInputError without such a folder, InputError as :func:`find_labels`, for label images of none of the
    fields, and for the fields' own images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of label images: {folder}")
    found, own, files, none = _labels_in(folder), dict[str, Path](), dict[str, Path | str](), ""
    if fields and not any(map(is_one_fields_labels, found.values())):
        try:
            files = _annotations_in(fields, folder)
        except InputError as error:
            if not found:
                raise
            none = str(error)
        if files and (not found or _of_data_set(files.values())):
            return _of_annotations(fields, files)
        images = {same_name(field_name(file)): file for item in fields for file in item.images}
        own = {name: path for name, path in found.items() if name in images and _same(images[name], path)}
    matched = of_fields(fields, {name: path for name, path in found.items() if name not in own})
    unlabelled = (item for item in fields if item.name not in matched)
    if image := next((own[name] for item in unlabelled for name in names_of(item) & own.keys()), None):
        if files:
            return _of_annotations(fields, files)
        raise InputError(f"{image} is the image itself, whose levels are no cells, and {none}")
    if fields and not matched:
        there = ", ".join(path.name for path in list(found.values())[:3])
        raise InputError(
            f"{folder} holds no label image of any of the {len(fields)} fields: they are looked for under the fields' "
            f"names, such as {fields[0].name}_masks.tif, and there are {len(found)} others, such as {there}"
        )
    return {name: ome_zarr_labels(path) for name, path in matched.items()}


def _same(image: Path, labels: Path) -> bool:
    """Whether a label image is the image itself, or a copy of it."""
    with suppress(OSError):
        return image.samefile(labels) or filecmp.cmp(image, labels, shallow=False)
    return False


def find_labels(folder: Path) -> dict[str, Path]:
    """Files of labels or outlines in `folder`, or in its ``labels``, by comparable field name (:func:`same_name`).

    Of several that Cellpose wrote of one image, the one that its GUI corrects is taken.

    Raises InputError where it holds none, and where two claim one field.
    """
    found = _labels_in(folder)
    if not found:
        raise InputError(
            f"{folder} holds no label images or outlines (<field>_masks.tif or .png, _cp_masks, _labels, _seg.npy, "
            ".geojson, _rois.zip)"
        )
    return found


def _labels_in(folder: Path) -> dict[str, Path]:
    for place in (folder, folder / "labels"):
        names = [PurePosixPath(name) for name in entries(place)] if place.is_dir() else []
        if marked := [path for path in names if is_one_fields_labels(path)]:
            return claimed(marked, place)
    plain = [path for path in map(PurePosixPath, entries(folder)) if is_image(folder / path)]
    named = {same_name(field_name(path)) for path in plain}
    return claimed((path for path in plain if same_name(nuclei_field(path) or "") not in named), folder)


def _annotations_in(fields: Sequence[FieldFiles], folder: Path) -> dict[str, Path | str]:
    """Annotation file, of COCO or YOLO, by name of a field or its image; a sentence where two are of one.

    Raises InputError where none is of any.
    """
    # numba, which it needs, takes longer to read than a page may take to open
    from cellular.data.formats.annotated import find_annotations

    files, said = find_annotations(folder, {name for item in fields for name in names_of(item)})
    for sentence in said:
        logger.warning("%s", sentence)
    return files


def _of_data_set(files: Iterable[Path | str]) -> bool:
    """Whether one of the annotation files is of COCO or YOLO, so that images beside them are images.

    Text, arrays and archives under the images' names may hold anything else, and an empty text no cell or no word.
    """
    from cellular.data.formats.yolo import holds_yolo

    suffixes = ((path, path.suffix.lower()) for path in files if isinstance(path, Path))
    return any(suffix == ".json" or (suffix == ".txt" and holds_yolo(path)) for path, suffix in suffixes)


def _of_annotations(fields: Sequence[FieldFiles], files: Mapping[str, Path | str]) -> dict[str, Path]:
    """Annotation file by name of field: one of COCO for all, or one of YOLO a field.

    Raises InputError where two are of one field, and one of several.
    """
    claimants = Counter(name for item in fields for name in names_of(item))
    for name, path in files.items():
        if isinstance(path, str):
            raise InputError(path)
        if claimants[name] > 1:
            raise InputError(f"{path}: its {name} would be the image of {claimants[name]} fields; call each its own")
    found = {name: Path(path) for name, path in files.items()}
    return {item.name: own for item in fields if (own := _file_of(item, found)) is not None}


def match_nuclei_files(fields: Sequence[FieldFiles], folder: str | Path) -> dict[str, Path]:
    """Label image of the nuclei by name of field, ``<field>_nuclei.tif`` or ``.png`` in `folder` or its ``labels``.

    Empty where none is so named.

    Raises MissingInputError without such a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of label images of nuclei: {folder}")
    for place in (folder, folder / "labels"):
        names = entries(place) if place.is_dir() else []
        found = {same_name(of): place / name for name in names if (of := nuclei_field(name))}
        if found:
            return of_fields(fields, found)
    return {}


def of_fields(fields: Sequence[FieldFiles], found: Mapping[str, Path]) -> dict[str, Path]:
    """The file in `found`, files by comparable name, of each field that has one, by its name.

    Raises InputError where several images of a field have one, and where several fields have the same: those of a file
    of many timepoints, or files of one name in folders.
    """
    of_field = {item.name: path for item in fields if (path := _file_of(item, found)) is not None}
    first: dict[Path, str] = {}
    for name, path in of_field.items():
        if (other := first.setdefault(path, name)) != name:
            raise InputError(
                f"{path} would be of {other} and of {name}, by the names of their images: give each its own, "
                f"{other}{MASKS_SUFFIX}.tif"
            )
    return of_field


def _file_of(item: FieldFiles, found: Mapping[str, Path]) -> Path | None:
    """The field's file in `found`: under its own name, else under that of an image of its.

    Raises InputError where several of its images have one: whose of them are the cells, nobody says.
    """
    if own := found.get(same_name(item.name)):
        return own
    named = [found[name] for name in sorted(names_of(item) & found.keys())]
    if len(named) > 1:
        raise InputError(f"Two label images for field {item.name}: {named[0]} and {named[1]}; remove one")
    return named[0] if named else None


def claimed(paths: Iterable[PurePosixPath], root: Path) -> dict[str, Path]:
    """File by comparable field name; two for one field are refused, but for those that Cellpose wrote of one image.

    Raises InputError for these two.
    """
    found: dict[str, PurePosixPath] = {}
    ranks = {path: cellpose_rank(path) for path in paths}
    for path in sorted(ranks, key=lambda path: (ranks[path] is None, ranks[path] or 0)):
        first = found.setdefault(same_name(field_name(path)), path)
        if first is not path and (ranks[path] is None or ranks[first] == ranks[path]):
            raise InputError(
                f"Two label images for field {field_name(path)}: {root / first} and {root / path}; remove one"
            )
    return {field: root / path for field, path in found.items()}


def names_of(item: FieldFiles) -> set[str]:
    """What label images of this field may be called: its own name, or that of its files."""
    return {same_name(item.name), *(same_name(field_name(path)) for path in item.images)}


def is_image(path: Path) -> bool:
    """Whether a file, or a Zarr group, is an image by its name, and not a label image."""
    return kind_of(path) == "image" and (is_ome_zarr(path) if path.is_dir() else True)


def entries(folder: Path) -> list[str]:
    """Names in a folder, sorted, without hidden ones; InputError where it cannot be listed."""
    return [entry.name for entry in scan(folder)]


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """As :func:`entries`, but what is there besides the name too: whether it is a folder needs no look at the disk.

    Raises InputError where the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror}") from error
