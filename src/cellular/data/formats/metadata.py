"""What an image file says about itself: pixel size and channel names."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tifffile

from cellular.data.formats.images import TIFF_SUFFIXES
from cellular.data.formats.ome_zarr import is_ome_zarr, ome_zarr_attributes
from cellular.errors import InputError, MissingInputError

# µm in one unit, by the names that OME, ImageJ and TIFF use.
MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "\\u00b5m"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
}


@dataclass(frozen=True)
class Metadata:
    """What a file says; None or empty where it says nothing.

    Attributes
    ----------
    pixel_size : side of a pixel, µm.
    channels : names of its channels.
    """

    pixel_size: float | None = None
    channels: tuple[str, ...] = ()


def read_metadata(path: str | Path) -> Metadata:
    """Metadata of a TIFF (OME, ImageJ) or OME-Zarr (0.4 and 0.5); empty for formats that carry none.

    Raises MissingInputError or InputError naming the file.
    """
    path = Path(path)
    if not path.exists():
        raise MissingInputError(f"No such image: {path}")
    try:
        if is_ome_zarr(path):
            return _of_ome_zarr(ome_zarr_attributes(path))
        return _of_tiff(path) if path.suffix.lower() in TIFF_SUFFIXES else Metadata()
    except InputError:
        raise
    except Exception as error:  # tifffile and the XML parser raise whatever the damage makes them raise
        raise InputError(f"{path}: its metadata cannot be read: {error}") from error


def _of_tiff(path: Path) -> Metadata:
    with tifffile.TiffFile(path) as file:
        if file.ome_metadata:
            return _of_ome_xml(file.ome_metadata)
        if file.imagej_metadata:
            return _of_imagej(file)
    return Metadata()


def _of_ome_xml(text: str) -> Metadata:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("its OME-XML defines entities, which no microscope writes")
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    if pixels is None:
        return Metadata()
    size = pixels.get("PhysicalSizeX")
    unit = MICROMETRES.get(pixels.get("PhysicalSizeXUnit", "µm"))
    names = tuple(channel.get("Name") or channel.get("ID") or "" for channel in pixels.findall("{*}Channel"))
    return Metadata(float(size) * unit if size and unit else None, names)


def _of_imagej(file: tifffile.TiffFile) -> Metadata:
    description = file.imagej_metadata or {}
    unit = MICROMETRES.get(str(description.get("unit", "")).strip())
    resolution = file.pages[0].tags.get("XResolution")
    pixel_size = None
    if unit and resolution is not None and resolution.value[0]:
        pixels, units = resolution.value
        pixel_size = units / pixels * unit
    return Metadata(pixel_size, tuple(str(label) for label in description.get("Labels") or ()))


def _of_ome_zarr(attributes: dict[str, Any]) -> Metadata:
    scales = attributes["multiscales"][0]
    transforms = scales["datasets"][0].get("coordinateTransformations", [])
    scale = next((t["scale"] for t in transforms if t.get("type") == "scale"), None)
    unit = MICROMETRES.get(str(scales["axes"][-1].get("unit")))
    channels = (attributes.get("omero") or {}).get("channels") or ()
    names = tuple(str(channel.get("label", "")) for channel in channels)
    return Metadata(float(scale[-1]) * unit if scale and unit else None, names)
