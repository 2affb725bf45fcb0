"""EVOS (Thermo Fisher), scans of plates: ``scan_Plate_R_p00_0_A01f00d0.TIF``."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_of, is_thumbnail, match_well, number, stem

_NAME = re.compile(
    r"(?P<plate>.+)_(?P<kind>[RDM])_p(?P<time>\d+)(?:_z(?P<z>\d+))?_(?P<pass>\d+)_(?P<well>[A-Z]{1,2}\d{2})"
    r"f(?P<site>\d{2,})d(?P<channel>\d)"
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; p counts times, d channels."""
    found = match_well(path, _NAME)
    if found is None:
        return None
    match, well = found
    return Parts(
        plate=match["plate"],
        well=well,
        site=int(match["site"]),
        timepoint=int(match["time"]),
        z=number(match["z"]),
        channel=f"d{match['channel']}",
        date=date_of(path),
    )


def is_extra(path: PurePosixPath) -> bool:
    """Thumbnails, and images as displayed (D) or merged (M), which are no measurements."""
    match = _NAME.fullmatch(stem(path))
    return is_thumbnail(path) or (match is not None and match["kind"] != "R")


def read_of(path: PurePosixPath) -> str:
    """The pass over the plate."""
    match = _NAME.fullmatch(stem(path))
    return f"pass {match['pass']}" if match else ""


SCHEME = Scheme(
    "evos",
    "scan_Plate_R_p00_0_A01f00d0.TIF",
    read,
    is_extra,
    over=("folders", "channels", "cellomics"),
    read_of=read_of,
)
