"""IncuCyte: ``VID123_A1_1_00d04h00m.tif`` or ``..._2024y03m01d_10h00m.tif``, with or without ``_phase`` before."""

import re
from datetime import datetime
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, is_thumbnail, stem
from cellular.data.wells import well_name

_NAME = re.compile(
    r"(?:(?P<plate>.+?)_)?(?:(?P<channel>phase|green|red|orange|nir|bright-?field)_)?"
    r"(?P<well>[A-Za-z]{1,2}\d{1,2})_(?P<site>\d+)_"
    r"(?:(?P<days>\d+)d(?P<hours>\d+)h(?P<minutes>\d+)m|(?P<clock>\d{4}y\d\dm\d\dd_\d\dh\d\dm))",
    re.IGNORECASE,
)
_START = datetime(2000, 1, 1)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; the timepoint is in minutes, since the first scan or since the year 2000."""
    match = _NAME.fullmatch(stem(path))
    well = well_name(match["well"]) if match else None
    minutes = _minutes(match) if match else None
    if match is None or well is None or minutes is None:
        return None
    return Parts(match["plate"], well, int(match["site"]), minutes, channel=match["channel"])


def _minutes(match: re.Match) -> int | None:
    if match["clock"] is None:
        return (int(match["days"]) * 24 + int(match["hours"])) * 60 + int(match["minutes"])
    try:
        clock = datetime.strptime(match["clock"].lower(), "%Yy%mm%dd_%Hh%Mm")
    except ValueError:
        return None
    return int((clock - _START).total_seconds()) // 60


SCHEME = Scheme("incucyte", "VID123_A1_1_00d04h00m.tif", read, is_thumbnail, minutes=True)
