"""ZEN (Zeiss), exported images: ``exp_s1t2c3_ORG.tif``, ``exp_c1_ORG.tif``."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, number, refuse_wholes, stem

_NAME = re.compile(r"(?P<before>.+)_(?P<steps>(?:[bstzcm]\d+)+)(?P<tile>(?:x\d+-\d+y\d+-\d+)?)(?P<original>(?:_ORG)?)")

_TILE = re.compile(r"_?m\d+$|x\d+-\d+y\d+-\d+$")


def read(path: PurePosixPath) -> Parts | None:
    """Parts of a name: s is the scene, m the tile, b the block.

    Without ``_ORG``, it has both a scene and a channel, and begins with the first: m1s2c3 is cell 3 of a mouse.
    """
    match = _NAME.fullmatch(stem(path))
    steps = re.findall(r"([bstzcm])(\d+)", match["steps"]) if match else []
    found = dict(steps)
    exported = {"s", "c"} <= found.keys() and steps[0][0] in "bs"
    if match is None or len(found) < len(steps) or not (match["original"] or exported):
        return None
    kept = "".join(kind + digits for kind, digits in steps if kind not in "tzc")
    return Parts(
        site=number(found.get("s")),
        timepoint=number(found.get("t")),
        z=number(found.get("z")),
        channel=f"c{int(found['c'])}" if "c" in found else None,
        date=date_of(path, stem(path)),
        series=f"{match['before']}_{kept}{match['tile']}" if kept else match["before"] + match["tile"],
    )


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """Nothing; InputError where a scene's whole image lies beside its tiles."""
    refuse_wholes(root, paths, read, _TILE)
    return Beside()


SCHEME = Scheme("zen", "exp_s1t2c3_ORG.tif", read, beside=beside)
