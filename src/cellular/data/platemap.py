"""Plate maps: what each well, or field, was given, as a long table or drawn as a plate, in CSV, TSV or XLSX."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from cellular.data.doses import parse_doses, split_unit
from cellular.data.formats.suffixes import field_name, same_name
from cellular.data.sheets import Sheet, read_sheets
from cellular.data.wells import well_name
from cellular.errors import InputError

# Columns with a meaning of their own, however they are capitalised; all others are kept as they are written.
KNOWN = ("plate", "well", "field", "treatment", "inhibitor", "replicate", "control", "sample")
_ALIASES = {"plate_id": "plate", "barcode": "plate", "well_id": "well", "wells": "well"}
# What an entry is of.
KEYS = ("plate", "well", "field")
# Tables of fields and cells have these already.
# What stands for the well of fields that have none: the dish, coverslip or animal that they are of.
SAMPLE = "sample"
TAKEN = ("field", "label", "name", "site", "timepoint", "z", "channel", "series")


# A well by plate, or a field by its name behind None.
Place = tuple[str | None, str]


class Matched(NamedTuple):
    """A map against a plate's wells, or fields: a row for each in the plate's order, and what is in one alone.

    Where the map has no plate column, its entries are (None, well), and (None, field) in one by field.
    """

    table: pd.DataFrame
    places_without_entry: tuple[Place, ...]
    entries_without_place: tuple[Place, ...]


@dataclass(frozen=True)
class PlateMap:
    """What wells were given.

    Attributes
    ----------
    table : a row a well: ``plate`` (absent: the map holds for every plate) and ``well``; or a row a ``field``. Then
        the map's own columns as text (object, missing None); ``dose`` is float64 (missing NaN) with its unit in
        ``dose_unit``.
    dose_unit : unit of ``dose``, None where no unit or no dose is given.
    notes : what the user should know of how it was read.
    path : the file that it was read from, None where it was not.
    """

    table: pd.DataFrame
    dose_unit: str | None = None
    notes: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The map's own columns, without plate, well and field."""
        return tuple(name for name in self.table.columns if name not in KEYS)

    @property
    def by_field(self) -> bool:
        """Whether it tells of fields, not of wells."""
        return "field" in self.table

    def match(self, plates_and_wells: Iterable[tuple[str | None, str]]) -> Matched:
        """Rows for the wells of a plate: missing values where the map has no entry. Plates are compared as text."""
        wanted = list(dict.fromkeys(plates_and_wells))
        by_plate = "plate" in self.table
        plates = self.table["plate"] if by_plate else [None] * len(self.table)
        entries = list(zip(plates, self.table["well"]))
        rows = {entry: number for number, entry in enumerate(entries)}
        keys = [(plate if by_plate else None, well) for plate, well in wanted]
        names = pd.DataFrame(wanted, columns=["plate", "well"], dtype=object)
        found = [rows.get(key, -1) for key in keys]
        return self._matched(names, wanted, entries, found, set(found))

    def match_fields(self, fields: Iterable[tuple[str, str, Collection[str]]]) -> Matched:
        """Rows for fields, by a map by field: missing values where the map has no entry.

        An entry is a field's name, that of a file of it, the name that all its timepoints share, or one with ``*`` for
        any letters. The first of these that fits counts. Raises InputError where two entries that differ fit a field
        alike, and where one is the name of several places' files.

        Parameters
        ----------
        fields : name, series, and names of the files, as they are compared.
        """
        entries = [(None, text) for text in self.table["field"]]
        called: dict[str, list[int]] = defaultdict(list)
        filed: dict[str, list[int]] = defaultdict(list)
        patterns = []
        for number, (_, text) in enumerate(entries):
            if "*" in text:
                patterns.append((re.compile(".*".join(map(re.escape, same_name(text).split("*")))), number))
            called[same_name(text)].append(number)
            filed[same_name(field_name(text))].append(number)
        wanted, rows = [], []
        used: set[int] = set()  # a row for each file of a field says the same of it
        places: dict[int, str] = {}
        for name, series, files in fields:
            wanted.append((None, name))
            field, whole = same_name(name), same_name(series)
            of_files = [number for file in sorted(files) for number in filed[file]]
            fit = [called[field], filed[field], of_files, called[whole], filed[whole]]
            fit.append([number for pattern, number in patterns if pattern.fullmatch(field)])
            best = next(filter(None, fit), [-1])
            if len(set(best)) > 1 and self.table[list(self.columns)].iloc[best].drop_duplicates().shape[0] > 1:
                one, two = (entries[number][1] for number in best[:2])
                raise InputError(f"the plate map's '{one}' and '{two}' are both of {name} and differ; keep one")
            used.update(best)
            if best is of_files and (other := places.setdefault(best[0], whole)) != whole:
                text = entries[best[0]][1]
                stem = f"{field_name(text)}_"  # of a file of several series
                hint = f", or all of them by '{stem}*'" if whole.startswith(stem) and other.startswith(stem) else ""
                raise InputError(f"the plate map's '{text}' is a file of {other} and one of {whole}; name these{hint}")
            rows.append(best[0])
        names = pd.DataFrame({"field": [name for _, name in wanted]}, dtype=object)
        return self._matched(names, wanted, entries, rows, used)

    def _matched(
        self,
        names: pd.DataFrame,
        wanted: Sequence[Place],
        entries: Sequence[Place],
        rows: Sequence[int],
        used: Collection[int],
    ) -> Matched:
        """The table's `rows` (-1: none) behind `names`, a row for each of `wanted`; those `used` have a place."""
        found = self.table[list(self.columns)].reindex(rows).reset_index(drop=True)
        found = found.astype(object).where(found.notna(), None)
        if "dose" in found:
            found["dose"] = found["dose"].astype("float64")
        return Matched(
            pd.concat([names, found], axis=1),
            tuple(place for place, row in zip(wanted, rows) if row < 0),
            tuple(entry for row, entry in enumerate(entries) if row not in used),
        )


