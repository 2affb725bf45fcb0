"""A field looked at: any part of any channel at any scale, read when it is asked for."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock, RLock

import numpy as np

from cellular.data.formats.image_file import describe_image
from cellular.data.formats.suffixes import TIFF_SUFFIXES
from cellular.data.formats.tiff_window import read_tiff_window
from cellular.data.image import FieldImage, read_field
from cellular.data.plate import FieldFiles
from cellular.errors import InputError

# Fields of fewer pixels are read as a whole, once.
WHOLE_PX = 4096 * 4096
# What a field may take that can only be read as a whole, bytes.
MOST_BYTES = 1 << 30


class FieldWindows:
    """The pixels of one field by windows; small fields, and files that cannot be read in part, are kept whole.

    Attributes
    ----------
    item : the field. shape : (Y, X), px. channels : what each channel is called. pixel_size_um : um, or None.
    written : what its files were like before they were read, :func:`written`.

    Raises MissingInputError or InputError, naming the file, where it cannot be read, or only by more than MOST_BYTES.
    """

    def __init__(self, item: FieldFiles) -> None:
        self.written = written(item)
        source = item.sources[0]
        path = source.slices[0][0]
        info = describe_image(path)[source.scene]
        self.item, self.shape = item, (info.sizes["Y"], info.sizes["X"])
        count = len(item.sources) if len(item.sources) > 1 else info.sizes["C"] if source.index is None else 1
        named = [s.role or s.name or s.token for s in item.sources] if len(item.sources) == count else [""] * count
        if item.kind == "composite":
            named = [role or "" for role in item.roles]
        self.channels = tuple(name or str(k + 1) for k, name in enumerate(named))
        self.pixel_size_um = item.pixel_size_um or info.pixel_size_um
        self._parted = self.shape[0] * self.shape[1] > WHOLE_PX and all(
            len(s.slices) == 1 and s.slices[0][0].suffix.lower() in TIFF_SUFFIXES for s in item.sources
        )
        self._bytes = self.shape[0] * self.shape[1] * count * info.dtype.itemsize
        self._whole: FieldImage | None = None
        self._overviews: dict[tuple, np.ndarray] = {}
        self._lock = RLock()

    def is_current(self, item: FieldFiles) -> bool:
        """Whether the pixels are those of `item` as it lies on the disk now; its images may lie elsewhere."""
        return self.item.sources == item.sources and self.written == written(item)

    def window(self, channel: int, rows: slice, columns: slice) -> np.ndarray:
        """(h, w) of a channel's pixels; `rows` and `columns` have a step for a coarser look."""
        if not self._parted:
            return self._image().pixels[rows, columns, channel]
        whole = (rows.start or 0, rows.stop, columns.start or 0, columns.stop) == (0, self.shape[0], 0, self.shape[1])
        if not whole:
            return self._part(channel, rows, columns)
        key = (channel, rows.step, columns.step)
        with self._lock:
            if key not in self._overviews:  # of a large image every tile has to be decoded for it
                self._overviews[key] = self._part(channel, rows, columns)
            return self._overviews[key]

    def _part(self, channel: int, rows: slice, columns: slice) -> np.ndarray:
        apart = len(self.item.sources) > 1
        source = self.item.sources[channel if apart else 0]
        path, z = source.slices[0]
        index = (source.index or 0) if apart else channel
        found = read_tiff_window(path, source.scene, source.t, z, index, (rows, columns))
        return self._image().pixels[rows, columns, channel] if found is None else found

    def _image(self) -> FieldImage:
        with self._lock:
            if self._whole is None:
                if self._bytes > MOST_BYTES:
                    raise InputError(
                        f"{self.item.images[0]} can only be read as a whole, {self._bytes >> 20} MiB; save it as a "
                        "TIFF in tiles to look at it"
                    )
                self._whole = read_field(self.item)
            return self._whole


class RecentFields:
    """The :class:`FieldWindows` of the fields looked at last, at most `most`."""

    def __init__(self, most: int = 4) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[str, FieldWindows] = OrderedDict()

    def of(self, item: FieldFiles) -> FieldWindows:
        """The field's windows."""
        with self._lock:
            found = self._kept.pop(item.name, None)
            if found is None or not found.is_current(item):
                found = FieldWindows(item)
            self._kept[item.name] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return found


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What differs once a file was written again; None without one."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_size, told.st_mtime_ns


def written(item: FieldFiles) -> tuple:
    """What differs once an image of the field was written again, or is gone."""
    return tuple(stamp(path) for path in item.images)


def step_for(length: float, wanted: int) -> int:
    """The step at which `length` px become at most `wanted`: a power of two, so that a look is much like the last one.

    >>> step_for(1000, 1000), step_for(20_000, 1000)
    (1, 32)
    """
    step = 1
    while length / step > wanted:
        step *= 2
    return step
