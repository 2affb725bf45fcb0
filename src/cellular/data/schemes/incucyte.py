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
# As the instrument keeps them: ".../2401/15/1430/0700/A1-1-C1.tif" of the vessel 0700 on 2024-01-15 at 14:30.
_ARCHIVE = re.compile(
    r"(?:.*/)?(?P<clock>\d{4}/\d{2}/\d{4})/(?P<plate>\d+)/(?P<well>[A-Z]{1,2}\d{1,2})-(?P<site>\d+)-(?P<channel>C\d|Ph?)"
    r"\.tiff?",
    re.IGNORECASE,
)
_START = datetime(2000, 1, 1)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; the timepoint is in minutes, since the first scan or since the year 2000."""
    if (match := _ARCHIVE.fullmatch(str(path))) and (well := well_name(match["well"])):
        clock = _clock(match["clock"], "%y%m/%d/%H%M")
        return None if clock is None else Parts(match["plate"], well, int(match["site"]), clock, None, match["channel"])
    match = _NAME.fullmatch(stem(path))
    well = well_name(match["well"]) if match else None
    minutes = _minutes(match) if match else None
    if match is None or well is None or minutes is None:
        return None
    return Parts(match["plate"], well, int(match["site"]), minutes, channel=match["channel"])


def _minutes(match: re.Match) -> int | None:
    if match["clock"] is None:
        return (int(match["days"]) * 24 + int(match["hours"])) * 60 + int(match["minutes"])
    return _clock(match["clock"].lower(), "%Yy%mm%dd_%Hh%Mm")


def _clock(text: str, format: str) -> int | None:
    """Minutes since the year 2000; None for no date."""
    try:
        return int((datetime.strptime(text, format) - _START).total_seconds()) // 60
    except ValueError:
        return None


SCHEME = Scheme("incucyte", "VID123_A1_1_00d04h00m.tif", read, is_thumbnail, minutes=True)
