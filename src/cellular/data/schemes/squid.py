"""Squid (Cephla): ``0/A1_0_0_Fluorescence_488_nm_Ex.tiff``, a folder a timepoint."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, number, plate_folder, stem
from cellular.data.wells import well_name
from cellular.errors import InputError

# What follows differs between instruments: "_nm_Ex_-_single_band_0000", "_LED_matrix_full".
_NAME = re.compile(
    r"(?P<region>[^_]+)_(?P<site>\d+)_(?P<z>\d+)_(?P<channel>Fluorescence_\d+_nm_Ex.*|(?:BF|DF)_LED_matrix.*)",
    re.IGNORECASE,
)
_DRAWN = re.compile(r"(?P<region>R\d+)_")
_TIME = re.compile(r"\d{1,4}")  # a longer number is a day


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name; a region that is no well calls the field."""
    match = _NAME.fullmatch(stem(path))
    if match is None:
        return None
    folders = path.parts[:-1]
    time = number(folders[-1]) if folders and _TIME.fullmatch(folders[-1]) else None
    well = well_name(match["region"])
    return Parts(
        plate=plate_folder(path if time is None else PurePosixPath(*folders), well),
        well=well,
        site=int(match["site"]),
        timepoint=time,
        z=int(match["z"]),
        channel=match["channel"],
        date=date_of(path),
        series=None if well else f"{match['region']}_s{int(match['site'])}",
    )


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where regions drawn by hand, R0, R1 ..., would pass for wells of a row R."""
    drawn = {match["region"]: path for path in paths if (match := _DRAWN.match(path.name))}
    if "R0" in drawn and len(drawn) > 1:
        raise InputError(
            f"{root / drawn['R0']}: R0, R1 ... are regions, it seems, and no wells of a row R; call fields by them "
            r"with --pattern '(?P<series>R\d+_\d+)_(?P<z>\d+)_(?P<channel>.+)'"
        )
    return Beside()


SCHEME = Scheme("squid", "0/A1_0_0_Fluorescence_488_nm_Ex.tiff", read, beside=beside)
