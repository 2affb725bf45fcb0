"""OME-XML, the description inside an OME-TIFF: which planes lie in which file, names, pixel sizes.

Source: OME Data Model and File Formats 2016-06, "The OME-TIFF format specification", section TiffData.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field

from cellular.data.formats.image_info import MOST_PLANES, micrometres, square
from cellular.errors import InputError

Plane = tuple[int, int, int]  # t, z, c


@dataclass(frozen=True)
class OmeImage:
    """One Image element as one file of the set sees it.

    Attributes
    ----------
    planes : page (IFD) of this very file by (t, z, c).
    elsewhere : planes that the description puts into other files.
    sizes : T, Z and C as declared; C counts channels, each of `samples` samples.
    bits : SignificantBits; None where not said.
    """

    name: str | None
    sizes: dict[str, int]
    samples: int
    channels: tuple[str, ...]
    pixel_size_um: float | None
    bits: int | None
    planes: dict[Plane, int] = field(default_factory=dict)
    elsewhere: set[Plane] = field(default_factory=set)


def parse_xml(text: str) -> ElementTree.Element:
    """Root of an XML text; one that defines entities, which could grow without end, is refused.

    Raises InputError for such entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("its XML defines entities, which no microscope writes")
    return ElementTree.fromstring(text)


def ome_images(root: ElementTree.Element, uuid: str | None, filename: str, pages: int) -> list[OmeImage]:
    """Images of an OME description of which at least one plane lies in this file.

    Raises InputError for more blocks of planes than a file could hold.

    Parameters
    ----------
    uuid : this file's own UUID; None where it has none, then its `filename` tells.
    pages : how many pages (IFDs) this file has.
    """
    references = {_reference(block) for block in root.findall(".//{*}TiffData")}
    if len(references) == 1:  # all in one file, which is this one, whatever it is called by now
        uuid, filename = next(iter(references)) or (uuid, filename)
    found = []
    for element in root.findall("{*}Image"):
        pixels = element.find("{*}Pixels")
        if pixels is None:
            continue
        image = _image(element, pixels)
        blocks = pixels.findall("{*}TiffData")
        if len(blocks) > MOST_PLANES:
            raise InputError(f"its OME-XML lists {len(blocks)} blocks of planes")
        for block in blocks:
            _place(image, block, pixels.get("DimensionOrder", "XYZCT"), uuid, filename, pages)
        if image.planes:
            found.append(image)
    return found


def _image(element: ElementTree.Element, pixels: ElementTree.Element) -> OmeImage:
    channels = pixels.findall("{*}Channel")
    samples = {int(channel.get("SamplesPerPixel", 1)) for channel in channels} or {1}
    if len(samples) > 1 or min(samples) < 1:
        raise InputError("its channels have different numbers of samples a pixel")
    spp = samples.pop()
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "TZC"}
    sizes["C"] = sizes["C"] // spp
    if min(sizes.values()) < 1 or sizes["T"] * sizes["Z"] * sizes["C"] > MOST_PLANES:
        raise InputError(f"its OME-XML claims {sizes} planes")
    names = tuple(channel.get("Name") or "" for channel in channels)
    names = (*names, *[""] * sizes["C"])[: sizes["C"]]
    x, y = (micrometres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "XY")
    bits = pixels.get("SignificantBits")
    return OmeImage(element.get("Name"), sizes, spp, names, square(x, y), int(bits) if bits else None)


def _place(
    image: OmeImage, block: ElementTree.Element, order: str, uuid: str | None, filename: str, pages: int
) -> None:
    """Note which planes a TiffData element holds, and whether it speaks of this file."""
    first = {axis: int(block.get(f"First{axis}", 0)) for axis in "TZC"}
    if any(not 0 <= first[axis] < image.sizes[axis] for axis in "TZC"):
        raise InputError(f"its OME-XML lists a plane at {first} of {image.sizes}")
    whole = "IFD" not in block.attrib and "PlaneCount" not in block.attrib
    ifd = int(block.get("IFD", 0))
    own = _is_own(_reference(block), uuid, filename)
    total = image.sizes["T"] * image.sizes["Z"] * image.sizes["C"]
    count = total if whole else int(block.get("PlaneCount", 1))
    if own:
        count = min(count, pages - ifd)
    for step, plane in zip(range(min(count, total)), _planes_from(first, image.sizes, order)):
        if own:
            image.planes[plane] = ifd + step
        else:
            image.elsewhere.add(plane)


def _reference(block: ElementTree.Element) -> tuple[str, str] | None:
    """UUID and name of the file that a TiffData element speaks of; None where it names none: its own."""
    element = block.find("{*}UUID")
    if element is None:
        return None
    return (element.text or "").strip(), element.get("FileName", "").replace("\\", "/").rsplit("/", 1)[-1]


def _is_own(reference: tuple[str, str] | None, uuid: str | None, filename: str) -> bool:
    if reference is None:
        return True
    text, name = reference
    return text == uuid if uuid and text else name.casefold() == filename.casefold()


def _planes_from(first: dict[str, int], sizes: dict[str, int], order: str) -> Iterator[Plane]:
    """Planes from `first` on, in the order of the file: XYZCT counts Z fastest, then C, then T."""
    axes = [axis for axis in order if axis in "TZC"]
    if sorted(axes) != ["C", "T", "Z"]:
        raise InputError(f"its OME-XML has the dimension order {order!r}")
    fast, middle, slow = axes
    start = first[fast] + sizes[fast] * (first[middle] + sizes[middle] * first[slow])
    for number in range(start, sizes["T"] * sizes["Z"] * sizes["C"]):
        rest, at_fast = divmod(number, sizes[fast])
        at_slow, at_middle = divmod(rest, sizes[middle])
        at = {fast: at_fast, middle: at_middle, slow: at_slow}
        yield at["T"], at["Z"], at["C"]
