"""What a name can say, what a scheme is, and the small helpers that schemes share."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as calendar
from functools import lru_cache
from pathlib import Path, PurePosixPath

from cellular.data.wells import well_name
from cellular.errors import InputError


@dataclass(frozen=True)
class Parts:
    """What the path of one image file says; None where it says nothing. Numbers are as the maker counts them.

    Attributes
    ----------
    plate : name or barcode of the plate.
    well : ``A01`` to ``AF48``.
    site : position inside the well.
    timepoint : number in the time series; minutes where the scheme says so.
    z : number of the plane in the stack.
    channel : how the file names its channel (``w1``, ``ch2``, ``FITC - FITC``); None where it holds all channels.
    date : ``YYMMDD``.
    name : the whole name of the field where the scheme keeps it.
    series : `name` without the timepoint; alone, what a field is called that is not by its plate, well and site.
    """

    plate: str | None = None
    well: str | None = None
    site: int | None = None
    timepoint: int | None = None
    z: int | None = None
    channel: str | None = None
    date: str | None = None
    name: str | None = None
    series: str | None = None


@dataclass(frozen=True)
class Beside:
    """What the files beside the images say: names of channels by token, pixel size in µm, and remarks for the user."""

    channels: Mapping[str, str] = field(default_factory=dict)
    pixel_size_um: float | None = None
    notes: tuple[str, ...] = ()


@lru_cache(1 << 15)  # each scheme that may read a folder asks
def is_thumbnail(path: PurePosixPath) -> bool:
    """Whether a file is a thumbnail, or hidden: ``x_thumb.TIF``, ``x_w1_thumb<GUID>.tif``, ``thumbs/x.tif``."""
    hidden = path.name.startswith(".")
    folders = any(part.lower() in ("thumb", "thumbs", "thumbnails") for part in path.parts[:-1])
    return hidden or folders or _THUMBNAIL.search(stem(path)) is not None


def nothing_beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """For makers that write nothing beside their images."""
    return Beside()


@dataclass(frozen=True)
class Scheme:
    """How one maker names files.

    Attributes
    ----------
    name, example : for ``--scheme`` and for messages.
    read : path below the folder that the user named -> :class:`Parts`, None where the name is of another kind.
    is_extra : thumbnails and the like, left out and counted.
    beside : folder and its images -> what other files say of them.
    roles : token -> role where the scheme itself fixes it.
    over : schemes that read these names too, but less exactly.
    minutes : timepoints are minutes, not numbers in a series.
    read_of : path -> which read of a protocol it is of, "step 02"; where a channel was read several times in one place,
        these are channels of their own.
    """

    name: str
    example: str
    read: Callable[[PurePosixPath], Parts | None]
    is_extra: Callable[[PurePosixPath], bool] = is_thumbnail
    beside: Callable[[Path, Sequence[PurePosixPath]], Beside] = nothing_beside
    roles: Mapping[str, str] = field(default_factory=dict)
    over: tuple[str, ...] = ("folders", "channels")
    minutes: bool = False
    read_of: Callable[[PurePosixPath], str] | None = None


GUID = r"\{?[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\}?"
_THUMBNAIL = re.compile(rf"_thumb(?:{GUID})?$", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?!\d)", re.ASCII)
_SLICE = re.compile(r"(?<![A-Za-z0-9])z\d+(?![A-Za-z0-9])", re.IGNORECASE)
# Folders that sort a plate's files and do not name it.
_SORTING = re.compile(
    r"time ?-?_?point_?\d+|z-?_?step_?\d+|images?|data|raw|tiffs?|export(?:ed)?|original", re.IGNORECASE
)


def stem(path: PurePosixPath) -> str:
    """File name without its ending; ``.ome.tif``, ``.ome.tiff`` and ``.ome.zarr`` are one ending."""
    return _stem(path.name)


@lru_cache(1 << 15)
def _stem(name: str) -> str:
    dot = name.rfind(".")
    name = name[:dot] if 0 < dot < len(name) - 1 else name  # as in `pathlib`
    return name[:-4] if name.lower().endswith(".ome") else name


def number(text: str | None) -> int | None:
    """`text` as a whole number, None where there is none."""
    return None if text is None else int(text)


def date_in(*texts: str | None) -> str | None:
    """The first date with a four-digit year in `texts`, as YYMMDD: ``2024-03-01``, ``20240301``.

    >>> date_in("Plate1", "run_2024-03-01T10_00_00")
    '240301'
    """
    for text in texts:
        for match in _DATE.finditer(text or ""):
            try:
                return calendar(int(match[1]), int(match[3]), int(match[4])).strftime("%y%m%d")
            except ValueError:
                continue
    return None


def date_of(path: PurePosixPath, *texts: str | None) -> str | None:
    """The first date in `texts`, else in the names of the folders above a file, the nearest first."""
    return date_in(*texts, *reversed(path.parts[:-1]))


def match_well(path: PurePosixPath, *names: re.Pattern[str]) -> tuple[re.Match[str], str] | None:
    """How the first of `names` that does matches a file's stem, and the well in its group ``well``.

    None where none matches, or the group is no well.
    """
    match = next(filter(None, (name.fullmatch(stem(path)) for name in names)), None)
    well = well_name(match["well"]) if match else None
    return None if match is None or well is None else (match, well)


def folder_number(path: PurePosixPath, kind: str) -> int | None:
    """The number of the folder ``TimePoint_3`` (`kind` ``timepoint``) or ``ZStep_2`` (``zstep``) above a file."""
    for part in reversed(path.parts[:-1]):
        match = re.fullmatch(kind + r"_?(\d+)", part.lower().replace("-", "_"))
        if match:
            return int(match[1])
    return None


def plate_folder(path: PurePosixPath, well: str | None = None) -> str | None:
    """The nearest folder above a file that can name a plate: no TimePoint_1, no date, no ``Images``, not its `well`."""
    for part in reversed(path.parts[:-1]):
        if not _SORTING.fullmatch(part) and not _DATE.fullmatch(part) and (not well or well_name(part) != well):
            return part
    return None


def sure_well(text: str) -> str | None:
    """The well that `text` names by itself; None also where it may be another token (``s1``, ``t01``, ``Z3``)."""
    return None if re.fullmatch(r"[stwzpfcm]\d+|[STWZ]\d+", text.strip()) else well_name(text)


def slices_note(names: Iterable[str]) -> tuple[str, ...]:
    """A remark where the `names` that fields would have differ by the number of a slice."""
    names = set(names)
    sliced = sorted(name for name in names if _SLICE.search(name))
    if not sliced or len({_SLICE.sub("z", name) for name in names}) == len(names):
        return ()
    return (
        f"names such as {sliced[0]}, each a field of its own, may be of slices of z-stacks: for these give --pattern, "
        r"say '(?P<series>.+)_(?P<channel>.+)_z(?P<z>\d+)', and --z",
    )


def refuse_wholes(
    root: Path, paths: Sequence[PurePosixPath], read: Callable[[PurePosixPath], Parts | None], tile: re.Pattern[str]
) -> None:
    """Raise InputError where an image lies beside the tiles that it was stitched of: their cells would count twice.

    `tile` is what the series of a tile has more than that of the whole.
    """
    named = {parts.series: path for path in paths if (parts := read(path)) and parts.series}
    for series, path in named.items():
        whole = named.get(tile.sub("", series), path)
        if whole is not path:
            raise InputError(f"{root / whole} seems to be stitched of images such as {path}: put one kind elsewhere")


def agreed(found: Iterable[tuple[str, str, str]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Names by token of (file, token, name); a token with two names gets none, and a note says so."""
    names: dict[str, tuple[str, str]] = {}
    differ: dict[str, str] = {}
    for file, token, name in found:
        before = names.setdefault(token, (file, name))
        if before[1] != name:
            differ[token] = (
                f"{token} is '{before[1]}' in {before[0]} and '{name}' in {file}, so it has no name here; "
                "take one folder at a time or name it with --channels"
            )
    return {token: name for token, (_, name) in names.items() if token not in differ}, tuple(differ.values())


def one_size(sizes: Iterable[float | None]) -> tuple[float | None, tuple[str, ...]]:
    """The pixel size (µm) that all files give; None, and a note, where they differ by more than rounding."""
    known = sorted(size for size in sizes if size is not None)
    if not known:
        return None, ()
    if known[-1] > known[0] * 1.001:
        note = f"pixel sizes from {known[0]:g} to {known[-1]:g} µm stand beside the images, so none is taken"
        return None, (f"{note}; give --pixel_size",)
    return known[0], ()
