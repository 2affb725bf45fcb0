"""What is exported: fields with their labels, and, where they are known, classes, measurements and images."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.find import find_images
from cellular.data.formats.annotation import DEFAULT_CLASS
from cellular.data.formats.endings import cellpose_rank, is_one_fields_labels
from cellular.data.formats.suffixes import field_name, kind_of, same_name
from cellular.data.image import FieldImage, load_labels, read_field
from cellular.data.plate import IDENTITY, FieldFiles
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.tables import find_table, read_table


@dataclass(frozen=True)
class LabelledField:
    """One field to export; files are read when asked for, so a thousand fields fit in memory.

    Attributes
    ----------
    files : its label image or outlines, and its image's channels; no sources where there is no image.
    classes : class of each label; a label that is not in it is a "cell".
    measurements : numbers measured of each label, by their names.
    """

    files: FieldFiles
    classes: dict[int, str] = field(default_factory=dict)
    measurements: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The field's name."""
        return self.files.name

    @property
    def labels_path(self) -> Path:
        """Its label image or outlines.

        Raises MissingInputError where it has none.
        """
        if self.files.labels is None:
            raise MissingInputError(f"Field {self.name} has no label image")
        return self.files.labels

    @property
    def images(self) -> tuple[Path, ...]:
        """Its image, or its raw channel files; empty where there is none."""
        return self.files.images

    def labels(self) -> np.ndarray:
        """The label image (Y, X), uint16 or uint32; outlines are painted in the image's size.

        Raises as :func:`cellular.data.image.load_labels`.
        """
        return load_labels(self.files)

    def read(self) -> FieldImage | None:
        """The image with what its channels are; None where there is none. A wrong size raises InputError.

        Raw channels of 8 bit come as uint16: three planes of uint8 would be a composite.
        """
        if not self.images:
            return None
        image = read_field(self.files)
        if image.shape != self.labels().shape:
            raise InputError(f"{self.images[0]}: {image.shape} px, its labels have {self.labels().shape}")
        several = len(self.images) > 1 and image.pixels.dtype == np.uint8
        return replace(image, pixels=image.pixels.astype(np.uint16)) if several else image

    def image(self) -> np.ndarray | None:
        """The same as an array (Y, X) or (Y, X, C)."""
        image = self.read()
        return None if image is None else image.array()

    def class_of(self, label: int) -> str:
        """Class of a label."""
        return self.classes.get(label, DEFAULT_CLASS)


def class_names(fields: Sequence[LabelledField]) -> list[str]:
    """All classes of `fields`, sorted; a field whose labels cannot be read has none."""
    names = {name for item in fields for name in item.classes.values()}
    return sorted(names | ({DEFAULT_CLASS} if any(map(_has_unnamed, fields)) else set()))


def _has_unnamed(item: LabelledField) -> bool:
    try:
        return bool(set(np.unique(item.labels()).tolist()) - {0} - set(item.classes))
    except CellularError:
        return False


