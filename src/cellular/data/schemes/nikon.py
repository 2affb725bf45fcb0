"""NIS-Elements (Nikon): ``WellA01_Point0001_ChannelGFP_Seq0001.tif`` of jobs, ``expt001xy01c1.tif`` of sequences."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, match_well, number, plate_folder, stem
from cellular.errors import InputError

_JOB = re.compile(
    r"(?:(?P<plate>.*?)_+)?Well(?P<well>[A-Z]{1,2}\d{1,2})(?:_Point(?:.*?_)??(?P<point>\d+))?"
    r"_Channel(?P<channel>.+?)_Seq(?P<number>\d+)"
)
_CLOCK = re.compile(r"\d{8}_\d{6}_\d+")
# What was ticked is written behind the prefix, with nothing between: "exp" and t01 are "expt01", as is "expt01" alone.
# So a time is read behind the point, or behind what is no letter.
_SEQUENCE = re.compile(
    r"(?P<prefix>.*?)(?:(?<![A-Za-z])t(?P<time>\d+))?xy(?P<site>\d+)(?:t(?P<later>\d+))?"
    r"(?:z(?P<z>\d+))?c(?P<channel>\d+)(?:z(?P<last>\d+))?"
)
_MAYBE_TIME = re.compile(r"(.*[A-Za-z])t(\d+)")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name of a job or a sequence."""
    return _of_job(path) or _of_sequence(path)


def _of_job(path: PurePosixPath) -> Parts | None:
    """A channel of several names is a file that holds them all; sites are points, or else counted by Seq."""
    found = match_well(path, _JOB)
    if found is None:
        return None
    match, well = found
    plate = match["plate"] if match["plate"] and not _CLOCK.fullmatch(match["plate"]) else plate_folder(path, well)
    return Parts(
        plate=plate,
        well=well,
        site=int(match["point"] or match["number"]),
        channel=None if "," in match["channel"] else match["channel"],
        date=date_of(path, match["plate"]),
    )


def _of_sequence(path: PurePosixPath) -> Parts | None:
    match = _SEQUENCE.fullmatch(stem(path))
    if match is None or (match["time"] and match["later"]) or (match["z"] and match["last"]):
        return None
    return Parts(
        site=int(match["site"]),
        timepoint=number(match["time"] or match["later"]),
        z=number(match["z"] or match["last"]),
        channel=f"c{int(match['channel'])}",
        date=date_of(path, stem(path)),
        series=f"{match['prefix']}xy{match['site']}",
    )


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where names do not say which channels are of one image, or what is a time."""
    together: dict[tuple, set[str | None]] = defaultdict(set)
    times: dict[str, dict[int, PurePosixPath]] = defaultdict(dict)
    for path in paths:
        parts, job, sequence = read(path), _JOB.fullmatch(stem(path)), _SEQUENCE.fullmatch(stem(path))
        if job and not job["point"] and parts:
            together[parts.plate, parts.well, parts.site].add(parts.channel)
        elif sequence and (maybe := _MAYBE_TIME.fullmatch(sequence["prefix"])):
            times[maybe[1]].setdefault(int(maybe[2]), path)
    if len({channel for channels in together.values() for channel in channels}) > 1 and all(
        len(channels) == 1 for channels in together.values()
    ):
        raise InputError(
            f"{root / paths[0]}: Seq numbers images of several channels one after another, so that names do not say "
            r"which are of one place; give --pattern with (?P<site>...), or export with the point's name"
        )
    for found in times.values():
        if len(found) > 1:
            one, two = (found[key] for key in sorted(found)[:2])
            raise InputError(
                f"{root / one} and {two.name}: is what stands before xy a time, or the end of the experiment's name? "
                "Say it with --pattern, for a time "
                r"'(?P<series>.+)t(?P<timepoint>\d+)xy(?P<site>\d+)(?P<channel>c\d+)'"
            )
    return Beside()


SCHEME = Scheme("nikon", "WellA01_Point0001_ChannelGFP_Seq0001.tif", read, beside=beside)
