"""OME-Zarr 0.4 (Zarr 2) and 0.5 (Zarr 3) images: attributes and the full-resolution plane."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from cellular.errors import InputError, import_extra


def is_ome_zarr(path: Path) -> bool:
    """Whether `path` is a folder that is a Zarr group."""
    return path.is_dir() and ((path / "zarr.json").is_file() or (path / ".zattrs").is_file())


def ome_zarr_attributes(path: Path) -> dict[str, Any]:
    """OME attributes of an OME-Zarr group, from where its version keeps them; InputError where it has none."""
    new = (path / "zarr.json").is_file()
    try:
        content = json.loads((path / ("zarr.json" if new else ".zattrs")).read_text(encoding="utf-8"))
        found = content["attributes"]["ome"] if new else content
        found["multiscales"][0]["datasets"][0]["path"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path} is a Zarr group without OME-Zarr 0.4 or 0.5 metadata") from error
    return found


def read_ome_zarr(path: Path) -> np.ndarray:
    """Full-resolution image of an OME-Zarr group as (Y, X) or (Y, X, C); time and z must have one plane each.

    Raises MissingExtraError without the `zarr` extra, InputError for a group that is damaged or has more planes.
    """
    zarr = import_extra("zarr", "zarr")
    scales = ome_zarr_attributes(path)["multiscales"][0]
    try:
        array = zarr.open_array(path / scales["datasets"][0]["path"], mode="r")
        axes = [axis["name"] for axis in scales["axes"]]
        extra = [(name, size) for name, size in zip(axes, array.shape) if name not in "cyx" and size > 1]
        if extra or len(axes) != array.ndim:
            raise InputError(f"{path}: axes {axes} of shape {array.shape}; give one plane of time and z")
        image = array[tuple(slice(None) if name in ("c", "y", "x") else 0 for name in axes)]
    except InputError:
        raise
    except Exception as error:  # zarr and its codecs raise whatever the damage makes them raise
        raise InputError(f"{path} cannot be read as OME-Zarr: {error}") from error
    return np.moveaxis(image, 0, -1) if "c" in axes else image
