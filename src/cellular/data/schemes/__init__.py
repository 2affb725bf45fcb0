"""How microscopes name files: one file a maker, found by themselves or by name."""

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import PurePosixPath
from statistics import median_low

from cellular.data.channels import ROLES, is_channel_word, role_of
from cellular.data.formats.suffixes import same_name
from cellular.data.schemes import (
    cellomics,
    cellular,
    cellvoyager,
    channels,
    evos,
    folders,
    gen5,
    imagexpress,
    incell,
    incucyte,
    keyence,
    matrix,
    micromanager,
    nikon,
    phenix,
    plain,
    scanr,
    squid,
    zen,
)
from cellular.data.schemes.parts import Beside, Parts, Scheme, is_thumbnail, stem
from cellular.data.schemes.pattern import pattern_scheme
from cellular.errors import InputError, SettingsError

__all__ = ["SCHEMES", "Beside", "Parts", "Reading", "Scheme", "choose", "pattern_scheme", "read_names"]

# The special before the general.
_MODULES = (
    cellular,
    imagexpress,
    phenix,
    incell,
    cellvoyager,
    scanr,
    incucyte,
    evos,
    cellomics,
    gen5,
    keyence,
    nikon,
    zen,
    matrix,
    squid,
    micromanager,
    folders,
    channels,
    plain,
)
SCHEMES: dict[str, Scheme] = {module.SCHEME.name: module.SCHEME for module in _MODULES}


@dataclass(frozen=True)
class Reading:
    """What a scheme makes of a folder: parts by path, thumbnails left out, files that it does not read."""

    parts: Mapping[PurePosixPath, Parts]
    extra: tuple[PurePosixPath, ...]
    unread: tuple[PurePosixPath, ...]


def read_names(paths: Sequence[PurePosixPath], scheme: Scheme) -> Reading:
    """Read all `paths`, letters whatever their form, channels whatever their case.

    A time or a z that all of them share says nothing and becomes None, so that a field is called the same by schemes
    that write ``TimePoint_1`` or ``p01`` always and by schemes that do not.
    """
    extra = tuple(path for path in paths if scheme.is_extra(path))
    left_out = set(extra)
    read = {path: scheme.read(_composed(path)) for path in paths if path not in left_out}
    parts = {path: found for path, found in read.items() if found is not None}
    times, planes = {found.timepoint for found in parts.values()}, {found.z for found in parts.values()}
    numbers = _numbered(sorted(time for time in times if time is not None)) if scheme.minutes else {}
    channels: dict[str, str] = {}
    for path, found in parts.items():
        channel = found.channel and channels.setdefault(found.channel.casefold(), found.channel)
        # A name that the scheme keeps holds its timepoint (CELLULAR), so the two stay together.
        time = None if len(times) == 1 and found.name is None else numbers.get(found.timepoint, found.timepoint)
        z = None if len(planes) == 1 else found.z
        if (channel, time, z) != (found.channel, found.timepoint, found.z):  # making parts anew takes its time
            parts[path] = replace(found, channel=channel, timepoint=time, z=z)
    if scheme.read_of:
        parts = _reads_apart(parts, scheme.read_of)
    return Reading(parts, extra, tuple(path for path, found in read.items() if found is None))


def _reads_apart(
    parts: Mapping[PurePosixPath, Parts], read_of: Callable[[PurePosixPath], str]
) -> dict[PurePosixPath, Parts]:
    """The `parts`, channels that were read several times in one place each with its read: ``GFP (step 02)``."""
    reads: dict[Parts, set[str]] = defaultdict(set)
    for path, found in parts.items():
        reads[found].add(read_of(path))
    several = {found.channel for found, those in reads.items() if len(those) > 1}
    return {
        path: replace(found, channel=f"{found.channel} ({read_of(path)})") if found.channel in several else found
        for path, found in parts.items()
    }


def _composed(path: PurePosixPath) -> PurePosixPath:
    """A path with its letters in one form; nearly all have it, and making a path takes as long as reading its name."""
    text = str(path)
    return path if text.isascii() else PurePosixPath(same_name(text))


