"""BZ-X (Keyence), points by number: ``1_XY01_00001_Z001_CH1.tif``, ``x_T0001_XY01_00001_CH2.tif``."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, is_thumbnail, number, refuse_wholes, stem

_POINT = r"(?P<before>(?:.+?_)?)(?:T(?P<time>\d{4})_)?(?P<place>(?:XY\d+_)?(?:(?P<site>\d{5})_)?)(?:Z(?P<z>\d{3})_)?"
_NAME = re.compile(rf"{_POINT}CH(?P<channel>\d)")
_OVERLAY = re.compile(rf"{_POINT}Overlay")
_TILE = re.compile(r"(?<=\d)_\d{5}$")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name. A point (XY) is no well by its name: fields are called by it."""
    match = _NAME.fullmatch(stem(path))
    series = (match["before"] + match["place"]).rstrip("_") if match else ""
    if match is None or not series or not (match["place"] or match["time"] or match["z"]):
        return None
    return Parts(
        site=number(match["site"]),
        timepoint=number(match["time"]),
        z=number(match["z"]),
        channel=f"CH{match['channel']}",
        date=date_of(path, stem(path)),
        series=series,
    )


def is_extra(path: PurePosixPath) -> bool:
    """Thumbnails, and the colour pictures that all channels were laid over each other for."""
    return is_thumbnail(path) or _OVERLAY.fullmatch(stem(path)) is not None


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where a point's whole image lies beside those that it was stitched of."""
    refuse_wholes(root, paths, read, _TILE)
    return Beside()


SCHEME = Scheme("keyence", "1_XY01_00001_Z001_CH1.tif", read, is_extra, beside)
