"""OME-Zarr 0.1 to 0.5: images, groups of images (bioformats2raw) and plates; one plane of time and z at a time.

Source: OME-NGFF specification 0.4 and 0.5, sections multiscales, omero, plate, well, bioformats2raw.layout.
"""

import json
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cellular.data.formats.image_info import ImageInfo, check_index, micrometres, square, white_of
from cellular.errors import InputError, import_extra

_AXES = "tczyx"
_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def is_ome_zarr(path: Path) -> bool:
    """Whether `path` is a folder that is a Zarr group."""
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zattrs", ".zgroup"))


def ome_attributes(path: Path) -> dict[str, Any]:
    """OME attributes of a Zarr group, from where its version keeps them; {} where it has none.

    Raises InputError where they are damaged.
    """
    new = (path / "zarr.json").is_file()
    file = path / ("zarr.json" if new else ".zattrs")
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content.get("attributes", {}).get("ome", {}) if new else content
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as OME-Zarr: {file.name} is damaged") from error
    return found if isinstance(found, dict) else {}


def describe_ome_zarr(path: Path) -> tuple[ImageInfo, ...]:
    """The images of an OME-Zarr group: its own, or those of its bioformats2raw layout."""
    return tuple(_describe(group, n) for n, group in enumerate(_images(path)))


def read_ome_zarr(path: Path, scene: int, t: int, z: int) -> tuple[np.ndarray, ImageInfo]:
    """One plane (Y, X, C) at full resolution, and its description; of it alone the chunks are read.

    Raises MissingExtraError without the `zarr` extra, InputError for a group that is damaged.
    """
    groups = _images(path)
    if not 0 <= scene < len(groups):
        raise InputError(f"{path}: image {scene} was asked for, the group has {len(groups)}")
    info = _describe(groups[scene], scene)
    check_index(info, t, z, path)
    array, axes = _open(groups[scene])
    place = {"t": t, "z": z}
    image = np.asarray(array[tuple(place.get(axis, slice(None)) for axis in axes)])
    left = [axis for axis in axes if axis not in place]
    image = image.transpose([left.index(axis) for axis in "yxc" if axis in left])
    return image.reshape(*image.shape[:2], -1), info


def ome_zarr_files(path: Path, scene: int, t: int, z: int) -> list[Path]:
    """The files that a plane of full resolution is read from: metadata, and those of its chunks that are there.

    Raises as :func:`read_ome_zarr` does.
    """
    group = _images(path)[scene]
    array, axes = _open(group)
    where = group / str(_multiscale(group)["datasets"][0]["path"])
    told = [place / name for place in dict.fromkeys((path, group, where)) for name in _METADATA]
    place = {"t": t, "z": z}
    steps = zip(axes, array.shape, array.shards or array.chunks)
    along = [[place[axis] // step] if axis in place else range(-(-size // step)) for axis, size, step in steps]
    chunks = [where / array.metadata.encode_chunk_key(at) for at in product(*along)]
    return [file for file in (*told, *chunks) if file.is_file()]


def ome_zarr_labels(path: Path) -> Path:
    """The label image of an OME-Zarr group: the one in its ``labels``, of several that of cells; else the group itself.

    Raises InputError for several, none of which is called ``cells``.
    """
    names = [str(name) for name in ome_attributes(path / "labels").get("labels") or ()]
    if len(names) > 1 and "cells" not in names:
        raise InputError(f"{path} holds {len(names)} label images ({', '.join(names[:6])}), and none is called 'cells'")
    return path / "labels" / ("cells" if "cells" in names else names[0]) if names else path


def ome_zarr_plate(path: str | Path) -> list[tuple[str, int, Path]] | None:
    """Fields of an OME-Zarr plate as (well, site, group of the image); None where `path` is no plate.

    Wells are named as ``A01``; sites count the well's images from 1, in the order of the well's own list.

    Raises InputError where its lists are damaged, or name images that are not there.
    """
    path = Path(path)
    if not is_ome_zarr(path) or "plate" not in (attributes := ome_attributes(path)):
        return None
    fields = []
    try:
        for well in attributes["plate"]["wells"]:
            row, column = str(well["path"]).strip("/").split("/")
            name = row.upper() + (f"{int(column):02d}" if column.isdigit() else column)
            images = ome_attributes(path / row / column)["well"]["images"]
            fields += [(name, site, path / row / column / str(image["path"])) for site, image in enumerate(images, 1)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: its plate's list of wells and images is damaged or incomplete ({error})") from error
    if lost := [group for _, _, group in fields if not is_ome_zarr(group)]:
        raise InputError(f"{path}: its plate lists {len(lost)} image(s) that are not here, first {lost[0]}")
    return fields


def _images(path: Path) -> list[Path]:
    attributes = ome_attributes(path)
    if "plate" in attributes:
        raise InputError(f"{path} is a plate of many images; give it as the folder of a plate, or one of its images")
    if "bioformats2raw.layout" in attributes:
        listed = ome_attributes(path / "OME").get("series")
        names = listed or sorted((p.name for p in path.iterdir() if p.name.isdigit()), key=int)
        return [path / str(name) for name in names]
    return [path]


def _multiscale(path: Path) -> dict[str, Any]:
    try:
        found = ome_attributes(path)["multiscales"][0]
        found["datasets"][0]["path"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path} is a Zarr group without OME-Zarr metadata of an image (multiscales)") from error
    return found


def _open(path: Path) -> tuple[Any, str]:
    """The array of full resolution and its axes."""
    zarr = import_extra("zarr", "zarr")
    multiscale = _multiscale(path)
    array = zarr.open_array(path / str(multiscale["datasets"][0]["path"]), mode="r")
    listed = multiscale.get("axes") or _AXES
    axes = "".join(str(axis["name"] if isinstance(axis, dict) else axis) for axis in listed)
    if len(listed) != array.ndim or not {"y", "x"} <= set(axes) <= set(_AXES) or len(axes) != array.ndim:
        raise InputError(f"{path}: axes {axes!r} of shape {array.shape} are not those of an image")
    return array, axes


def _describe(path: Path, scene: int) -> ImageInfo:
    array, axes = _open(path)
    multiscale = _multiscale(path)
    sizes = {name: array.shape[axes.index(name.lower())] if name.lower() in axes else 1 for name in "TZCYX"}
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "uifb" or not all(sizes.values()):
        raise InputError(f"{path}: an image of shape {array.shape} and type {dtype} cannot be used")
    channels = (ome_attributes(path).get("omero") or {}).get("channels") or ()
    given = [str(channel.get("label") or "") for channel in channels]
    names = tuple((given + [""] * sizes["C"])[: sizes["C"]])
    name = multiscale.get("name")
    size = _pixel_size(multiscale, axes)
    return ImageInfo(scene, str(name) if name else None, sizes, dtype, names, False, size, white_of(dtype))


def _pixel_size(multiscale: dict[str, Any], axes: str) -> float | None:
    """Side of a pixel, µm, by the scales of the first dataset and of all; None where none is given with the axes."""
    steps = (multiscale["datasets"][0], multiscale)
    told = [one for step in steps for one in step.get("coordinateTransformations") or () if one.get("type") == "scale"]
    scales = [one.get("scale") or () for one in told]
    if not scales or any(len(scale) != len(axes) for scale in scales):
        return None
    sides = {axis: prod(float(scale[axes.index(axis)]) for scale in scales) for axis in "yx"}
    listed = multiscale.get("axes") or ()
    units = {axis["name"]: axis.get("unit") for axis in listed if isinstance(axis, dict)}
    return square(*(micrometres(sides[axis], units.get(axis)) for axis in "xy"))
