"""Files that are written whole or not at all, and the tables and JSON inside them."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cellular.errors import CellularError, InputError, MissingInputError, OutputError, OutputExistsError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Temporary path in the folder of `path`; renamed to `path` when the block succeeds, removed when it fails.

    The temporary name is hidden and keeps the suffix (writers choose their format by it), so an interrupted run
    leaves nothing that looks whole. A folder that cannot be written to or a full disk raises OutputError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except CellularError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON; NaN is refused because JSON has none (use None)."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read JSON, with or without a byte order mark; a missing or malformed file raises an error that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise MissingInputError(f"No such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as a file: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without the index."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read a CSV; a missing, empty or malformed file raises an error that names it. `options` go to pandas."""
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError as error:
        raise MissingInputError(f"No such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as a table; give the CSV file: {error.strerror}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a readable CSV table: {error}") from error


def together(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of many; one without a row (no cells, no puncta) keeps the columns and adds nothing."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def claim_folder(out: Path, name: str, record: Any, others: str, begun: bool = True) -> None:
    """Write `record`, of how results are made, into ``out/name``, or check that it is the one `out` was begun with.

    `others` says what else could differ; where `begun` is False, a record stands for nothing yet and is replaced.
    Raises OutputExistsError for another record, and for a folder that is in use without one.
    """
    path = out / name
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose another --out")
    if path.is_file() and begun:
        if read_json(path) != json.loads(json.dumps(record)):
            raise OutputExistsError(f"{out} was begun with {others}; choose another --out")
    elif out.exists() and any(entry != path for entry in out.iterdir()):
        raise OutputExistsError(f"{out} is in use and was not made by this command; choose another --out")
    else:
        write_json(path, record)


# Name of the record where a folder holds one result.
INPUTS = "inputs.json"


def write_inputs(record: str | Path, inputs: Iterable[Path]) -> None:
    """Write beside a result which files it was made of; last of all, so that it also says that the result is whole."""
    write_json(record, _listing(inputs))


def made_of(record: str | Path, inputs: Iterable[Path]) -> bool:
    """Whether `record`, of :func:`write_inputs`, names just these files, and none has changed size or date since."""
    return Path(record).is_file() and read_json(record) == _listing(inputs)


def _listing(inputs: Iterable[Path]) -> list[list[Any]]:
    found = [(path.resolve(), path.stat()) for path in inputs]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found]


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    """`hashlib.file_digest` for Python 3.10."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
