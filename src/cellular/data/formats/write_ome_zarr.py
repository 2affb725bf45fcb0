"""OME-Zarr: ``<field>.ome.zarr`` with the image's pyramid and the labels under ``labels/cells``. Exact."""

import filecmp
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cellular.data.formats.export import Written
from cellular.data.formats.image_file import describe_image
from cellular.data.formats.labelled import LabelledField
from cellular.data.formats.suffixes import IMAGE_SUFFIXES
from cellular.data.plate import Source
from cellular.errors import InputError, MissingExtraError, OutputExistsError, import_extra
from cellular.files import writing

VERSIONS = ("0.4", "0.5")
MOST_LEVELS = 4
LEAST_SIDE = 64  # px of the smallest level of a pyramid
COLOURS = {"mRFP": "FF0000", "EGFP": "00FF00", "DNA": "0000FF"}
GREY = "FFFFFF"
SHOWN = (1.0, 99.8)  # percentiles that viewers show as black and white


def export_ome_zarr(
    item: LabelledField,
    out: Path,
    names: Sequence[str] = (),
    version: str = "0.5",
    channels: Sequence[str] | None = None,
) -> Written:
    """Write a field's store, of OME-Zarr `version` "0.5" (Zarr 3) or "0.4" (Zarr 2).

    Labels need an image in the store: where there is none, it is zeros. `channels` names the image's channels; None
    takes the names in the image's file, those of a CELLULAR field, or else counts them.
    """
    check_version(version)
    path = out / f"{item.name}.ome.zarr"
    labels, image = item.labels(), item.read()
    planes = np.zeros((1, *labels.shape), np.uint8) if image is None else np.moveaxis(image.pixels, -1, 0)
    called = tuple(channels) if channels is not None else _channel_names(item, len(planes))
    size = (image and image.pixel_size_um) or _said_size(item.labels_path)
    properties = [{"label-value": int(n), "class": item.class_of(int(n))} for n in np.unique(labels) if n]
    with whole_store(path) as partial:
        write_image_group(partial, planes, called, pixel_size_um=size, name=item.name, version=version)
        write_label_image(partial, "cells", labels, size, version, properties)
    return Written([path])


def _channel_names(item: LabelledField, count: int) -> tuple[str, ...]:
    """Names in the order of the image's channels, which is that of roles and not the file's."""
    found = tuple(map(_said_name, item.files.sources))
    if len(found) == count and all(found):
        return found
    roles = tuple(role for role in item.files.roles if role)
    if len(roles) == len(item.files.roles) == count:
        return roles
    return tuple(f"channel {n + 1}" for n in range(count))


def _said_name(source: Source) -> str:
    """What a channel's file calls it; "" where it says nothing."""
    return source.name or describe_image(source.slices[0][0])[source.scene].channels[source.index or 0]


def _said_size(labels: Path) -> float | None:
    """Side of a pixel, um, where a file of labels is an image and says so."""
    return describe_image(labels)[0].pixel_size_um if labels.suffix.lower() in IMAGE_SUFFIXES else None


def check_version(version: str) -> None:
    """Raise InputError for a version that is not written, MissingExtraError without a new enough `zarr` extra."""
    if not hasattr(import_extra("ome_zarr.format", "zarr"), "FormatV05"):
        raise MissingExtraError(
            "OME-Zarr is written by ome-zarr 0.12 or newer, which needs Python 3.11, and an older one is installed. "
            "Install it with: pip install --upgrade 'cellular[zarr]'"
        )
    if version not in VERSIONS:
        raise InputError(f"OME-Zarr version '{version}'; use one of {', '.join(VERSIONS)}")


