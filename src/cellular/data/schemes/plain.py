"""Any name: a file is a field, called by its stem, with all of its channels in it. The last resort."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cellular.data.schemes.parts import Beside, Parts, Scheme, date_of, slices_note, stem

_NUMBERED = re.compile(r"(.*?[_ -])(\d+)")


def read(path: PurePosixPath) -> Parts:
    """The file's stem as the field's name, and a date where one stands in the path."""
    return Parts(name=stem(path), date=date_of(path, stem(path)))


def beside(root: Path, paths: Sequence[PurePosixPath]) -> Beside:
    """A remark where names differ by a slice's number, or by a last one: sites or times, names do not say which."""
    if slices := slices_note(stem(path) for path in paths):
        return Beside(notes=slices)
    heads = [match[1] for path in paths if (match := _NUMBERED.fullmatch(stem(path)))]
    if len(heads) < 3 or len(heads) < len(paths) or len(set(heads)) > len(heads) / 2:
        return Beside()
    return Beside(
        notes=(
            f"names such as {paths[0].name} end in a number that may be a time; for a time series give "
            r"--pattern '(?P<series>.+)_(?P<timepoint>\d+)'",
        )
    )


SCHEME = Scheme("plain", "anything.tif", read, beside=beside, over=())
