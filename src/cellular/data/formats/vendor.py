"""Microscope makers' own formats (ND2, LIF ...), through bioio and the maker's plug-in; ZEISS's is in `czi`."""

from pathlib import Path
from typing import Any

import numpy as np

from cellular.data.formats.image_info import ImageInfo, check_index, square, white_of
from cellular.errors import InputError, import_extra


def describe_vendor(path: Path) -> tuple[ImageInfo, ...]:
    """The scenes of a maker's file, each with its name."""
    image = _open(path)
    return tuple(_describe(image, scene, path) for scene in range(len(image.scenes)))


def read_vendor(path: Path, scene: int, t: int, z: int) -> tuple[np.ndarray, ImageInfo]:
    """One plane (Y, X, C) of a scene, and its description.

    Raises InputError for a scene that is not there.
    """
    image = _open(path)
    if not 0 <= scene < len(image.scenes):
        raise InputError(f"{path}: scene {scene} was asked for, the file has {len(image.scenes)}")
    info = _describe(image, scene, path)
    check_index(info, t, z, path)
    axes = "YXS" if info.rgb else "YXC"
    more = {"C": 0} if info.rgb else {}
    return image.get_image_data(axes, T=t, Z=z, **more)[:, :, : info.sizes["C"]], info


def _open(path: Path) -> Any:
    bioio = import_extra("bioio", "bioio")
    try:
        image = bioio.BioImage(path)
        _ = image.scenes  # only now does the plug-in open the file
    except Exception as error:  # each maker's plug-in has errors of its own; a missing one is named in the text
        raise InputError(f"{path} cannot be read by bioio (is its plug-in, e.g. bioio-nd2, there?): {error}") from error
    return image


def _describe(image: Any, scene: int, path: Path) -> ImageInfo:
    image.set_scene(scene)
    sizes = {axis: int(getattr(image.dims, axis, 1)) for axis in "TZCYX"}
    samples = int(getattr(image.dims, "S", 1))
    rgb = samples in (3, 4)
    if odd := {axis: n for axis, n in zip(image.dims.order, image.dims.shape) if axis not in "TZCYXS" and n > 1}:
        raise InputError(f"{path}: it has {odd} besides time, z and channels; save one image a file")
    if samples > 1 and (not rgb or sizes["C"] > 1):
        raise InputError(f"{path}: {sizes['C']} channels of {samples} samples each; save one channel a plane")
    names = ("",) * 3 if rgb else tuple(str(name or "") for name in image.channel_names or ())
    sizes["C"] = 3 if rgb else sizes["C"]
    names = (*names, *[""] * sizes["C"])[: sizes["C"]]
    side = image.physical_pixel_sizes
    dtype = np.dtype(image.dtype)
    size = square(*(float(length) if length else None for length in (side.X, side.Y)))
    return ImageInfo(scene, str(image.current_scene), sizes, dtype, names, rgb, size, white_of(dtype))
