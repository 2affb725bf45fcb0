"""Wells by name: ``A01``, rows to AF, columns to 48, and the plates they belong to."""

import re
from collections.abc import Iterable

# Wells of a plate -> (rows, columns); ANSI/SLAS 4-2004 for 96, 384 and 1,536, makers' catalogues for the smaller ones.
PLATE_SIZES = {6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}

_ROWS, _COLUMNS = PLATE_SIZES[1536]
# Column 0 is kept out by the pattern, columns over 48 and rows over AF below; "A - 01" is IN Cell Analyzer's.
_WELL = re.compile(r"\s*([A-Z]|A[A-F])(?:\s*-\s*)?0{0,2}([1-9]\d?)\s*", re.ASCII | re.IGNORECASE)


def well_name(text: str) -> str | None:
    """The well that `text` names, as row letters and two digits; None where it names none.

    >>> well_name("a1"), well_name("A - 01"), well_name("AF48"), well_name("A49"), well_name("B0")
    ('A01', 'A01', 'AF48', None, None)
    """
    match = _WELL.fullmatch(text)
    if match is None or int(match[2]) > _COLUMNS:
        return None
    return f"{match[1].upper()}{int(match[2]):02d}"


def split_well(well: str) -> tuple[str, int]:
    """Row letters and column number of a well: ``AB03`` is (``AB``, 3). ValueError where it is no well."""
    name = well_name(well)
    if name is None:
        raise ValueError(f"'{well}' is no well; wells are a row A to AF and a column 1 to 48, such as A01")
    return name[:-2], int(name[-2:])


def row_number(row: str) -> int:
    """Number of a row, 1-based: A is 1, Z 26, AA 27, AF 32."""
    number = 0
    for letter in row.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def row_letters(number: int) -> str:
    """Letters of a 1-based row: 1 is A, 27 is AA."""
    return chr(ord("A") + number - 1) if number <= 26 else "A" + chr(ord("A") + number - 27)


def well_at(row: int, column: int) -> str | None:
    """The well at a 1-based row and column, None where no plate has it."""
    return f"{row_letters(row)}{column:02d}" if 1 <= row <= _ROWS and 1 <= column <= _COLUMNS else None


def plate_size(wells: Iterable[str]) -> int:
    """Wells of the smallest plate that holds all of `wells`; 6 where there are none."""
    places = [split_well(well) for well in wells]
    rows = max((row_number(row) for row, _ in places), default=1)
    columns = max((column for _, column in places), default=1)
    return next(size for size, (high, wide) in PLATE_SIZES.items() if rows <= high and columns <= wide)
