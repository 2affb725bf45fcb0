"""A part of a plane of a TIFF, without decoding the rest: for images that are looked at, not measured."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from cellular.data.formats.tiff import ORIENTATION, opened, photometric, scenes_of


def read_tiff_window(
    path: Path, scene: int, t: int, z: int, channel: int, window: tuple[slice, slice]
) -> np.ndarray | None:
    """A part (h, w) of one channel's plane, `window` being slices of Y and X with a step; the rest is not decoded.

    Of a file with smaller copies of its pixels (SubIFDs) the one is read that is fine enough for the step. None where
    pixels cannot be had in part: turned, inverted, of a palette, or samples apart; :func:`read_tiff` reads these.
    """
    with opened(path) as file:
        found = scenes_of(file, path)[scene]
        inner = found.axes[found.lead :]
        plain = photometric(found.keyframe, path) in ("MINISBLACK", "RGB")
        upright_page = found.keyframe.tags.valueof(ORIENTATION, default=1) == 1
        if not (plain and upright_page) or inner not in ("YX", "YXS", "YXC"):
            return None
        where = {"T": t, "Z": z, "C": channel}
        places = [where.get(axis, 0) for axis in found.axes[: found.lead]]
        number = int(np.ravel_multi_index(places, found.shape[: found.lead])) if places else 0
        page, offset, sample = found.page_at(number), found.offset_at(number), channel if len(inner) == 3 else 0
        if offset is not None and offset + found.keyframe.nbytes <= path.stat().st_size:
            dtype = np.dtype(found.keyframe.dtype).newbyteorder(file.byteorder)
            plane = np.memmap(path, dtype, "r", offset, found.keyframe.shape)
            return np.array((plane if plane.ndim == 2 else plane[..., sample])[window], found.keyframe.dtype)
        if page is None or (found.keyframe.samplesperpixel > 1 and found.keyframe.planarconfig != 1):
            return None
        return _window_of_page(page.aspage(), window, sample)


def _window_of_page(page: tifffile.TiffPage, window: tuple[slice, slice], sample: int) -> np.ndarray:
    """The part of a compressed page, from its smallest copy that is fine enough."""
    rows, columns = window
    step = min(rows.step or 1, columns.step or 1)
    copies = [small.aspage() for small in page.pages or ()] if page.subifds else []
    for small in sorted(copies, key=lambda p: p.imagewidth):
        factor = round(page.imagewidth / small.imagewidth)
        if 1 < factor <= step and small.dtype == page.dtype:
            return _decoded(small, (_coarser(rows, factor), _coarser(columns, factor)), sample)
    return _decoded(page, window, sample)


def _coarser(part: slice, factor: int) -> slice:
    return slice(part.start // factor, -(-part.stop // factor), max(1, (part.step or 1) // factor))


def _decoded(page: tifffile.TiffPage, window: tuple[slice, slice], sample: int) -> np.ndarray:
    """The part (h, w) of a page, of which only the tiles or strips that it touches are decoded."""
    rows, columns = (range(*part.indices(size)) for part, size in zip(window, (page.imagelength, page.imagewidth)))
    tile = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    across = -(-page.imagewidth // tile[1])
    wanted = [(y, x) for y in sorted({r // tile[0] for r in rows}) for x in sorted({c // tile[1] for c in columns})]
    output = np.zeros((len(rows), len(columns)), page.dtype)
    file = page.parent.filehandle

    def decode(place: tuple[int, int], packed: bytes) -> None:
        pixels = page.decode(packed, place[0] * across + place[1], jpegtables=page.jpegtables)[0]
        if pixels is None:  # a tile that was never written is dark
            return
        starts = (place[0] * tile[0], place[1] * tile[1])
        parts = [_meeting(line, start, size) for line, start, size in zip((rows, columns), starts, pixels.shape[1:3])]
        (into_y, from_y), (into_x, from_x) = parts
        output[into_y, into_x] = pixels[0, from_y, from_x, sample]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in _batches(wanted, 64):
            packed = []
            for y, x in batch:
                number = y * across + x
                file.seek(page.dataoffsets[number])
                packed.append(file.read(page.databytecounts[number]))
            list(pool.map(decode, batch, packed))
    return output


def _meeting(line: range, start: int, size: int) -> tuple[slice, slice]:
    """Where the pixels of `line` that lie in a tile from `start` go, and where in the tile they are."""
    first = max(0, -((line.start - start) // line.step))
    last = min(len(line), -((line.start - start - size) // line.step))
    return slice(first, last), slice(line[first] - start, line[last - 1] - start + 1, line.step)


def _batches(items: Sequence, size: int) -> Iterator[Sequence]:
    yield from (items[start : start + size] for start in range(0, len(items), size))
