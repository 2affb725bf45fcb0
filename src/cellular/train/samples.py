"""Training fields in memory: image, flows and cells, with flows kept on disk once they have been computed."""

import hashlib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cellular.data.archive.download import cache_folder
from cellular.data.find import find_annotated
from cellular.data.image import load_ignore, load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, OutputError
from cellular.files import whole_file
from cellular.labels.cells import areas_of
from cellular.labels.diameter import median_diameter
from cellular.progress import progress
from cellular.segment.flows.to_flows import labels_to_flows
from cellular.segment.image.normalize import to_network_input
from cellular.segment.inputs import network_image
from cellular.segment.model.registry import ModelInfo

logger = logging.getLogger(__name__)

# Cellpose's bound: fields of specks are treated as fields of 5 px cells.
SMALLEST_DIAMETER = 5.0


@dataclass(frozen=True)
class Sample:
    """One field to learn from.

    Attributes
    ----------
    name : field name.
    image : (C, Y, X) float32, normalised.
    flows : (2, Y, X) float32, unit vectors (dy, dx); may be a memory map.
    cell : (Y, X) uint8, 1 = cell.
    ignore : (Y, X) uint8, 1 = pixels to leave out of the loss, or None.
    diameter : median cell diameter, px; of a field without cells the median of the others'.
    cells : number of cells.
    """

    name: str
    image: np.ndarray
    flows: np.ndarray
    cell: np.ndarray
    ignore: np.ndarray | None
    diameter: float
    cells: int


def make_sample(name: str, planes: np.ndarray, labels: np.ndarray, ignore: np.ndarray | None = None) -> Sample:
    """Sample of normalised `planes` (C, Y, X), label image `labels` (Y, X) and, where given, `ignore` (Y, X)."""
    return Sample(
        name,
        np.ascontiguousarray(planes, np.float32),
        cached_flows(labels),
        (labels > 0).astype(np.uint8),
        None if ignore is None else (ignore > 0).astype(np.uint8),
        max(SMALLEST_DIAMETER, median_diameter(labels)),
        len(areas_of(labels)),
    )


def load_samples(
    plate: Plate | str | Path,
    info: ModelInfo,
    channels: tuple[int, ...] | None,
    desc: str,
    memory: int | None = None,
) -> list[Sample]:
    """Samples of a folder that `cellular prepare` wrote: ``<field>.<ext>`` beside ``<field>_masks.<png|tif>``.

    `info` and `channels` say which of a field's channels the network is given (see :func:`network_image`). What goes
    beyond `memory` (bytes; None sets no bound) is read from the cache on disk, crop by crop.
    Raises InputError or MissingInputError naming the file at fault, OutputError where the disk is full.
    """
    plate = plate if isinstance(plate, Plate) else find_annotated(plate)
    samples: list[Sample] = []
    for item in progress(plate.fields, desc=desc, unit="field"):
        sample = _load(item, info, channels)
        beyond = memory is not None and memory_of([*samples, sample]) > memory
        samples.append(_on_disk(sample) if beyond else sample)
    return with_diameters(samples)


def memory_of(samples: list[Sample]) -> int:
    """Bytes of the samples' images and masks that are in memory, and not on disk."""
    arrays = [array for s in samples for array in (s.image, s.cell, s.ignore) if array is not None]
    return sum(array.nbytes for array in arrays if not isinstance(array, np.memmap))


def _on_disk(sample: Sample) -> Sample:
    """The sample with its image as a read-only memory map, in the cache by its content."""
    path = _cache_path("images", sample.image)
    if not path.is_file():
        with whole_file(path) as temporary:
            np.save(temporary, sample.image)
    return replace(sample, image=_mapped(path))


def _load(item: FieldFiles, info: ModelInfo, channels: tuple[int, ...] | None) -> Sample:
    image = read_field(item)
    labels = load_labels(item, image.shape)
    try:
        planes = to_network_input(*network_image(image, info, channels))
    except InputError as error:
        raise InputError(f"{item.images[0]}: {error}") from error
    return make_sample(item.name, planes, labels, load_ignore(item, image.shape))


def enough_cells(samples: list[Sample], least: int, folder: str | Path) -> list[Sample]:
    """Samples with at least `least` cells, and those in which the expert found none: they teach what is no cell.

    The others are named in a warning. None with cells left raises InputError.
    """
    kept = [sample for sample in samples if sample.cells >= least or not sample.cells]
    if len(kept) < len(samples):
        names = ", ".join(f"{s.name} ({s.cells})" for s in samples if 0 < s.cells < least)
        logger.warning("%s: left out for having fewer than %d cells: %s", folder, least, names)
    if not any(sample.cells for sample in kept):
        raise InputError(f"{folder}: no field has at least {least} cells; lower --min_train_masks")
    return kept


def with_diameters(samples: list[Sample], like: Sequence[Sample] = ()) -> list[Sample]:
    """Samples in which a field without cells, whose scale nothing tells, has the median diameter of the others.

    Where there are none among them, of those `like` them.
    """
    known = [s.diameter for s in samples if s.cells] or [s.diameter for s in like if s.cells]
    usual = float(np.median(known)) if known else SMALLEST_DIAMETER
    return [sample if sample.cells else replace(sample, diameter=usual) for sample in samples]


def cached_flows(labels: np.ndarray) -> np.ndarray:
    """Flows of `labels` as a read-only memory map (2, Y, X) float32, computed once and found by content ever after."""
    path = _cache_path("flows", labels)
    if not path.is_file():
        flows = labels_to_flows(labels)
        try:
            with whole_file(path) as temporary:
                np.save(temporary, flows)
        except OutputError as error:
            logger.warning("flows are kept in memory: %s; CELLULAR_CACHE names another folder", error)
            return flows
    return _mapped(path)


def _cache_path(kind: str, array: np.ndarray) -> Path:
    """Where in the cache lies what belongs to an array of this content."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return cache_folder() / kind / f"{digest.hexdigest()[:32]}.npy"


def _mapped(path: Path) -> np.ndarray:
    """An array of the cache, as a read-only memory map."""
    with suppress(OSError):  # a cache that others filled
        os.utime(path)  # so that whoever empties the cache by age keeps what is in use
    array: np.ndarray = np.load(path, mmap_mode="r")
    return array
