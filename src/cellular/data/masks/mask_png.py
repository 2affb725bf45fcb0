"""Reading per-cell masks fast: a full-field PNG in which all but one cell is black.

A published mask is 2048 x 2048 RGB, 12.6 MB unpacked, of which some seventy rows hold anything. So: libdeflate
unpacks it, rows that add nothing to the row above are skipped, the others have their PNG filter undone (PNG
specification, third edition, section 9), and only the cell's box is kept. A PNG outside this path (interlaced,
palette, other than 8 bit) and any other format goes to the ordinary reader; the answer is the same.
"""

import struct
import zlib
from pathlib import Path

import deflate
import numpy as np

from cellular.data.formats.image_file import read_pixels
from cellular.errors import InputError, MissingInputError
from cellular.jit import njit
from cellular.labels.cells import CellMask, crop_mask

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_BYTES = {0: 1, 2: 3, 4: 1, 6: 3}  # by PNG colour type: grey, RGB, grey + alpha, RGB + alpha
_ALPHA_BYTES = {0: 0, 2: 0, 4: 1, 6: 1}
_MAX_INFLATION = 1040  # deflate cannot pack tighter than 1032 : 1 (zlib technical details); a little slack


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
    if not width or not height or size > len(packed) * _MAX_INFLATION:
        raise InputError(f"{path} is damaged: it claims {height} x {width} pixels, more than its data can hold")
    unpacked = np.frombuffer(deflate.zlib_decompress(packed, size), np.uint8)
    if unpacked.size != size:
        raise InputError(f"{path} is damaged: {unpacked.size} of {size} bytes of pixels")
    if unpacked[:: width * pixel + 1].max() > 4:
        raise InputError(f"{path} is damaged: unknown PNG row filter")
    y, x, pixels = _unfilter(unpacked, unpacked[: size & ~7].view(np.uint64), height, pixel, colours)
    return CellMask((height, width), y, x, pixels.copy())


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
    # A TIFF's numbers are taken as stored, a PNG's palette by its colours.
    image = read_pixels(path, stored=path.suffix.lower() != ".png")
    _check_size(image.shape[:2], shape, path)
    if path.suffix.lower() in (".jpg", ".jpeg"):  # compression leaves faint colour around the cell
        image = image > image.max() / 2
    return crop_mask(image)


