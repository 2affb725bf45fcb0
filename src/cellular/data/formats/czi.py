"""ZEISS's CZI, by ZEISS's own library: every scene that has pixels, whether the file names it or not."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from cellular.data.formats.image_info import ImageInfo, check_index, micrometres, square, white_of
from cellular.data.wells import well_name
from cellular.errors import InputError, import_extra

_DTYPES = {
    **{"Gray8": np.uint8, "Gray16": np.uint16, "Gray32Float": np.float32},
    **{"Bgr24": np.uint8, "Bgr48": np.uint16, "Bgr96Float": np.float32},
}
_AXES = "TZCYX"


def describe_czi(path: Path) -> tuple[ImageInfo, ...]:
    """The scenes of a CZI file, each with its name and, where the file says so, its well."""
    with _opened(path) as file:
        return _describe(file, path)


def read_czi(path: Path, scene: int, t: int, z: int) -> tuple[np.ndarray, ImageInfo]:
    """One plane (Y, X, C) of a scene, its tiles put together by the library, and its description.

    Raises InputError for a scene that is not there, and for a channel without pixels there.
    """
    with _opened(path) as file:
        infos = _describe(file, path)
        if not 0 <= scene < len(infos):
            raise InputError(f"{path}: scene {scene} was asked for, the file has {len(infos)}")
        info = infos[scene]
        check_index(info, t, z, path)
        number, where = _scenes(file)[scene]
        planes = []
        for c in range(1 if info.rgb else info.sizes["C"]):
            at = {"scene": number, "roi": where, "plane": {"T": t, "Z": z, "C": c}}
            plane = file.read(**at)
            # What is not in the file is read as background: another background tells.
            if not plane.any() and file.read(**at, background_pixel=(1.0, 1.0, 1.0)).all():
                raise InputError(f"{path}: image {scene}, T = {t}, Z = {z} has no pixels of channel {c + 1}")
            planes.append(plane[..., ::-1] if info.rgb else plane)  # the library's order is blue, green, red
    return np.concatenate(planes, axis=2, dtype=info.dtype), info


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    czi = import_extra("pylibCZIrw.czi", "czi")
    try:
        with czi.open_czi(str(path)) as file:
            yield file
    except RuntimeError as error:  # all that the library raises
        raise InputError(f"{path} is no CZI file that can be read: {error}") from error


def _scenes(file: Any) -> list[tuple[int | None, Any]]:
    """Number of each scene in the file, and where it lies at full size; one without a number where there are none."""
    found = sorted(file.scenes_bounding_rectangle_no_pyramid.items())
    return found or [(None, file.total_bounding_rectangle_no_pyramid)]


def _describe(file: Any, path: Path) -> tuple[ImageInfo, ...]:
    size = {axis: end - start for axis, (start, end) in file.total_bounding_box.items()}
    if odd := {axis: n for axis, n in size.items() if axis not in _AXES and n > 1}:
        raise InputError(f"{path}: it has {odd} besides time, z and channels; save one image a file")
    kinds = [file.pixel_types[c] for c in range(size["C"])]
    if unknown := [kind for kind in kinds if kind not in _DTYPES]:
        raise InputError(f"{path}: its pixels are of the kind {unknown[0]}; known are {', '.join(_DTYPES)}")
    rgb = kinds[0].startswith("Bgr")
    if len(kinds) > 1 and any(kind.startswith("Bgr") for kind in kinds):
        raise InputError(f"{path}: {len(kinds)} channels, some of them in colour; save one channel a plane")
    told = fromstring(file.raw_metadata)
    channels = ("",) * 3 if rgb else _channels(told, size["C"])
    each = tuple(np.dtype(_DTYPES[kind]) for kind in kinds)
    dtype = np.result_type(*each)
    side, scenes, infos = _side(told), _scenes(file), []
    for scene, (name, (_, where)) in enumerate(zip(_names(told, [number for number, _ in scenes]), scenes)):
        sizes = {"T": size["T"], "Z": size["Z"], "C": len(channels), "Y": where.h, "X": where.w}
        well = _well(told, scenes[scene][0])
        white, several = white_of(dtype), each if len(set(each)) > 1 else ()
        infos.append(ImageInfo(scene, name, sizes, dtype, channels, rgb, side, white, well=well, kinds=several))
    return tuple(infos)


def _channels(told: Element, count: int) -> tuple[str, ...]:
    found = told.findall("./Metadata/Information/Image/Dimensions/Channels/Channel")
    return tuple(([channel.get("Name", "") for channel in found] + [""] * count)[:count])


def _side(told: Element) -> float | None:
    """Side of a pixel, µm; the file gives metres, and 0 where it does not know."""
    lengths = (told.findtext(f"./Metadata/Scaling/Items/Distance[@Id='{axis}']/Value") for axis in "XY")
    return square(*(micrometres(length, "m") for length in lengths))


def _about(told: Element, number: int | None) -> tuple[str | None, str | None]:
    """What a scene is called, and the shape (a well, on a plate) that it lies in."""
    scene = told.find(f"./Metadata/Information/Image/Dimensions/S/Scenes/Scene[@Index='{number}']")
    if scene is None:
        return None, None
    shape = scene.find("Shape")
    return scene.get("Name"), scene.findtext("ArrayName") if shape is None else shape.get("Name")


def _well(told: Element, number: int | None) -> str | None:
    return next((well for text in _about(told, number)[::-1] if text and (well := well_name(text))), None)


def _names(told: Element, numbers: list[int | None]) -> list[str | None]:
    """A name a scene, ``<name>-<shape>`` as bioio puts them together, with its place where several have the same."""
    names = ["-".join(part for part in _about(told, number) if part) or None for number in numbers]
    often = Counter(names)
    return [f"{name}-{k + 1}" if name and often[name] > 1 else name for k, name in enumerate(names)]
