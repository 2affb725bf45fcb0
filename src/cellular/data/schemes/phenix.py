"""Opera Phenix and Operetta (Harmony): ``r01c01f01p01-ch1sk1fk1fl1.tiff`` with Index.idx.xml or Index.xml."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, agreed, date_of, one_size, plate_folder, stem
from cellular.data.schemes.xml import elements, size_um
from cellular.data.wells import well_at

# Harmony 4 and 5 count timepoints as sk, 6 and 7 as t; rc is a recorded round.
_NAME = re.compile(
    r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<z>\d+)(?:rc\d+)?-ch(?P<channel>\d+)"
    r"(?:sk(?P<sk>\d+))?(?:t(?P<t>\d+))?(?:fk\d+)?(?:fl\d+)?(?:-[a-z]\w*)?",
    re.IGNORECASE,
)
# Columbus' export of the same plates.
_COLUMBUS = re.compile(r"(?P<row>\d{3})(?P<column>\d{3})-(?P<site>\d+)-001001001")
# "Plate1__2024-03-01T10_00_00-Measurement 1"
_FOLDER = re.compile(r"(?P<plate>.+?)__\d{4}-\d\d-\d\dT[\d_]+-Measurement.*")
INDEXES = ("Index.idx.xml", "Index.xml")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a Harmony name; p is the plane of the stack, sk or t the timepoint."""
    match = _NAME.fullmatch(stem(path))
    if match is None:
        return _of_columbus(path)
    well = well_at(int(match["row"]), int(match["column"]))
    if well is None:
        return None
    folder = plate_folder(path, well)
    measured = _FOLDER.fullmatch(folder or "")
    time = match["sk"] or match["t"]
    return Parts(
        plate=measured["plate"] if measured else folder,
        well=well,
        site=int(match["site"]),
        timepoint=None if time is None else int(time),
        z=int(match["z"]),
        channel=f"ch{int(match['channel'])}",
        date=date_of(path),
    )


def _of_columbus(path: PurePosixPath) -> Parts | None:
    """Parts of an image without channels, slices or times: which of the last numbers is which, is not known."""
    match = _COLUMBUS.fullmatch(stem(path))
    well = well_at(int(match["row"]), int(match["column"])) if match else None
    if match is None or well is None:
        return None
    return Parts(plate_folder(path, well), well, int(match["site"]), date=date_of(path))


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Names of channels and pixel size of the indexes; files that an index lists and that are not there are named."""
    names, sizes, notes = [], set(), []
    for folder in sorted({path.parent for path in paths}):
        index = next((root / folder / name for name in INDEXES if (root / folder / name).is_file()), None)
        if index is None:
            continue
        here = {path.name for path in paths if path.parent == folder}
        missing = []
        for token, name, size, url in _entries(index):
            if token and name:
                names.append((str(folder / index.name), token, name))
            if size:
                sizes.add(size)
            if url and url not in here:
                missing.append(url)
        if missing:
            count = f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
            notes.append(f"{folder / index.name} lists {count} not in this folder, first {missing[0]}")
    channels, differ = agreed(names)
    size, unlike = one_size(sizes)
    return Beside(channels, size, (*differ, *unlike, *notes))


def _entries(index: Path) -> Iterator[tuple[str | None, str | None, float | None, str | None]]:
    """Token, name, pixel size (µm) and file of each Image of an index, and of each Entry of its maps (Harmony 6)."""
    for _, values, _ in elements(index, "Image", "Entry"):
        channel, metres = values.get("ChannelID"), values.get("ImageResolutionX")
        token = f"ch{int(channel)}" if channel and channel.isdecimal() else None
        yield token, values.get("ChannelName"), size_um(metres, index, 1e6), values.get("URL")


SCHEME = Scheme("phenix", "r01c01f01p01-ch1sk1fk1fl1.tiff", read, beside=beside)
