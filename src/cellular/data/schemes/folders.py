"""A folder a well, as people sort by hand: ``Plate1/A01/s1_DAPI.tif``, ``A01/1/DAPI.tif``."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.channels import is_channel_word, role_of
from cellular.data.schemes.parts import Beside, Parts, Scheme, date_in, number, plate_folder, stem, sure_well
from cellular.errors import InputError

_SITE = r"(?:s|site|f|fld|field|p|pos|position)[ _-]?0*(?P<site>\d+)"
_FOLDER = re.compile(rf"{_SITE}|0*(?P<bare>\d+)", re.IGNORECASE)
_STEP = r"[tz]\d+"
_FILE = re.compile(
    rf"(?:(?:{_SITE}|(?P<bare>\d+))(?:[_ -]|$))?(?P<before>(?:{_STEP}(?:[_ -]|$)){{0,2}})"
    rf"(?P<channel>[^_ ].*?)??(?P<after>(?:(?<=[^_ -])[_ -]{_STEP}){{0,2}})",
    re.IGNORECASE,
)
_NAMED = re.compile(r"(.+)[_ -]([^_ -]+)")


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
    steps = re.findall(r"([tz])(\d+)(?=[_ -]|$)", f"{match['before']}{match['after']}".lower())
    found = dict(steps)
    if (site is not None and inside is not None) or len(found) < len(steps):
        return None
    return Parts(
        plate=plate_folder(PurePosixPath(*folders)),
        well=well,
        site=inside if site is None else site,
        timepoint=number(found.get("t")),
        z=number(found.get("z")),
        channel=match["channel"],
        date=date_in(*reversed(folders[:-1])),
    )


def _is_channel(text: str) -> bool:
    """A word, or several that name a dye or a protein: ``LAMP1``, ``w1``, ``Texas Red``; not ``img001``, ``A01``."""
    if is_channel_word(text):
        return True
    numbered = re.search(r"\D0\d+$", text) or sure_well(text)
    return not numbered and "_" not in text and " " not in text and role_of(text) is not None


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where what stands beside a channel's word tells images apart, and no channels."""
    first: dict[tuple, PurePosixPath] = {}
    for path in paths:
        parts = read(path)
        named = _NAMED.fullmatch((parts and parts.channel) or "")
        if parts is None or named is None or not is_channel_word(named[2]):
            continue
        place = (path.parent, parts.site, parts.timepoint, parts.z)
        other = first.setdefault((*place, role_of(named[0]), named[2].casefold()), path)
        if other is not path:
            raise InputError(
                f"{root / other} and {path.name} lie in one well's folder, and both end in {named[2]}: images of two "
                "places, it seems, and no two channels of one. Number these with --pattern, say "
                r"'(?P<well>[^/]+)/\D*(?P<site>\d+)_(?P<channel>[^_]+)'"
            )
    return Beside()


SCHEME = Scheme("folders", "Plate1/A01/s1_DAPI.tif", read, beside=beside, over=("imagexpress", "channels"))
