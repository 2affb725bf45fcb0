"""ArrayScan, CellInsight (Cellomics): ``AS_09047_050428030001_O01f00d2.TIF``, ``Xi3t001A01f00d2.TIF`` of many times."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_of, match_well, number

_NAME = re.compile(
    r"(?:(?P<plate>.+)_|(?P<kinetic>.*)i3t(?P<time>\d{3}))(?P<well>[A-Z]{1,2}\d{2})f(?P<site>\d{2,})d(?P<channel>\d)"
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; the barcode (before the well, or the time) is the plate, f the site, d the channel."""
    found = match_well(path, _NAME)
    if found is None:
        return None
    match, well = found
    date = date_of(path)
    plate, time = match["plate"] or match["kinetic"] or None, number(match["time"])
    return Parts(plate, well, int(match["site"]), time, channel=f"d{match['channel']}", date=date)


SCHEME = Scheme("cellomics", "AS_09047_050428030001_O01f00d2.TIF", read)
