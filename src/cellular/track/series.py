"""Label images on disk, gathered into time series."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cellular.data.fields import parse_field
from cellular.data.formats.images import IMAGE_SUFFIXES
from cellular.data.pairs import IGNORE_SUFFIX
from cellular.errors import InputError, MissingInputError, SettingsError

LABEL_SUFFIXES = ("_cp_masks", "_masks", "_labels")


@dataclass(frozen=True)
class Frame:
    """One label image of a series: its field name, timepoint (as named) and file."""

    field: str
    timepoint: int
    path: Path


def find_label_images(folder: str | Path) -> dict[str, Path]:
    """Label images in `folder` by field name.

    Files ending in ``_masks``, ``_cp_masks`` or ``_labels`` are label images; only where there is none of these are
    all images taken, under their own names. Raises MissingInputError or InputError naming the folder or file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder: {folder}")
    images = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and not path.stem.endswith(IGNORE_SUFFIX)
    ]
    marked = [path for path in images if path.stem.endswith(LABEL_SUFFIXES)]
    found: dict[str, Path] = {}
    for path in marked or images:
        suffix = next((s for s in LABEL_SUFFIXES if path.stem.endswith(s)), "")
        field = path.stem[: len(path.stem) - len(suffix)]
        if field in found:
            raise InputError(f"Two label images for field {field}: {found[field]} and {path}; remove one")
        found[field] = path
    if not found:
        raise InputError(f"{folder} holds no label images ({', '.join(IMAGE_SUFFIXES)})")
    return found


def group_series(files: dict[str, Path], pattern: str | None = None) -> dict[str, list[Frame]]:
    """Frames of every series, in time order: field name to file in, series name to frames out.

    Without `pattern`, names follow the dataset's grammar (``Timepoint_001_220518-ST_C03_s1``). `pattern` is a regular
    expression searched in the name, with a group ``timepoint`` and, where there is more than one series, ``series``.

    Raises InputError when a name has no timepoint or two files claim one timepoint of one series.

    >>> sorted(group_series({"a_t2": Path("x"), "a_t1": Path("y")}, r"(?P<series>.+)_t(?P<timepoint>[0-9]+)"))
    ['a']
    """
    search = _compiled(pattern) if pattern else None
    series: dict[str, dict[int, Frame]] = defaultdict(dict)
    for field, path in sorted(files.items()):
        name, timepoint = _named_groups(field, search) if search else _grammar(field)
        if timepoint is None:
            raise InputError(
                f"{path}: no timepoint in the name '{field}'; name files like Timepoint_001_220518-ST_C03_s1, "
                r"or give a pattern such as --pattern '(?P<series>.+)_t(?P<timepoint>\d+)'"
            )
        if timepoint in series[name]:
            raise InputError(f"{series[name][timepoint].path} and {path} are both timepoint {timepoint} of {name}")
        series[name][timepoint] = Frame(field, timepoint, path)
    return {name: [frames[t] for t in sorted(frames)] for name, frames in sorted(series.items())}


def _grammar(field: str) -> tuple[str, int | None]:
    parsed = parse_field(field)
    return parsed.series, parsed.timepoint


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"--pattern '{pattern}' is not a regular expression: {error}") from error
    if "timepoint" not in search.groupindex:
        raise SettingsError(f"--pattern '{pattern}' has no group (?P<timepoint>...)")
    return search


def _named_groups(field: str, search: re.Pattern[str]) -> tuple[str, int | None]:
    match = search.search(field)
    if match is None:
        return field, None
    groups = match.groupdict()
    try:
        return groups.get("series") or "series", int(groups["timepoint"])
    except (TypeError, ValueError):
        return field, None
