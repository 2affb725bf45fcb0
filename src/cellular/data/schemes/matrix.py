"""Matrix Screener (Leica): ``chamber--U00--V00/field--X00--Y00/image--L0000--S00--U00--V00--...--C00.ome.tif``."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_of, stem
from cellular.data.wells import well_at

# L is the loop over all wells; U and V are the place of the well along x and y, X and Y that of the field in it; J is
# the job.
_NAME = re.compile(
    r"image(?:--L(?P<loop>\d+))?--S(?P<slide>\d+)--U(?P<u>\d+)--V(?P<v>\d+)(?:--J(?P<job>\d+))?(?:--E\d+)?(?:--O\d+)?"
    r"--X(?P<x>\d+)--Y(?P<y>\d+)--T(?P<time>\d+)--Z(?P<z>\d+)--C(?P<channel>\d+)"
)
_SORTING = re.compile(r"(?:slide|chamber|field)--.*", re.IGNORECASE)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; fields are called by their place in the well, x and y from 0. Loops are times."""
    match = _NAME.fullmatch(stem(path))
    well = well_at(int(match["v"]) + 1, int(match["u"]) + 1) if match else None
    if match is None or well is None:
        return None
    plate = next((name for name in reversed(path.parts[:-1]) if not _SORTING.fullmatch(name)), None)
    if int(match["slide"]):
        plate = f"{plate or ''}S{match['slide']}"
    place = "_".join(part for part in (plate, well, f"x{match['x']}y{match['y']}") if part)
    return Parts(
        plate=plate,
        well=well,
        timepoint=int(match["time"]) or int(match["loop"] or 0),
        z=int(match["z"]),
        channel=f"C{match['channel']}",
        date=date_of(path),
        series=place,
    )


def read_of(path: PurePosixPath) -> str:
    """The job: each is of settings of its own."""
    match = _NAME.fullmatch(stem(path))
    return f"job {match['job'] or '0'}" if match else ""


SCHEME = Scheme(
    "matrix", "image--L0000--S00--U00--V00--J08--E00--O00--X00--Y00--T0000--Z00--C00.ome.tif", read, read_of=read_of
)
