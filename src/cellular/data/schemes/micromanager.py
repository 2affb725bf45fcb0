"""Micro-Manager, a file an image: ``A1-Site_0/img_channel000_position000_time000000000_z000.tif``, and its stacks."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_in, date_of, number, plate_folder, stem, sure_well
from cellular.data.wells import well_name

_IMAGE = re.compile(
    r"img(?:_channel(?P<channel>\d{3,}))?(?:_position(?P<position>\d{3,}))?(?:_time(?P<time>\d{9}))?(?:_z(?P<z>\d{3,}))?"
)
_FIRST_VERSION = re.compile(r"img_(?P<time>\d{9})_(?P<name>.*)_(?P<z>\d{3,})")
# Of the generator of sites on plates.
_SITE = re.compile(r"(?P<well>[A-Z]{1,2}\d{1,2})-Site_(?P<site>\d+)")
_STACK = re.compile(r"(?P<plate>.+)_MMStack_(?P<place>[^_]+-Site_\d+)")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name and of its folder, which is called as the place is: a site of a well, a well, or any word."""
    if match := _STACK.fullmatch(stem(path)):
        well, site = _place(match["place"])
        return Parts(match["plate"], well, site, date=date_in(match["plate"])) if well else None
    match = _IMAGE.fullmatch(stem(path)) or _FIRST_VERSION.fullmatch(stem(path))
    if match is None or stem(path) == "img":
        return None
    given, folders = match.groupdict(), path.parts[:-1]
    position = number(given.get("position"))
    well, site = _place(folders[-1]) if folders else (None, None)
    above = PurePosixPath(*folders) if well else path
    return Parts(
        plate=plate_folder(above, well) if well else None,
        well=well,
        site=position if site is None else site,
        timepoint=number(given["time"]),
        z=number(given["z"]),
        channel=given.get("name") or (f"channel{int(given['channel'])}" if given.get("channel") else None),
        date=date_of(path),
        series=None if well else _named(folders, position),
    )


def _place(label: str) -> tuple[str | None, int | None]:
    """Well and site of a place's label."""
    if match := _SITE.fullmatch(label):
        return well_name(match["well"]), int(match["site"])
    return sure_well(label), None


def _named(folders: tuple[str, ...], position: int | None) -> str:
    """What a place without a well is called: by its folder, and where that is ``Default`` by the one above."""
    label = next((name for name in reversed(folders) if name != "Default"), "img")
    by_folder = bool(folders) and folders[-1] != "Default"
    return label if by_folder or position is None else f"{label}_position{position}"


SCHEME = Scheme("micromanager", "A1-Site_0/img_channel000_position000_time000000000_z000.tif", read)
