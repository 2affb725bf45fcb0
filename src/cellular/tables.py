"""The tables of a run: Parquet is their own form, CSV lies beside it while a spreadsheet can hold it; read lazily.

``<name>.parquet`` has a group of rows for one well, or for a few small ones, and tells the fields of each group and its
least and largest plate and well: rows of a field or a well are found without reading the others. It is written part
by part, so no more than a group is ever in memory. It knows the SHA-256 of the CSV that was written with it: a CSV
that is older, or was changed since, is never taken for it.
"""

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from cellular.delimited import arrow_of, csv_text
from cellular.errors import InputError, MissingInputError
from cellular.files import TEXT_COLUMNS, of_words, read_csv, settled, sha256_of, whole_file, writing

# A spreadsheet has 2^20 rows, one of them for the names: longer tables have a CSV only where it is asked for.
CSV_ROWS = 2**20 - 1
# A group of rows ends with a well once it has as many.
GROUP_ROWS = 10_000
# What Parquet's metadata tell besides: the CSV that was written with it, and the fields of each group of rows.
# Their least and largest names would say little: names may begin with the time.
_CSV, _FIELDS = b"cellular.csv.sha256", b"cellular.fields"


class Tables(Mapping[str, pd.DataFrame]):
    """The tables of a folder by name, each read when it is asked for and not kept; those `held` are in memory."""

    def __init__(self, folder: Path, names: Collection[str], held: Mapping[str, pd.DataFrame] | None = None) -> None:
        self.folder, self.held = Path(folder), dict(held or {})
        self.files = {name: path for name in names if (path := find_table(self.folder, name)) is not None}

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.held[name] if name in self.held else read_table(self.files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.files, *self.held)))

    def __len__(self) -> int:
        return len({*self.files, *self.held})

    def __contains__(self, name: object) -> bool:
        return name in self.files or name in self.held

    def holding(self, **frames: pd.DataFrame) -> "Tables":
        """The same with some tables in memory, in place of the files."""
        return Tables(self.folder, tuple(self.files), {**self.held, **frames})

    def rows(self, name: str) -> int:
        """How many rows a table has."""
        if name not in self.held and self.files[name].suffix == ".parquet":
            return int(pyarrow.parquet.read_metadata(self.files[name]).num_rows)
        return len(self[name])

    def columns(self, name: str) -> list[str]:
        """The names of a table's columns."""
        if name not in self.held and self.files[name].suffix == ".parquet":
            return list(pyarrow.parquet.read_schema(self.files[name]).names)
        return list(self[name])

    def of_fields(self, name: str, fields: Sequence[str]) -> pd.DataFrame:
        """The rows of some fields; of Parquet no more is read than the groups that hold them."""
        if name in self.held or self.files[name].suffix != ".parquet":
            table = self[name]
            return table[table["field"].isin(list(fields))]
        with _named(self.files[name]):
            with pyarrow.parquet.ParquetFile(self.files[name]) as file:
                told = json.loads((file.metadata.metadata or {}).get(_FIELDS, b"null"))
                wanted = range(file.num_row_groups) if told is None else _holding(told, fields)
                rows = file.read_row_groups(list(wanted), use_threads=False)
            return to_frame(rows.filter(pa.compute.is_in(rows["field"], pa.array(list(fields), pa.string()))))


def _holding(told: Sequence[Sequence[str]], fields: Sequence[str]) -> list[int]:
    """Which groups hold any of the fields."""
    return [number for number, names in enumerate(told) if not set(fields).isdisjoint(names)]


def of_fields(tables: Mapping[str, pd.DataFrame], name: str, fields: Sequence[str]) -> pd.DataFrame | None:
    """The rows of some fields of a table, lazily where that can be; None where there is no such table."""
    if name not in tables:
        return None
    if isinstance(tables, Tables):
        return tables.of_fields(name, fields)
    return tables[name][tables[name]["field"].isin(list(fields))]


def puncta_of(tables: Mapping[str, pd.DataFrame], fields: Sequence[str]) -> pd.DataFrame | None:
    """The puncta of some fields: the reporter's, or else the markers'; None where neither was sought."""
    return of_fields(tables, "puncta" if "puncta" in tables else "marker_puncta", fields)


def find_table(folder: str | Path, name: str) -> Path | None:
    """The file of a table in a folder: Parquet, else CSV, else None.

    Raises InputError where a CSV lies beside the Parquet that is not the one written with it.
    """
    own, csv = Path(folder) / f"{name}.parquet", Path(folder) / f"{name}.csv"
    if not own.is_file():
        return csv if csv.is_file() else None
    if csv.is_file():
        with _named(own):
            told = (pyarrow.parquet.read_metadata(own).metadata or {}).get(_CSV, b"").decode()
        if told != sha256_of(csv):
            raise InputError(
                f"{csv} is not what was written with {own.name}: one of the two is older, or was changed since. Delete "
                "the one that is not meant, or run the command that made them again"
            )
    return own


