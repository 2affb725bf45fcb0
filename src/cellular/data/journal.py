"""The journal of a prepare run: one JSON line per finished field, so that a second run knows what is left to do."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cellular.errors import OutputError, OutputExistsError

NAME = ".prepare.jsonl"


class Journal:
    """Append-only record of finished fields in an output folder.

    The first line holds the settings. A folder with another journal, or with files but no journal, is refused with
    OutputExistsError. A line cut short by an interruption is dropped. Only the byte offset of each record is held.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / NAME
        self._offsets: dict[str, int] = {}
        try:
            if self.path.is_file() and self._read(settings):
                return
        except (ValueError, KeyError, TypeError) as error:
            raise OutputExistsError(f"{self.path} is damaged ({error}); delete {folder} and start again") from error
        if folder.exists() and (not folder.is_dir() or any(path.name != NAME for path in folder.iterdir())):
            raise OutputExistsError(f"{folder} holds something else already; choose a new folder or empty this one")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
        self._write({"settings": settings})

    def _read(self, settings: dict[str, Any]) -> bool:
        """Index the records; False when there is not even a whole first line."""
        with open(self.path, "rb") as file:
            first = file.readline()
            if not first.endswith(b"\n"):
                return False
            self._check(json.loads(first)["settings"], settings)
            at = file.tell()
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offsets[json.loads(line)["field"]] = at
                at += len(line)
        if at < self.path.stat().st_size:
            os.truncate(self.path, at)
        return True

    def _check(self, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        differ = [key for key in sorted(set(found) | set(wanted)) if found.get(key) != wanted.get(key)]
        if differ:
            key = differ[0]
            raise OutputExistsError(
                f"{self.path.parent} was prepared with other settings ({key}: {found.get(key)!r} there, "
                f"{wanted.get(key)!r} now); choose a new folder or delete this one"
            )

    def __contains__(self, field: str) -> bool:
        return field in self._offsets

    def fields(self) -> list[str]:
        """The fields on record."""
        return list(self._offsets)

    def get(self, field: str) -> dict[str, Any]:
        """The last record of a field."""
        with open(self.path, "rb") as file:
            file.seek(self._offsets[field])
            return json.loads(file.readline())

    def records(self, fields: list[str]) -> Iterator[dict[str, Any]]:
        """The records of `fields`, one at a time."""
        return (self.get(field) for field in fields)

    def add(self, record: dict[str, Any]) -> None:
        """Put a finished field on record."""
        self._offsets[record["field"]] = self._write(record)

    def _write(self, record: dict[str, Any]) -> int:
        line = (json.dumps(record, ensure_ascii=True) + "\n").encode()
        try:
            with open(self.path, "ab") as file:
                at = file.tell()
                file.write(line)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error
        return at
