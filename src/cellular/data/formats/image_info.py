"""What an image file says of itself, in one form for all formats."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cellular.errors import InputError

# µm in one unit, by the names that OME, ImageJ, MetaMorph and TIFF use, in Unicode's folded case.
MICROMETRES = {
    **dict.fromkeys(("μm", "um", "micron", "microns", "micrometer", "micrometre", "\\u00b5m"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("inch", "in"), 25400.0),
}
# Dots an inch that printers reach: a resolution up to here says how large to print, not how large a pixel was.
PRINTERS_DPI = 4800
# Tops of cameras of so many bits, whose images come in wider types, as they are or shifted to the upper bits of 16.
_CAMERAS = {(2**bits - 1) << shift for bits in (8, 10, 11, 12, 14, 16) for shift in (0, 16 - bits)}
# Those that the brightest pixel of a dim image of more bits may have.
_COMMON_LEVELS = {2**bits - 1 for bits in (10, 11)}
# An OME file that names more planes than this is lying.
MOST_PLANES = 1_000_000


@dataclass(frozen=True)
class ImageInfo:
    """One image (scene) of a file.

    Attributes
    ----------
    scene : its place among the file's images, from 0.
    name : what the file calls it.
    sizes : planes and pixels by axis, the keys T, Z, C, Y, X.
    dtype : of the pixels.
    channels : C names, "" where the file gives none.
    rgb : C are the colours of a picture, not detectors.
    pixel_size_um : side of a pixel, µm; None where the file does not say or pixels are not square.
    white : level at which a pixel is saturated; None for floats, which have none.
    undeclared : the C axis is only supposed: the file does not name its axes.
    times : 0-based timepoint of each of the T in a series of files, by an OME-TIFF's own list; empty where there is
        none: from 0 on.
    slices_elsewhere : z slices of the same stack that lie in other files, by an OME-TIFF's own list.
    well : that it lies in, where the file says so besides the name.
    kinds : types of the C channels' pixels where they are stored as several, all read as `dtype`; else empty.
    """

    scene: int
    name: str | None
    sizes: Mapping[str, int]
    dtype: np.dtype
    channels: tuple[str, ...]
    rgb: bool
    pixel_size_um: float | None
    white: float | None
    undeclared: bool = False
    times: tuple[int, ...] = ()
    slices_elsewhere: int = 0
    well: str | None = None
    kinds: tuple[np.dtype, ...] = ()

    def kind_of(self, channel: int) -> np.dtype:
        """The type that a channel's pixels are stored as, in this machine's order of bytes."""
        return (self.kinds[channel] if self.kinds else self.dtype).newbyteorder("=")


def micrometres(value: object, unit: object) -> float | None:
    """A length in µm; None where it is no positive number or has no unit of length."""
    factor = MICROMETRES.get(str(unit).strip().casefold())
    try:
        length = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return length * factor if factor and 0 < length < np.inf else None


def square(x: float | None, y: float | None) -> float | None:
    """The side of a pixel whose sides agree within 1 %; None where they do not, or neither is known."""
    if x is None or y is None:
        return x if y is None else y
    return x if abs(x - y) <= 0.01 * max(x, y) else None


def from_dots(per_inch: float) -> float | None:
    """Side of a pixel, µm, of a resolution in dots per inch; None for one that a printer has."""
    return 25400.0 / per_inch if PRINTERS_DPI < per_inch < np.inf else None


def white_of(dtype: np.dtype, bits: int | None = None) -> float | None:
    """Level of a saturated pixel: of `bits` significant bits, else the top of an integer `dtype`; None for floats."""
    if dtype.kind == "b":
        return 1.0
    if dtype.kind not in "ui":
        return None
    top = np.iinfo(dtype).max
    return float(min(2**bits - 1, top) if bits else top)


def at_the_top(plane: np.ndarray, white: float | None) -> np.ndarray:
    """Pixels at the top: of what the file says of its camera, of the type, or of cameras of 8 to 16 bits.

    Floats are at the top where they pile up at that of a camera, or at 1: a few may be what all were divided by. So
    are levels of cameras of 10 and 11 bits, which are others' levels as well.
    """
    if plane.dtype.kind == "f":
        if white is not None:
            return plane >= white
        peak = float(np.fmax.reduce(plane, axis=None, initial=0))  # whatever is no number
        return _piled_up(plane, peak) if peak in _CAMERAS | {1} else np.zeros(plane.shape, bool)
    top = int(plane.max(initial=0))
    if plane.dtype == np.uint8:
        # JPEG rounds: 254 beside a wall of 255 is as saturated
        return plane >= 254 if top == 255 else np.zeros(plane.shape, bool)
    tops = {np.iinfo(plane.dtype).max} | _CAMERAS | ({int(white)} if white else set())
    if top in _COMMON_LEVELS and top != white:
        return _piled_up(plane, top)
    return plane >= top if top in tops else np.zeros(plane.shape, bool)


def _piled_up(plane: np.ndarray, top: float) -> np.ndarray:
    """Pixels at `top`, the highest level, if several times as many are there as at the level below; else none.

    Of light that was not cut off ever fewer pixels are ever brighter.
    """
    full = plane >= top
    below = np.fmax.reduce(plane, axis=None, where=~full, initial=0)
    return full if np.count_nonzero(full) > 2 * max(1, np.count_nonzero(plane == below)) else np.zeros_like(full)


def saturated_in(image: np.ndarray, white: float | None) -> np.ndarray:
    """(Y, X, C) bool: :func:`at_the_top` of each channel of an image."""
    return np.stack([at_the_top(image[:, :, c], white) for c in range(image.shape[2])], axis=2)


def check_index(info: ImageInfo, t: int, z: int, path: object) -> None:
    """Raise InputError where an image has no timepoint `t` or z plane `z`."""
    for axis, index in (("T", t), ("Z", z)):
        if not 0 <= index < info.sizes[axis]:
            raise InputError(f"{path}: {axis} = {index} was asked for, the image has {info.sizes[axis]} of them")
