"""The journal of a prepare run: one JSON line per finished field, so that a second run knows what is left to do."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cellular.errors import OutputError, OutputExistsError

try:
    import fcntl
except ImportError:  # Windows: two runs into one folder are not told apart there
    fcntl = None

NAME = ".prepare.jsonl"


class Journal:
    """Append-only record of finished fields in an output folder.

    The first line holds the settings. A folder with another journal, one with files but no journal, and one that
    another run is filling are refused with OutputExistsError. A line cut short by an interruption is dropped. Only
    the byte offset of each record is held. A context manager: leaving it lets the next run in.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.path = folder / NAME
        self._offsets: dict[str, int] = {}
        if folder.exists() and not self.path.is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputExistsError(f"{folder} holds something else already; choose a new folder or empty this one")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115  (held, and locked, until __exit__)
            # Without a buffer: what a full disk left in one would be tried again, and fail, when closing.
            self._log = open(self.path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
        try:
            self._lock()
            if not self._read(settings):
                self._file.truncate(0)
                self._write({"settings": settings})
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise OutputExistsError(f"{self.path} is damaged ({error}); delete {folder} and start again") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the next run in."""
        self._log.close()
        self._file.close()

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputExistsError(f"{self.path.parent} is being filled by another run; wait for it") from error

    def _read(self, settings: dict[str, Any]) -> bool:
        """Index the records; False when there is not even a whole first line."""
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n"):
            return False
        self._check(json.loads(first)["settings"], settings)
        at = len(first)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._offsets[json.loads(line)["field"]] = at
            at += len(line)
        self._file.truncate(at)
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
        self._file.seek(self._offsets[field])
        return json.loads(self._file.readline())

    def records(self, fields: list[str]) -> Iterator[dict[str, Any]]:
        """The records of `fields`, one at a time."""
        return (self.get(field) for field in fields)

    def discard(self) -> None:
        """Take back a folder in which nothing was prepared, so that nothing of the run is left."""
        self.path.unlink()
        with contextlib.suppress(OSError):  # it holds more than this run's journal
            self.path.parent.rmdir()

    def add(self, record: dict[str, Any]) -> None:
        """Put a finished field on record."""
        self._offsets[record["field"]] = self._write(record)

    def _write(self, record: dict[str, Any]) -> int:
        line = memoryview((json.dumps(record) + "\n").encode())
        try:
            at = os.fstat(self._log.fileno()).st_size
            while line:
                line = line[self._log.write(line) :]
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error
        return at
