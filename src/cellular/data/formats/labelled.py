"""What is exported: fields with their labels, and, where they are known, classes and images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cellular.data.fields import split_channel
from cellular.data.formats.annotation import DEFAULT_CLASS
from cellular.data.formats.images import IMAGE_SUFFIXES, read_labels
from cellular.data.formats.metadata import read_metadata
from cellular.data.pairs import IGNORE_SUFFIX, MASKS_SUFFIX, Pair, load_image
from cellular.errors import InputError, MissingInputError
from cellular.files import read_csv


@dataclass(frozen=True)
class LabelledField:
    """One field to export; files are read when asked for, so a thousand fields fit in memory.

    Attributes
    ----------
    name : the field's name.
    labels_path : its label image.
    images : its image, or its raw channel files; empty where there is none.
    classes : class of each label; a label that is not in it is a "cell".
    """

    name: str
    labels_path: Path
    images: tuple[Path, ...] = ()
    classes: dict[int, str] = field(default_factory=dict)

    def labels(self) -> np.ndarray:
        """The label image (Y, X), uint16 or uint32."""
        return read_labels(self.labels_path)

    def image(self) -> np.ndarray | None:
        """The image (Y, X) or (Y, X, C), in its own dtype; None where there is none. A wrong size raises InputError."""
        if not self.images:
            return None
        image = load_image(Pair(self.name, self.images))
        if image.shape[:2] != self.labels().shape:
            raise InputError(f"{self.images[0]}: {image.shape[:2]} px, its labels have {self.labels().shape}")
        return image

    def class_of(self, label: int) -> str:
        """Class of a label."""
        return self.classes.get(label, DEFAULT_CLASS)

    def pixel_size(self) -> float | None:
        """Pixel size in µm, from the image's metadata or else the labels'; None where neither has it."""
        sizes = (read_metadata(path).pixel_size for path in (*self.images, self.labels_path))
        return next((size for size in sizes if size is not None), None)


def class_names(fields: Sequence[LabelledField]) -> list[str]:
    """All classes of `fields`, sorted."""
    names = {name for item in fields for name in item.classes.values()}
    unnamed = any(set(np.unique(item.labels()).tolist()) - {0} - set(item.classes) for item in fields)
    return sorted(names | ({DEFAULT_CLASS} if unnamed else set()))


def find_labelled(
    path: str | Path, images: str | Path | None = None, cells: str | Path | None = None
) -> list[LabelledField]:
    """Fields to export from a label image or a folder of them.

    Parameters
    ----------
    path : a label image, or a folder with ``<field>_masks.*`` (all images where none is called so).
    images : folder of the images; None looks beside the labels.
    cells : table with the columns field, label and class; None takes the ``cells.csv`` that `prepare` wrote above.

    Raises MissingInputError or InputError.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such label image or folder: {path}")
    files = [path] if path.is_file() else _label_files(path)
    folder = Path(images) if images is not None else files[0].parent
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of images: {folder}")
    taken = {file.resolve() for file in files}
    pictures = _pictures(folder, taken)
    table = _classes(files[0], cells)
    names = [_name(file) for file in files]
    return [
        LabelledField(name, file, tuple(pictures.get(name, ())), table.get(name, {}))
        for name, file in zip(names, files)
    ]


def _label_files(folder: Path) -> list[Path]:
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.stem.endswith(IGNORE_SUFFIX) and file.name[0] != "."
    )
    named = [file for file in files if file.stem.endswith(MASKS_SUFFIX)]
    if not files:
        raise InputError(f"{folder} holds no label images ({', '.join(IMAGE_SUFFIXES)})")
    return named or files


def _name(file: Path) -> str:
    return file.stem.removesuffix(MASKS_SUFFIX)


def _pictures(folder: Path, labels: set[Path]) -> dict[str, list[Path]]:
    found: dict[str, dict[int, Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in IMAGE_SUFFIXES or file.resolve() in labels or file.stem.endswith("_masks"):
            continue
        name, channel = split_channel(file.stem)
        found.setdefault(name, {})[channel or 0] = file
    # A composite (0) stands for the field; raw channels go in the order of red, green, blue.
    order = (2, 1, 3)
    return {
        name: [channels[0]]
        if 0 in channels
        else [channels[c] for c in sorted(channels, key=lambda c: (*order, c).index(c))]
        for name, channels in found.items()
    }


def _classes(labels: Path, cells: str | Path | None) -> dict[str, dict[int, str]]:
    """Class by label by field. The labels of a class's own folder are counted on their own: column class_label."""
    if cells is None:
        beside = (folder / "cells.csv" for folder in labels.absolute().parents[:3])
        cells = next((file for file in beside if file.is_file()), None)
        if cells is None:
            return {}
    table = read_csv(cells)
    missing = {"field", "label", "class"} - set(table.columns)
    if missing:
        raise InputError(f"{cells} lacks the column(s) {', '.join(sorted(missing))}")
    folder = labels.absolute().parent.parent.name
    column = "label"
    if "class_label" in table and folder in set(table["class"]):
        table, column = table[table["class"] == folder], "class_label"
    table = table[table[column] > 0]
    return {
        str(name): dict(zip(rows[column].astype(int).tolist(), rows["class"].astype(str)))
        for name, rows in table.groupby("field")
    }
