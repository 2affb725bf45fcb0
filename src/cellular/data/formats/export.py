"""What a format to export to is: how one field is written, and what is written of all of them together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cellular.data.formats.labelled import LabelledField, class_names
from cellular.files import together


@dataclass(frozen=True)
class Written:
    """What was written of one field: its files or stores, and, by name, tables that the files of all fields need."""

    files: list[Path]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """A format.

    Attributes
    ----------
    one : writes one field into a folder, given the names of all classes (empty where `classes` is false).
    whole : writes what is about all fields, given the fields, the folder, the classes and the fields' tables, each put
        together; None where there is nothing.
    classes : whether a field's files depend on the classes of all fields.
    """

    one: Callable[[LabelledField, Path, Sequence[str]], Written]
    whole: Callable[[Sequence[LabelledField], Path, Sequence[str], Mapping[str, pd.DataFrame]], list[Path]] | None = (
        None
    )
    classes: bool = False

    def names(self, fields: Sequence[LabelledField]) -> list[str]:
        """The classes that :attr:`one` is to be given."""
        return class_names(fields) if self.classes else []

    def __call__(self, fields: Sequence[LabelledField], out: Path) -> list[Path]:
        """Write all fields; returns the files or folders."""
        names = self.names(fields)
        done = [self.one(item, out, names) for item in fields]
        tables = {name: together([one.tables[name] for one in done]) for name in done[0].tables} if done else {}
        files = [path for one in done for path in one.files]
        return files + (self.whole(fields, out, names, tables) if self.whole else [])
