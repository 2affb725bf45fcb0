"""PNG and JPEG: pictures upright as EXIF says, palettes applied, alpha left out; damaged ones refused.

Source: PNG specification, third edition, sections 5 and 11; ITU T.81, annex B; EXIF 2.32, tag Orientation.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cellular.data.formats.image_info import ImageInfo, from_dots, square, white_of
from cellular.data.formats.pixels import is_ramp, upright
from cellular.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_NO_PIXELS = b"\0\0\0\0IDAT\0\0\0\0"
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6  # PNG colour types
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
# Of a file's beginning and of its end, bytes: what is not pixels nearly always lies there.
ENDS = 1 << 16
MOST_PNG_INFLATION = 1040  # deflate cannot pack tighter than 1032 : 1
MOST_JPEG_INFLATION = 2048  # a block of 8 x 8 px takes at least a quarter of a bit a component
_ORIENTATION = 0x0112  # EXIF tag
# JPEG markers without a length, and those of a frame's header (not DHT C4, JPG C8, DAC CC).
_ALONE = {0x01, *range(0xD0, 0xDA)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _EXIF, _JFIF = 0xDA, 0xE1, 0xE0


@dataclass(frozen=True)
class Header:
    """What a picture's header says: sizes in px as stored, bits a sample, samples a pixel, palette (N, 3) or None."""

    height: int
    width: int
    bits: int
    samples: int
    palette: np.ndarray | None = None
    orientation: int = 1
    pixel_size_um: float | None = None


def describe_picture(path: Path) -> tuple[ImageInfo, ...]:
    """The one image of a PNG or JPEG, from the file's beginning and end: a plate's pictures are gigabytes.

    Raises InputError where the file is cut off, or is none of these; holes in its middle are found when it is read.
    """
    with path.open("rb") as file:
        content, size = file.read(ENDS), os.fstat(file.fileno()).st_size
        if size <= 2 * ENDS:
            return (_info(_header(content + file.read(), path, size)),)
        file.seek(-ENDS, os.SEEK_END)
        ends = _ends(content, file.read())
    try:
        return (_info(_header(ends, path, size)),)
    except InputError:  # whatever is unusual is judged by the whole file
        return (_info(_header(path.read_bytes(), path, size)),)


def _ends(start: bytes, end: bytes) -> bytes:
    """A picture of the same header with little or nothing for pixels; empty where the end is not a picture's."""
    if start.startswith(_PNG) and end.endswith(_IEND) and b"eXIf" not in end:
        return start[: start.find(b"IDAT") - 4] + _NO_PIXELS + _IEND
    return start + end[-2:] if start.startswith(_JPEG) and end.endswith(_JPEG_END) else b""


def read_picture(path: Path, *, stored: bool = False) -> tuple[np.ndarray, ImageInfo]:
    """Pixels (Y, X, 1 or 3), RGB, and their description. With `stored`, indices into a palette and not its colours.

    Raises InputError where the file is damaged.
    """
    content = path.read_bytes()
    header = _header(content, path, len(content))
    info = _info(header)
    image: np.ndarray | None
    if header.palette is not None and (stored or is_ramp(header.palette)):
        image = np.asarray(Image.open(path))
    else:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.shape[:2] != (header.height, header.width):
        raise InputError(f"{path} cannot be read as an image: its pixels are damaged")
    if image.ndim == 2:
        image = image[:, :, None]
    elif header.samples < 3 and header.palette is None:
        image = image[:, :, :1]
    else:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGB)
    if header.bits < 8 and header.palette is None:
        image = image // np.uint8(255 // (2**header.bits - 1))  # the decoder spreads 0..3 to 0..255
    return np.ascontiguousarray(upright(image, header.orientation, path)), info


def _info(header: Header) -> ImageInfo:
    coloured = header.palette is not None and not is_ramp(header.palette)
    rgb = coloured or header.samples >= 3
    count = 3 if rgb else 1
    turned = header.orientation > 4
    y, x = (header.width, header.height) if turned else (header.height, header.width)
    dtype = np.dtype(np.uint16 if header.bits == 16 else np.uint8)
    white = white_of(dtype, None if header.palette is not None else header.bits)
    sizes = {"T": 1, "Z": 1, "C": count, "Y": y, "X": x}
    return ImageInfo(0, None, sizes, dtype, ("",) * count, rgb, header.pixel_size_um, white)