@njit
def _unfilter(
    stream: np.ndarray, words: np.ndarray, height: int, pixel: int, colours: int
) -> tuple[int, int, np.ndarray]:
    """Box corner and (h, w) bool pixels from filtered rows, each of 1 + X * pixel bytes, the filter byte first.

    `words` is the same stream eight bytes at a time. A row of zeros costs one look: under filters 0 and 1 it is
    black, under 2 (up) and 4 (Paeth) it repeats the row above, whatever that holds. In other rows only the bytes
    from `lo` to `hi` are undone, outside of which both the row's data and the row above are zero.
    """
    stride = stream.size // height
    size = stride - 1
    first, last = _span(stream, words, height)
    cell = np.zeros((last - first + 1, size // pixel), np.bool_)
    above, row = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    above_lo, above_hi = size, 0
    x0, x1, y0, y1 = size, 0, height, -1
    for y in range(first, last + 1):
        kind, data = stream[y * stride], stream[y * stride + 1 : (y + 1) * stride]
        lo, hi = _extent(stream, words, y * stride + 1, (y + 1) * stride)
        lo, hi = lo // pixel * pixel, (hi + pixel - 1) // pixel * pixel
        blank, black = lo >= hi, above_lo >= above_hi
        out = cell[y - first]
        if blank and (black or kind < 2):
            _clear(above)
            above_lo, above_hi = size, 0
            continue
        if blank and kind != 3:
            for x in range(out.size):
                out[x] = cell[y - first - 1, x]
        else:
            if kind >= 2:
                lo, hi = min(lo, above_lo), max(hi, above_hi)
            _clear(row)
            _undo_filter(kind, data, above, row, pixel, lo, hi)
            if hi < size and not _is_black(row, hi - pixel, hi):  # the pixel to the left goes on beyond the data
                _undo_filter(kind, data, above, row, pixel, hi, size)
                hi = size
            above, row, above_lo, above_hi = row, above, lo, hi
        left, right = _mark(above, out, pixel, colours, above_lo // pixel, above_hi // pixel)
        if right > left:
            x0, x1, y0, y1 = min(x0, left), max(x1, right), min(y0, y), y
    if y1 < 0:
        return 0, 0, cell[:0, :0]
    return y0, x0, cell[y0 - first : y1 + 1 - first, x0:x1]


@njit
def _clear(row: np.ndarray) -> None:
    for i in range(row.size):
        row[i] = 0


@njit
def _is_black(row: np.ndarray, start: int, stop: int) -> bool:
    for i in range(start, stop):  # noqa: SIM110  (Numba has no all() over a generator)
        if row[i]:
            return False
    return True


@njit
def _extent(stream: np.ndarray, words: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """Bounds of the non-zero bytes of stream[start:stop], counted from `start`: to the word, so at most 7 too wide."""
    first, last = 8 * ((start + 7) // 8), 8 * (stop // 8)  # from the first to the last whole word
    lo, hi = start, stop
    while lo < min(first, stop) and stream[lo] == 0:
        lo += 1
    if lo == first:
        while lo < last and words[lo // 8] == 0:
            lo += 8
    while hi > max(last, start) and stream[hi - 1] == 0:
        hi -= 1
    if hi == last:
        while hi > max(first, lo) and words[hi // 8 - 1] == 0:
            hi -= 8
    return lo - start, hi - start


@njit
def _is_blank(stream: np.ndarray, words: np.ndarray, start: int, stop: int) -> bool:
    """Whether stream[start:stop] is all zeros: whole words without early exit, which the compiler turns into SIMD."""
    first, last = min((start + 7) // 8, stop // 8), stop // 8
    seen = np.uint64(0)
    for i in range(first, last):
        seen |= words[i]
    for i in range(start, min(8 * first, stop)):
        seen |= np.uint64(stream[i])
    for i in range(max(8 * last, start), stop):
        seen |= np.uint64(stream[i])
    return seen == 0


@njit
def _span(stream: np.ndarray, words: np.ndarray, height: int) -> tuple[int, int]:
    """First and last row that can hold the cell: filters 2 to 4 carry it on below the last row with data."""
    stride = stream.size // height
    first = 0
    while first < height and _is_blank(stream, words, first * stride + 1, (first + 1) * stride):
        first += 1
    if first == height:
        return 0, -1
    last = height - 1
    while last > first and _is_blank(stream, words, last * stride + 1, (last + 1) * stride):
        last -= 1
    while last + 1 < height and stream[(last + 1) * stride] >= 2:
        last += 1
    return first, last


@njit
def _undo_filter(kind: int, data: np.ndarray, above: np.ndarray, row: np.ndarray, pixel: int, lo: int, hi: int) -> None:
    """Add to bytes `lo` to `hi` what the filter took off: nothing, the left pixel, the upper, their mean, Paeth's."""
    if kind == 0:
        for i in range(lo, hi):
            row[i] = data[i]
    elif kind == 1:
        for i in range(lo, hi):
            left = row[i - pixel] if i >= pixel else 0
            row[i] = np.uint8(data[i] + left)
    elif kind == 2:
        for i in range(lo, hi):
            row[i] = np.uint8(data[i] + above[i])
    elif kind == 3:
        for i in range(lo, hi):
            left = row[i - pixel] if i >= pixel else 0
            row[i] = np.uint8(data[i] + (left + above[i]) // 2)
    else:
        for i in range(lo, hi):
            left, corner = (row[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            row[i] = np.uint8(data[i] + _paeth(np.int32(left), np.int32(above[i]), np.int32(corner)))


@njit
def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    to_left, to_up, to_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


@njit
def _mark(row: np.ndarray, out: np.ndarray, pixel: int, colours: int, start: int, stop: int) -> tuple[int, int]:
    """Set `out` where a pixel from `start` to `stop` has colour; the first and one past the last such pixel."""
    left, right = out.size, 0
    for x in range(start, stop):
        for c in range(colours):
            if row[x * pixel + c]:
                out[x] = True
                left, right = min(left, x), x + 1
                break
    return left, right
