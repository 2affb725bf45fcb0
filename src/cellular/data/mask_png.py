"""Reading per-cell masks fast: a full-field PNG in which all but one cell is black.

A published mask is 2048 x 2048 RGB, 12.6 MB unpacked, of which some seventy rows hold anything. So: libdeflate
unpacks it, rows that add nothing to the row above are skipped, the others have their PNG filter undone (PNG
specification, third edition, section 9), and only the cell's box is kept. A PNG outside this path (interlaced,
palette, other than 8 bit) and any other format goes to the ordinary reader; the answer is the same.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import deflate
import numba
import numpy as np

from cellular.data.images import read_image
from cellular.errors import InputError, MissingInputError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_BYTES = {0: 1, 2: 3, 4: 1, 6: 3}  # by PNG colour type: grey, RGB, grey + alpha, RGB + alpha
_ALPHA_BYTES = {0: 0, 2: 0, 4: 1, 6: 1}
_MAX_INFLATION = 1040  # deflate cannot pack tighter than 1032 : 1 (zlib technical details); a little slack


@dataclass(frozen=True)
class CellMask:
    """One cell in a field of `shape` (Y, X): its box and the pixels inside it.

    Attributes
    ----------
    shape : (Y, X) of the whole field, px.
    y, x : upper left corner of the box, px.
    pixels : (h, w) bool, True = cell; (0, 0) when the mask is empty.
    """

    shape: tuple[int, int]
    y: int
    x: int
    pixels: np.ndarray

    @property
    def area(self) -> int:
        """Number of pixels, px."""
        return int(np.count_nonzero(self.pixels))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(y0, x0, y1, x1), px, half-open."""
        height, width = self.pixels.shape
        return self.y, self.x, self.y + height, self.x + width

    @property
    def window(self) -> tuple[slice, slice]:
        """The box as an index into a (Y, X) array."""
        y0, x0, y1, x1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def full(self) -> np.ndarray:
        """The whole field as (Y, X) bool."""
        field = np.zeros(self.shape, bool)
        field[self.window] = self.pixels
        return field


def crop_mask(field: np.ndarray) -> CellMask:
    """The cell in a (Y, X) or (Y, X, C) array: every pixel that is not zero in any channel."""
    cell = field.any(axis=2) if field.ndim == 3 else field != 0
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    if not rows.size:
        return CellMask(cell.shape, 0, 0, np.zeros((0, 0), bool))
    y, x = int(rows[0]), int(columns[0])
    return CellMask(cell.shape, y, x, cell[y : rows[-1] + 1, x : columns[-1] + 1].copy())


