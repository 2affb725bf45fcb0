"""Corrections of a run's label images and states: a log of strokes, and what comes of it; never over the original.

``corrections/corrections.jsonl`` holds a line a stroke, who, when and what, and is only ever added to; the label image
``<field>_masks.tif`` is what comes of replaying a field's strokes on its original, ``states.csv`` what was told of
cells and holds. The log is written first: whoever is killed in between loses nothing, and the others are made again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.autophagy.state.words import in_our_words
from cellular.data.find import as_plate, find_annotated
from cellular.data.formats.images import read_labels, write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import load_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import alone_in
from cellular.jobs.corrections_log import (
    COUNTS,
    LOG,
    REDO,
    STATE,
    UNDO,
    append,
    as_logged,
    mend_states,
    new_numbers,
    read_log,
    taken_apart,
    warn_of_lost_light,
)
from cellular.jobs.machine import user
from cellular.jobs.states_by_hand import ByHand, as_table, changes, check_same, take_in, write_states
from cellular.labels import edit, follow
from cellular.labels.cells import pixel_hash


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
# A field's label image, and what was said of its cells.
Marked = tuple[np.ndarray, dict[int, follow.Said]]
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
        """The fields whose outlines somebody corrected or found right, in order of their first stroke.

        Those are not among them whose every stroke was taken back, nor those in which only states were told.
        """
        names = dict.fromkeys(entry["field"] for entry in self.log)
        return tuple(name for name in names if any(one["operation"] != STATE for one in taken_apart(self.of(name))[0]))

    def of(self, field: str) -> list[dict[str, Any]]:
        """The strokes of one field."""
        return [entry for entry in self.log if entry["field"] == field]

    def table(self) -> pd.DataFrame:
        """A row a corrected field: ``field, cells_edited, cells_deleted``."""
        rows = [{"field": name, **{key: self.of(name)[-1][key] for key in COUNTS}} for name in self.fields]
        return pd.DataFrame(rows, columns=["field", *COUNTS]).astype(
            {"field": object, **dict.fromkeys(COUNTS, "int64")}
        )

    def states(self) -> pd.DataFrame:
        """A row a cell whose state was told by hand, and holds: see :mod:`cellular.jobs.states_by_hand`."""
        known: ByHand = {}
        take_in(known, self.log)
        return as_table(known)


def open_corrections(folder: str | Path) -> Corrections:
    """The corrections in `folder`; a stroke that a killed program had half-written at the end is left out.

    Raises MissingInputError without a log, InputError for one that is damaged.
    """
    folder = Path(folder)
    if not (folder / LOG).is_file():
        raise MissingInputError(f"{folder} holds no corrections ({LOG}); `cellular view` makes them")
    log, _ = read_log(folder / LOG)
    mend_states(folder, log)
    return Corrections(folder, tuple(log))


def corrected(plate: Plate, folder: str | Path | None) -> tuple[Plate, Corrections | None]:
    """`plate` with the corrected label image of every field that has one, and the corrections; as it was for None.

    Raises InputError where the label image of a field is no longer the one that was corrected, or no field of the plate
    has a correction.
    """
    if folder is None:
        return plate, None
    found = open_corrections(folder)
    return corrected_by(plate, found), found


def corrected_by(plate: Plate, found: Corrections) -> Plate:
    """`plate` with the corrected label images of `found`; raises as :func:`corrected` does."""
    here = {item.name for item in plate.fields}
    every = dict.fromkeys([*found.fields, *found.states()["field"]])
    if every and here.isdisjoint(every):
        raise InputError(f"{found.folder} corrects {next(iter(every))} and the like, no field of {plate.folder}")
    own = set(found.fields)
    fields = [
        replace(item, labels=_mended(found, item), original=item.labels) if item.name in own else item
        for item in plate.fields
    ]
    return replace(plate, fields=tuple(fields))


def annotated(source: Plate | str | Path, folder: str | Path | None) -> Plate:
    """A folder's fields with a label image each, as :func:`find_annotated`; with those corrected in `folder` if given.

    Where corrections are given, fields with neither are left out.
    """
    if folder is None:
        return source if isinstance(source, Plate) else find_annotated(source)
    return only_labelled(corrected(as_plate(source), folder)[0])


def told_states(plate: Plate, found: Corrections | None) -> pd.DataFrame | None:
    """The states told by hand of cells of `plate`, see :meth:`Corrections.states`; None where none was."""
    told = None if found is None else found.states()
    if told is not None:
        told = told[told["field"].isin([item.name for item in plate.fields])].reset_index(drop=True)
    return told if told is not None and len(told) else None


def check_states(plate: Plate, found: Corrections | None) -> None:
    """Raise InputError where a field's label image is no longer the one whose cells' states were told by hand.

    Label images that were corrected are checked by :func:`corrected`; where they are gone, a warning says what follows.
    """
    if found is None:
        return
    table, lost = found.table(), {item.name for item in plate.fields if item.original is None}
    warn_of_lost_light([name for name in table.loc[table["cells_deleted"] > 0, "field"] if name in lost])
    told = set(found.states()["field"]) - set(found.fields)
    for item in plate.fields:
        if item.name in told and item.labels is not None:
            check_original(found, item.name, load_labels(item))


def only_labelled(plate: Plate) -> Plate:
    """The fields of `plate` that have a label image: where cells were outlined only here and there."""
    kept = tuple(item for item in plate.fields if item.labels)
    if not kept:
        raise InputError(f"{plate.folder}: none of its {len(plate)} fields has a label image, or a corrected one")
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
    if original is None:
        raise InputError(
            f"{path} is not what {LOG} says, and the label image that was corrected is not here to mend it"
        )
    with alone_in(found.folder, deep=False):
        write_labels(path, _replayed(original, found.of(item.name))[0])
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
        self.who = who or user()
        self.pixel_size_um = pixel_size_um
        self._hash = pixel_hash(original)
        log, self._whole = read_log(self.folder / LOG)  # and how many bytes of it are known
        mend_states(self.folder, log)
        found = Corrections(self.folder, tuple(log))
        check_original(found, field, original)
        self._entries = found.of(field)
        self._by_hand: ByHand = {}
        take_in(self._by_hand, log)
        self.labels, self._said = _replayed(original, self._entries)
        check_same(field, self._by_hand, self._said)

    @property
    def version(self) -> tuple[str, int]:
        """What was corrected, and how many strokes the log has of it, those taken back and their undoing too."""
        return self._hash, len(self._entries)

    def is_current(self) -> bool:
        """Whether nobody else has corrected the field since this began."""
        new, whole = read_log(self.folder / LOG, self._whole)
        if whole < self._whole or any(entry["field"] == self.field for entry in new):
            return False
        self._whole = whole
        take_in(self._by_hand, new)
        return True

    @property
    def can_undo(self) -> bool:
        """Whether a stroke stands that can be taken back."""
        return bool(taken_apart(self._entries)[0])

    @property
    def can_redo(self) -> bool:
        """Whether a stroke was taken back, and none made since."""
        return bool(taken_apart(self._entries)[1])

    def edited(self) -> list[int]:
        """The cells as they are now that are new or of another shape than in the original."""
        return edit.changed_cells(self.original, self.labels)[0]

    @property
    def states(self) -> dict[int, str]:
        """The states that were told by hand of the cells as they are now."""
        return {cell: one.word for cell, one in self._said.items()}

    def do(self, operation: str, **arguments: Any) -> list[int]:
        """Do one of :data:`OPERATIONS` with its `arguments` but for new cells' numbers; the cells that it touched.

        :data:`STATE` takes ``cells`` and their ``state``, in any words, or None for what the model said.
        """
        if operation not in (*OPERATIONS, STATE):
            raise InputError(f"unknown correction '{operation}'; known: {', '.join((*OPERATIONS, STATE))}")
        if operation == STATE:
            arguments = {"cells": [int(cell) for cell in arguments["cells"]], "state": in_our_words(arguments["state"])}
        if operation in _NEW:
            numbers = new_numbers(self.original, self._entries, _NEW[operation])
            arguments = {**arguments, "new": numbers if operation == "split" else numbers[0]}
        after = _done((self.labels, self._said), operation, arguments)
        if operation == "split":
            arguments["new"] = [number for number in arguments["new"] if (after[0] == number).any()]
        return self._keep(operation, as_logged(arguments), after, operation)

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
        standing, _ = taken_apart(self._entries)
        if not standing:
            raise InputError(f"{self.field}: there is nothing to undo")
        return self._keep(UNDO, {}, _applied(self.original, standing[:-1]), standing[-1]["operation"])

    def redo(self) -> list[int]:
        """Make the stroke again that was taken back last; the cells that it touches."""
        standing, undone = taken_apart(self._entries)
        if not undone:
            raise InputError(f"{self.field}: there is nothing to redo")
        after = _applied(self.original, [*standing, undone[-1]])
        return self._keep(REDO, {}, after, undone[-1]["operation"])

    def _keep(self, operation: str, arguments: Mapping[str, Any], marked: Marked, what: str) -> list[int]:
        """Write down a stroke, of which `marked` comes; `what` it is or takes back is one of those of :meth:`do`."""
        after, said = marked
        edited, gone = edit.changed_cells(self.original, after)
        states = changes(self._said, said)
        touched = {cell for part in edit.changed_cells(self.labels, after) for cell in part}
        cells = sorted(touched | set(map(int, states)))
        entry = {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "who": self.who,
            "field": self.field,
            "operation": operation,
            "arguments": dict(arguments),
            "cells": cells,
            "original": self._hash,
            "after": pixel_hash(after),
            **dict(zip(COUNTS, (len(edited), len(gone)))),
            **({"states": states} if states else {}),
        }
        with alone_in(self.folder, deep=False):
            if not self.is_current():
                raise InputError(f"{self.field} was corrected elsewhere meanwhile; open it again")
            self._whole = append(self.folder / LOG, entry, self._whole)
            self._entries.append(entry)
            take_in(self._by_hand, [entry])
            self.labels, self._said = after, said
            if what != STATE:
                write_labels(label_path(self.folder, self.field), after, self.pixel_size_um)
            if states:
                write_states(self.folder, self._by_hand)
        return cells


def _replayed(original: np.ndarray, entries: list[dict[str, Any]]) -> Marked:
    labels, said = _applied(original, taken_apart(entries)[0])
    if entries and pixel_hash(labels) != entries[-1]["after"]:
        raise InputError(f"{entries[-1]['field']}: replaying its strokes does not give what {LOG} says; it is damaged")
    return labels, said


def _applied(original: np.ndarray, strokes: Iterable[Mapping[str, Any]]) -> Marked:
    marked: Marked = original, {}
    for of_states, some in groupby(strokes, lambda stroke: stroke["operation"] == STATE):
        if of_states:  # many that follow each other, a cell each, are found in the label image at once
            words = {cell: one["arguments"]["state"] for one in some for cell in one["arguments"]["cells"]}
            marked = marked[0], follow.say(*marked, words)
            continue
        for stroke in some:
            marked = _done(marked, stroke["operation"], stroke["arguments"])
    return marked


def _done(marked: Marked, operation: str, arguments: Mapping[str, Any]) -> Marked:
    labels, said = marked
    if operation == STATE:
        follow.check_say(labels, said, arguments["cells"], arguments["state"])
        return labels, follow.say(labels, said, dict.fromkeys(arguments["cells"], arguments["state"]))
    after = OPERATIONS[operation](labels, **arguments)
    merged = (arguments["cells"], arguments["new"]) if operation == "merge" else ()
    return after, follow.follow(said, labels, after, *merged)
