"""What lies in an annotated dataset on disk: fields, their images, their masks by class. Each folder is listed once."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cellular.data.fields import split_channel
from cellular.data.formats.annotation import Remarks
from cellular.data.formats.images import IMAGE_SUFFIXES
from cellular.data.formats.suffixes import field_name, kind_of, same_name, suffix_of
from cellular.data.masks.mask_png import read_mask
from cellular.errors import InputError, MissingInputError
from cellular.labels.cells import CellMask

ALL = "all"
MaskCell = tuple[str, str, CellMask]  # class, where it is from, pixels


@dataclass(frozen=True)
class Entry:
    """One file: its path and its size in bytes."""

    path: Path
    size: int


@dataclass(frozen=True)
class Sources:
    """Per-cell masks as published: the folders they were found in, the fields, and every image by field.

    Attributes
    ----------
    masks : folder of the field folders. image_folder : folder of the images.
    fields : names of the fields.
    images : a field's images, by :func:`~cellular.data.formats.suffixes.same_name` of its name.
    """

    masks: Path
    image_folder: Path
    fields: tuple[str, ...]
    images: dict[str, list[Entry]]

    def images_of(self, field: str) -> list[Entry]:
        """The field's images, one of each channel; raises InputError where there is none or two of a channel."""
        entries = self.images.get(same_name(field), [])
        if not entries:
            raise InputError(f"{self.masks / field}: no image named {field}.* or {field}_w1.* in {self.image_folder}")
        seen: dict[int | None, Path] = {}
        for entry in entries:
            channel = split_channel(field_name(entry.path))[1]
            if channel in seen:
                raise InputError(f"{field}: two images with one name, {seen[channel]} and {entry.path}; remove one")
            seen[channel] = entry.path
        return entries

    def listing(self, field: str) -> tuple[str, list[str]]:
        """A hash that changes when a file of the field does, and a sentence for every file that is none of it."""
        classes, problems = list_masks(self.masks / field)
        masks = (entry for entries in classes.values() for entry in entries)
        return listing_hash([*self.images.get(same_name(field), []), *masks]), problems

    def files_of(self, field: str) -> list[Path]:
        """The files that the field is made of: its images and masks."""
        masks = (entry for entries in list_masks(self.masks / field)[0].values() for entry in entries)
        return [entry.path for entry in (*self.images.get(same_name(field), []), *masks)]

    def cells(self, field: str, shape: tuple[int, int], remarks: Remarks) -> Iterator[MaskCell]:
        """The field's cells, one at a time, of `shape` (Y, X) px; a mask that cannot be used is named in `remarks`.

        Raises InputError for a field without masks.
        """
        classes, _ = list_masks(self.masks / field)
        if not any(classes.values()):
            raise InputError(f"{self.masks / field} holds no masks; expected {field}/<class>/*.png")
        for name, entries in classes.items():
            for entry in entries:
                try:
                    cell = read_mask(entry.path, shape)
                    if not cell.area:
                        raise InputError(f"{entry.path} is an empty mask: it holds no cell")
                except (InputError, MissingInputError) as error:
                    remarks.problems.append(str(error))
                    continue
                yield name, entry.path.relative_to(self.masks).as_posix(), cell

    def hold(self, output: Path) -> bool:
        """Whether `output` is the masks' folder or lies in it, where it would be taken for a field."""
        return self.masks.resolve() in (output.resolve(), *output.resolve().parents)

    def classes(self) -> set[str] | None:
        """All classes, where they are known before anything is read."""
        return {name for field in self.fields for name in list_masks(self.masks / field)[0]}

    def notices(self) -> list[str]:
        """What is worth knowing of the folder."""
        return []


def find_sources(
    folder: str | Path, *, masks: str = "masks", images: str | Path | None = None, image_dirname: str = ""
) -> Sources:
    """Find masks and images from the folder a user names.

    Raises MissingInputError without such a folder, InputError without folders of fields in it.

    Parameters
    ----------
    folder : the folder of per-field mask folders, or one that holds it under the name `masks`.
    images : folder of the images; where None, `image_dirname` beside the masks' folder, else the first that is there
        of ``images-color`` and ``images`` beside it, else `folder` itself.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder: {folder} (cellular download masks fetches the published one)")
    mask_folder = folder / masks if masks and (folder / masks).is_dir() else folder
    image_folder = _image_folder(folder, mask_folder.parent, images, image_dirname)
    fields = [entry.name for entry in _scan(mask_folder) if entry.is_dir() and entry.path != str(image_folder)]
    if not fields:
        raise InputError(f"{mask_folder} holds no field folders; expected {mask_folder}/<field>/<class>/*.png")
    return Sources(mask_folder, image_folder, tuple(sorted(fields, key=natural)), index_images(image_folder))


def _image_folder(folder: Path, beside: Path, images: str | Path | None, dirname: str) -> Path:
    if images is not None or dirname:
        chosen = Path(images) if images is not None else beside / dirname
        if not chosen.is_dir():
            raise MissingInputError(f"No such folder of images: {chosen}")
        return chosen
    usual = (beside / name for name in ("images-color", "images"))
    return next((path for path in usual if path.is_dir()), folder)


def index_images(folder: Path) -> dict[str, list[Entry]]:
    """The images of a folder by the name of their field, as it is compared; label images are none."""
    index: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(_scan(folder), key=lambda entry: entry.name):
        if kind_of(entry.name) == "image" and suffix_of(entry.name) in IMAGE_SUFFIXES and entry.is_file():
            name = split_channel(field_name(entry.name))[0]
            index[same_name(name)].append(Entry(Path(entry.path), entry.stat().st_size))
    return dict(index)


def list_masks(field_folder: Path) -> tuple[dict[str, list[Entry]], list[str]]:
    """The masks of one field by class, in natural order, and a sentence for every file that is none.

    Hidden files are passed over in silence; folders inside a class and files outside one are named.
    """
    classes: dict[str, list[Entry]] = {}
    problems: list[str] = []
    try:
        for entry in sorted(_scan(field_folder), key=lambda entry: natural(entry.name)):
            if entry.is_dir():
                classes[entry.name] = []
                _list_class(entry.path, classes[entry.name], problems)
            else:
                problems.append(f"{entry.path}: a mask belongs in a class folder ({field_folder.name}/<class>/*.png)")
    except InputError as error:
        problems.append(str(error))
    return classes, problems


def _list_class(folder: str, masks: list[Entry], problems: list[str]) -> None:
    for file in sorted(_scan(folder), key=lambda file: natural(file.name)):
        if os.path.splitext(file.name)[1].lower() in IMAGE_SUFFIXES and file.is_file():
            masks.append(Entry(Path(file.path), file.stat().st_size))
        else:
            problems.append(f"{file.path} is not an image; passed over")


def _scan(folder: str | Path) -> list[os.DirEntry]:
    """Everything in a folder that is not hidden, without asking the disk again about each."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror}") from error
    for entry in found:
        if entry.name != entry.name.encode(errors="replace").decode():  # bytes that are no text: no table can hold them
            raise InputError(f"{folder} holds a name that is not UTF-8 text, {entry.name!r}; rename it")
    return found


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts ``cell_2`` before ``cell_10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def listing_hash(entries: list[Entry]) -> str:
    """SHA-256 of names and sizes: changes when a file is added, removed, renamed or resized."""
    lines = sorted(f"{entry.path.parent.name}/{entry.path.name}\t{entry.size}\n" for entry in entries)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
