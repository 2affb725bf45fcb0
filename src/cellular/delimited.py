"""Text of tables as programs, people and spreadsheets save it: its encoding, its separator, its odd lines."""

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cellular.errors import InputError

_DECLARED = re.compile(r"\s*\"?sep=(.)\"?[\s;,]*")  # the first line that Excel writes, and obeys
_BLOCK = 1 << 22
_QUOTED = re.compile('[,"\r\n]')
# Under so many rows pandas itself is sooner done: what Arrow takes for a column does not depend on them.
FEW = 100
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # XLSX, XLS


@dataclass(frozen=True)
class Dialect:
    """How a text file holds a table. `skip` lines come before that of the names."""

    encoding: str
    separator: str
    skip: int = 0


def dialect_of(path: str | Path) -> Dialect:
    """UTF-8, UTF-16 or Windows-1252; comma, semicolon or tab. Raises InputError for what is no text, OSError."""
    with open(path, "rb") as file:
        start = file.read(_BLOCK)
    if start.startswith(_WORKBOOKS):
        raise InputError(f"{path} is a workbook, not text; save it as CSV from the spreadsheet program")
    encoding = _encoding(path)
    lines = codecs.getincrementaldecoder(encoding)("replace").decode(start).splitlines()
    empty = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if found := _DECLARED.fullmatch(lines[empty] if lines else ""):
        return Dialect(encoding, found[1], empty + 1)
    return Dialect(encoding, separator_in(lines[empty] if lines else ""))


def encoding_of(data: bytes) -> str:
    """UTF-8 and UTF-16 with or without their marks, else Windows-1252, as older spreadsheets write."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def separator_in(line: str) -> str:
    """The separator that a line of names holds most of; a comma where it holds none."""
    return max(",;\t", key=line.count)


def _encoding(path: str | Path) -> str:
    """As :func:`encoding_of`, piece by piece; a byte of zero, which no text has, is refused."""
    utf8, found = codecs.getincrementaldecoder("utf-8-sig")(), "utf-8-sig"
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and file.tell() == len(block):
                return "utf-16"
            if b"\0" in block:
                raise InputError(f"{path} is no text: it holds bytes of zero; save it as CSV in UTF-8")
            try:
                utf8.decode(block) if found == "utf-8-sig" else None
            except UnicodeDecodeError:
                found = "cp1252"
    return found


def longer_row(path: str | Path, dialect: Dialect, names: int) -> str | None:
    """Which row has more values than there are names, in words; None where none has."""
    with open(path, encoding=dialect.encoding, newline="") as file:
        rows = csv.reader(file, delimiter=dialect.separator)
        for row in rows:
            if rows.line_num > dialect.skip and len(row) > names and any(row[names:]):
                return f"line {rows.line_num} has {len(row)} values for {names} columns"
    return None


def csv_text(table: pd.DataFrame, header: bool = True) -> str:
    """The table as CSV without its index, to the byte as pandas writes it; long plain tables several times faster."""
    if len(table) < FEW:
        return table.to_csv(index=False, header=header, lineterminator="\n")
    names = list(table)
    columns = [_as_text(table.iloc[:, k]) for k in range(len(names))]
    plain = len(names) > 1 and all(isinstance(name, str) and not _QUOTED.search(name) for name in names)
    if not plain or any(column is None for column in columns):
        return table.to_csv(index=False, header=header, lineterminator="\n")
    lines = pc.binary_join_element_wise(*columns, ",", null_handling="replace", null_replacement="")
    return "\n".join([*([",".join(names)] if header else []), *lines.to_pylist(), ""])


def arrow_of(column: pd.Series) -> pa.Array | pa.ChunkedArray:
    """A column as Arrow, null where missing; text is of one type, by whichever pandas held it."""
    values = pa.array(column, from_pandas=True)
    return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values


def _as_text(column: pd.Series) -> pa.Array | None:
    """Text of plain numbers, truth values and words, null where missing; None for what is left to pandas."""
    try:
        values = arrow_of(column)
    except (pa.ArrowException, UnicodeError, OverflowError):
        return None
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind, words = values.type, column.dtype == object
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_string(kind):
        special = pc.any(pc.match_substring_regex(values, _QUOTED.pattern)).as_py()
        return None if special else values
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "True", "False")
    if pa.types.is_integer(kind):
        return values.cast(pa.string())
    return _fractions(values) if pa.types.is_float64(kind) and not words else None


def _fractions(values: pa.Array) -> pa.Array:
    """Numbers as Python writes them: so does Arrow from 0.0001 to 10^10, but for the ``.0`` of whole ones."""
    text, size = values.cast(pa.string()), pc.abs(values)
    whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(size, 1e10))
    text = pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    usual = pc.or_(pc.equal(size, 0), pc.and_(pc.greater_equal(size, 1e-4), pc.less(size, 1e10)))
    odd = pc.invert(usual)
    written = [repr(value) for value in values.filter(odd).to_pylist()]
    return pc.replace_with_mask(text, odd.fill_null(False), pa.array(written, pa.string()))
