"""Corrections of a run's label images: a log of strokes, and the label images that come of it; never over the original.

``corrections/corrections.jsonl`` holds a line a stroke, who, when and what, and is only ever added to; the label image
``<field>_masks.tif`` is what comes of replaying a field's strokes on its original. The log is written first: whoever
is killed in between loses nothing, and the image is made again.
"""

import getpass
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.find import as_plate, find_annotated
from cellular.data.formats.images import read_labels, write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import load_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import alone_in, writing
from cellular.labels import edit

LOG = "corrections.jsonl"
UNDO, REDO = "undo", "redo"
# What is told of a field in tables: cells drawn or changed by hand, and cells of the original that are gone.
COUNTS = ("cells_edited", "cells_deleted")
_KEYS = {"time", "who", "field", "operation", "arguments", "cells", "original", "after", *COUNTS}


def _split(labels: np.ndarray, cell: int, new: list[int], line: Any = None, seeds: Any = None) -> np.ndarray:
    by_line = line is not None
    return edit.split_by_line(labels, cell, line, new) if by_line else edit.split_by_seeds(labels, cell, seeds, new)


def _check(labels: np.ndarray) -> np.ndarray:
    """Nothing to correct: somebody has looked the field over, and it is right as it is."""
    return labels


OPERATIONS: dict[str, Callable[..., np.ndarray]] = {
    "delete": edit.delete,
    "merge": edit.merge,
    "split": _split,
    "draw": edit.draw,
    "reshape": edit.reshape,
    "paint": edit.paint,
    "check": _check,
}
# How many numbers that no cell had before an operation is given. A cut may leave more than two parts.
_NEW = {"merge": 1, "draw": 1, "split": 8}


