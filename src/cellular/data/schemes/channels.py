"""A file a channel, without a maker's name: ``cells_DAPI.tif``, ``x_w1.tif``, ``x_ch00.tif``, ``C1-x.tif``."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cellular.data.channels import is_channel_word, role_of
from cellular.data.schemes.imagexpress import read_stem
from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, number, slices_note, stem

# Names of two words that are one channel; "GFP_1" is not, its number is a site or a time. A wave before its name
# ("_w1_DAPI") is no part of the field's name.
_TWO = (
    r"(?:texas|tx|far)[ _-]red|phase[ _-]contrast|bright[ _-]field|transmitted[ _-]light|neon[ _-]green"
    r"|alexa[ _-](?:fluor[ _-]?)?\d{3}|hoechst[ _-]\d{5}"
)
_ENDING = re.compile(rf"(?P<name>.+?)(?:_(?:w|ch)\d{{1,2}})?[_ .-]+(?P<token>{_TWO}|[^_ .-]+)", re.IGNORECASE)
_FIRST = re.compile(r"(?P<token>C\d{1,2})-(?P<name>.+)")
# POS numbers sites, and the letter after it is the filter's ("01_POS002_D").
_POSITION = re.compile(r"(?P<name>(?:.*_)?POS(?P<site>\d+))_(?P<token>[A-Z])")
_STEPS = re.compile(r"(?P<series>.+?)(?P<steps>(?:_t\d+)?(?:_z\d+)?|_z\d+_t\d+)")


def read(path: PurePosixPath) -> Parts | None:
    """Name and channel of a file; a well in the name is read as ImageXpress writes it."""
    text = stem(path)
    maker = read_stem(text, path)
    if maker is not None and (maker.site is not None or maker.channel):
        return None
    if match := _POSITION.fullmatch(text):
        return Parts(site=number(match["site"]), channel=match["token"], name=match["name"], series=match["name"])
    parted = _split(text, path)
    if parted is None:
        return None
    name, token = parted
    well = read_stem(name, path)
    if well is not None and (well.plate or well.site is not None):
        return replace(well, channel=token)
    steps = _STEPS.fullmatch(name)
    if steps is None:
        return None
    found = dict(re.findall(r"_([tz])(\d+)", steps["steps"]))
    whole = steps["series"] + (f"_t{found['t']}" if "t" in found else "")
    return Parts(
        timepoint=number(found.get("t")),
        z=number(found.get("z")),
        channel=token,
        date=date_of(path, name),
        name=whole,
        series=steps["series"],
    )


def _split(text: str, path: PurePosixPath) -> tuple[str, str] | None:
    """Name and token. After a well and its site any word is a channel: ``Plate1_A01_s1_LAMP1``."""
    match = _ENDING.fullmatch(text)
    if match and is_channel_word(match["token"]):
        return match["name"], match["token"]
    if match := _FIRST.fullmatch(text):
        return match["name"], match["token"]
    name, _, token = text.rpartition("_")
    well = read_stem(name, path) if name else None
    return (name, token) if well is not None and well.site is not None and role_of(token) else None


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """A remark where fields would be called by slices: ``exp--Z00--C00.tif``."""
    return Beside(notes=slices_note(parts.name for path in paths if (parts := read(path)) and parts.name))


SCHEME = Scheme("channels", "cells_DAPI.tif", read, beside=beside, over=())
