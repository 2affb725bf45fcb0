"""The log of corrections on disk: a line a stroke, only ever added to."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cellular.errors import InputError
from cellular.files import writing
from cellular.jobs.states_by_hand import is_change

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
        if not isinstance(entry, dict) or not entry.keys() >= _KEYS or not is_change(entry.get("states", {})):
            raise InputError(f"{path}: line {number} is no correction; restore the file from a copy")
        entries.append(entry)
    return entries, start + len(whole) + len(ended)


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
