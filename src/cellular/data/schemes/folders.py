"""A folder a well, as people sort by hand: ``Plate1/A01/s1_DAPI.tif``, ``A01/1/DAPI.tif``."""

import re
from pathlib import PurePosixPath

from cellular.data.channels import is_channel_word, role_of
from cellular.data.schemes.parts import Parts, Scheme, date_in, number, plate_folder, stem, sure_well

_SITE = r"(?:s|site|f|fld|field|p|pos|position)[ _-]?0*(?P<site>\d+)"
_FOLDER = re.compile(rf"{_SITE}|0*(?P<bare>\d+)", re.IGNORECASE)
_FILE = re.compile(
    rf"(?:(?:{_SITE}|(?P<bare>\d+))(?:[_ -]|$))?(?:t0*(?P<time>\d+)(?:[_ -]|$))?(?:z0*(?P<z>\d+)(?:[_ -]|$))?"
    r"(?P<channel>[^_ ].*)?",
    re.IGNORECASE,
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a file in a well's folder, or in a site's folder in it; what stands besides is the channel."""
    folders = path.parts[:-1]
    site = None
    if folders and not sure_well(folders[-1]) and (match := _FOLDER.fullmatch(folders[-1])):
        site, folders = int(match["site"] or match["bare"]), folders[:-1]
    well = sure_well(folders[-1]) if folders else None
    match = _FILE.fullmatch(stem(path))
    if well is None or match is None or (match["channel"] and not _is_channel(match["channel"])):
        return None
    inside = number(match["site"] or match["bare"])
    if site is not None and inside is not None:
        return None
    return Parts(
        plate=plate_folder(PurePosixPath(*folders)),
        well=well,
        site=inside if site is None else site,
        timepoint=number(match["time"]),
        z=number(match["z"]),
        channel=match["channel"],
        date=date_in(*reversed(folders[:-1])),
    )


def _is_channel(text: str) -> bool:
    """A word, or several that name a dye or a protein: ``LAMP1``, ``w1``, ``Texas Red``; not ``img001``, ``A01``."""
    if is_channel_word(text):
        return True
    numbered = re.search(r"\D0\d+$", text) or sure_well(text)
    return not numbered and "_" not in text and " " not in text and role_of(text) is not None


SCHEME = Scheme("folders", "Plate1/A01/s1_DAPI.tif", read, over=("imagexpress", "channels"))
