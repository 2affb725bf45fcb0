"""CellVoyager (Yokogawa): ``Plate1_A01_T0001F001L01A01Z01C01.tif`` with MeasurementData.mlf, MeasurementDetail.mrf."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import (
    Beside,
    Parts,
    Scheme,
    agreed,
    date_of,
    is_thumbnail,
    match_well,
    one_size,
    plate_folder,
)
from cellular.data.schemes.xml import elements, size_um

_NAME = re.compile(
    r"(?:(?P<plate>.+)_)?(?P<well>[A-Z]{1,2}\d{2})_T(?P<time>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<z>\d+)C(?P<channel>\d+)"
)


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name: T timepoint, F field, L timeline, A action, Z plane, C channel."""
    found = match_well(path, _NAME)
    if found is None:
        return None
    match, well = found
    return Parts(
        plate=match["plate"] or plate_folder(path, well),
        well=well,
        site=int(match["site"]),
        timepoint=int(match["time"]),
        z=int(match["z"]),
        channel=f"C{int(match['channel']):02d}",
        date=date_of(path, match["plate"]),
    )


def is_extra(path: PurePosixPath) -> bool:
    """Thumbnails, and the camera's dark and shading images (``DC_...``, ``SC_...``) that lie among the fields."""
    return is_thumbnail(path) or re.match(r"(?:DC|SC)_", path.name) is not None


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Channels of the .mes settings, pixel size of the .mrf, and files of the .mlf list that are not there."""
    names, sizes, notes = [], set(), []
    for folder in sorted({path.parent for path in paths}):
        for settings in sorted((root / folder).glob("*.mes")):
            for _, values, _ in elements(settings, "Channel"):
                name = f"{values.get('Target', '')} {values.get('Fluorophore', '')}".strip()
                if values.get("Ch", "").isdecimal() and name:
                    names.append((str(folder / settings.name), f"C{int(values['Ch']):02d}", name))
        for detail in sorted((root / folder).glob("*.mrf")):
            found = (values.get("HorizontalPixelDimension") for _, values, _ in elements(detail, "MeasurementChannel"))
            sizes |= {size_um(text, detail) for text in found if text}
        here = {path.name for path in paths if path.parent == folder}
        for listing in sorted((root / folder).glob("*.mlf")):
            records = elements(listing, "MeasurementRecord")
            missing = [url for _, values, url in records if values.get("Type") == "IMG" and url not in here]
            if missing:
                count = f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
                notes.append(f"{folder / listing.name} lists {count} not in this folder, first {missing[0]}")
    channels, differ = agreed(names)
    size, unlike = one_size(sizes)
    return Beside(channels, size, (*differ, *unlike, *notes))


SCHEME = Scheme("cellvoyager", "Plate1_A01_T0001F001L01A01Z01C01.tif", read, is_extra, beside)
