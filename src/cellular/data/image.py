"""A field's pixels, with what its channels are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellular.data.formats.image_file import ImageInfo, describe_image, read_pixels
from cellular.data.formats.image_info import at_the_top, saturated_in, square
from cellular.data.formats.read import has_size, read_any_labels
from cellular.data.plate import ROLE_ORDER, FieldFiles, Kind, Source
from cellular.errors import InputError, MissingInputError
from cellular.labels.checks import check_cells

COMPOSITE_ROLES = ROLE_ORDER[:3]
# An uncompressed TIFF above this many bytes is mapped, not read, where that is asked for.
MAPPED_BYTES = 1 << 29


@dataclass(frozen=True)
class FieldImage:
    """Pixels of one field of view, read once.

    Attributes
    ----------
    pixels : (Y, X, C), in the files' own dtype; of one channel too.
    roles : role of each channel ("mRFP", "EGFP", "DNA", "transmitted", "marker:NAME"), None where it is not known.
    kind : "raw" detectors; "composite", 8-bit colours (mRFP, EGFP, transmitted) with transmitted light mixed into all
        three; "picture", any other colour picture.
    pixel_size_um : side of a pixel, um; None where it is not known.
    white : level at which a pixel is saturated; None where there is none (floats).
    names : what the channels are called in the files.
    saturated : (Y, X, C) bool, which pixels were saturated in the camera, for pixels that were computed from others;
        None where they are as recorded, and `white` tells.
    kinds : type of the numbers as recorded, of each of a field's sources; none where it is the pixels' own.
    """

    pixels: np.ndarray
    roles: tuple[str | None, ...]
    kind: Kind = "raw"
    pixel_size_um: float | None = None
    white: float | None = None
    names: tuple[str, ...] = ()
    saturated: np.ndarray | None = None
    kinds: tuple[np.dtype, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != len(self.roles):
            raise InputError(
                f"an image of shape {self.pixels.shape} does not have the {len(self.roles)} channels named"
            )

    @classmethod
    def of(
        cls,
        pixels: np.ndarray,
        roles: Sequence[str | None] | None = None,
        kind: Kind = "raw",
        pixel_size_um: float | None = None,
    ) -> "FieldImage":
        """An array (Y, X) or (Y, X, C) with its channels' roles; a composite's need not be said.

        >>> FieldImage.of(np.zeros((4, 5, 2), np.uint16), ("mRFP", "EGFP")).plane("EGFP").shape
        (4, 5)
        """
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        count = pixels.shape[2] if pixels.ndim == 3 else 0
        if roles is None:
            roles = COMPOSITE_ROLES[:count] if kind == "composite" else (None,) * count
        white = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "ui" else None
        return cls(pixels, tuple(roles), kind, pixel_size_um, white)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X), px."""
        return self.pixels.shape[:2]

    def in_counts(self, role: str) -> bool:
        """Whether a channel goes in steps of one level, as a camera's does; fractions have a unit of their own."""
        alike = len(self.kinds) != len(self.roles)
        return (self.pixels.dtype if alike else self.kinds[self.roles.index(role)]).kind in "ui"

    @property
    def channels(self) -> tuple[str, ...]:
        """What columns call each channel: its role, else its name in the file, else its number from 1."""
        names = (*self.names, *[""] * len(self.roles))
        return tuple(role or names[index] or str(index + 1) for index, role in enumerate(self.roles))

    def has(self, role: str) -> bool:
        """Whether a channel has this role."""
        return role in self.roles

    def plane(self, role: str) -> np.ndarray:
        """(Y, X) of the channel with this role; InputError where there is none."""
        if role not in self.roles:
            known = ", ".join(role or "one not known" for role in self.roles)
            raise InputError(
                f"there is no channel {role}; the channels are {known}. Name it with --channels {role}=..."
            )
        return self.pixels[:, :, self.roles.index(role)]

    def array(self) -> np.ndarray:
        """(Y, X, C), or (Y, X) where there is one channel: for what takes any image."""
        return self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels


