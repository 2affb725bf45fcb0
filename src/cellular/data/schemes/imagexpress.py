"""ImageXpress (MetaXpress): ``<plate>_<well>_s<site>_w<wave>.TIF``, flat or in trees of TimePoint_N with GUIDs."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import (
    GUID,
    Beside,
    Parts,
    Scheme,
    agreed,
    date_of,
    folder_number,
    number,
    one_size,
    plate_folder,
    stem,
    sure_well,
)
from cellular.data.wells import row_number, split_well, well_name

# Lazy twice: the well is the first with nothing but numbers behind it; "A01_s1_w1" is not plate A01, well S01.
_NAME = re.compile(rf"(?:(?P<plate>.+?)_)??(?P<well>[A-Za-z]{{1,2}}\d{{1,2}})(?P<rest>(?:_[swtz]\d+)*)(?:{GUID})?")
_GIVEN = re.compile(r"_([swtz])(\d+)")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name with a well; site, wave, time and z are optional and in any order."""
    return read_stem(stem(path), path)


def read_stem(text: str, path: PurePosixPath) -> Parts | None:
    """As :func:`read`, of `text` in place of the file's stem."""
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    given = [(kind, digits) for kind, digits in _GIVEN.findall(match["rest"])]
    values = dict(given)
    well = well_name(match["well"]) if "s" in values else _lone_well(match["well"], bool(values))
    if well is None or len(values) < len(given):
        return None
    time = number(values.get("t")) if "t" in values else folder_number(path, "timepoint")
    plate = match["plate"] or plate_folder(path, well)
    # HCS.ai writes the time of the folder before the well, too: "timepoint3/Plate1_t3_C05_s0_w0_z0"; MetaXpress, of
    # "TimePoint_3", does not.
    if plate and plate.endswith(f"_t{time}") and f"timepoint{time}" in map(str.lower, path.parts[:-1]):
        plate = plate.removesuffix(f"_t{time}")
    return Parts(
        plate=plate,
        well=well,
        site=number(values.get("s")),
        timepoint=time,
        # ZStep_0 holds projections of ZStep_1 and the others.
        z=number(values.get("z")) if "z" in values else folder_number(path, "zstep") or None,
        channel=f"w{int(values['w'])}" if "w" in values else None,
        date=date_of(path, match["plate"]),
    )


def _lone_well(text: str, more: bool) -> str | None:
    """A well without a site beside it: rows to P alone, and in capitals where nothing follows (``x_a1`` is a name)."""
    well = sure_well(text)
    if well is None or row_number(split_well(well)[0]) > 16 or (not more and text != text.upper()):
        return None
    return well


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Wave names and pixel size of the .HTD files in the images' folders, and one or two above (TimePoint_N)."""
    folders = {root / folder for path in paths for folder in list(path.parents)[:3]}
    files = sorted(file for folder in folders for file in folder.glob("*") if file.suffix.lower() == ".htd")
    names, sizes = [], []
    for file in files:
        for key, value in _settings(file):
            wave = re.fullmatch(r"wavename(\d+)", key)
            if wave and value:
                names.append((file.name, f"w{wave[1]}", value))
            elif key.startswith("pixelsize") and re.fullmatch(r"\d*\.?\d+", value) and float(value) > 0:
                sizes.append(float(value))
    channels, differ = agreed(names)
    size, unlike = one_size(sizes)
    return Beside(channels, size, differ + unlike)


def _settings(file: Path) -> Iterator[tuple[str, str]]:
    """Keys (lower case) and values of a .HTD file: lines such as ``"WaveName1", "DAPI"``."""
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) >= 2:
            yield row[0].strip().lower(), row[1].strip()


SCHEME = Scheme("imagexpress", "Plate1_A01_s1_w1.TIF", read, beside=beside, over=())
