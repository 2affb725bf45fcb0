"""CELLULAR's names: ``Timepoint_001_220518-ST_C03_s1_w2.TIF``; its composites carry no channel."""

from functools import lru_cache
from pathlib import PurePosixPath

from cellular.data.fields import parse_field, split_channel
from cellular.data.schemes.parts import Parts, Scheme, stem


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name in the dataset's grammar."""
    return _read(stem(path))


@lru_cache(1 << 15)  # who chooses the scheme asks, and who reads by it
def _read(name: str) -> Parts | None:
    name, channel = split_channel(name)
    field = parse_field(name)
    if field.well is None:
        return None
    token = None if channel is None else f"w{channel}"
    return Parts(field.plate, field.well, field.site, field.timepoint, None, token, field.date, name, field.series)


# The dataset's own order (Al Outa et al. 2023); no other names have it.
ROLES = {"w1": "EGFP", "w2": "mRFP", "w3": "transmitted"}
SCHEME = Scheme(
    "cellular", "Timepoint_001_220518-ST_C03_s1_w2.TIF", read, roles=ROLES, over=("imagexpress", "folders", "channels")
)
