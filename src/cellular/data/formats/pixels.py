"""From stored numbers to the picture that a file means: orientation, palette, white as zero."""

from pathlib import Path

import numpy as np

from cellular.errors import InputError


def upright(image: np.ndarray, orientation: int, path: Path) -> np.ndarray:
    """Turn (Y, X, C) pixels as the tag Orientation of TIFF and EXIF says (TIFF 6.0, section 8): 1 is upright.

    Raises InputError for a number that is none of 1 to 8.
    """
    if orientation not in range(1, 9):
        raise InputError(f"{path}: orientation {orientation} is none of 1 to 8")
    if orientation > 4:
        image = image.transpose(1, 0, 2)
    # After that, the first row is to be the lowest in 3, 4, 7, 8 and the first column the rightmost in 2, 3, 6, 7.
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return image[rows, columns]


def invert_light(image: np.ndarray, bits: int, path: Path) -> np.ndarray:
    """Pixels of `bits` bits in which 0 is white, turned so that 0 is black.

    Raises InputError for pixels that are no unsigned integers.
    """
    if image.dtype.kind != "u":
        raise InputError(f"{path}: {image.dtype} pixels in which 0 is white; save it with 0 as black")
    return image.dtype.type(2**bits - 1) - image


def is_ramp(palette: np.ndarray) -> bool:
    """Whether a palette (N, 3) uint8 runs evenly from black to one colour: then its indices are the light."""
    steps = np.linspace(0, 1, len(palette))[:, None]
    return bool(palette[-1].any() and (np.abs(palette - steps * palette[-1]) <= 1).all())


def apply_palette(index: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Colours (Y, X, 3) uint8 of indices (Y, X); an index beyond the palette's end is black."""
    full = np.zeros((int(np.iinfo(index.dtype).max) + 1, 3), np.uint8)
    full[: len(palette)] = palette[: len(full)]
    return full[index]
