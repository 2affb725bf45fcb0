"""What a plate's fields share, so that their numbers can be compared: levels, the size of a pixel, slices of stacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mode
from typing import Any

import numpy as np

from cellular.data.formats.image_file import describe_image
from cellular.data.image import FieldImage, read_field
from cellular.data.plate import FieldFiles
from cellular.errors import CellularError, InputError
from cellular.jobs.runner import spread

# Pixel sizes that differ by less are one size, rounded by two programs.
SAME_SIZE = 0.01
# Fields looked at for what the plate's fields share.
LOOKED_AT = 9


@dataclass(frozen=True)
class Scale:
    """What most of a plate's fields have.

    Attributes
    ----------
    levels : kind of the numbers in the files by channel's token, see :func:`levels_of`.
    pixel_size_um : side of a pixel, µm; None where the files do not say.
    field : one that has them.
    slices : how many slices a projection is made of, by channel's token.
    """

    levels: Mapping[str, str]
    pixel_size_um: float | None
    field: str
    slices: Mapping[str, int]

    def check(self, item: FieldFiles, image: FieldImage) -> None:
        """Raise InputError for a field whose levels or lengths cannot be compared with the plate's."""
        size = image.pixel_size_um
        for source, kind in zip(item.sources, image.kinds):
            levels, usual = levels_of(kind), self.levels.get(source.token)
            if usual and levels != usual:
                raise InputError(
                    f"{source.slices[0][0]}: its pixels are {levels}, those of {self.field} and most fields {usual}; "
                    "save all alike, or measure it apart"
                )
        if size and self.pixel_size_um and abs(size / self.pixel_size_um - 1) > SAME_SIZE:
            raise InputError(
                f"{item.images[0]}: a pixel is {size:.4g} um, in {self.field} and most fields {self.pixel_size_um:.4g} "
                "um: sizes in px cannot be compared; measure it apart, or give --pixel_size where the files are wrong"
            )
        for source in item.sources:
            found, most = len(source.slices), self.slices.get(source.token)
            if most and found != most:
                raise InputError(
                    f"{source.slices[0][0]}: {item.name} has {found} slices of its channel {source.token}, most fields "
                    f"{most}: their projections cannot be compared; find the missing files, or take one slice of all "
                    "with --z"
                )


def read_comparable(item: FieldFiles, scale: Scale | None) -> FieldImage:
    """A field's image, read and checked against its plate's `scale`, where that is known."""
    image = read_field(item)
    if scale is not None:
        scale.check(item, image)
    return image


def known_of(item: FieldFiles, scale: Scale | None) -> dict[str, Any]:
    """What a field's measurements depend on besides its files, for the runner: how they are read, and the `scale`."""
    shared = (_told(scale.levels), scale.pixel_size_um, dict(scale.slices)) if scale else None
    return {"read": item.reading(), "scale": shared}


def _told(levels: Mapping[str, str]) -> str | dict[str, str]:
    """Levels by channel; one word where they are of one kind."""
    return dict(levels) if len(set(levels.values())) > 1 else next(iter(levels.values()))


def levels_of(dtype: np.dtype) -> str:
    """Kind of a pixel's numbers: fractions, or counts of a camera that were cut to 8 bit, or were not.

    >>> levels_of(np.dtype("uint8")), levels_of(np.dtype("int16")), levels_of(np.dtype("float32"))
    ('8-bit counts', 'counts', 'floating-point')
    """
    if dtype.kind == "f":
        return "floating-point"
    return "8-bit counts" if dtype.itemsize == 1 else "counts"


def common_scale(fields: Sequence[FieldFiles]) -> Scale | None:
    """What most of a few of `fields`, spread evenly, have by their headers; None where none can be read."""
    levels: dict[str, list[str]] = {}
    found: dict[tuple[str, float | None], list[str]] = {}
    for item in spread(fields, LOOKED_AT):
        try:
            infos = [describe_image(source.slices[0][0])[source.scene] for source in item.sources]
        except (CellularError, IndexError):
            continue
        kinds = [levels_of(info.kind_of(source.index or 0)) for source, info in zip(item.sources, infos)]
        for source, kind in zip(item.sources, kinds):
            levels.setdefault(source.token, []).append(kind)
        found.setdefault((kinds[0], item.pixel_size_um or infos[0].pixel_size_um), []).append(item.name)
    if not found:
        return None
    most = max(found, key=lambda what: len(found[what]))
    return Scale({token: mode(kinds) for token, kinds in levels.items()}, most[1], found[most][0], _slices(fields))


def _slices(fields: Sequence[FieldFiles]) -> dict[str, int]:
    """How many slices most fields have of each channel, where any is projected."""
    found: dict[str, list[int]] = {}
    for item in fields if any(item.projection for item in fields) else ():
        for source in item.sources:
            found.setdefault(source.token, []).append(len(source.slices))
    return {token: mode(counts) for token, counts in found.items()}