def _numbered(minutes: Sequence[int]) -> dict[int | None, int]:
    """Timepoints 1, 2, 3 ... of times in order, so that a lost one leaves out its number.

    The usual gap is one step. Times that are not in steps, within a quarter of one, are numbered in their order.
    """
    gaps = [after - before for before, after in pairwise(minutes)]
    step = median_low(gaps) if gaps else 1
    steps = [round(gap / step) for gap in gaps]
    if any(abs(gap - count * step) > step / 4 for gap, count in zip(gaps, steps)):
        steps = [1] * len(gaps)
    return dict(zip(minutes, accumulate(steps, initial=1)))


def choose(paths: Sequence[PurePosixPath], scheme: str | None = None, pattern: str | None = None) -> Scheme:
    """The scheme of a folder's images: the one that was asked for, else the only one that reads every file.

    Parameters
    ----------
    paths : image files, relative to the folder that the user named.
    scheme, pattern : of ``--scheme`` and ``--pattern``; files that these do not read are left out by the caller
        (:func:`read_names` lists them).

    Raises
    ------
    SettingsError
        An unknown scheme, a pattern of no use, or both at once.
    InputError
        Two schemes read all files (both readings are shown), some files are of another kind than the rest (they are
        named), or what was asked for reads none. The message names the flag that helps.
    """
    if scheme is not None or pattern is not None:
        return _asked_for(paths, scheme, pattern)
    makers = [one for one in SCHEMES.values() if one is not plain.SCHEME]
    _refuse_extras_alone(paths, makers)
    whole: list[Scheme] = []
    beaten: set[str] = set()
    for one in makers:
        if beaten >= {one.name, *one.over}:  # whatever it reads
            continue
        if _reads_all(one, paths):
            whole.append(one)
            beaten.update(one.over)
    found = [one for one in whole if one.name not in beaten]
    if len(found) > 1:
        raise InputError(_both_readings(paths, found))
    if not found:
        _refuse_odd_files(paths, makers)
        _refuse_channels_as_fields(paths)
    return found[0] if found else plain.SCHEME


def _asked_for(paths: Sequence[PurePosixPath], scheme: str | None, pattern: str | None) -> Scheme:
    if scheme is not None and pattern is not None:
        raise SettingsError("--scheme and --pattern both say how files are named; give one of them")
    if scheme is not None and scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, 1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise SettingsError(f"--scheme {scheme} is unknown{hint} There are {', '.join(SCHEMES)}, or --pattern")
    asked = SCHEMES[scheme] if scheme is not None else pattern_scheme(pattern or "")
    images = [path for path in paths if not asked.is_extra(path)]
    if images and not any(asked.read(path) for path in images):
        flag = "--pattern" if pattern is not None else f"--scheme {scheme}"
        raise InputError(f"{flag} reads none of {len(images)} files, such as {images[0]}; it reads {asked.example}")
    return asked


def _refuse_extras_alone(paths: Sequence[PurePosixPath], makers: Sequence[Scheme]) -> None:
    """Raise where there are but pictures that a maker's scheme reads and leaves out: another might take them."""
    for one in makers:
        if paths and all(one.is_extra(path) and not is_thumbnail(path) and one.read(path) for path in paths):
            raise InputError(
                f"{_some(paths)} are images as displayed by their names, which {one.name} leaves out, and no others "
                "are here; --scheme plain takes every file for a field"
            )


def _reads_all(scheme: Scheme, paths: Sequence[PurePosixPath]) -> bool:
    """Whether there are images besides thumbnails, and `scheme` reads every one."""
    some = False
    for path in paths:
        if scheme.is_extra(path):
            continue
        if scheme.read(path) is None:
            return False
        some = True
    return some


def _both_readings(paths: Sequence[PurePosixPath], found: Sequence[Scheme]) -> str:
    path = next(path for path in paths if not any(one.is_extra(path) for one in found))
    readings = " or ".join(f"{one.name} ({_in_words(parts)})" for one in found if (parts := one.read(path)))
    flags = " or ".join(f"--scheme {one.name}" for one in found)
    return f"{path} can be read as {readings}: say which with {flags}, or give --pattern"