@dataclass
class _Wells:
    """A map while it is read: values by (plate, well) and column, and where each stood."""

    columns: list[str]
    values: dict[Place, dict[str, str]] = field(default_factory=dict)
    by_plate: bool = False
    by_field: bool = False
    notes: list[str] = field(default_factory=list)


def read_plate_map(path: str | Path, reserved: Collection[str] = ()) -> PlateMap:
    r"""Read a plate map. Everything is text where it is an identity: 'None', 'NA' and '001' stay as they are.

    Parameters
    ----------
    path : ``.csv``, ``.tsv``, ``.txt`` (comma, semicolon or tab) or ``.xlsx``. Long: a header with ``well`` (or
        ``row`` and ``column``), perhaps ``plate``, and any columns; or with ``field`` in place of these, for images of
        no well (see :meth:`PlateMap.match_fields`). Drawn: row letters down, column numbers across; several blocks one
        below another (or a sheet each), each headed by its column's name.
    reserved : names that a column may not have, those of measurements.

    Raises
    ------
    MissingInputError, InputError
        No such file, not a plate map, a well twice, no well, a column called like a measurement, a dose that is no
        number. The message names line or sheet and the remedy.

    Examples
    --------
    >>> import cellular
    >>> from pathlib import Path
    >>> _ = Path("map.csv").write_text("well,treatment\nA1,DMSO\nB1,EBSS\n")
    >>> cellular.read_plate_map("map.csv").table[["well", "treatment"]].values.tolist()
    [['A01', 'DMSO'], ['B01', 'EBSS']]
    """
    path = Path(path)
    sheets = read_sheets(path)
    if any(_is_drawn(sheet) for sheet in sheets):
        wells = _drawn(path, sheets)
    elif len(sheets) == 1:
        wells = _long(path, sheets[0])
    else:
        raise InputError(f"{path} has tables in the sheets {', '.join(s.name for s in sheets)}; keep one of them")
    if not wells.values:
        raise InputError(f"{path} names no well; give a row a well, or draw the plate with its letters and numbers")
    _check_names(path, wells.columns, reserved)
    return _finished(path, wells)


@cache
def cellular_map() -> PlateMap:
    """The CELLULAR plate map: row C fed, rows I to N starved. For names of scheme ``cellular`` alone."""
    with resources.as_file(resources.files("cellular.data") / "cellular_map.csv") as path:
        return read_plate_map(path)


@cache
def _cellular_treatments() -> dict[str, str]:
    return dict(cellular_map().table[["well", "treatment"]].itertuples(index=False))


