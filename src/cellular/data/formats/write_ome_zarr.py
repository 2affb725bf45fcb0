"""OME-Zarr: ``<field>.ome.zarr`` with the image's pyramid and the labels under ``labels/cells``. Exact."""

import filecmp
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellular.data.formats.images import CHANNEL_NAMES, CHANNEL_ORDER
from cellular.data.formats.labelled import LabelledField
from cellular.errors import InputError, OutputExistsError, import_extra
from cellular.files import writing

VERSIONS = ("0.4", "0.5")
MOST_LEVELS = 4


def export_ome_zarr(fields: Sequence[LabelledField], out: Path, version: str = "0.5") -> list[Path]:
    """Write one store a field, of OME-Zarr `version` "0.5" (Zarr 3) or "0.4" (Zarr 2).

    Labels need an image in the store: where there is none, it is zeros.
    """
    import_extra("ome_zarr", "zarr")
    if version not in VERSIONS:
        raise InputError(f"OME-Zarr version '{version}'; use one of {', '.join(VERSIONS)}")
    written = [out / f"{item.name}.ome.zarr" for item in fields]
    for item, path in zip(fields, written):
        with writing(path):
            _write(item, path, version)
    return written


def _write(item: LabelledField, path: Path, version: str) -> None:
    import zarr
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image, write_labels

    form = FormatV05() if version == "0.5" else FormatV04()
    labels, image, size = item.labels(), item.image(), item.pixel_size()
    planes = np.zeros((1, *labels.shape), np.uint8) if image is None else np.moveaxis(np.atleast_3d(image), -1, 0)
    factors = [2**n for n in range(1, MOST_LEVELS) if min(labels.shape) >> n >= 64]
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        group = zarr.open_group(partial, mode="w", zarr_format=form.zarr_format)
        common: dict[str, Any] = {"fmt": form, "scale_factors": factors}
        scale = {"y": size or 1.0, "x": size or 1.0}
        units = {"y": "micrometer", "x": "micrometer"} if size else None
        write_image(planes, group, axes="cyx", scale={"c": 1.0, **scale}, axes_units=units, name=item.name, **common)
        _name_channels(group, len(planes), version)
        properties = [{"label-value": int(n), "class": item.class_of(int(n))} for n in np.unique(labels) if n]
        metadata = {"properties": properties, "source": {"image": "../../"}}
        common |= {"scale": scale, "axes_units": units, "label_metadata": metadata, "scaler": None}
        write_labels(labels, group, "cells", axes="yx", **common)
        if not path.exists():
            partial.rename(path)
        elif not _same(partial, path):
            raise OutputExistsError(f"{path} is there already; remove it or choose another folder")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _same(a: Path, b: Path) -> bool:
    """Whether two stores are alike to the byte: one that an earlier run of the same command finished."""
    inside = [sorted(p.relative_to(store) for p in store.rglob("*") if p.is_file()) for store in (a, b)]
    return inside[0] == inside[1] and filecmp.cmpfiles(a, b, inside[0], shallow=False)[1:] == ([], [])


def _name_channels(group: Any, count: int, version: str) -> None:
    names = [CHANNEL_NAMES[n] for n in CHANNEL_ORDER] if count == 3 else [f"channel {n + 1}" for n in range(count)]
    colours = ("FF0000", "00FF00", "FFFFFF") if count == 3 else ("FFFFFF",) * count
    omero = {"channels": [{"label": name, "color": colour, "active": True} for name, colour in zip(names, colours)]}
    if version == "0.5":
        group.attrs["ome"] = {**group.attrs["ome"], "omero": omero}
    else:
        group.attrs["omero"] = omero