def _refuse_odd_files(paths: Sequence[PurePosixPath], makers: Sequence[Scheme]) -> None:
    """Raise where a scheme reads some of the files: taking each file for a field of its own would be a guess."""
    counts = Counter({one.name: sum(one.read(p) is not None for p in paths if not one.is_extra(p)) for one in makers})
    name, count = counts.most_common(1)[0]
    if not count:
        return
    scheme = SCHEMES[name]
    images = [path for path in paths if not scheme.is_extra(path)]
    odd = [path for path in images if scheme.read(path) is None]
    raise InputError(
        f"{count} of {len(images)} files are named as {name} does ({scheme.example}), but not {_some(odd)}. "
        f"--scheme {name} leaves {'it' if len(odd) == 1 else 'these'} out, --scheme plain takes every file for a field "
        "with all of its channels, --pattern reads names of your own"
    )


# What may be a number or a row by itself, and is a channel beside its like: laser lines, and colours' letters.
_ALIKE = re.compile(r"(?:ex)?(?:405|445|488|514|532|561|594|633|638|640|647)(?:nm)?|[RGB]")
_TOKEN = re.compile(r"[wc]\d{1,2}", re.IGNORECASE)  # a week, a clone
# But not beside another step: "t001c1", "XY01C2", "c01_t0001", "t1_c1".
_GLUED = re.compile(r"((?:xy|[stzm])\d+|(?<![a-z0-9])[tz]\d+[_-]+)(ch?\d{1,3})(?!\d)", re.IGNORECASE)
_FIRST = re.compile(r"(?<![a-z0-9])(ch?\d{1,3})(?=[_-]+[tz]\d)", re.IGNORECASE)


def _refuse_channels_as_fields(paths: Sequence[PurePosixPath]) -> None:
    """Raise where names differ by a channel's word, somewhere in them: a file a field would be a guess.

    Two roles are channels whatever else stands in their place; other words where all that stand there are channels'.
    """
    alike: dict[tuple[str, ...], dict[str, tuple[str, PurePosixPath]]] = {}
    others: set[tuple[str, ...]] = set()
    for path in paths:
        for key, word, channel in _channels_in(path):
            alike.setdefault(key, {}).setdefault(channel, (word, path))
    several = {key: found for key, found in alike.items() if len(found) > 1}
    for path in paths if several else ():
        words = _words(path)
        keys = (_without(path, words, place) for place, word in enumerate(words) if not _channel(word))
        others.update(key for key in keys if key in several)
    for key, found in several.items():
        sure = {channel: at for channel, at in found.items() if channel in ROLES or key not in others}
        if len(sure) > 1:
            (_, one), (word, two) = list(sure.values())[:2]
            raise InputError(
                f"{one} and {two.name} seem to be two channels, {word.lstrip('+')} the second, by names that no scheme "
                r"reads: tell them by --pattern, say '(?P<well>[A-Z]\d+)_(?P<channel>[^_]+)_(?P<site>\d+)', or "
                r"'(?P<series>.+)t(?P<timepoint>\d+)(?P<channel>c\d+)'; --scheme plain takes every file for a field"
            )


def _channels_in(path: PurePosixPath) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """For each word of a name that is a channel's: the rest of the path, the word, and its channel."""
    words = _words(path)
    for place, word in enumerate(words):
        if channel := _channel(word):
            yield _without(path, words, place), word, channel


def _words(path: PurePosixPath) -> list[str]:
    """The words of a name; a channel's number behind another step's is a word ``+c1``."""
    return re.split(r"[_ .-]+", _FIRST.sub(r"+\1", _GLUED.sub(r"\1_+\2", stem(path))))


def _without(path: PurePosixPath, words: Sequence[str], place: int) -> tuple[str, ...]:
    return (str(path.parent), *words[:place], "", *words[place + 1 :])


@lru_cache(1 << 15)
def _channel(word: str) -> str | None:
    """The role that a word gives, or the word itself where channels may be called so; None for other words."""
    if word.isdecimal() or _ALIKE.fullmatch(word):
        return word if _ALIKE.fullmatch(word) else None
    role = None if word.startswith("+") else role_of(word)
    if role in ROLES:
        return role
    return word.casefold() if word.startswith("+") or (is_channel_word(word) and not _TOKEN.fullmatch(word)) else None


def _some(paths: Sequence[PurePosixPath]) -> str:
    named = ", ".join(map(str, paths[:3]))
    return named if len(paths) <= 3 else f"{named} and {len(paths) - 3} more"


def _in_words(parts: Parts) -> str:
    return ", ".join(f"{key} {value}" for key, value in vars(parts).items() if value is not None and key != "series")
