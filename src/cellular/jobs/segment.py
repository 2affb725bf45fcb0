"""`cellular segment`: images in; label images, a table of cells and pictures out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from cellular.data.find import as_plate
from cellular.data.formats.images import write_image, write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import FieldImage, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import sha256_of, write_json
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.runner import Joined, Work, claimed, each, files_of, finished, spread
from cellular.progress import progress
from cellular.report.outlines import PLAIN, colour_image, outline_overlay
from cellular.segment.inputs import network_image
from cellular.segment.segmentation import Segmentation
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.tables import write_table

CELLS = "cells"
# The diameter of a plate's cells is the median over this many of its fields.
DIAMETER_FIELDS = 5


@dataclass(frozen=True)
class SegmentResult:
    """What was done: label images by field, the table of their cells, and what went wrong, field by field."""

    labels: dict[str, Path]
    cells: pd.DataFrame
    problems: dict[str, str]


def segment(
    plate: Plate | str | Path,
    out: str | Path,
    model: str | Path | Segmenter = "starter",
    settings: SegmentSettings | None = None,
    *,
    device: str = "auto",
    overlays: bool = False,
    engine: Engine = HERE,
) -> SegmentResult:
    """Segment every field of `plate` into folder `out`.

    Writes ``<field>_masks.tif`` (label image), in ``cells.csv`` a row per cell (label, score, area in px, box,
    centroid),
    earlier runs' included, with `overlays` ``overlays/<field>.jpg``, and ``plate.json``. A field that cannot be read
    or segmented is reported in the result and passed over. Run again with the same model and settings, what is there is
    kept where its image is still the same file, unchanged. A large uncompressed TIFF is never in memory as a whole, its
    labels are.

    Parameters
    ----------
    plate : or a folder or image for :func:`cellular.data.find.find_plate`.
    model : a model's name or file, or a Segmenter.
    engine : where the fields are done; the result is the same. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    OutputExistsError : `out` was made with another model or other settings.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> from cellular.segment import SegmentSettings
    >>> done = cellular.segment(made.images, "labels", settings=SegmentSettings(diameter=30, augment=False))
    >>> list(done.cells.columns)[:4], [path.name for path in done.labels.values()]
    (['image', 'label', 'score', 'area_px'], ['Timepoint_001_220518-ST_C05_s1_masks.tif'])
    """
    plate = as_plate(plate)
    segmenter = model if isinstance(model, Segmenter) else Segmenter.from_pretrained(model, device)
    settings = settings or SegmentSettings()
    with claimed(out, "segment", {**model_record(segmenter), "settings": asdict(settings)}, engine) as folder:
        write_json(folder / "plate.json", plate.as_dict())
        work = segment_work(segmenter, folder, settings, overlays)
        done = each(plate.fields, folder, work, desc="segment", engine=engine)
        if every := Joined(folder, finished(folder)):
            write_table(folder, CELLS, every.parts(CELLS))
    labels = {name: label_path(folder, name) for name in done.names}
    return SegmentResult(labels, done.tables.get(CELLS, pd.DataFrame()), done.problems)


def segment_work(segmenter: Segmenter, out: Path, settings: SegmentSettings, overlays: bool = False) -> Work:
    """Segmenting one field into `out`: its label image, its table "cells" and, where asked for, its picture."""
    one = _Segmenting(segmenter, out, settings, overlays)
    return Work(one.do, files_of_images, one.outputs)


@dataclass(frozen=True)
class _Segmenting:
    segmenter: Segmenter
    out: Path
    settings: SegmentSettings
    overlays: bool

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        image = read_field(item, mapped=True)
        found = segment_image(image, self.segmenter, self.settings)
        if self.overlays:
            draw_outlines(overlay_path(self.out, item.name), image, found.labels)
        write_labels(label_path(self.out, item.name), found.labels, image.pixel_size_um)
        return {CELLS: cell_table(item.name, found.labels, found.scores)}

    def outputs(self, item: FieldFiles) -> list[Path]:
        return [label_path(self.out, item.name)] + ([overlay_path(self.out, item.name)] if self.overlays else [])


def files_of_images(item: FieldFiles) -> tuple[Path, ...]:
    """The field's image files, its labels left out: they are what is made."""
    return files_of(replace(item, labels=None))


def segment_image(image: FieldImage, segmenter: Segmenter, settings: SegmentSettings) -> Segmentation:
    """Segment one field's image by the channels that the model knows."""
    pixels, channels = network_image(image, segmenter.model.info, settings.channels)
    return segmenter.segment(pixels, **asdict(settings) | {"channels": channels})


def plate_diameter(plate: Plate, segmenter: Segmenter, settings: SegmentSettings) -> float:
    """The cells' diameter in px: the median of estimates from a few fields, evenly spread over the plate.

    One number for a plate: cells of one field and of the next are outlined, and their puncta sought, at one scale.
    Raises InputError where none of these fields can be used.
    """
    found, problem = [], "there are none"
    for item in progress(spread(plate.fields, DIAMETER_FIELDS), desc="diameter", unit="field"):
        try:
            pixels, channels = network_image(read_field(item), segmenter.model.info, settings.channels)
            found.append(segmenter.diameter(pixels, channels, invert=settings.invert))
        except InputError as error:
            problem = str(error)
    if not found:
        raise InputError(f"The cells' diameter cannot be estimated: {problem}; give --diameter")
    return round(float(np.median(found)), 1)


def model_record(segmenter: Segmenter) -> dict[str, str]:
    """Which model it was: name and SHA-256 of its file."""
    return {"model": segmenter.model.name, "sha256": sha256_of(segmenter.model.path)}


def overlay_path(out: Path, name: str) -> Path:
    """Where the picture of a field with its outlines goes."""
    return out / "overlays" / f"{name}.jpg"


def draw_outlines(path: Path, image: FieldImage, labels: np.ndarray) -> None:
    """Write the field's image with white outlines around its cells."""
    write_image(path, outline_overlay(colour_image(image), [(labels, PLAIN)]))


def cell_table(name: str, labels: np.ndarray, scores: np.ndarray | None = None) -> pd.DataFrame:
    """One row per cell: image, label, score (0..1), area_px, box (y0, x0, y1, x1; end exclusive) and centroid (px).

    `scores` (N,) of cells 1 to N; without them, of outlines that no model stands for, they are missing.
    """
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
    values = regionprops_table(labels, properties=("label", "area", "bbox", "centroid"))
    table = pd.DataFrame(values).rename(columns=columns)
    table["area_px"] = table["area_px"].astype(np.int64)
    table.insert(0, "image", pd.Series([name] * len(table), dtype=object))
    table.insert(2, "score", np.nan if scores is None else scores[table["label"].to_numpy() - 1].round(4))
    return table.round({"y": 2, "x": 2})
