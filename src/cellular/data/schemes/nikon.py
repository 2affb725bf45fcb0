"""NIS-Elements (Nikon): ``WellA01_Point0001_ChannelGFP_Seq0001.tif`` of jobs, ``expt001xy01c1.tif`` of sequences."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_in, number, plate_folder, stem
from cellular.data.wells import well_name
from cellular.errors import InputError

_JOB = re.compile(
    r"(?:(?P<plate>.*?)_+)?Well(?P<well>[A-Z]{1,2}\d{1,2})(?:_Point(?:.*?_)??(?P<point>\d+))?"
    r"_Channel(?P<channel>.+?)_Seq(?P<number>\d+)"
)
_CLOCK = re.compile(r"\d{8}_\d{6}_\d+")
# What was ticked is written behind the prefix, with nothing between: "exp" and t01 are "expt01".
_SEQUENCE = re.compile(r"(?P<prefix>.*?)(?P<steps>(?:(?:xy|[tzc])\d+){2,4})")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name of a job or a sequence."""
    return _of_job(path) or _of_sequence(path)


def _of_job(path: PurePosixPath) -> Parts | None:
    """A channel of several names is a file that holds them all; sites are points, or else counted by Seq."""
    match = _JOB.fullmatch(stem(path))
    well = well_name(match["well"]) if match else None
    if match is None or well is None:
        return None
    plate = match["plate"] if match["plate"] and not _CLOCK.fullmatch(match["plate"]) else plate_folder(path, well)
    return Parts(
        plate=plate,
        well=well,
        site=int(match["point"] or match["number"]),
        channel=None if "," in match["channel"] else match["channel"],
        date=date_in(match["plate"], *reversed(path.parts[:-1])),
    )


def _of_sequence(path: PurePosixPath) -> Parts | None:
    match = _SEQUENCE.fullmatch(stem(path))
    steps = re.findall(r"(xy|[tzc])(\d+)", match["steps"]) if match else []
    found = dict(steps)
    if match is None or len(found) < len(steps) or not {"xy", "c"} <= found.keys():
        return None

    def without(kinds: str) -> str:
        return match["prefix"] + "".join(kind + digits for kind, digits in steps if kind not in kinds)

    return Parts(
        site=int(found["xy"]),
        timepoint=number(found.get("t")),
        z=number(found.get("z")),
        channel=f"c{int(found['c'])}",
        date=date_in(stem(path), *reversed(path.parts[:-1])),
        name=without("zc"),
        series=without("tzc"),
    )


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where names do not say which channels are of one image, or what is a time."""
    together: dict[tuple, set[str | None]] = defaultdict(set)
    times: dict[int, PurePosixPath] = {}
    for path in paths:
        parts, job, sequence = read(path), _JOB.fullmatch(stem(path)), _SEQUENCE.fullmatch(stem(path))
        if job and not job["point"] and parts:
            together[parts.plate, parts.well, parts.site].add(parts.channel)
        elif sequence and parts and parts.timepoint is not None and re.search(r"[A-Za-z]$", sequence["prefix"]):
            times.setdefault(parts.timepoint, path)
    if len({channel for channels in together.values() for channel in channels}) > 1 and all(
        len(channels) == 1 for channels in together.values()
    ):
        raise InputError(
            f"{root / paths[0]}: Seq numbers images of several channels one after another, so that names do not say "
            r"which are of one place; give --pattern with (?P<site>...), or export with the point's name"
        )
    if len(times) > 1:
        one, two = (times[key] for key in sorted(times)[:2])
        raise InputError(
            f"{root / one} and {two.name}: is what stands before xy a time, or the end of the experiment's name? Say "
            r"it with --pattern, for a time '(?P<series>.+)t(?P<timepoint>\d+)xy(?P<site>\d+)(?P<channel>c\d+)'"
        )
    return Beside()


SCHEME = Scheme("nikon", "WellA01_Point0001_ChannelGFP_Seq0001.tif", read, beside=beside)
