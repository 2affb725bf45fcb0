"""Segmenting files: one at a time, a bad one reported and passed over, a second run finishing what is left."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from skimage.measure import regionprops_table

from cellular.data.formats.images import IMAGE_SUFFIXES, TIFF_SUFFIXES, write_labels
from cellular.data.pairs import IGNORE_SUFFIX, MASKS_SUFFIX, Pair, find_pairs, load_image
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.files import claim_folder, made_of, read_csv, sha256_of, together, write_csv, write_inputs
from cellular.progress import progress
from cellular.segment.segmentation import Segmentation
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings

RECORD = "segment.json"
CELLS = "cells"
# A TIFF above this many bytes is mapped, not read, where its pixels lie in the file as they are.
MAPPED_BYTES = 1 << 29


@dataclass(frozen=True)
class SegmentResult:
    """What was done: label images by image name, the table of all cells, and what went wrong, image by image."""

    labels: dict[str, Path]
    cells: pd.DataFrame
    problems: dict[str, str]


def find_images(sources: Iterable[str | Path]) -> list[Pair]:
    """Images named by files and folders; in a folder, a field's raw channel files (``_w1``...) are one image.

    Raises MissingInputError for a path that is not there and InputError where nothing is found or two images would
    write the same label image.
    """
    found: list[Pair] = []
    for source in map(Path, sources):
        if source.is_dir():
            found += find_pairs(source, labels=False)
        elif not source.exists():
            raise MissingInputError(f"No such image or folder: {source}")
        elif not source.stem.endswith((MASKS_SUFFIX, IGNORE_SUFFIX)):
            found.append(Pair(source.stem, (source,)))
    if not found:
        raise InputError(f"No images to segment ({', '.join(IMAGE_SUFFIXES)})")
    first: dict[str, Pair] = {}
    for pair in found:
        if pair.name in first:
            raise InputError(f"{first[pair.name].images[0]} and {pair.images[0]} have one name; segment them apart")
        first[pair.name] = pair
    return found


def segment_files(
    images: Sequence[Pair], segmenter: Segmenter, out: str | Path, settings: SegmentSettings | None = None
) -> SegmentResult:
    """Segment `images` into folder `out`.

    Writes ``<name>_masks.tif`` (label image), ``cells/<name>.csv`` (a row per cell: label, score, area in px, box,
    centroid) and, at the end, all of those rows in ``cells.csv``, earlier runs' included. An image that cannot be read
    or segmented is reported in the result and passed over. Run again with the same model and settings, what is there
    is kept where its image is still the same file, unchanged. A large uncompressed TIFF is never in memory as a whole,
    its labels are.

    Raises OutputExistsError where `out` was made with another model or other settings.
    """
    settings = settings or SegmentSettings()
    out = Path(out)
    _claim(out, segmenter, settings)
    labels: dict[str, Path] = {}
    problems: dict[str, str] = {}
    for pair in progress(images, desc="segment", unit="image"):
        target = out / f"{pair.name}{MASKS_SUFFIX}.tif"
        table = out / CELLS / f"{pair.name}.csv"
        made = table.with_suffix(".json")
        try:
            if not (target.is_file() and table.is_file() and made_of(made, pair.images)):
                made.unlink(missing_ok=True)
                segmentation = segmenter.segment(_open_image(pair), **asdict(settings))
                write_csv(table, cell_table(pair.name, segmentation))
                write_labels(target, segmentation.labels)
                write_inputs(made, pair.images)
            labels[pair.name] = target
        except CellularError as error:
            problems[pair.name] = str(error)
    every = _cells_of([path.stem for path in sorted((out / CELLS).glob("*.json"))], out)
    if len(every.columns):
        write_csv(out / "cells.csv", every)
    return SegmentResult(labels, _cells_of(labels, out), problems)


def _cells_of(names: Iterable[str], out: Path) -> pd.DataFrame:
    """Rows of the named images together; nothing at all without any image."""
    return together([read_csv(out / CELLS / f"{name}.csv") for name in names])


def _open_image(pair: Pair) -> np.ndarray:
    """The image of `pair`, mapped from the disk where it is large and that can be done."""
    path = pair.images[0]
    if len(pair.images) > 1 or path.suffix.lower() not in TIFF_SUFFIXES or path.stat().st_size < MAPPED_BYTES:
        return load_image(pair)
    try:
        image = tifffile.memmap(path, mode="r")
    except (ValueError, tifffile.TiffFileError):  # compressed or damaged: reading it tells which
        return load_image(pair)
    as_is = image.dtype.kind in "uif" and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] <= 4))
    return image if as_is else load_image(pair)


def cell_table(name: str, segmentation: Segmentation) -> pd.DataFrame:
    """One row per cell: image, label, score (0..1), area_px, box (y0, x0, y1, x1; end exclusive) and centroid (px)."""
    columns = {
        "label": "label",
        "area": "area_px",
        "bbox-0": "y0",
        "bbox-1": "x0",
        "bbox-2": "y1",
        "bbox-3": "x1",
        "centroid-0": "y",
        "centroid-1": "x",
    }
    values = regionprops_table(segmentation.labels, properties=("label", "area", "bbox", "centroid"))
    table = pd.DataFrame(values).rename(columns=columns)
    table["area_px"] = table["area_px"].astype(np.int64)
    table.insert(0, "image", name)
    table.insert(2, "score", segmentation.scores[table["label"].to_numpy() - 1].round(4))
    return table.round({"y": 2, "x": 2})


def _claim(out: Path, segmenter: Segmenter, settings: SegmentSettings) -> None:
    """Record model and settings in `out`, or check that they are those it was begun with."""
    record = {
        "model": segmenter.model.name,
        "sha256": sha256_of(segmenter.model.path),
        "settings": asdict(settings),
    }
    claim_folder(out, RECORD, record, "another model or other settings", begun=(out / CELLS).is_dir())
