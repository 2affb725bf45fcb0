"""What the makers of a TIFF wrote beside the pixels: size of a pixel, names of channels, bits of the camera."""

from pathlib import Path

import numpy as np
import tifffile

from cellular.data.formats.image_info import from_dots, micrometres, square, white_of
from cellular.errors import InputError

_OF_PRINTERS = ("inch", "in", "cm")
_INCH, _CENTIMETRE = 2, 3  # ResolutionUnit


def pixel_size(file: tifffile.TiffFile, page: tifffile.TiffPage) -> float | None:
    """Side of a pixel in µm by ImageJ, MetaMorph, LSM or the TIFF's own resolution; None where none says so."""
    if file.is_imagej:
        unit = (file.imagej_metadata or {}).get("unit", "")
        x, y = (_per_pixel(page, axis) for axis in "XY")
        found = square(micrometres(x, unit), micrometres(y, unit))
        # ImageJ takes dots an inch of a picture it opened, 72 say, for its scale
        return from_dots(25400 / found) if found and str(unit).casefold() in _OF_PRINTERS else found
    if file.is_metaseries:
        plane = _plane_info(file)
        # An image that is not calibrated may carry a length, such as 1 um.
        unit = plane.get("spatial-calibration-units") if plane.get("spatial-calibration-state", True) else None
        if found := square(*(micrometres(plane.get(f"spatial-calibration-{axis}"), unit) for axis in "xy")):
            return found
    if file.is_stk:
        meta = file.stk_metadata or {}
        unit = meta.get("CalibrationUnits") if meta.get("SpatialCalibration", True) else None
        if found := square(*(micrometres(meta.get(f"{axis}Calibration"), unit) for axis in "XY")):
            return found
    if file.is_lsm:
        meta = file.lsm_metadata or {}
        return square(*(micrometres(meta.get(f"VoxelSize{axis}"), "m") for axis in "XY"))
    per_inch = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(int(page.tags.valueof("ResolutionUnit", default=_INCH)))
    x, y = (_per_pixel(page, axis) for axis in "XY")
    if not (per_inch and x and y):
        return None
    return square(from_dots(per_inch / x), from_dots(per_inch / y))


def channel_names(file: tifffile.TiffFile, count: int) -> tuple[str, ...]:
    """Names of `count` channels, "" where the file gives none."""
    names: list[str] = []
    if file.is_imagej and count > 1:
        names = [str(label) for label in (file.imagej_metadata or {}).get("Labels") or ()]
    elif file.is_metaseries and count == 1:
        plane = _plane_info(file)
        names = [str(plane.get("_IllumSetting_") or plane.get("image-name") or "")]
    elif file.is_lsm:
        names = [str(name) for name in ((file.lsm_metadata or {}).get("ChannelColors") or {}).get("ColorNames") or ()]
    return tuple((names + [""] * count)[:count])


def metamorph_axis(file: tifffile.TiffFile, path: Path) -> str:
    """Along what the planes of a MetaMorph stack lie: C wavelengths, Z heights, T times; Q where it does not say.

    The first slice's distance is 0 in some stacks.

    Raises InputError for several wavelengths at several heights or times.
    """
    meta = file.stk_metadata or {}
    waves = len(np.unique(meta.get("Wavelengths", 0)))
    if waves > 1:
        if waves < meta["NumberPlanes"]:
            raise InputError(
                f"{path}: {meta['NumberPlanes']} planes of {waves} wavelengths, and it does not say which is which "
                "slice or time; save one wavelength a file"
            )
        return "C"
    if np.any(meta["ZDistance"] != 0):
        return "Z"
    return "T" if np.all(np.diff(meta["TimeCreated"]) != 0) else "Q"


def white(file: tifffile.TiffFile, page: tifffile.TiffPage, bits: int | None = None) -> float | None:
    """Level of a saturated pixel, by `bits` where known, else the camera's bits as the file has them."""
    if page.dtype == bool:
        return 1.0
    highest = page.tags.valueof("MaxSampleValue", default=0)
    highest = int(np.max(highest)) if np.size(highest) else 0
    # The highest value in use may also be meant: only one that a camera's bits make is believed.
    if bits is None and highest >= 255 and highest & (highest + 1) == 0:
        bits = highest.bit_length()
    if bits is None and file.is_metaseries and str(_plane_info(file).get("bits-per-pixel", "")).isdigit():
        bits = int(_plane_info(file)["bits-per-pixel"])
    if bits is None and isinstance(page.bitspersample, int):
        bits = page.bitspersample
    return white_of(np.dtype(page.dtype), bits if np.dtype(page.dtype).kind == "u" else None)


def _per_pixel(page: tifffile.TiffPage, axis: str) -> float | None:
    """Units along one pixel, of the tags XResolution and YResolution, which say pixels a unit."""
    value = page.tags.valueof(f"{axis}Resolution")
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    return value[1] / value[0]


def _plane_info(file: tifffile.TiffFile) -> dict:
    found = (file.metaseries_metadata or {}).get("PlaneInfo")
    return found if isinstance(found, dict) else {}
