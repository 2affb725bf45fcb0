"""IN Cell Analyzer: ``A - 01(fld 1 wv DAPI - DAPI z 1 time 1 - 0ms).tif``; older: ``Channel 1-01-A-01-00.tif``."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, match_well, number, one_size, plate_folder, stem
from cellular.data.schemes.xml import elements, size_um
from cellular.data.wells import well_name

_NAME = re.compile(
    r"(?:(?P<plate>.+)_)?(?P<well>[A-Za-z]{1,2} - \d{1,2})\((?:fld (?P<site>\d+))? ?wv (?P<channel>.+?)(?: wix \d+)?"
    r"(?: z (?P<z>\d+))?(?:(?: -)? time (?P<time>\d+)(?: - \d+ ?ms)?)?\)"
)
# IN Cell 3000: channel, place in the plate, row, column, site.
_OLDER = re.compile(r"(?P<channel>Channel ?\d+)-\d+-(?P<row>[A-P])-(?P<column>\d\d)(?:-(?P<site>\d+))?")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name with a well, field (fld) and wavelength (wv)."""
    text = stem(path)
    date = date_of(path)
    if match := _OLDER.fullmatch(text):
        well = well_name(match["row"] + match["column"])
        site, channel = number(match["site"]), match["channel"]
        return Parts(plate_folder(path, well), well, site, channel=channel, date=date) if well else None
    found = match_well(path, _NAME)
    if found is None:
        return None
    match, well = found
    plate, site, time = match["plate"] or plate_folder(path, well), number(match["site"]), number(match["time"])
    return Parts(plate, well, site, time, number(match["z"]), match["channel"].strip(), date)


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """The pixel size (µm) of the .xdce files; wavelengths are named by the files themselves."""
    folders = sorted({root / path.parent for path in paths})
    files = [file for folder in folders for file in sorted(folder.glob("*.xdce"))]
    found = [
        (file, values.get("pixel_width")) for file in files for _, values, _ in elements(file, "ObjectiveCalibration")
    ]
    size, notes = one_size(size_um(text, file) for file, text in found if text)
    return Beside({}, size, notes)


SCHEME = Scheme("incell", "A - 01(fld 1 wv DAPI - DAPI).tif", read, beside=beside)
