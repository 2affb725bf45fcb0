"""Images and label images on disk: the simple calls, for files of one image and one plane."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.data.formats.suffixes import IMAGE_SUFFIXES, PICTURE_SUFFIXES, TIFF_SUFFIXES, WRITTEN_SUFFIXES
from cellular.errors import InputError
from cellular.files import whole_file
from cellular.labels.checks import as_labels

__all__ = ["IMAGE_SUFFIXES", "TIFF_SUFFIXES", "read_image", "read_labels", "write_image", "write_labels"]

MOST_CHANNELS = 16


def read_image(path: str | Path) -> np.ndarray:
    """Read a file of one plane as (Y, X) or (Y, X, C), RGB order, in its own dtype (float64 as float32).

    Formats and what is honoured: :func:`cellular.data.formats.image_file.read_pixels`. A file of several images,
    timepoints or z planes is refused. Raises MissingInputError or InputError naming the file.
    """
    return _squeezed(path, stored=False)


def _squeezed(path: str | Path, stored: bool) -> np.ndarray:
    scenes = describe_image(path)
    sizes = scenes[0].sizes
    if len(scenes) > 1 or sizes["T"] > 1 or sizes["Z"] > 1:
        raise InputError(
            f"{path} has {len(scenes)} image(s) of {sizes['T']} timepoint(s) and {sizes['Z']} z plane(s), a z-stack or "
            "movie; give one plane a file"
        )
    if sizes["C"] > MOST_CHANNELS:
        raise InputError(f"{path}: {sizes['C']} channels look like a z-stack or movie; give one plane a file")
    image = read_pixels(path, stored=stored)
    if image.dtype == np.float64 and not stored:  # beyond 16,777,216 two labels would become one
        image = image.astype(np.float32)
    return np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image)


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label image (Y, X), 0 = background, as uint16 or uint32: the file's own numbers, of a palette the indices.

    Raises InputError for colour images, JPEG (whose noise makes cells of its own), negative or fractional labels.
    """
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path}: JPEG changes the numbers of a label image; save it as TIFF or PNG")
    image = _squeezed(path, stored=True)
    if image.ndim != 2:
        raise InputError(f"{path}: a label image has one channel, this one has shape {image.shape}")
    return as_labels(image, path)


def write_labels(path: str | Path, labels: np.ndarray, pixel_size_um: float | None = None) -> Path:
    """Write a label image, 16 bit, or 32-bit TIFF above 65,535 cells. Returns the path written.

    A TIFF carries the pixel size, um, where it is given.

    A PNG cannot hold 32 bits: with a .png path and more than 65,535 cells the file gets the ending .tif.
    """
    path = Path(path)
    labels = as_labels(labels, path)
    if labels.dtype == np.uint32 and path.suffix.lower() == ".png":
        path = path.with_suffix(".tif")
    return write_image(path, labels, pixel_size_um)


def write_image(path: str | Path, image: np.ndarray, pixel_size_um: float | None = None) -> Path:
    """Write (Y, X) or (Y, X, C), three as RGB, as TIFF (deflate), PNG or JPEG by its ending; whole or not at all.

    A TIFF carries the pixel size, um, where it is given, as pixels a centimetre.

    Raises InputError for an ending that is not written, and for pixels that the format cannot hold.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITTEN_SUFFIXES:
        raise InputError(f"{path}: cannot write '{suffix}'; use one of {', '.join(WRITTEN_SUFFIXES)}")
    with whole_file(path) as temporary:
        if suffix in PICTURE_SUFFIXES:
            pixels = image[:, :, ::-1] if image.ndim == 3 else image
            ok, encoded = cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix != ".png" else [])
            if not ok:
                raise InputError(f"{path}: an image of shape {image.shape} and type {image.dtype} cannot be encoded")
            encoded.tofile(temporary)
            return path
        layout: dict[str, Any] = {"photometric": "minisblack"}
        if image.ndim == 3:
            # A fourth plane of RGB would be taken for alpha.
            layout = {"photometric": "rgb" if image.shape[2] == 3 else "minisblack", "planarconfig": "contig"}
        if pixel_size_um:
            layout |= {"resolution": (1e4 / pixel_size_um,) * 2, "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(temporary, image, compression="zlib", **layout)
    return path
