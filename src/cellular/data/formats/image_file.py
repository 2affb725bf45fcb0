"""One image file, whatever its format: what it says of itself, and one plane of it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cellular.data.formats.czi import describe_czi, read_czi
from cellular.data.formats.image_info import ImageInfo
from cellular.data.formats.ome_zarr import (
    describe_ome_zarr,
    is_ome_zarr,
    ome_zarr_files,
    ome_zarr_plate,
    read_ome_zarr,
)
from cellular.data.formats.picture import describe_picture, read_picture
from cellular.data.formats.suffixes import IMAGE_SUFFIXES, PICTURE_SUFFIXES, TIFF_SUFFIXES, VENDOR_SUFFIXES
from cellular.data.formats.tiff import companion_of, describe_tiff, read_tiff
from cellular.data.formats.vendor import describe_vendor, read_vendor
from cellular.errors import CellularError, InputError, MissingInputError

__all__ = ["ImageInfo", "describe_image", "files_behind", "ome_zarr_plate", "read_pixels"]


def describe_image(path: str | Path) -> tuple[ImageInfo, ...]:
    """The images (scenes) of a file, in its own order, from its headers.

    TIFF (also OME-TIFF, ImageJ, MetaMorph, LSM), PNG, JPEG; OME-Zarr groups with the extra `zarr`; CZI with the extra
    `czi`; other microscope makers' own formats with the extra `bioio` and the maker's plug-in.

    A file of an OME-TIFF of many files has its own planes only. Raises MissingInputError, MissingExtraError, or
    InputError naming the file.
    """
    path = Path(path)
    describe = {"zarr": describe_ome_zarr, "tiff": describe_tiff, "picture": describe_picture, "czi": describe_czi}
    kind = _format(path)
    try:
        return describe.get(kind, describe_vendor)(path)
    except Exception as error:
        raise _named(error, path) from error


def read_pixels(
    path: str | Path, scene: int = 0, t: int = 0, z: int = 0, mapped: bool = False, *, stored: bool = False
) -> np.ndarray:
    """One plane of an image file.

    Parameters
    ----------
    path : a file of :func:`describe_image`.
    scene, t, z : which image of the file, timepoint and z plane, from 0.
    mapped : leave the pixels of an uncompressed TIFF in the file, as a read-only memory map; others are read.
    stored : the numbers as they are in the file: of a palette the indices, of a picture in which 0 is white 0
        (of black and white alone white is 1, unless tifffile wrote it). For label images, whose numbers are no light.

    Returns
    -------
    (Y, X, C) in the file's own dtype, 1-bit images as uint8 0 and 1. Upright, RGB order, bright is much light, a
    palette's colours (or its indices, where it runs evenly from black to one colour), no alpha.

    Raises
    ------
    MissingInputError, MissingExtraError, or InputError that names the file: damaged, truncated, a plane that is
    nowhere, pixels of a kind that is not light.
    """
    path = Path(path)
    kind = _format(path)
    try:
        if kind == "tiff":
            return read_tiff(path, scene, t, z, mapped=mapped, stored=stored)[0]
        if kind == "zarr":
            return read_ome_zarr(path, scene, t, z)[0]
        if kind == "czi":
            return read_czi(path, scene, t, z)[0]
        if kind == "vendor":
            return read_vendor(path, scene, t, z)[0]
        if (scene, t, z) != (0, 0, 0):
            raise InputError(f"{path}: image {scene}, T = {t}, Z = {z} was asked for, the file has one of each")
        return read_picture(path, stored=stored)[0]
    except Exception as error:
        raise _named(error, path) from error


def files_behind(path: Path, planes: Iterable[tuple[int, int, int]] = ((0, 0, 0),)) -> list[Path]:
    """The files that planes of :func:`read_pixels` (scene, t, z) are read from.

    Several of an OME-Zarr; of an OME-TIFF whose OME-XML is in a companion that too; else the file itself.
    """
    try:
        if path.name.lower().endswith((".ome.tif", ".ome.tiff")) and path.is_file():
            return [path, *filter(None, [companion_of(path)])]
        if not is_ome_zarr(path):
            return [path]
        return list(dict.fromkeys(file for plane in planes for file in ome_zarr_files(path, *plane)))
    except Exception as error:
        raise _named(error, path) from error


def _format(path: Path) -> str:
    if is_ome_zarr(path):
        return "zarr"
    if not path.is_file():
        raise MissingInputError(f"No such image: {path}")
    suffix = path.suffix.lower()
    if suffix == ".czi":
        return "czi"
    for kind, known in (("tiff", TIFF_SUFFIXES), ("picture", PICTURE_SUFFIXES), ("vendor", VENDOR_SUFFIXES)):
        if suffix in known:
            return kind
    raise InputError(f"{path}: unknown image format '{path.suffix}'; known: {', '.join(IMAGE_SUFFIXES)}, OME-Zarr")


def _named(error: Exception, path: Path) -> CellularError:
    """The error to raise: decoders raise whatever the damage makes them raise."""
    if isinstance(error, CellularError) and (str(path) in str(error) or not isinstance(error, InputError)):
        return error
    return InputError(f"{path} cannot be read as an image: {error}")