def read_table(path: str | Path, text: Iterable[str] = (), columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a table, of Parquet by its suffix, else of text as :func:`cellular.files.read_csv` does, to the same values.

    Columns of `text` are text. Of `columns` those that are there are read, None reads all.

    Raises MissingInputError, with what lies there instead, and InputError for what is no table.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        if not path.is_file() and path.with_suffix(".parquet").is_file():
            raise MissingInputError(
                f"No such file: {path}. Its table is {path.with_suffix('.parquet')}; a CSV of more than {CSV_ROWS:,} "
                "rows is written with --csv only"
            )
        frame = read_csv(path, text)
        return frame if columns is None else frame[[name for name in frame if name in columns]]
    if not path.is_file():
        raise MissingInputError(f"No such file: {path}")
    with _named(path), pyarrow.parquet.ParquetFile(path) as file:
        own = (file.schema_arrow.pandas_metadata or {}).get("index_columns", ())
        names = [name for name in file.schema_arrow.names if (columns is None or name in columns) and name not in own]
        # one after the other: all of them as Arrow, before the first is pandas', take as much again
        read = {name: to_frame(file.read([name], use_threads=False))[name] for name in names}
    for name, column in read.items():
        if name not in TEXT_COLUMNS.union(text):
            read[name] = _as_in_text(column)
        elif not of_words(column):
            read[name] = column.astype(object).map(str, na_action="ignore")
    return pd.DataFrame(read, copy=False)


def _as_in_text(column: pd.Series) -> pd.Series:
    """A column of words as numbers where a CSV's reader takes it for such: in one field they were words."""
    words = pd.Series(column.dropna().unique() if of_words(column) else [])
    if words.empty or not words.map(lambda word: isinstance(word, str)).all():
        return column
    numbers = settled(words)
    return column if of_words(numbers) else column.map(dict(zip(words, numbers)))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What is wrong with the file said with its name."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable table: {error}") from error


def to_frame(table: pa.Table) -> pd.DataFrame:
    """As pandas, like what `read_csv` gives: what is missing is NaN, and so is a text of no letters.

    The memory of `table` is given up for it.
    """
    for k, column in enumerate(table.columns):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            empty = pa.compute.equal(column, "")
            if pa.compute.any(empty).as_py():
                table = table.set_column(k, table.field(k).with_nullable(True), pa.compute.if_else(empty, None, column))
    gaps = [name for name, column in zip(table.column_names, table.columns) if column.null_count]
    frame = table.to_pandas(split_blocks=True, self_destruct=True, use_threads=False)
    for name in gaps:
        if frame[name].dtype == object:
            frame[name] = frame[name].where(frame[name].notna(), np.nan)
    return frame


def from_frame(frame: pd.DataFrame) -> pa.Table:
    """As Arrow; a column of words and numbers is words, as it is in a CSV."""
    columns = {}
    for name, column in frame.items():
        try:
            columns[name] = arrow_of(column)
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            columns[name] = pa.array(column.map(str, na_action="ignore"), pa.string(), from_pandas=True)
    return pa.table(columns)


def read_written(path: Path) -> pa.Table:
    """A CSV that :func:`cellular.files.write_csv` wrote, by the types that `read_csv` would find, and much faster."""
    words = dict.fromkeys(TEXT_COLUMNS, pa.string())
    with _named(path):
        # what Arrow would take for a number in hexadecimal is a word: a name, a lot
        if b"0x" in path.read_bytes().lower():
            return from_frame(read_csv(path))
        table = _parsed(path, words)
        dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
        return _parsed(path, words | dates) if dates else table


def _parsed(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        # one block: types are told by all of the rows
        pyarrow.csv.ReadOptions(use_threads=False, block_size=max(path.stat().st_size + 1, 1 << 16)),
        pyarrow.csv.ParseOptions(newlines_in_values=True),
        pyarrow.csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            true_values=["True"],
            false_values=["False"],
            timestamp_parsers=[],
        ),
    )


def together(parts: Iterable[pa.Table]) -> pa.Table:
    """One table of many, with the columns and types of all."""
    kept = list(parts)
    types = _Types()
    for part in kept:
        types.see(part)
    schema = types.schema()
    return pa.concat_tables([types.cast(part, schema) for part in kept]) if kept else pa.table({})


