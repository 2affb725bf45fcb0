"""Doses as people write them, to numbers of one unit: ``dose_nM``, ``dose (uM)``, '10 nM', '0,5'."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from cellular.errors import InputError

# Units that can be turned into one another, in the smallest of each family.
_MOLAR = {"M": 0, "mM": -3, "µM": -6, "nM": -9, "pM": -12, "fM": -15}
_MASS = {"g/ml": 0, "mg/ml": -3, "µg/ml": -6, "ng/ml": -9, "pg/ml": -12}
_MASS_PER_LITRE = {"g/l": "mg/ml", "mg/l": "µg/ml", "µg/l": "ng/ml", "ng/l": "pg/ml"}

_KNOWN = {*_MOLAR, *_MASS, *_MASS_PER_LITRE, "%", "x", "U/ml", "IU/ml", "Gy", "h", "min"}

_COLUMN = re.compile(
    r"(?:dose|conc\.?|concentration)(?:[ _]*[(\[](?P<bracket>[^)\]]*)[)\]]|[ _]+(?P<plain>.+))?", re.IGNORECASE
)
_CELL = re.compile(r"(?P<number>[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>\D.*)?")


def split_unit(column: str) -> str | None:
    """The unit in a dose column's name, '' where it has none; None for a column that holds no doses.

    >>> split_unit("dose_nM"), split_unit("Dose (uM)"), split_unit("dose"), split_unit("treatment")
    ('nM', 'µM', '', None)
    """
    match = _COLUMN.fullmatch(column.strip())
    if match is None:
        return None
    unit = _unit(match["bracket"] or (match["plain"] or "").replace("_", "/"))
    # "dose_group" is a name, not a dose in groups.
    return unit if not match["plain"] or unit in _KNOWN else None


def parse_doses(
    path: Path, texts: Sequence[str | None], unit: str, given: Sequence[str]
) -> tuple[list[float], str | None, list[str]]:
    """Doses (NaN where empty) in one unit, the unit (None where none is named), and remarks.

    Parameters
    ----------
    path : for messages.
    texts : cells of the dose column.
    unit : of the column's name, '' for none.
    given : cells of a column ``dose_unit``, '' where there is none.

    Raises
    ------
    InputError
        A cell that is no number, '1,000' (a thousand, or one?), a negative dose, units that are not of one kind.
    """
    cells = [None if text is None else _cell(path, text) for text in texts]
    units = [(_unit(own) or (cell[1] if cell else "")) for cell, own in zip(cells, given)]
    # Zero needs no unit.
    named = list(dict.fromkeys(u for cell, u in zip(cells, units) if cell and u))
    bare = [text for text, cell, u in zip(texts, cells, units) if cell and not u and cell[0] != 0]
    target = unit or (named[0] if named else "")
    if bare and named and not unit:
        raise InputError(
            f"{path}: dose '{bare[0]}' has no unit, others have {named[0]}; name the column dose_{named[0]}"
        )
    numbers = [float("nan") if cell is None else float(_in(path, cell[0], u, target)) for cell, u in zip(cells, units)]
    notes = []
    if len(named) > 1 or (unit and named and named != [unit]):
        notes.append(f"doses in {', '.join(named)} are turned into {target}")
    if any("," in text for text in texts if text):
        notes.append("commas in doses are taken for decimal points")
    if not target and any(cell for cell in cells):
        notes.append("doses have no unit; name the column dose_nM, say, to give one")
    return numbers, target or None, notes


def _unit(text: str) -> str:
    """A unit in one spelling: uM and μM are µM, ug/mL is µg/ml, mg/l is µg/ml."""
    text = text.strip().replace("\u03bc", "\u00b5")
    short = re.sub(r"^(?:u|micro)(?=M$|mol|g/)", "\u00b5", text).replace("mL", "ml").replace("/L", "/l")
    short = re.sub(r"mol(?:ar)?(?:/l)?$", "M", short) if re.fullmatch(r"[mnpf\u00b5]?mol(?:ar|/l)", short) else short
    return _MASS_PER_LITRE.get(short, short)


def _cell(path: Path, text: str) -> tuple[Decimal, str]:
    match = _CELL.fullmatch(text.strip())
    number = match["number"] if match else ""
    if match is None or number.count(".") + number.count(",") > 1:
        raise InputError(
            f"{path}: dose '{text}' is no number; write it as 0.5 or 10 nM, and leave the field empty for none"
        )
    if re.match(r"[+-]?[1-9]\d{0,2},\d{3}$", number):
        raise InputError(f"{path}: dose '{text}' may be a thousand or a fraction; write it without a comma")
    value = Decimal(number.replace(",", "."))
    if value < 0:
        raise InputError(f"{path}: dose '{text}' is negative")
    return value, _unit(match["unit"] or "")


def _in(path: Path, value: Decimal, unit: str, target: str) -> Decimal:
    """`value` in another unit of the same family."""
    if unit in ("", target) or value == 0:
        return value
    for family in (_MOLAR, _MASS):
        if unit in family and target in family:
            return value.scaleb(family[unit] - family[target])
    raise InputError(f"{path}: doses in {unit} and in {target} are not of one kind; use one unit, or two columns")
