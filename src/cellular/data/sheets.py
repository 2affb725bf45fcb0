"""Tables that people make, as text cell by cell: CSV, TSV and XLSX, nothing taken for a number or for missing."""

import csv
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from cellular.delimited import encoding_of, separator_in
from cellular.errors import InputError, MissingInputError, import_extra

_TEXT = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Sheet:
    """Lines that hold something: their number (1-based) and cells, stripped, without empty ones at the end."""

    name: str
    rows: list[tuple[int, list[str]]]


def read_sheets(path: Path) -> list[Sheet]:
    """Sheets of a file that hold anything, at least one; a text file is one sheet. Errors name the file.

    Raises MissingInputError without such a file, InputError for one that is no table or empty.
    """
    if not path.exists():
        raise MissingInputError(f"No such file: {path}")
    if path.suffix.lower() in _TEXT:
        sheets = [Sheet(path.stem, list(_lines(_delimited(path))))]
    elif path.suffix.lower() in (".xlsx", ".xlsm"):
        sheets = [Sheet(name, list(_lines(cells))) for name, cells in _workbook(path)]
    else:
        raise InputError(f"{path} is no plate map; plate maps are .csv, .tsv, .txt or .xlsx")
    sheets = [sheet for sheet in sheets if sheet.rows]
    if not sheets:
        raise InputError(f"{path} is empty")
    return sheets


def _lines(grid: list[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(grid, 1):
        cells = [cell.replace("\xa0", " ").strip() for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield number, cells


def _delimited(path: Path) -> list[list[str]]:
    try:
        data = path.read_bytes()
        text = data.decode(encoding_of(data))
        # A heading may stand alone on the first line of a drawn plate.
        first = next((line for line in text.splitlines() if any(mark in line for mark in "\t;,")), "")
        declared = re.fullmatch(r"sep=(.)", first)  # Excel's own line
        separator = declared[1] if declared else separator_in(first)
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path} is not a readable table: {error}") from error
    return [[] if declared and row == first.split(separator) else row for row in rows]


def _workbook(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    openpyxl = import_extra("openpyxl", "xlsx")
    try:
        values = openpyxl.load_workbook(path, data_only=True)
        formulas = openpyxl.load_workbook(path)
    except Exception as error:  # openpyxl raises whatever the zip and XML parsers raise
        raise InputError(f"{path} is not a readable workbook: {error}") from error
    for sheet in values.worksheets:
        grid = []
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is None and formulas[sheet.title][cell.coordinate].value is not None:
                    raise InputError(
                        f"{path}, {sheet.title}!{cell.coordinate} is a formula without its result; open the file in a "
                        "spreadsheet program and save it, or save it as CSV"
                    )
            grid.append([_as_text(cell.value, cell.number_format) for cell in row])
        for area in sheet.merged_cells.ranges:
            _fill(grid, *area.bounds)
        yield sheet.title, grid


def _fill(grid: list[list[str]], left: int, top: int, right: int, bottom: int) -> None:
    """What a merged cell (1-based, ends included) says, said in each of its cells; a heading alone on its line stays.

    A workbook keeps it in the first of them alone, and a person reads it for all.
    """
    text = grid[top - 1][left - 1]
    alone = not any(cell for n in range(top - 1, bottom) for cell in grid[n][: left - 1] + grid[n][right:])
    if alone and top == bottom:
        return
    for row in grid[top - 1 : bottom]:
        row[left - 1 : right] = [text] * (right - left + 1)


def _as_text(value: Any, shown: str) -> str:
    """A cell as the person sees it: 1 shown as ``000`` is '001', 240301.0 is '240301', a day is 2024-03-01.

    >>> _as_text(0.025, "0.0%"), _as_text(10, '0" nM"')
    ('2.5%', '10 nM')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if not isinstance(value, int | float):
        return str(value)
    shown = (shown or "").split(";")[0]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, int) and re.fullmatch(r"0+", shown):
        return str(value).zfill(len(shown))
    if re.fullmatch(r"[0#.,]+%", shown):
        return f"{(Decimal(repr(value)) * 100).normalize():f}%"
    unit = re.fullmatch(r'(?:[0#.,]+|General)(?P<space> *)(?:"(?P<quoted>[^"]+)"|\\(?P<one>.))', shown)
    return f"{value}{unit['space']}{unit['quoted'] or unit['one']}" if unit else str(value)