def read_mask(path: str | Path, shape: tuple[int, int] | None = None) -> CellMask:
    """Read one cell's mask: any pixel with a non-zero colour is the cell, alpha means nothing.

    Parameters
    ----------
    path : PNG, or another image format.
    shape : (Y, X) the mask must have, px; read from the header, before anything is unpacked.

    Raises MissingInputError, or InputError for a damaged file (every checksum is verified), one that claims more
    pixels than its data can hold, and one of another size.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingInputError(f"No such mask: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is empty (0 bytes)")
    if not data.startswith(_SIGNATURE):
        return _read_slowly(path, shape)
    try:
        return _decode_png(data, path, shape)
    except (zlib.error, deflate.DeflateError) as error:
        raise InputError(f"{path} is damaged: its pixels cannot be unpacked ({error})") from error


def _decode_png(data: bytes, path: Path, shape: tuple[int, int] | None) -> CellMask:
    header, packed = _chunks(data, path)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    _check_size((height, width), shape, path)
    if depth != 8 or colour not in _COLOUR_BYTES or interlaced:
        _check_whole(packed, path)
        return _read_slowly(path, shape)
    colours, pixel = _COLOUR_BYTES[colour], _COLOUR_BYTES[colour] + _ALPHA_BYTES[colour]
    size = height * (width * pixel + 1)
    if not 0 < size <= len(packed) * _MAX_INFLATION:
        raise InputError(f"{path} is damaged: it claims {height} x {width} pixels, more than its data can hold")
    unpacked = np.frombuffer(deflate.zlib_decompress(packed, size), np.uint8)
    if unpacked.size != size:
        raise InputError(f"{path} is damaged: {unpacked.size} of {size} bytes of pixels")
    if unpacked[:: width * pixel + 1].max() > 4:
        raise InputError(f"{path} is damaged: unknown PNG row filter")
    y, x, pixels = _unfilter(unpacked.reshape(height, -1), pixel, colours)
    return CellMask((height, width), y, x, pixels)


def _chunks(data: bytes, path: Path) -> tuple[bytes, bytes]:
    """The header and the joined image data of a PNG whose every chunk has been checked."""
    header, packed, at = b"", [], len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        kind = data[at + 4 : at + 8]
        if end + 4 > len(data):
            break
        if deflate.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InputError(f"{path} is damaged: wrong checksum (CRC) in its {kind.decode('latin-1')} chunk")
        if kind == b"IHDR":
            header = data[at + 8 : end]
        elif kind == b"IDAT":
            packed.append(data[at + 8 : end])
        elif kind == b"IEND":
            if len(header) != 13 or not packed:
                raise InputError(f"{path} is damaged: a PNG without {'pixels' if len(header) == 13 else 'a header'}")
            return header, packed[0] if len(packed) == 1 else b"".join(packed)
        at = end + 4
    raise InputError(f"{path} is damaged: the file ends too early (truncated)")


def _check_size(found: tuple[int, int], wanted: tuple[int, int] | None, path: Path) -> None:
    if wanted is not None and tuple(found) != tuple(wanted):
        raise InputError(f"{path} is {found[0]} x {found[1]} px but its field is {wanted[0]} x {wanted[1]} px")


def _check_whole(packed: bytes, path: Path) -> None:
    """OpenCV takes half an image for a whole one; zlib does not."""
    unpacker = zlib.decompressobj()
    left = packed
    while left and not unpacker.eof:
        unpacker.decompress(left, 1 << 20)
        left = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise InputError(f"{path} is damaged: its pixels end too early (truncated)")


def _read_slowly(path: Path, shape: tuple[int, int] | None) -> CellMask:
    image = read_image(path)
    _check_size(image.shape[:2], shape, path)
    return crop_mask(image)


@numba.njit(nogil=True, cache=True)
def _unfilter(rows: np.ndarray, pixel: int, colours: int) -> tuple[int, int, np.ndarray]:
    """Box corner and (h, w) bool pixels from (Y, 1 + X * pixel) filtered rows, filter byte first.

    Rows of zeros cost one look: under filters 0 and 1 they are black, under 2 (up) and 4 (Paeth) they repeat the
    row above, whatever it holds.
    """
    height, stride = rows.shape
    width = (stride - 1) // pixel
    first, last = _span(rows)
    cell = np.zeros((max(last - first + 1, 0), width), np.bool_)
    above, row = np.zeros(stride - 1, np.uint8), np.zeros(stride - 1, np.uint8)
    x0, x1, y0, y1 = width, 0, height, -1
    black = True  # the row above, alpha included
    for y in range(first, last + 1):
        kind, data = rows[y, 0], rows[y, 1:]
        out = cell[y - first]
        blank = _is_blank(data)
        if blank and (black or kind < 2):
            above[:] = 0
            black = True
            continue
        black = False
        if blank and kind != 3:
            out[:] = cell[y - first - 1]
        else:
            _undo_filter(kind, data, above, row, pixel)
            above, row = row, above
            _mark(above, out, pixel, colours)
        left, right = _ends(out)
        if right > left:
            x0, x1, y0, y1 = min(x0, left), max(x1, right), min(y0, y), y
    if y1 < 0:
        return 0, 0, np.zeros((0, 0), np.bool_)
    return y0, x0, cell[y0 - first : y1 + 1 - first, x0:x1].copy()


@numba.njit(nogil=True, cache=True)
def _is_blank(data: np.ndarray) -> bool:
    seen = np.uint8(0)
    for value in data:  # no early exit: this way the compiler looks at 32 bytes at a time
        seen |= value
    return seen == 0


@numba.njit(nogil=True, cache=True)
def _span(rows: np.ndarray) -> tuple[int, int]:
    """First and last row that can hold the cell: filters 2 to 4 carry it on below the last row with data."""
    height = rows.shape[0]
    first = 0
    while first < height and _is_blank(rows[first, 1:]):
        first += 1
    last = height - 1
    while last > first and _is_blank(rows[last, 1:]):
        last -= 1
    while first < height and last + 1 < height and rows[last + 1, 0] >= 2:
        last += 1
    return first, last if first < height else first - 1


@numba.njit(nogil=True, cache=True)
def _undo_filter(kind: int, data: np.ndarray, above: np.ndarray, row: np.ndarray, pixel: int) -> None:
    for i in range(data.size):
        left = np.int32(row[i - pixel]) if i >= pixel else np.int32(0)
        up = np.int32(above[i])
        if kind == 0:
            guess = np.int32(0)
        elif kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) >> 1
        else:
            corner = np.int32(above[i - pixel]) if i >= pixel else np.int32(0)
            guess = _paeth(left, up, corner)
        row[i] = np.uint8((np.int32(data[i]) + guess) & 255)


@numba.njit(nogil=True, cache=True)
def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


@numba.njit(nogil=True, cache=True)
def _mark(row: np.ndarray, out: np.ndarray, pixel: int, colours: int) -> None:
    for x in range(out.size):
        seen = np.uint8(0)
        for c in range(colours):
            seen |= row[x * pixel + c]
        out[x] = seen != 0


@numba.njit(nogil=True, cache=True)
def _ends(out: np.ndarray) -> tuple[int, int]:
    left, right = 0, out.size
    while left < right and not out[left]:
        left += 1
    while right > left and not out[right - 1]:
        right -= 1
    return left, right