def cellular_treatment(well: str | None) -> str | None:
    """What the CELLULAR plate map says of a well of CELLULAR: 'fed', 'starved' or None.

    >>> cellular_treatment("C03"), cellular_treatment("D03")
    ('fed', None)
    """
    return _cellular_treatments().get(well) if well else None


def _long(path: Path, sheet: Sheet) -> _Wells:
    """A header and a row a well."""
    (_, header), *rows = sheet.rows
    names = _header(path, header)
    by_cell, by_field = "well" not in names, "field" in names
    if by_field and {"well", "plate"} & set(names):
        raise InputError(
            f"{path} has a column 'field', and one 'well' or 'plate': tell wells, or fields, and in a column "
            f"'{SAMPLE}' the dish that each is of"
        )
    if by_cell and not by_field and not {"row", "column"} <= set(names):
        raise InputError(
            f"{path} has no column 'well' (or 'field', for images of no plate), and is not drawn as a plate; its first "
            f"line holds {', '.join(header)}"
        )
    keys = {"field"} if by_field else {"plate", "row", "column"} if by_cell else {"plate", "well"}
    columns = [name for name in names if name not in keys]
    wells = _Wells(columns, by_plate="plate" in names, by_field=by_field)
    lines: dict[Place, int] = {}
    for line, cells in rows:
        if len(cells) > len(names):
            raise InputError(
                f"{path}, line {line}: {len(cells)} values for {len(names)} columns; put values with a comma in quotes"
            )
        row = dict(zip(names, cells)) | {name: "" for name in names[len(cells) :]}
        text = row["field"] if by_field else row["row"] + row["column"] if by_cell else row["well"]
        well = text or None if by_field else well_name(text)
        if well is None:
            what = "field" if by_field else "well; wells are A01 to AF48"
            raise InputError(f"{path}, line {line}: '{text}' is no {what}")
        if wells.by_plate and not row["plate"]:
            raise InputError(f"{path}, line {line}: no plate; fill it in, or leave the column out for all plates alike")
        key = (row.get("plate"), well)
        if key in lines:
            named = f"{well} of {key[0]}" if key[0] else well
            raise InputError(f"{path}: {named} stands in lines {lines[key]} and {line}; keep one of them")
        lines[key] = line
        wells.values[key] = {name: row[name] for name in wells.columns}
    return wells


def _header(path: Path, header: list[str]) -> list[str]:
    names = []
    for cell in header:
        plain = _plain(cell)
        names.append(plain if plain in (*KNOWN, "row", "column", "dose_unit") else cell)
    if "" in names:
        raise InputError(f"{path}: column {names.index('') + 1} has no name; name it in the first line")
    for name in (*KEYS, "row", "column"):
        if names.count(name) > 1:
            raise InputError(f"{path} has two columns for the {name}; keep one")
    return names


def _plain(cell: str) -> str:
    plain = cell.lower().replace(" ", "_")
    return _ALIASES.get(plain, {"col": "column"}.get(plain, plain))


def _is_drawn(sheet: Sheet) -> bool:
    """Whether some line counts columns, and the first is no header of a long table, whose values may be 1, 2, 3."""
    first = sheet.rows[0][1] if sheet.rows else []
    long = not _numbers(first) and len(first) > 1 and bool({"field", "well"} & set(map(_plain, first)))
    return not long and any(_numbers(cells) for _, cells in sheet.rows)


def _numbers(cells: list[str]) -> list[int]:
    """Column numbers of the line over a drawn plate: 1, 2, 3 ... from its second cell; empty for any other line."""
    texts = cells[1:]
    if len(texts) < 2 or not all(text.isdecimal() for text in texts):
        return []
    numbers = [int(text) for text in texts]
    rising = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers if rising and numbers[0] == 1 and not well_name(cells[0]) and not _is_row(cells[0]) else []


def _is_row(text: str) -> bool:
    return well_name(text + "1") is not None and text.isalpha()