def read_field(item: FieldFiles, mapped: bool = False) -> FieldImage:
    """Read a field's channels, in the order of `item.sources`.

    A single large uncompressed TIFF is mapped from the disk in place of being read, where `mapped`.

    Raises MissingInputError or InputError, naming the file, for one that cannot be read, holds more planes than its
    name says, or differs in size from the field's other channels.
    """
    if len({(s.slices, s.scene, s.t) for s in item.sources}) == 1:
        return _one_file(item, mapped)
    planes, saturated, infos = [], [], []
    for source in item.sources:
        info = _info(source)
        _check_single(source, info)
        stack, full = _stack(source, info, item.projection, False)
        planes.append(stack[:, :, source.index or 0])
        saturated += [] if full is None else [full[:, :, source.index or 0]]
        infos.append(info)
    first = item.sources[0].slices[0][0]
    for source, plane in zip(item.sources, planes):
        if plane.shape != planes[0].shape:
            raise InputError(
                f"{source.slices[0][0]}: shape {plane.shape} differs from {first.name}'s, {planes[0].shape}"
            )
    _check_levels(item.sources, infos)
    return _made(item, np.stack(planes, axis=-1), infos, np.stack(saturated, axis=-1) if saturated else None)


def _check_levels(sources: Sequence[Source], infos: Sequence[ImageInfo]) -> None:
    """Refuse a reporter whose two colours are of different kinds, counts and fractions say: no ratio holds for both.

    Nor does one for stacks of which one colour has more slices.
    """
    colours = [(source, info) for source, info in zip(sources, infos) if source.role in ROLE_ORDER[:2]]
    found = [(source, info.kind_of(source.index or 0)) for source, info in colours]
    for source, dtype in found[1:]:
        if dtype != found[0][1]:
            raise InputError(
                f"{source.slices[0][0]} has {dtype} pixels, {found[0][0].slices[0][0].name} {found[0][1]}: the levels "
                f"of {source.role} and {found[0][0].role} cannot be compared; save both alike"
            )
        if len(source.slices) != len(found[0][0].slices):
            raise InputError(
                f"{source.slices[0][0]}: {source.role} has {len(source.slices)} slices, {found[0][0].role} "
                f"{len(found[0][0].slices)}: their levels cannot be compared; find the missing files, or take one with "
                "--z"
            )


def _one_file(item: FieldFiles, mapped: bool) -> FieldImage:
    """All channels in one file: read once."""
    source = item.sources[0]
    info = _info(source)
    path = source.slices[0][0]
    large = mapped and len(source.slices) == 1 and path.is_file() and path.stat().st_size >= MAPPED_BYTES
    pixels, saturated = _stack(source, info, item.projection, large)
    wanted = [s.index for s in item.sources if s.index is not None]
    _check_single(source, info)
    _check_levels(item.sources, [info] * len(item.sources))
    if len(wanted) == len(item.sources) and wanted != list(range(pixels.shape[2])):
        pixels = np.ascontiguousarray(pixels[:, :, wanted])
        saturated = None if saturated is None else saturated[:, :, wanted]
    return _made(item, pixels, [info], saturated)


def _info(source: Source) -> ImageInfo:
    path = source.slices[0][0]
    scenes = describe_image(path)
    if source.scene >= len(scenes):
        raise InputError(f"{path}: it has {len(scenes)} images, not {source.scene + 1}; was it changed?")
    info = scenes[source.scene]
    # Which of the two values is the cells' differs between writers of such files, and is no matter of light.
    if info.white == 1:
        raise InputError(f"{path}: one bit a pixel is a mask, no fluorescence image; label images go in by --labels")
    return info


def _check_single(source: Source, info: ImageInfo) -> None:
    """A file that stands for one channel by its name, and was not found to be a stack, holds one plane."""
    if not source.token or source.index is not None:
        return
    path = source.slices[0][0]
    many = {axis: n for axis, n in info.sizes.items() if axis in "TZC" and n > 1}
    if many:
        raise InputError(
            f"{path}: by its name one channel, but it holds {many}, and the first file of this channel one plane; "
            "give all alike"
        )
    if (scenes := len(describe_image(path))) > 1:
        raise InputError(f"{path}: by its name one channel, but it holds {scenes} images; give each a file")


