"""Squid (Cephla): ``0/A1_0_0_Fluorescence_488_nm_Ex.tiff``, a folder a timepoint."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_in, number, plate_folder, stem
from cellular.data.wells import well_name

_NAME = re.compile(
    r"(?P<region>[^_]+)_(?P<site>\d+)_(?P<z>\d+)_(?P<channel>Fluorescence_\d+_nm_Ex\w*|BF_LED_matrix\w*)", re.IGNORECASE
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; a region that is no well calls the field."""
    match = _NAME.fullmatch(stem(path))
    if match is None:
        return None
    folders = path.parts[:-1]
    time = number(folders[-1]) if folders and folders[-1].isdecimal() else None
    well = well_name(match["region"])
    place = None if well else f"{match['region']}_s{int(match['site'])}"
    return Parts(
        plate=plate_folder(path if time is None else PurePosixPath(*folders), well),
        well=well,
        site=int(match["site"]),
        timepoint=time,
        z=int(match["z"]),
        channel=match["channel"],
        date=date_in(*reversed(folders)),
        name=f"{place}_t{time}" if place and time else place,
        series=place,
    )


SCHEME = Scheme("squid", "0/A1_0_0_Fluorescence_488_nm_Ex.tiff", read)