class _Types:
    """The columns of many parts, in the order in which they came, and the type that holds the values of all."""

    def __init__(self) -> None:
        self.found: dict[str, set[pa.DataType]] = {}
        self.parts, self.rows = 0, 0
        self.seen: dict[str, int] = {}  # parts with the column
        self.gaps: set[str] = set()

    def see(self, part: pa.Table) -> None:
        """Take a part into account; what is empty says nothing of its type."""
        self.parts, self.rows = self.parts + bool(len(part)), self.rows + len(part)
        for name, column in zip(part.column_names, part.columns):
            types = self.found.setdefault(name, set())
            self.seen[name] = self.seen.get(name, 0) + bool(len(part))
            if column.null_count < len(column):
                types.add(column.type)
            if column.null_count:
                self.gaps.add(name)

    def schema(self, without: Collection[str] = ()) -> pa.Schema:
        """All columns but those of `without` that hold nothing."""
        names = [name for name, types in self.found.items() if types or name not in without]
        return pa.schema([(name, self._type(name)) for name in names])

    def _type(self, name: str) -> pa.DataType:
        types = self.found[name]
        if not types:
            return pa.string() if name in TEXT_COLUMNS else pa.float64()
        if all(pa.types.is_integer(one) for one in types):
            # as in a CSV, and in pandas: whole numbers with gaps are not told from others
            return pa.float64() if name in self.gaps or self.seen[name] < self.parts else pa.int64()
        if all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in types):
            return pa.float64()
        return next(iter(types)) if len(types) == 1 else pa.string()

    def cast(self, part: pa.Table, schema: pa.Schema) -> pa.Table:
        """The part in the columns and types of all."""
        columns, there = [], dict(zip(part.column_names, part.columns))
        for field in schema:
            if (column := there.get(field.name)) is None:
                columns.append(pa.nulls(len(part), field.type))
                continue
            if pa.types.is_string(field.type) and column.type != field.type and column.null_count < len(column):
                words = column.to_pandas().astype(object).map(str, na_action="ignore")
                column = pa.array(words, field.type, from_pandas=True)
            columns.append(column.cast(field.type))
        return pa.table(columns, schema=schema)


def write_table(
    folder: Path, name: str, parts: Iterable[pa.Table], *, csv: bool = False, without: Collection[str] = ()
) -> None:
    """Write a table as ``<name>.parquet`` and, up to :data:`CSV_ROWS` rows or with `csv`, as ``<name>.csv``.

    Parameters
    ----------
    parts : a field each, or more; the types of all are known when the last has come. They wait in a file without a
        name, which is gone with the process.
    without : columns to leave out where no row has a value.
    """
    own, beside = folder / f"{name}.parquet", folder / f"{name}.csv"
    with writing(own), ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        spool, types = stack.enter_context(tempfile.TemporaryFile(dir=folder)), _Types()
        for group in _groups(parts):
            types.see(group)
            with pa.ipc.new_stream(spool, group.schema) as stream:
                stream.write_table(group)
        spool.seek(0)
        # at no time does Parquet lie beside a CSV that is not its own, whenever this is killed
        own.unlink(missing_ok=True)
        short = csv or types.rows <= CSV_ROWS
        if not short:
            beside.unlink(missing_ok=True)
        _write(spool, types, types.schema(without), own, beside if short else None)


def _write(spool: IO[bytes], types: _Types, schema: pa.Schema, own: Path, text: Path | None) -> None:
    with whole_file(own) as path, pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        fields: list[list[str]] = []
        with ExitStack() as stack:
            lines = stack.enter_context(_whole_text(text)) if text else None
            for number in range(types.parts):
                group = types.cast(pa.ipc.open_stream(spool).read_all(), schema)
                writer.write_table(group, row_group_size=len(group))
                if "field" in schema.names:
                    fields.append(group["field"].unique().to_pylist())
                if lines:
                    lines.write(csv_text(to_frame(group), header=not number))
            if lines and not types.parts:
                lines.write(csv_text(to_frame(schema.empty_table())))
        told = {_FIELDS: json.dumps(fields)} if "field" in schema.names else {}
        writer.add_key_value_metadata(told | ({_CSV: sha256_of(text)} if text else {}))


@contextmanager
def _whole_text(path: Path) -> Iterator[IO[str]]:
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as lines:
        yield lines


def _groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Parts put together until there are rows enough and the next is of another well."""
    waiting: list[pa.Table] = []
    rows, well = 0, None
    for part in parts:
        now = tuple(part[name][0].as_py() for name in ("plate", "well") if name in part.column_names and len(part))
        if waiting and rows >= GROUP_ROWS and (now != well or rows >= 20 * GROUP_ROWS):
            yield together(waiting)
            waiting, rows = [], 0
        waiting.append(part)
        rows, well = rows + len(part), now or well
    if waiting:
        yield together(waiting)
