"""The grammar of field names: ``Timepoint_001_220518-ST_C03_s1``."""

import re
from dataclasses import dataclass
from functools import lru_cache

from cellular.data.formats.suffixes import same_name
from cellular.data.wells import well_name

_FIELD = re.compile(
    r"^Timepoint_(?P<timepoint>\d+)_(?P<date>\d{6}|(?:19|20)\d{6})-(?P<plate>[^_]+)_(?P<well>[A-Za-z]+\d+)_s(?P<site>\d+)$"
)
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an uploaded file
_TIME = re.compile(r"_t\d+$")
_CHANNEL = re.compile(r"^(?P<field>.+)_w(?P<channel>[1-9])$")


@dataclass(frozen=True)
class Field:
    """One field of view, read from its name. Parts are None where the name does not follow the grammar.

    Attributes
    ----------
    name : the whole name, without channel or file ending.
    timepoint : 1-based index of the time series.
    date : ``YYMMDD`` of acquisition; a name with ``YYYYMMDD`` is cut to it.
    plate : plate code, e.g. ``ST``.
    well : row letter and two-digit column, e.g. ``C03``.
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


@lru_cache(1 << 15)  # each channel of a field asks, and each scheme
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
    return Field(name, int(match["timepoint"]), match["date"][-6:], match["plate"], well, int(match["site"]))


def series_of(name: str) -> str:
    """The name of a field without its timepoint, ``_t001`` but in CELLULAR's names: that of its position.

    >>> series_of("dish1_p2_t003"), series_of("Timepoint_002_220518-ST_C03_s1")
    ('dish1_p2', '220518-ST_C03_s1')
    """
    return parse_field(_TIME.sub("", name)).series


def split_channel(stem: str) -> tuple[str, int | None]:
    """Split a raw file's stem into field name and channel number: ``x_w2`` is (``x``, 2), ``x`` is (``x``, None).

    >>> split_channel("Timepoint_001_220518-ST_C03_s1_w2")
    ('Timepoint_001_220518-ST_C03_s1', 2)
    """
    match = _CHANNEL.match(stem)
    return (match["field"], int(match["channel"])) if match else (stem, None)


def possible_fields(stem: str) -> list[str]:
    """Names of the field that a file called `stem` may be about, likeliest first, as they are compared.

    >>> possible_fields("cb0618f6-f_w1")
    ['cb0618f6-f_w1', 'f_w1', 'cb0618f6-f', 'f']
    """
    stem = same_name(stem)
    names = [stem, _UPLOADED.sub("", stem)]
    return list(dict.fromkeys([*names, *(split_channel(name)[0] for name in names)]))
