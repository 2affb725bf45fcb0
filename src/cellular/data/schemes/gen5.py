"""Gen5 (BioTek, Agilent; Cytation, Lionheart): ``A1_01_1_1_GFP_001.tif``, ``A1_1Z0_GFP_1_001_.tif``."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, match_well, number, plate_folder, stem
from cellular.errors import InputError

_WELL = r"(?P<well>[A-Z]{1,2}\d{1,2})"
# Steps count what a protocol reads; what is made of a read (stitched, transformed) has a negative one.
_STEP = re.compile(
    rf"{_WELL}(?:ROI\d+)?_(?P<step>-?\d+)_(?P<read>\d+)_(?P<site>\d+)_(?P<channel>[^_].*?)_(?P<time>\d{{3,}})"
)
_CHANNEL = r"(?P<channel>[A-Za-z][A-Za-z0-9 ,\[\]]*)"
_SITE = re.compile(rf"{_WELL}_(?P<site>-?\d+)(?:Z(?P<z>\d+))?_{_CHANNEL}_(?P<read>\d+)_(?P<time>\d{{3,}})_\d*")
_STITCHED = re.compile(rf"{_WELL}_(?P<site>-?\d+)_[^\[]+\[.+_{_CHANNEL}\]_\d+_(?P<time>\d{{3,}})_[\d-]*")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; the last number is the time of a kinetic read."""
    found = match_well(path, _STEP, _SITE, _STITCHED)
    if found is None:
        return None
    match, well = found
    return Parts(
        plate=plate_folder(path, well),
        well=well,
        site=int(match["site"]),
        timepoint=int(match["time"]),
        z=number(match.groupdict().get("z")),
        channel=match["channel"],
        date=date_of(path),
    )


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where images lie beside what was made of them."""
    made: dict[bool, PurePosixPath] = {}
    for path in paths:
        if match := _STEP.fullmatch(stem(path)):
            made.setdefault(match["step"].startswith("-"), path)
    if len(made) > 1:
        raise InputError(
            f"{root / made[True]} was made of images such as {made[False]}, stitched or transformed: put one kind into "
            "a folder of its own"
        )
    return Beside()


def read_of(path: PurePosixPath) -> str:
    """The step of the protocol, and which of its channels, by numbers."""
    if match := _STEP.fullmatch(stem(path)):
        return f"step {match['step']}.{match['read']}"
    return f"step {match['read']}" if (match := _SITE.fullmatch(stem(path))) else "step 0"


SCHEME = Scheme("gen5", "A1_01_1_1_GFP_001.tif", read, beside=beside, read_of=read_of)