def find_labelled(
    path: str | Path, images: str | Path | None = None, cells: str | Path | None = None
) -> list[LabelledField]:
    """Fields to export from a label image or a folder of them.

    Parameters
    ----------
    path : a file with one field's labels or outlines, or a folder of them: ``<field>_masks.*``, ``<field>_seg.npy``,
        ``<field>.geojson`` and whatever else `endings` lists; all images where none is called so.
    images : folder of the images; None looks beside the labels.
    cells : table with the columns field (or image) and label, and, where they are known, class and any numbers, such as
        `measure` and `segment` write; None takes the ``cells.csv`` that `prepare` wrote above.

    Raises MissingInputError or InputError.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such label image or folder: {path}")
    files = {field_name(path): path} if path.is_file() else label_files(path)
    first = next(iter(files.values()))
    folder = Path(images) if images is not None else first.parent
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of images: {folder}")
    pictures = find_images(folder, files, files.values())
    if images is not None and not pictures.keys() & set(map(same_name, files)):
        raise InputError(
            f"{folder} holds no image called as {first.name}, nor as any other of {len(files)}; call the label images "
            "as the images' files are called, or leave --images out to export without"
        )
    found = []
    for name, file in files.items():
        item = pictures.get(same_name(name), FieldFiles(name, (), series=name))
        found.append(replace(item, name=name, labels=file))
    return with_cells(found, cells)


def with_cells(fields: Sequence[FieldFiles], cells: str | Path | None = None) -> list[LabelledField]:
    """Those of the fields that have label images, to be exported; `cells` as for :func:`find_labelled`.

    Raises InputError where none has any.
    """
    kept = [item for item in fields if item.labels is not None]
    if not kept:
        raise InputError(f"None of {len(fields)} fields has a label image")
    table = _cells_of(LabelledField(kept[0]).labels_path, cells, [item.name for item in kept])
    nothing: tuple[dict[int, str], dict[int, dict[str, float]]] = ({}, {})
    return [LabelledField(item, *table.get(same_name(item.name), nothing)) for item in kept]


def label_files(folder: Path) -> dict[str, Path]:
    """The file with labels or outlines of each field in a folder, by field, sorted.

    Of several that Cellpose wrote of one image the one its GUI corrects is taken. Where no file is called like labels,
    every image is a label image. Raises InputError for an empty folder and for two files that claim one field.
    """
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] != "."]
    named = [file for file in files if is_one_fields_labels(file)] or [f for f in files if kind_of(f) == "image"]
    if not named:
        raise InputError(f"{folder} holds no label images or outlines (<field>_masks.tif, _seg.npy, .geojson ...)")
    chosen: dict[str, Path] = {}
    for file in named:
        name = field_name(file)
        other = chosen.setdefault(name, file)
        if other is not file:
            first, second = cellpose_rank(other), cellpose_rank(file)
            if first is None or second is None or first == second:
                raise InputError(f"Two files with labels of {name}: {other} and {file}; remove one")
            chosen[name] = other if first < second else file
    return dict(sorted(chosen.items()))


def table_above(labels: Path) -> Path | None:
    """The table ``cells`` in one of the three folders above a label image, as `prepare` and `segment` write it."""
    beside = (find_table(folder, "cells") for folder in labels.absolute().parents[:3])
    return next((file for file in beside if file is not None), None)


_Cells = tuple[dict[int, str], dict[int, dict[str, float]]]


def _cells_of(labels: Path, cells: str | Path | None, names: list[str]) -> dict[str, _Cells]:
    """Classes and measurements by label, by field. The labels of a class's own folder are counted on their own."""
    given = cells is not None
    if (cells := cells if given else table_above(labels)) is None:
        return {}
    table = _read_cells(cells)
    folder, column = labels.absolute().parent.parent.name, "label"
    if {"class", "class_label"} <= set(table) and folder in set(table["class"]):
        table, column = table[table["class"] == folder], "class_label"
    table = table[table[column] > 0]
    if (twice := table[table.duplicated(["field", column])]).size:
        row = twice.iloc[0]
        raise InputError(f"{cells} has two rows for label {row[column]} of field {row['field']}")
    found = {name: _by_label(rows.set_index(column)) for name, rows in table.groupby(table["field"].map(same_name))}
    if given and not {same_name(name) for name in names} & set(found):
        raise InputError(
            f"{cells} has no row of field {names[0]}; its fields: {', '.join(sorted(found)[:3]) or 'none'}"
        )
    return found


def _read_cells(path: str | Path) -> pd.DataFrame:
    """The table, with a column field of text, a column label of whole numbers, and text kept to the letter."""
    table = read_table(path)
    table = table.drop(columns=_not_measured(Path(path)), errors="ignore")
    if "field" not in table and "image" in table:
        table = table.rename(columns={"image": "field"})
    if missing := {"field", "label"} - set(table.columns):
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
    for column in {"label", "class_label"} & set(table.columns):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (bad := numbers.isna() | (numbers % 1 != 0)).any():
            raise InputError(f"{path}: a {column} is a whole number, not {table[column][bad].iloc[0]!r}")
        table[column] = numbers.astype(np.int64)
    return table


def _not_measured(cells: Path) -> list[str]:
    """Columns that say where a field is and what its well was given: those that the table of images beside has too."""
    images = find_table(cells.parent, "images")
    told = list(read_table(images)) if images else []
    return [name for name in (*IDENTITY, "dose", *told) if name not in ("field", "label", "class")]


def _by_label(rows: pd.DataFrame) -> _Cells:
    """Class of each label that has one, and its finite numbers."""
    classes = {int(label): name for label, name in rows["class"].dropna().items()} if "class" in rows else {}
    numbers = rows.select_dtypes("number").drop(columns=["label", "class_label", "ignore_label"], errors="ignore")
    finite = numbers.where(np.isfinite(numbers))
    measured = {
        int(label): {str(key): float(value) for key, value in row.items() if pd.notna(value)}
        for label, row in finite.iterrows()
    }
    return classes, measured
