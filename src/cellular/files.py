"""Files that are written whole or not at all, and the tables and JSON inside them."""

import csv
import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from cellular.delimited import Dialect, csv_text, dialect_of, longer_row
from cellular.errors import CellularError, InputError, MissingInputError, OutputError, OutputExistsError

# How the names of files begin that are not whole yet; a run that was killed leaves them, the next one sweeps them.
PARTIAL = ".partial-"
LOCK = ".cellular.lock"


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Temporary path in the folder of `path`; renamed to `path` when the block succeeds, removed when it fails.

    The temporary name is hidden and keeps the suffix (writers choose their format by it), so an interrupted run
    leaves nothing that looks whole. A folder that cannot be written to or a full disk raises OutputError.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the system says against writing (full disk, read-only) into OutputError that names `path`."""
    try:
        yield
    except CellularError:
        raise
    except OSError as error:
        said = error.strerror or f"{error}; is the disk full?"
        raise OutputError(f"{path} cannot be written: {said}") from error


@contextmanager
def alone_in(folder: str | Path, deep: bool = True) -> Iterator[Path]:
    """`folder` for one process at a time, made where it is not there, swept of what a killed run left half-written.

    With `deep` what lies in its folders is swept too: for a folder that is all the command's own. Where nothing comes
    to be written, a folder that was made here is taken away again.

    Raises OutputExistsError where `folder` is a file or another process is writing there, OutputError where it cannot
    be written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file; choose another output folder")
    new = not folder.exists()
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        parts = parts_at_work(folder)
        if not parts:
            sweep_partial(folder, deep)
    except Timeout as error:
        raise OutputExistsError(
            f"{folder} is being written by another command; wait for it, or choose another output folder"
        ) from error
    except OSError as error:
        lock.release()
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    if parts:
        lock.release()
        raise OutputExistsError(f"{folder}: shard {parts[0].replace('-of-', '/')} is at work there; wait for it")
    try:
        yield folder
    finally:
        with suppress(OSError):
            # while it is held: afterwards it may be another's, and a third would find none and come in
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        if new:
            with suppress(OSError):  # something was written, as it should be
                folder.rmdir()


def part_lock(folder: Path, part: str) -> FileLock:
    """The lock of whoever does a part ("3-of-16") of what is written to `folder`, and lets others do theirs."""
    return FileLock(folder / f"{LOCK}-{part}")


def parts_at_work(folder: Path) -> list[str]:
    """Names of the parts whose lock is held, for whoever holds that of the folder; those of the dead are removed."""
    held = []
    for path in sorted(folder.glob(f"{LOCK}-*")):
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            held.append(path.name.removeprefix(f"{LOCK}-"))
        else:
            path.unlink(missing_ok=True)
            lock.release()
    return held


def is_leftover(entry: Path) -> bool:
    """Whether this is what a killed run leaves behind: a lock, or something half-written."""
    return entry.name.startswith((LOCK, PARTIAL))


def empty_folder(folder: Path, mark: str) -> None:
    """Delete all in `folder`, last of all the file `mark` by which its owner is known: a killed deletion can go on."""
    for entry in [entry for entry in folder.iterdir() if entry.name != mark and not entry.name.startswith(LOCK)]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / mark).unlink(missing_ok=True)