def _header(content: bytes, path: Path, size: int) -> Header:
    """The header of a whole picture that has `size` bytes in its file."""
    if content.startswith(_PNG):
        return _png_header(content, path, size)
    if content.startswith(_JPEG):
        return _jpeg_header(content, path, size)
    raise InputError(f"{path} cannot be read as an image: it is empty, truncated or not a {path.suffix} file")


def _png_header(content: bytes, path: Path, size: int) -> Header:
    """Header of a whole PNG; one that claims more than its bytes can hold is refused before memory is set aside."""
    chunks: dict[bytes, bytes] = {}
    for kind, data in _png_chunks(content, path):
        chunks.setdefault(kind, data)
    if len(chunks.get(b"IHDR", b"")) != 13 or b"IDAT" not in chunks or b"IEND" not in chunks:
        raise InputError(f"{path} cannot be read as an image: a PNG without header, pixels or end")
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if colour not in _SAMPLES or bits not in (1, 2, 4, 8, 16) or not width or not height:
        raise InputError(f"{path} cannot be read as an image: colour type {colour} of {bits} bits")
    if width * height * bits * _SAMPLES[colour] // 8 > MOST_PNG_INFLATION * size:
        raise InputError(f"{path} claims {width} x {height} px, which its {size} bytes cannot hold")
    palette = None
    if colour == _PALETTE:
        packed = chunks.get(b"PLTE", b"")
        palette = np.frombuffer(packed[: len(packed) // 3 * 3], np.uint8).reshape(-1, 3)
        if not len(palette):
            raise InputError(f"{path} cannot be read as an image: a PNG without its palette")
    pixel_size_um = None
    if len(chunks.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">IIB", chunks[b"pHYs"])  # pixels a metre, where the unit is 1
        pixel_size_um = square(from_dots(x * 0.0254), from_dots(y * 0.0254)) if unit == 1 else None
    orientation = _exif_orientation(chunks.get(b"eXIf", b""))
    return Header(height, width, bits, _SAMPLES[colour], palette, orientation, pixel_size_um)


def _png_chunks(content: bytes, path: Path) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if place + 12 + length > len(content):
            raise InputError(f"{path} cannot be read as an image: its chunk {kind!r} is cut off")
        yield kind, b"" if kind == b"IDAT" else content[place + 8 : place + 8 + length]
        if kind == b"IEND":
            return
        place += 12 + length


def _jpeg_header(content: bytes, path: Path, size: int) -> Header:
    """Header of a whole JPEG, from its segments up to the first scan."""
    frame, orientation, pixel_size_um, place = None, 1, None, 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        data = content[place + 4 : place + 2 + length]
        if marker in _FRAMES and len(data) >= 6:
            frame = struct.unpack(">BHHB", data[:6])
        elif marker == _EXIF and data.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(data[6:])
        elif marker == _JFIF and data.startswith(b"JFIF\0") and len(data) >= 12:
            pixel_size_um = _jfif_pixel_size(data)
        elif marker == _SCAN:
            break
        place += 2 + length
    # Inside a scan, FF is always followed by something else than D9.
    if frame is None or content.find(_JPEG_END, place) < 0:
        raise InputError(f"{path} cannot be read as an image: it is truncated or damaged")
    bits, height, width, samples = frame
    if samples not in (1, 3) or bits != 8 or not height or not width:
        raise InputError(f"{path}: a JPEG of {samples} samples of {bits} bits; save it as grey or RGB of 8 bits")
    if height * width > MOST_JPEG_INFLATION * size:
        raise InputError(f"{path} claims {width} x {height} px, which its {size} bytes cannot hold")
    return Header(height, width, bits, samples, None, orientation, pixel_size_um)


def _jfif_pixel_size(data: bytes) -> float | None:
    unit, x, y = struct.unpack(">BHH", data[7:12])
    per_inch = {1: 1.0, 2: 2.54}.get(unit)
    return square(from_dots(x * per_inch), from_dots(y * per_inch)) if per_inch else None


def _exif_orientation(data: bytes) -> int:
    """The tag Orientation of an EXIF block; 1, upright, where it has none or cannot be read."""
    if not data:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data)
        found = exif.get(_ORIENTATION, 1)
    except Exception:  # a damaged block makes the parser raise whatever its bytes spell; viewers pass over it
        return 1
    return found if found in range(1, 9) else 1
