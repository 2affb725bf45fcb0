"""Writing one cell as a full-field colour PNG, fast.

A field has some 260 such files of 2048 x 2048 RGB, 12.6 MB each unpacked, nearly all of it black. Packing that black
again for every file is most of a simulation's time. Deflate data may be packed in pieces that are simply put one
after the other (RFC 1951 section 3.2.4, zlib's full flush), so black rows are packed once and reused; only the rows
that the cell touches are packed for each file.
"""

import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from cellular.files import write_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BIT_RGB = (8, 2, 0, 0, 0)
_ADLER_BASE = 65521


def write_mask(
    path: Path, box: tuple[int, int, int, int], mask: np.ndarray, shape: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """Write `mask` (bool, in `box` = y0, x0, y1, x1 of a field of `shape`) in `colour` on black."""
    y0, x0, y1, x1 = box
    rows = np.zeros((y1 - y0, 1 + 3 * shape[1]), np.uint8)  # each row starts with its filter type, 0 = none
    rows[:, 1 + 3 * x0 : 1 + 3 * x1] = (mask[:, :, None] * np.array(colour, np.uint8)).reshape(y1 - y0, -1)
    packed = _pack(y0, rows.tobytes(), shape[0] - y1, rows.shape[1])
    header = struct.pack(">IIBBBBB", shape[1], shape[0], *_EIGHT_BIT_RGB)
    write_bytes(path, _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pack(above: int, middle: bytes, below: int, row_bytes: int) -> bytes:
    """zlib stream of `above` black rows, the bytes of `middle`, and `below` black rows of `row_bytes` each."""
    checksum = zlib.adler32(middle, _adler_of_zeros(1, above * row_bytes))
    checksum = _adler_of_zeros(checksum, below * row_bytes)
    pieces = [_black(above, row_bytes), _flushed(middle), _black(below, row_bytes)]
    return b"\x78\x01" + b"".join(pieces) + b"\x03\x00" + struct.pack(">I", checksum)


def _adler_of_zeros(checksum: int, count: int) -> int:
    """Adler-32 after `count` more zero bytes: the low sum stays, the high sum grows by it each time."""
    low, high = checksum & 0xFFFF, checksum >> 16
    return ((high + count * low) % _ADLER_BASE) << 16 | low


def _black(rows: int, row_bytes: int) -> bytes:
    """`rows` black rows packed, from pieces of 1, 2, 4, 8... rows."""
    return b"".join(_black_power(bit, row_bytes) for bit in range(rows.bit_length()) if rows >> bit & 1)


@lru_cache(maxsize=64)
def _black_power(bit: int, row_bytes: int) -> bytes:
    return _flushed(bytes(row_bytes << bit))


def _flushed(data: bytes) -> bytes:
    """`data` as deflate blocks that end on a whole byte and refer to nothing before them."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)
