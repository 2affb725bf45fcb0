r"""The user's own names: ``--pattern '(?P<plate>.+)_(?P<well>[A-P]\d\d)_(?P<channel>.+)'``."""

import difflib
import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_in, number, stem
from cellular.data.wells import well_name
from cellular.errors import InputError, SettingsError

GROUPS = ("plate", "well", "site", "timepoint", "z", "channel", "date", "series")
_NUMBERS = ("site", "timepoint", "z")


def pattern_scheme(regex: str) -> Scheme:
    r"""The scheme of a regular expression with named groups.

    It must match a whole file name, with or without its ending; where it has a ``/``, the whole path below the folder.

    Parameters
    ----------
    regex : groups :data:`GROUPS`; ``well``, ``series`` or, for one series, ``timepoint`` must be one of them.
        ``series`` is the field's name without the timepoint, for files that name no well; a ``plate`` that is not
        part of it stands before it. A ``/`` in either becomes ``_``, as names of files are made of them.

    Raises
    ------
    SettingsError
        Not a regular expression, a group of another name, or none that tells fields apart.
    """
    try:
        compiled = re.compile(regex)
    except re.error as error:
        raise SettingsError(f"--pattern {regex} is no regular expression: {error}") from error
    for group in compiled.groupindex:
        if group not in GROUPS:
            near = difflib.get_close_matches(group, GROUPS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"--pattern has a group '{group}'{hint}; groups are {', '.join(GROUPS)}")
    if not {"well", "series", "timepoint"} & set(compiled.groupindex):
        raise SettingsError(
            f"--pattern {regex} tells no fields apart: give it a group (?P<well>...), (?P<series>...) or "
            "(?P<timepoint>...)"
        )

    def read(path: PurePosixPath) -> Parts | None:
        folder = f"{path.parent}/" if "/" in regex and path.parent.name else ""
        match = compiled.fullmatch(folder + stem(path)) or compiled.fullmatch(folder + path.name)
        return None if match is None else _parts(match, path)

    return Scheme("pattern", regex, read, over=())


def _parts(match: re.Match[str], path: PurePosixPath) -> Parts:
    given = {name: text for name, text in match.groupdict().items() if text}
    given |= {name: given[name].replace("/", "_") for name in ("plate", "series") if name in given}
    for key in _NUMBERS:
        if key in given and not given[key].isdecimal():
            raise InputError(f"--pattern reads '{given[key]}' as the {key} of {path}; it must be a whole number")
    well = well_name(given["well"]) if "well" in given else None
    if "well" in given and well is None:
        raise InputError(f"--pattern reads '{given['well']}' as the well of {path}; wells are A01 to AF48")
    series = given.get("series") or (None if "well" in given else "series")
    if {"plate", "series"} <= given.keys() and not _within(match, "plate", "series"):
        series = f"{given['plate']}_{series}"
    name = series if series is None or "timepoint" not in given else f"{series}_t{given['timepoint']}"
    numbers = {key: number(given.get(key)) for key in _NUMBERS}
    channel, plate = given.get("channel"), given.get("plate")
    return Parts(plate, well, **numbers, channel=channel, date=_date(given, path), name=name, series=series)


def _within(match: re.Match[str], inner: str, outer: str) -> bool:
    """Whether one group lies inside another."""
    return match.start(outer) <= match.start(inner) and match.end(inner) <= match.end(outer)


def _date(given: dict[str, str], path: PurePosixPath) -> str | None:
    text = given.get("date")
    if text is None or re.fullmatch(r"\d{6}", text):
        return text
    date = date_in(text)
    if date is None:
        raise InputError(f"--pattern reads '{text}' as the date of {path}; dates are YYMMDD, YYYYMMDD or YYYY-MM-DD")
    return date