def _stack(
    source: Source, info: ImageInfo, projection: str | None, mapped: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """(Y, X, C) of a source's slices, projected; and of a sum, which does not tell, which pixels are saturated."""
    path = source.slices[0][0]
    read = [read_pixels(file, source.scene, source.t, z, mapped) for file, z in source.slices]
    if len({image.shape for image in read}) > 1:
        raise InputError(f"{path}: slices of the stack differ in size")
    if len(kinds := {str(image.dtype) for image in read}) > 1:
        raise InputError(f"{path}: pixels of the stack's slices are {' and '.join(sorted(kinds))}; save all alike")
    if projection != "sum":
        return read[0] if len(read) == 1 else np.maximum.reduce(read), None
    saturated = np.logical_or.reduce([saturated_in(image, info.white) for image in read])
    total = np.add.reduce(read, dtype=np.float64)
    wide, most = {"f": (np.float32, np.inf), "i": (np.int32, 2**31)}.get(read[0].dtype.kind, (np.uint32, 2**32))
    if np.abs(total).max() >= most:
        raise InputError(f"{path}: the sum of {len(read)} slices does not fit 32 bits; take their maximum with --z max")
    return total.astype(wide), saturated


def _made(item: FieldFiles, pixels: np.ndarray, infos: Sequence[ImageInfo], saturated: np.ndarray | None) -> FieldImage:
    sizes = [info.pixel_size_um for info in infos if info.pixel_size_um]
    if item.pixel_size_um is None and sizes and square(min(sizes), max(sizes)) is None:
        raise InputError(f"{item.images[0]}: channels of {item.name} differ in pixel size: {sorted(set(sizes))} um")
    roles = COMPOSITE_ROLES if item.kind == "composite" else tuple(s.role for s in item.sources)
    if len(roles) != pixels.shape[2]:  # a file whose header could not be read before
        roles = (None,) * pixels.shape[2]
    of_each = infos if len(infos) > 1 else [infos[0]] * len(item.sources)
    kinds = tuple(info.kind_of(source.index or 0) for source, info in zip(item.sources, of_each))
    whites = {info.white for info in infos}
    if saturated is None and len(whites) > 1:  # one level does not tell for all channels
        tops = [at_the_top(pixels[:, :, k].astype(kinds[k], copy=False), info.white) for k, info in enumerate(infos)]
        saturated = np.stack(tops, axis=-1)
    size = item.pixel_size_um or next(iter(sizes), None)  # rounded by two programs, they are one
    white = whites.pop() if len(whites) == 1 and item.projection != "sum" else None
    names = tuple(s.name or s.token for s in item.sources)
    return FieldImage(pixels, roles, item.kind, size, white, names, saturated, kinds)


def load_labels(item: FieldFiles, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The field's label image (Y, X), uint16 or uint32, of its image's `shape` where that is given.

    Raises MissingInputError without one, InputError for one that cannot be read or is of another size.
    """
    if item.labels is None:
        raise MissingInputError(f"Field {item.name} has no label image")
    if shape is None and item.images and not has_size(item.labels):
        shape = read_field(item).shape
    return read_cells(item.labels, shape, item.name)


def load_ignore(item: FieldFiles, shape: tuple[int, int] | None = None) -> np.ndarray | None:
    """The field's label image of cells that do not count, as :func:`load_labels`; None where there is none."""
    if item.ignore is None:
        return None
    return read_any_labels(item.ignore, shape and (shape[0], shape[1]), field=item.name)


def load_others(item: FieldFiles, shape: tuple[int, int]) -> np.ndarray | None:
    """Pixels (Y, X) bool of the field's cells that are not measured and no background; None where none are known.

    Cells that do not count, and those that were there before somebody corrected the outlines. Raises as
    :func:`load_labels`.
    """
    ignored = load_ignore(item, shape)
    before = None if item.original is None else read_cells(item.original, shape, item.name)
    known = [labels > 0 for labels in (ignored, before) if labels is not None]
    return np.logical_or.reduce(known) if known else None


def read_cells(path: Path, shape: tuple[int, int] | None, field: str) -> np.ndarray:
    """The label image (Y, X) in a file of labels or outlines of a field of `shape`; a foreground mask is refused."""
    return check_cells(read_any_labels(path, shape and (shape[0], shape[1]), field=field), path)