def sweep_partial(folder: Path, deep: bool = True) -> None:
    """Remove what a killed run left half-written in `folder`, and below. For whoever alone writes there."""
    for leftover in list((folder.rglob if deep else folder.glob)(f"{PARTIAL}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content`: bytes, since a BytesIO's view in a failed write can crash Python 3.12.1 (gh-111049)."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON; NaN is refused because JSON has none (use None)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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


# Of a table of millions, as many are text at once.
_ROWS = 100_000


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without the index."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as lines:
        for at in range(0, max(len(table), 1), _ROWS):
            lines.write(csv_text(table.iloc[at : at + _ROWS], header=at == 0))


# What a thing is called, where it belongs and what was done to it: text in every table, however it looks. 001 is not 1,
# and a treatment called None is a treatment.
TEXT_COLUMNS = frozenset(
    (
        *("field", "image", "name", "file", "series", "source", "split", "kind", "problem", "text"),
        *("date", "plate", "well", "replicate", "treatment", "control", "inhibitor"),
        *("class", "state", "state_model", "truth"),
    )
)
# How other programs write a missing number. In a column of text they are words like any other.
_NO_NUMBER = frozenset(("nan", "NaN", "NAN", "-nan", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None"))
_NO_NUMBER |= {"#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"}  # spreadsheets
_TRUTH = {"True": True, "False": False, "TRUE": True, "FALSE": False, "true": True, "false": False}


def read_csv(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a table of text, see :func:`cellular.delimited.dialect_of`; an error names the file and what is wrong.

    Columns of :data:`TEXT_COLUMNS` and of `text` are text, kept to the letter; only an empty field is missing in them.
    Any other column is numbers or true and false if all its values are (``nan``, ``NA``, ``#DIV/0!`` and the like are
    missing numbers there), else text. Between semicolons or tabs numbers may have decimal commas. Columns without a
    name and rows without a value are left out.

    Raises MissingInputError, and InputError for what is no table or names a column twice.
    """
    try:
        dialect = dialect_of(path)
        names = _header(path, dialect)
        try:
            return _typed(path, dialect, names, TEXT_COLUMNS.union(text))
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise InputError(
                f"{path} is not a readable table: {longer_row(path, dialect, len(names)) or error}"
            ) from error
    except FileNotFoundError as error:
        raise MissingInputError(f"No such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read as a table; give the CSV file: {error.strerror}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path} is not a readable table: {error}") from error


def _header(path: str | Path, dialect: Dialect) -> list[str]:
    how = {"sep": dialect.separator, "encoding": dialect.encoding, "skiprows": dialect.skip}
    first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True, **how)
    names = [name.strip() for name in first.iloc[0]]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path} names the column(s) {', '.join(twice)} twice; which one is meant?")
    return names


def _typed(path: str | Path, dialect: Dialect, names: list[str], text: frozenset[str]) -> pd.DataFrame:
    def read(**options: Any) -> pd.DataFrame:
        with warnings.catch_warnings():
            # rows longer than the header: pandas would drop their last values
            warnings.simplefilter("error", pd.errors.ParserWarning)
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            return pd.read_csv(
                path,
                header=0,
                sep=dialect.separator,
                encoding=dialect.encoding,
                skiprows=dialect.skip,
                names=[name or f"{number}\0" for number, name in enumerate(names)],
                index_col=False,
                keep_default_na=False,
                na_values=[""],
                # Python's own parser: numbers as they were written; pandas' faster one is off in the last digit and
                # crashes on an exponent of many digits
                float_precision="round_trip",
                **options,
            )

    table = read(dtype={name: str for name in names if name in text})
    table = table.drop(columns=[name for name in table if name.endswith("\0")])
    filled = table.notna().any(axis=1)
    table = _without(table, ~filled)
    words = [name for name in table if of_words(table[name]) and name not in text]
    # pandas reads large files in pieces, and takes a column for numbers in one and for words in the next
    mixed = [
        name for name in words if not table[name].map(lambda value: isinstance(value, str) or value != value).all()
    ]
    if mixed:
        table[mixed] = _without(read(dtype=dict.fromkeys(mixed, str), usecols=mixed), ~filled)
    for name in words:
        table[name] = settled(table[name], decimal_comma=dialect.separator != ",")
    return table


def _without(table: pd.DataFrame, empty: pd.Series) -> pd.DataFrame:
    """Without the rows of separators alone that spreadsheets save behind the last; whole numbers stay whole."""
    if not empty.any():
        return table
    kept = table[~empty].reset_index(drop=True)
    whole = [
        name for name in kept.select_dtypes("float") if (kept[name].abs() < 2**53).all() and not (kept[name] % 1).any()
    ]
    return kept.astype(dict.fromkeys(whole, "int64")) if len(kept) else kept


def settled(column: pd.Series, decimal_comma: bool = False) -> pd.Series:
    """A column of text as numbers or truth values, where all it holds are such."""
    known = column.dropna()
    if known.empty:
        return column.astype(float)
    if known.isin(_TRUTH).all():
        return column.map(_TRUTH)
    given = known[~known.isin(_NO_NUMBER)]
    numbers = as_numbers(given)
    if decimal_comma and numbers.isna().any() and _has_decimal_commas(given):
        numbers = as_numbers(given.str.replace(",", "."))
    if numbers.isna().any() or (numbers.empty and not known.isin(("nan", "NaN")).all()):
        return column
    return numbers.reindex(column.index)


def of_words(column: pd.Series) -> bool:
    """Whether pandas holds a column as text, or as any objects: `object` before pandas 3, `str` for text since."""
    return bool(column.dtype == object or isinstance(column.dtype, pd.StringDtype))


def _has_decimal_commas(values: pd.Series) -> bool:
    """Whether numbers with commas can only be fractions: ``1,000`` alone may be a thousand, ``0,5`` is a half."""
    commas = values[values.str.contains(",", regex=False)]
    return (
        not values.str.contains(".", regex=False).any()
        and not commas.str.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+").all()
    )


_FLOAT = r"\s*[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[iI]nf(?:inity)?)\s*"


def as_numbers(values: pd.Series) -> pd.Series:
    """Text as float64, NaN where it is no number; `pandas.to_numeric` crashes on an exponent of many digits."""
    if values.dtype.kind in "iufb":
        return values.astype(float)
    text = values.astype(str)
    return text.where(text.str.fullmatch(_FLOAT)).astype(float)


def worded(values: pd.Series, words: Mapping[Any, str]) -> pd.Series:
    """The word for each value, missing where there is none; where all are missing object still, not numbers."""
    found = values.map(words)
    return found if found.notna().any() else found.astype(object)


_NUMBER = re.compile(r"(?:(?<!\w)[-+])?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_PREFIX = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3}
_CONCENTRATION = re.compile(r"\s*(?P<prefix>[pnuµμm]?)(?:M\b|g/m?[lL]\b)")


def number_order(name: str) -> tuple:
    """Key that sorts names by each number in them, in its unit, else as text.

    >>> sorted(["1 uM", "drug", "10 nM", "2.5", "10"], key=number_order)
    ['10 nM', '1 uM', '2.5', '10', 'drug']
    >>> sorted(["day 1, dish-10", "day 1, dish-2"], key=number_order)
    ['day 1, dish-2', 'day 1, dish-10']
    """
    parts, at = list[str | float](), 0
    for match in _NUMBER.finditer(name):
        unit = _CONCENTRATION.match(name, match.end())
        number = float(match.group()) * (_PREFIX.get(unit["prefix"], 1.0) if unit else 1.0)
        parts += [name[at : match.start()], 0, number]
        at = unit.end("prefix") if unit else match.end()
    return (*parts, name[at:], 1, name)


def together(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of many; one without a row (no cells, no puncta) keeps the columns and adds nothing."""
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


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


def plain_name(name: str) -> str:
    """A name that any file system takes, in one folder: letters, digits, ``-``, ``_`` and points; others are ``_``.

    >>> plain_name("puncta/cell (µm²)")
    'puncta_cell__µm²_'
    """
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """:func:`plain_name` of each; what would be another's file, on a disk without capitals too, gets a number behind.

    >>> plain_names(["drug (a)", "drug [a]", "DMSO", "dmso"])
    {'drug (a)': 'drug__a_', 'drug [a]': 'drug__a__2', 'DMSO': 'DMSO', 'dmso': 'dmso_2'}
    """
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = plain_name(name)
        ways = chain([plain], (f"{plain}_{number}" for number in count(2)))
        made[name] = next(way for way in ways if way.casefold() not in taken)
        taken.add(made[name].casefold())
    return made
