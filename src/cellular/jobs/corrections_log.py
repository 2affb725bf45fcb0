"""The log of corrections on disk: a line a stroke, only ever added to."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellular.errors import InputError, OutputError, OutputExistsError
from cellular.files import alone_in, writing
from cellular.jobs.states_by_hand import STATES, ByHand, is_change, is_written, take_in, write_states

logger = logging.getLogger(__name__)

LOG = "corrections.jsonl"
UNDO, REDO = "undo", "redo"
# What somebody says of cells is a stroke like those that change outlines, and changes none.
STATE = "state"
# What is told of a field in tables: cells drawn or changed by hand, and cells of the original that are gone.
COUNTS = ("cells_edited", "cells_deleted")
_KEYS = {"time", "who", "field", "operation", "arguments", "cells", "original", "after", *COUNTS}


def append(path: Path, entry: Mapping[str, Any], whole: int) -> int:
    """Add a line after the `whole` bytes of finished ones, on the disk when this returns; how many these are now.

    What a killed program left of a line is cut off first.
    """
    with writing(path), open(path, "ab") as file:
        file.truncate(whole)
        file.write((json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def read_log(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The entries from byte `start`, and where they end: a line without an end is unfinished.

    None, and 0, without a file or of one that ends before `start`: it is another one.
    """
    if not path.is_file() or path.stat().st_size < start:
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
        if not isinstance(entry, dict) or not entry.keys() >= _KEYS or not is_change(entry.get("states", {})):
            raise InputError(f"{path}: line {number} is no correction; restore the file from a copy")
        entries.append(entry)
    return entries, start + len(whole) + len(ended)


def mend_states(folder: Path, log: Iterable[Mapping[str, Any]]) -> None:
    """Write the table of states anew where it is not what the `log` in `folder` tells: the log counts.

    A program that was killed after a line of the log has left it as it was before. Where the folder cannot be written,
    or another command is writing there, the table is left for the next one.
    """
    known: ByHand = {}
    take_in(known, log)
    if is_written(folder, known):
        return
    try:
        with alone_in(folder, deep=False):
            told: ByHand = {}
            take_in(told, read_log(folder / LOG)[0])  # as it is now that nobody else writes
            write_states(folder, told)
    except OutputExistsError:
        pass  # whoever is at work there writes it
    except OutputError as error:
        logger.warning("%s is not what %s says, and could not be written: %s", folder / STATES, LOG, error)


def taken_apart(entries: Iterable[Mapping[str, Any]]) -> tuple[list, list]:
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


def as_logged(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A stroke's arguments as they come back from the log."""
    return json.loads(json.dumps(arguments, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def new_numbers(original: np.ndarray, entries: Iterable[Mapping[str, Any]], count: int) -> list[int]:
    """Numbers that no cell of a field has had, in the `original` or in any stroke, painted, taken back or not."""
    used = [int(original.max(initial=0))]
    for arguments in (entry["arguments"] for entry in entries):
        new = arguments.get("new", [])
        used += new if isinstance(new, list) else [new]
        used += [number for _, _, number in arguments.get("runs", ())]
    return list(range(max(used) + 1, max(used) + 1 + count))


def warn_of_lost_light(fields: Sequence[str]) -> None:
    """Warn of corrected `fields` whose label image before is gone: deleted cells cannot be told from ground."""
    if fields:
        logger.warning(
            "%s%s: the label image that was corrected is gone, so the light of its deleted cells is in the background",
            *(fields[0], f" and {len(fields) - 1} more" if len(fields) > 1 else ""),
        )