def _drawn(path: Path, sheets: list[Sheet]) -> _Wells:
    """Blocks of row letters and column numbers; a block is named in its corner, on the line above, or by its sheet."""
    wells = _Wells([])
    for sheet in sheets:
        heading, name, numbers = "", "", []
        seen: set[str] = set()
        for line, cells in sheet.rows:
            where = f"{path}, {sheet.name + ', ' if len(sheets) > 1 else ''}line {line}"
            if new := _numbers(cells):
                names = (cells[0], heading, sheet.name if len(sheets) > 1 else "")
                name = next((text for text in names if not _is_place(text)), "")
                name = _block_name(where, name, wells)
                heading, numbers, seen = "", new, set()
            elif numbers and _is_row(cells[0]):
                _add_row(where, wells, name, cells, numbers, seen)
            elif len(cells) == 1:
                heading, numbers = cells[0], []
            else:
                raise InputError(
                    f"{where} belongs to no drawn plate: '{cells[0]}' is no row letter; a block is a line 1, 2, 3 ... "
                    "and under it lines A, B, C ..., its name in the corner or alone on the line above"
                )
    return wells


def _is_place(text: str) -> bool:
    """Whether a text says at most what letters and numbers are, as the corner of a drawn plate may."""
    return text.lower() in ("", "plate", "row") or _plain(text) == "well"


def _block_name(where: str, name: str, wells: _Wells) -> str:
    name = name.lower() if name.lower() in KNOWN else name
    if not name:
        if wells.columns:
            raise InputError(f"{where}: the second plate drawn has no name; put its column's name in the corner")
        name = "treatment"
        wells.notes.append("the plate drawn has no name and is taken for the treatment")
    if name in wells.columns:
        raise InputError(f"{where}: '{name}' is drawn twice; a drawn map holds for all plates alike, so draw it once")
    wells.columns.append(name)
    return name


def _add_row(where: str, wells: _Wells, name: str, cells: list[str], numbers: list[int], seen: set[str]) -> None:
    row = cells[0].upper()
    if row in seen:
        raise InputError(f"{where}: row {row} stands twice under '{name}'; keep one of them")
    seen.add(row)
    if len(cells) - 1 > len(numbers):
        raise InputError(f"{where}: {len(cells) - 1} values for {len(numbers)} columns of the plate")
    for column, text in zip(numbers, cells[1:]):
        well = well_name(f"{row}{column}")
        if well is None:
            raise InputError(f"{where}: no plate has a well {row}{column}")
        if text:
            wells.values.setdefault((None, well), {})[name] = text


def _check_names(path: Path, columns: list[str], reserved: Collection[str]) -> None:
    lower = [name.lower() for name in columns]
    for name in columns:
        if lower.count(name.lower()) > 1:
            raise InputError(f"{path} has two columns '{name}'; rename one")
        if name.lower() in TAKEN or name.lower() in {other.lower() for other in reserved}:
            raise InputError(f"{path}: a column '{name}' would hide what is measured under that name; rename it")


def _finished(path: Path, wells: _Wells) -> PlateMap:
    """Text columns with None for empty fields, and doses as numbers."""
    names = {name: split_unit(name) for name in wells.columns}
    doses = [name for name, unit in names.items() if unit is not None]
    if len(doses) > 1:
        raise InputError(f"{path} has {len(doses)} columns of doses, {' and '.join(doses)}; keep one")
    table = pd.DataFrame({"field" if wells.by_field else "well": [place for _, place in wells.values]}, dtype=object)
    if wells.by_plate:
        table.insert(0, "plate", pd.Series([plate for plate, _ in wells.values], dtype=object))
    notes, unit = list(wells.notes), None
    for name in wells.columns:
        texts = [row.get(name) or None for row in wells.values.values()]
        if name in doses:
            given = [row.get("dose_unit", "") for row in wells.values.values()]
            numbers, unit, said = parse_doses(path, texts, names[name] or "", given)
            table["dose"], table["dose_unit"] = numbers, pd.Series([unit] * len(table), dtype=object)
            notes += said
        elif name != "dose_unit" or not doses:
            table[name] = pd.Series(texts, dtype=object)
            notes += look_alike(name, texts)
    return PlateMap(table, unit, tuple(notes), path)


def look_alike(name: str, texts: Iterable[str | None]) -> list[str]:
    """Values that differ by capitals or spaces alone are kept apart, and said."""
    spelled: dict[str, dict[str, None]] = {}
    for text in texts:
        if text is not None:
            spelled.setdefault("".join(text.lower().split()), {})[text] = None
    alike = [" and ".join(f"'{text}'" for text in texts) for texts in spelled.values() if len(texts) > 1]
    return [f"{name} has {pair}, which are taken for different" for pair in alike]
