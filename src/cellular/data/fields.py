"""The grammar of field names: ``Timepoint_001_220518-ST_C03_s1``."""

import re
from dataclasses import dataclass

_FIELD = re.compile(
    r"^Timepoint_(?P<timepoint>\d+)_(?P<date>\d{6})-(?P<plate>[^_]+)_(?P<well>[A-Za-z]{1,2}\d{1,3})_s(?P<site>\d+)$"
)
# Rows A to AF and columns 1 to 48: up to 1536 wells.
_WELL = re.compile(r"^(?P<row>[A-Z]|A[A-F])0*(?P<column>[1-9]\d?)$")
_CHANNEL = re.compile(r"^(?P<field>.+)_w(?P<channel>[1-9])$")

FED_ROWS = frozenset("C")
STARVED_ROWS = frozenset("IJKLMN")


@dataclass(frozen=True)
class Field:
    """One field of view, read from its name. Parts are None where the name does not follow the grammar.

    Attributes
    ----------
    name : the whole name, without channel or file ending.
    timepoint : 1-based index of the time series.
    date : ``YYMMDD`` of acquisition.
    plate : plate code, e.g. ``ST``.
    well : row and two-digit column, e.g. ``C03``, however the name spells it; see :func:`well_name`.
    site : 1-based position inside the well.
    """

    name: str
    timepoint: int | None = None
    date: str | None = None
    plate: str | None = None
    well: str | None = None
    site: int | None = None

    @property
    def series(self) -> str:
        """Name without the timepoint: the same for all timepoints of one position."""
        return self.name if self.timepoint is None else f"{self.date}-{self.plate}_{self.well}_s{self.site}"

    @property
    def treatment(self) -> str | None:
        """'fed' for wells of row C, 'starved' for rows I to N (CELLULAR plate map), None elsewhere."""
        row = self.well[:-2] if self.well else ""
        if row in FED_ROWS:
            return "fed"
        return "starved" if row in STARVED_ROWS else None


def parse_field(name: str) -> Field:
    """Read a field name; a name outside the grammar keeps its name and has None for every part.

    >>> parse_field("Timepoint_001_220518-ST_C03_s1").well
    'C03'
    >>> parse_field("my_image").well is None
    True
    """
    match = _FIELD.match(name)
    well = well_name(match["well"]) if match else None
    if match is None or well is None:
        return Field(name)
    return Field(name, int(match["timepoint"]), match["date"], match["plate"], well, int(match["site"]))


def well_name(text: str) -> str | None:
    """The one spelling of a well of up to 1536: row A to AF, column 1 to 48 in two digits; None for anything else.

    >>> [well_name(text) for text in ("C3", "c03", "C003", "AB07", "well 3", "C0", "AG01")]
    ['C03', 'C03', 'C03', 'AB07', None, None, None]
    """
    match = _WELL.match(text.strip().upper())
    if match is None or int(match["column"]) > 48:
        return None
    return f"{match['row']}{int(match['column']):02d}"


def split_channel(stem: str) -> tuple[str, int | None]:
    """Split a raw file's stem into field name and channel number: ``x_w2`` is (``x``, 2), ``x`` is (``x``, None).

    >>> split_channel("Timepoint_001_220518-ST_C03_s1_w2")
    ('Timepoint_001_220518-ST_C03_s1', 2)
    """
    match = _CHANNEL.match(stem)
    return (match["field"], int(match["channel"])) if match else (stem, None)
