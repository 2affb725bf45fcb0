"""States that somebody told of cells by hand: lines of the log of corrections in, a table of what holds now out."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cellular.delimited import csv_text
from cellular.errors import InputError
from cellular.files import write_csv
from cellular.labels.follow import Said

# Beside the log, for people: what the log says, written whole after each stroke that changes it.
STATES = "states.csv"
COLUMNS = ("field", "label", "state", "area", "y", "x", "who", "time")
_TOLD = {"state", "area", "y", "x"}
# Of each cell by field and label: its row of the table.
ByHand = dict[tuple[str, int], dict[str, Any]]


def changes(before: Mapping[int, Said], after: Mapping[int, Said]) -> dict[str, dict[str, Any] | None]:
    """What a stroke did to the states by hand of its field, by label; None where a cell has none any more."""
    gone: dict[str, dict[str, Any] | None] = {str(cell): None for cell in before if cell not in after}
    told = {cell: _row(one) for cell, one in after.items() if cell not in before or _row(before[cell]) != _row(one)}
    return gone | {str(cell): row for cell, row in told.items()}


def is_change(value: Any) -> bool:
    """Whether `value` is what :func:`changes` gives."""
    return isinstance(value, dict) and all(
        label.isdecimal() and (row is None or _is_row(row)) for label, row in value.items()
    )


def take_in(known: ByHand, entries: Iterable[Mapping[str, Any]]) -> None:
    """Bring `known` up to date by further entries of the log: undoing and outlines tell what they did to states too."""
    for entry in entries:
        for label, row in entry.get("states", {}).items():
            key = entry["field"], int(label)
            known.pop(key, None)
            if row is not None:
                told = {"field": key[0], "label": key[1], **row, "who": entry["who"], "time": entry["time"]}
                known[key] = told


def as_table(known: ByHand) -> pd.DataFrame:
    """A row a cell whose state was told by hand: :data:`COLUMNS`, by field and label."""
    rows = [known[key] for key in sorted(known)]
    kinds = {"label": "int64", "area": "int64", "y": "float64", "x": "float64"}
    text = dict.fromkeys(("field", "state", "who", "time"), object)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds | text)


def write_states(folder: Path, known: ByHand) -> None:
    """Write :data:`STATES`."""
    write_csv(folder / STATES, as_table(known))


def is_written(folder: Path, known: ByHand) -> bool:
    """Whether :data:`STATES` says what `known` does; without a state there need be none."""
    path = folder / STATES
    return path.read_bytes() == csv_text(as_table(known)).encode() if path.is_file() else not known


def check_same(field: str, known: ByHand, said: Mapping[int, Said]) -> None:
    """Raise InputError where replaying a field's strokes gives other states than the log tells."""
    told = {label: {name: row[name] for name in _TOLD} for (name, label), row in known.items() if name == field}
    if told != {cell: _row(one) for cell, one in said.items()}:
        raise InputError(f"{field}: replaying its strokes does not give the states that the log says; it is damaged")


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or row.keys() != _TOLD:
        return False
    return isinstance(row["state"], str) and all(isinstance(row[name], int | float) for name in ("area", "y", "x"))


def _row(one: Said) -> dict[str, Any]:
    return {"state": one.word, "area": one.area, "y": one.y, "x": one.x}
