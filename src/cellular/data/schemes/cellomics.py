"""ArrayScan, CellInsight (Cellomics): ``AS_09047_050428030001_O01f00d2.TIF``, ``Xi3t001A01f00d2.TIF`` of many times."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_in, number, stem
from cellular.data.wells import well_name

_NAME = re.compile(
    r"(?:(?P<plate>.+)_|(?P<kinetic>.*)i3t(?P<time>\d{3}))(?P<well>[A-Z]{1,2}\d{2})f(?P<site>\d{2,})d(?P<channel>\d)"
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; the barcode (before the well, or the time) is the plate, f the site, d the channel."""
    match = _NAME.fullmatch(stem(path))
    well = well_name(match["well"]) if match else None
    if match is None or well is None:
        return None
    date = date_in(*reversed(path.parts[:-1]))
    plate, time = match["plate"] or match["kinetic"] or None, number(match["time"])
    return Parts(plate, well, int(match["site"]), time, channel=f"d{match['channel']}", date=date)


SCHEME = Scheme("cellomics", "AS_09047_050428030001_O01f00d2.TIF", read)
