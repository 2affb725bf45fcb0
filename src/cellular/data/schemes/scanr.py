"""ScanR (Olympus, Evident): ``A1--W00001--P00001--Z00000--T00000--DAPI.tif``."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_of, plate_folder, stem
from cellular.data.wells import well_name

_NAME = re.compile(
    r"(?P<well>[A-Za-z]{1,2}\d{1,2})?--W(?P<index>\d+)--P(?P<site>\d+)--Z(?P<z>\d+)--T(?P<time>\d+)--(?P<channel>.+)"
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; where it gives no well but its place (W) alone, the field is called by place and site."""
    match = _NAME.fullmatch(stem(path))
    if match is None:
        return None
    well = well_name(match["well"]) if match["well"] else None
    if match["well"] and well is None:
        return None
    place = None if well else f"W{match['index']}_P{match['site']}"
    return Parts(
        plate=plate_folder(path, well),
        well=well,
        site=int(match["site"]),
        timepoint=int(match["time"]),
        z=int(match["z"]),
        channel=match["channel"],
        date=date_of(path),
        name=place if place is None or not int(match["time"]) else f"{place}_t{int(match['time'])}",
        series=place,
    )


SCHEME = Scheme("scanr", "A1--W00001--P00001--Z00000--T00000--DAPI.tif", read)
