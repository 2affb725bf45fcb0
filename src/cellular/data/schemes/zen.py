"""ZEN (Zeiss), exported images: ``exp_s1t2c3_ORG.tif``, ``exp_c1_ORG.tif``."""

import re
from pathlib import PurePosixPath

from cellular.data.schemes.parts import Parts, Scheme, date_in, number, stem

_NAME = re.compile(r"(?P<before>.+)_(?P<steps>(?:[bstzcm]\d+)+)(?P<tile>(?:x\d+-\d+y\d+-\d+)?)(?P<original>(?:_ORG)?)")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name: s is the scene, m the tile, b the block; without ``_ORG`` both a scene and a channel."""
    match = _NAME.fullmatch(stem(path))
    steps = re.findall(r"([bstzcm])(\d+)", match["steps"]) if match else []
    found = dict(steps)
    if match is None or len(found) < len(steps) or not (match["original"] or {"s", "c"} <= found.keys()):
        return None

    def without(kinds: str) -> str:
        kept = "".join(kind + digits for kind, digits in steps if kind not in kinds)
        return f"{match['before']}_{kept}{match['tile']}" if kept else match["before"] + match["tile"]

    return Parts(
        site=number(found.get("s")),
        timepoint=number(found.get("t")),
        z=number(found.get("z")),
        channel=f"c{int(found['c'])}" if "c" in found else None,
        date=date_in(stem(path), *reversed(path.parts[:-1])),
        name=without("zc"),
        series=without("tzc"),
    )


SCHEME = Scheme("zen", "exp_s1t2c3_ORG.tif", read)
