"""Text of tables as programs, people and spreadsheets save it: its encoding, its separator, its odd lines."""

import codecs
import csv
import re
from dataclasses import dataclass
from pathlib import Path

from cellular.errors import InputError

_DECLARED = re.compile(r"\s*\"?sep=(.)\"?[\s;,]*")  # the first line that Excel writes, and obeys
_BLOCK = 1 << 22
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