@dataclass(frozen=True)
class Corrections:
    """The corrections in a folder, as its log tells them.

    Attributes
    ----------
    folder : of the log and of the corrected label images.
    log : the strokes of all fields, in order.
    """

    folder: Path
    log: tuple[dict[str, Any], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields in which a stroke stands that was not taken back, in order of their first stroke."""
        names = dict.fromkeys(entry["field"] for entry in self.log)
        return tuple(name for name in names if _standing(self.of(name))[0])

    def of(self, field: str) -> list[dict[str, Any]]:
        """The strokes of one field."""
        return [entry for entry in self.log if entry["field"] == field]

    def table(self) -> pd.DataFrame:
        """A row a corrected field: ``field, cells_edited, cells_deleted``."""
        rows = [{"field": name, **{key: self.of(name)[-1][key] for key in COUNTS}} for name in self.fields]
        return pd.DataFrame(rows, columns=["field", *COUNTS]).astype({"field": object})


def open_corrections(folder: str | Path) -> Corrections:
    """The corrections in `folder`; a stroke that a killed program had half-written at the end is left out.

    Raises MissingInputError without a log, InputError for one that is damaged.
    """
    folder = Path(folder)
    if not (folder / LOG).is_file():
        raise MissingInputError(f"{folder} holds no corrections ({LOG}); `cellular view` makes them")
    return Corrections(folder, tuple(_read_log(folder / LOG)[0]))


def corrected(plate: Plate, folder: str | Path | None) -> tuple[Plate, Corrections | None]:
    """`plate` with the corrected label image of every field that has one, and the corrections; as it was for None.

    Raises InputError where the label image of a field is no longer the one that was corrected, or no field of the plate
    has a correction.
    """
    if folder is None:
        return plate, None
    found = open_corrections(folder)
    here = {item.name: item for item in plate.fields}
    known = [name for name in found.fields if name in here]
    if found.fields and not known:
        raise InputError(f"{folder} corrects {found.fields[0]} and the like, no field of {plate.folder}")
    labels = {name: _mended(found, here[name]) for name in known}
    fields = tuple(replace(item, labels=labels.get(item.name, item.labels)) for item in plate.fields)
    return replace(plate, fields=fields), found


def annotated(source: Plate | str | Path, folder: str | Path | None) -> Plate:
    """A folder's fields with a label image each, as :func:`find_annotated`; with those corrected in `folder` if given.

    Where corrections are given, fields with neither are left out.
    """
    if folder is None:
        return source if isinstance(source, Plate) else find_annotated(source)
    return only_labelled(corrected(as_plate(source), folder)[0])


def only_labelled(plate: Plate) -> Plate:
    """The fields of `plate` that have a label image: where cells were outlined only here and there."""
    kept = tuple(item for item in plate.fields if item.labels)
    if not kept:
        raise InputError(f"{plate.folder}: none of its {len(plate)} fields has a label image or a correction")
    return replace(plate, fields=kept)


def with_counts(images: pd.DataFrame, found: Corrections | None) -> pd.DataFrame:
    """The table of images with :data:`COUNTS`, 0 for a field that nobody corrected; as it was without corrections."""
    if found is None:
        return images
    counts = found.table().set_index("field").reindex(images["field"]).fillna(0).astype(np.int64)
    return images.assign(**{name: counts[name].to_numpy() for name in COUNTS})


def _mended(found: Corrections, item: FieldFiles) -> Path:
    """The corrected label image of a field, made again from the log where it is not what the log says."""
    path, last = label_path(found.folder, item.name), found.of(item.name)[-1]
    fixed = read_labels(path) if path.is_file() else None
    original = None if item.labels is None else load_labels(item, None if fixed is None else fixed.shape)
    if original is not None:
        check_original(found, item.name, original)
    if fixed is not None and pixel_hash(fixed) == last["after"]:
        return path
    if item.labels is None:
        raise InputError(
            f"{path} is not what {LOG} says, and the label image that was corrected is not here to mend it"
        )
    with alone_in(found.folder, deep=False):
        write_labels(path, _replayed(original, found.of(item.name)))
    return path


def check_original(found: Corrections, field: str, original: np.ndarray) -> None:
    """Raise InputError where the field's label image is not the one that was corrected."""
    entries = found.of(field)
    if entries and entries[-1]["original"] != pixel_hash(original):
        raise InputError(
            f"{field}: its label image has changed since it was corrected in {found.folder}; segment as before, or "
            "begin new corrections in another folder"
        )


class FieldCorrections:
    """One field under correction: every stroke is on disk before the method returns.

    Parameters
    ----------
    folder : of the corrections of the run.
    field : its name.
    original : (Y, X) its label image as segmented.
    who : written to the log; the user's name by default.
    pixel_size_um : written to the label image.

    Raises InputError where `original` is not what the corrections in `folder` were made on.
    """

    def __init__(
        self,
        folder: str | Path,
        field: str,
        original: np.ndarray,
        who: str | None = None,
        pixel_size_um: float | None = None,
    ) -> None:
        self.folder, self.field, self.original = Path(folder), field, original
        self.who = who or getpass.getuser()
        self.pixel_size_um = pixel_size_um
        self._hash = pixel_hash(original)
        log, self._whole = _read_log(self.folder / LOG)  # and how many bytes of it are known
        found = Corrections(self.folder, tuple(log))
        check_original(found, field, original)
        self._entries = found.of(field)
        self.labels = _replayed(original, self._entries)

    @property
    def can_undo(self) -> bool:
        """Whether a stroke stands that can be taken back."""
        return bool(_standing(self._entries)[0])

    @property
    def can_redo(self) -> bool:
        """Whether a stroke was taken back, and none made since."""
        return bool(_standing(self._entries)[1])

    def edited(self) -> list[int]:
        """The cells as they are now that are new or of another shape than in the original."""
        return edit.changed_cells(self.original, self.labels)[0]

    def do(self, operation: str, **arguments: Any) -> list[int]:
        """Do one of :data:`OPERATIONS` with its `arguments` but for new cells' numbers; the cells that it touched."""
        if operation not in OPERATIONS:
            raise InputError(f"unknown correction '{operation}'; known: {', '.join(OPERATIONS)}")
        if operation in _NEW:
            first = self._next_number()
            numbers = list(range(first, first + _NEW[operation]))
            arguments = {**arguments, "new": numbers if operation == "split" else numbers[0]}
        after = OPERATIONS[operation](self.labels, **arguments)
        if operation == "split":
            arguments["new"] = [number for number in arguments["new"] if (after == number).any()]
        return self._keep(operation, json.loads(json.dumps(arguments, default=_plain)), after)

    def become(self, edited: np.ndarray) -> list[int]:
        """The field as somebody painted it elsewhere, `edited` (Y, X), as one stroke; the cells that it touched.

        Nothing is written where nothing differs. Raises InputError for an array that is no label image of this field.
        """
        if edited.shape != self.labels.shape or edited.dtype.kind not in "ui":
            raise InputError(
                f"{self.field}: {edited.dtype} {edited.shape} is no label image of this field, {self.labels.shape}"
            )
        runs = edit.painting(self.labels, edited)
        return self.do("paint", runs=runs) if runs else []

    def undo(self) -> list[int]:
        """Take the last stroke back; the cells that it touched."""
        standing, _ = _standing(self._entries)
        if not standing:
            raise InputError(f"{self.field}: there is nothing to undo")
        return self._keep(UNDO, {}, _applied(self.original, standing[:-1]))

    def redo(self) -> list[int]:
        """Make the stroke again that was taken back last; the cells that it touches."""
        standing, undone = _standing(self._entries)
        if not undone:
            raise InputError(f"{self.field}: there is nothing to redo")
        return self._keep(REDO, {}, _applied(self.original, [*standing, undone[-1]]))

    def _next_number(self) -> int:
        """A number that no cell of this field has had, in the original or in any stroke, taken back or not."""
        given = [entry["arguments"].get("new", 0) for entry in self._entries]
        used = [number for one in given for number in (one if isinstance(one, list) else [one])]
        return max([int(self.original.max(initial=0)), *used]) + 1

    def _keep(self, operation: str, arguments: Mapping[str, Any], after: np.ndarray) -> list[int]:
        edited, gone = edit.changed_cells(self.original, after)
        touched = sorted({cell for part in edit.changed_cells(self.labels, after) for cell in part})
        entry = {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "who": self.who,
            "field": self.field,
            "operation": operation,
            "arguments": dict(arguments),
            "cells": touched,
            "original": self._hash,
            "after": pixel_hash(after),
            **dict(zip(COUNTS, (len(edited), len(gone)))),
        }
        with alone_in(self.folder, deep=False):
            self._check_alone()
            self._whole = _append(self.folder / LOG, entry, self._whole)
            self._entries.append(entry)
            self.labels = after
            write_labels(label_path(self.folder, self.field), after, self.pixel_size_um)
        return touched

    def _check_alone(self) -> None:
        """Raise InputError where somebody else has corrected the field since this began."""
        new, self._whole = _read_log(self.folder / LOG, self._whole)
        if any(entry["field"] == self.field for entry in new):
            raise InputError(f"{self.field} was corrected elsewhere meanwhile; open it again")


def _standing(entries: Iterable[Mapping[str, Any]]) -> tuple[list, list]:
    """The strokes that stand, and those that were taken back and can be made again, the last one last."""
    standing: list[Mapping[str, Any]] = []
    undone: list[Mapping[str, Any]] = []
    for entry in entries:
        if entry["operation"] == UNDO:
            undone.append(standing.pop())
        elif entry["operation"] == REDO:
            standing.append(undone.pop())
        else:
            standing.append(entry)
            undone = []
    return standing, undone


def _replayed(original: np.ndarray, entries: list[dict[str, Any]]) -> np.ndarray:
    labels = _applied(original, _standing(entries)[0])
    if entries and pixel_hash(labels) != entries[-1]["after"]:
        raise InputError(f"{entries[-1]['field']}: replaying its strokes does not give what {LOG} says; it is damaged")
    return labels


def _applied(original: np.ndarray, strokes: Iterable[Mapping[str, Any]]) -> np.ndarray:
    labels = original
    for stroke in strokes:
        labels = OPERATIONS[stroke["operation"]](labels, **stroke["arguments"])
    return labels


def pixel_hash(labels: np.ndarray) -> str:
    """SHA-256 of a label image's size and numbers, however they are stored."""
    digest = hashlib.sha256(repr(labels.shape).encode())
    digest.update(np.ascontiguousarray(labels, np.uint32).data)
    return digest.hexdigest()


def _append(path: Path, entry: Mapping[str, Any], whole: int) -> int:
    """Add a line after the `whole` bytes of finished ones, on the disk when this returns; how many these are now.

    What a killed program left of a line is cut off first.
    """
    with writing(path), open(path, "ab") as file:
        file.truncate(whole)
        file.write((json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _read_log(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The entries from byte `start`, none without a file, and where they end: a line without an end is unfinished."""
    if not path.is_file():
        return [], 0
    with open(path, "rb") as file:
        file.seek(start)
        whole, ended, _ = file.read().rpartition(b"\n")
    entries = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: line {number} is damaged: {error}") from error
        if not isinstance(entry, dict) or not entry.keys() >= _KEYS:
            raise InputError(f"{path}: line {number} is no correction; restore the file from a copy")
        entries.append(entry)
    return entries, start + len(whole) + len(ended)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