@contextmanager
def whole_store(path: Path) -> Iterator[Path]:
    """Folder to write a store into; renamed to `path` when the block succeeds, removed when it fails.

    One that is there already and is alike to the byte, as an earlier run leaves it, is left as it is. Raises
    OutputExistsError where another one is there, OutputError where `path` cannot be written.
    """
    partial = path.with_name(f".partial-{path.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with writing(path):
            yield partial
            if not path.exists():
                partial.rename(path)
            elif not _same(partial, path):
                raise OutputExistsError(f"{path} is there already; remove it or choose another folder")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _same(a: Path, b: Path) -> bool:
    """Whether two stores hold the same files."""
    inside = [sorted(p.relative_to(store) for p in store.rglob("*") if p.is_file()) for store in (a, b)]
    return inside[0] == inside[1] and filecmp.cmpfiles(a, b, inside[0], shallow=False)[1:] == ([], [])


def write_image_group(
    path: Path,
    image: np.ndarray,
    channels: Sequence[str],
    *,
    colours: Mapping[str, str] | None = None,
    pixel_size_um: float | None = None,
    name: str = "",
    version: str = "0.5",
) -> None:
    """Write `image` (C, Y, X) as the OME-Zarr group `path`, with a pyramid, names, colours and limits for display.

    Raises InputError for an image or names that do not fit together.

    Parameters
    ----------
    channels : C different names; roles such as "EGFP" where they are known.
    colours : hex colour, e.g. "00FF00", by channel name; else that of the role, else white.
    pixel_size_um : side of a pixel; None writes pixels without a unit.
    """
    from ome_zarr.writer import write_image

    if image.ndim != 3 or len(channels) != len(image) or len(set(channels)) != len(channels):
        raise InputError(f"{name}: an image of shape {image.shape} with the channel names {tuple(channels)}")
    group, form = open_group(path, version)
    scale, units = _scale(pixel_size_um)
    write_image(
        image, group, axes="cyx", fmt=form, scale_factors=_factors(image.shape[1:]), scale={"c": 1.0, **scale},
        axes_units=units, name=name,
    )  # fmt: skip
    known = {**COLOURS, **(colours or {})}
    shown = [_channel(plane, each, known.get(each, GREY)) for plane, each in zip(image, channels)]
    rdefs = {"model": "color", "defaultT": 0, "defaultZ": 0}
    update_attributes(group, version, {"omero": {"channels": shown, "rdefs": rdefs}})


def write_label_image(
    path: Path,
    name: str,
    labels: np.ndarray,
    pixel_size_um: float | None = None,
    version: str = "0.5",
    properties: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write `labels` (Y, X) as ``labels/<name>`` of the image group `path`; `properties` has a "label-value" each."""
    from ome_zarr.writer import write_labels

    group, form = open_group(path, version, mode="r+")
    scale, units = _scale(pixel_size_um)
    metadata: dict[str, Any] = {"source": {"image": "../../"}}
    if properties:
        metadata["properties"] = list(properties)
    write_labels(
        labels, group, name, axes="yx", fmt=form, scale_factors=_factors(labels.shape), scale=scale, axes_units=units,
        label_metadata=metadata, scaler=None,
    )  # fmt: skip
    if version == "0.4":
        made = group["labels"][name]
        made.attrs["image-label"] = {"version": version, **made.attrs["image-label"]}
    else:  # one version for all of a group's attributes
        update_attributes(group["labels"], version, {})


def open_group(path: Path, version: str, mode: Any = "w") -> tuple[Any, Any]:
    """The group at `path`, made where it is not there, and the ome-zarr format of `version`."""
    import zarr
    from ome_zarr.format import FormatV04, FormatV05

    form = FormatV05() if version == "0.5" else FormatV04()
    return zarr.open_group(path, mode=mode, zarr_format=form.zarr_format), form


def update_attributes(group: Any, version: str, attributes: Mapping[str, Any]) -> None:
    """Add OME attributes to a group, where its version keeps them."""
    if version == "0.5":
        group.attrs["ome"] = {"version": version, **group.attrs.get("ome", {}), **attributes}
    else:
        group.attrs.update(attributes)


def _factors(shape: tuple[int, ...]) -> list[int]:
    return [2**n for n in range(1, MOST_LEVELS) if min(shape) >> n >= LEAST_SIDE]


def _scale(pixel_size_um: float | None) -> tuple[dict[str, float], dict[str, str] | None]:
    side = pixel_size_um or 1.0
    return {"y": side, "x": side}, {"y": "micrometer", "x": "micrometer"} if pixel_size_um else None


def _channel(plane: np.ndarray, name: str, colour: str) -> dict[str, Any]:
    """One channel's entry of omero, with the limits between which its pixels are shown."""
    start, end = (float(level) for level in np.percentile(plane, SHOWN))
    if plane.dtype.kind in "ui":
        low, high = float(np.iinfo(plane.dtype).min), float(np.iinfo(plane.dtype).max)
    else:
        low, high = float(plane.min()), float(plane.max())
    window = {"min": low, "max": high, "start": start, "end": end}
    return {"label": name, "color": colour, "active": True, "coefficient": 1, "family": "linear",
            "inverted": False, "window": window}  # fmt: skip
