"""`cellular segment`: images in; label images, a table of cells and pictures out."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.find import as_plate
from cellular.data.formats.images import write_image, write_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.image import FieldImage, read_field
from cellular.data.listing import PLATE
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import sha256_of, write_json
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.nuclei import AUTO, NucleiSource, nuclei_source, require_seeds
from cellular.jobs.runner import Joined, Work, claimed, each, files_of, finished, spread
from cellular.labels.cells import cells_of
from cellular.labels.regions import Regions
from cellular.progress import progress
from cellular.report.outlines import PLAIN, colour_image, outline_overlay
from cellular.segment.inputs import network_image
from cellular.segment.model.weights import SAFETENSORS
from cellular.segment.seeds import part_by_nuclei
from cellular.segment.segmentation import Segmentation
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.settings import settings_to_dict
from cellular.tables import write_table

CELLS, NUCLEI = "cells", "nuclei"
# The diameter of a plate's cells is the median over this many of its fields.
DIAMETER_FIELDS = 5


@dataclass(frozen=True)
class SegmentResult:
    """What was done: label images by field, the table of their cells, and what went wrong, field by field.

    `nuclei` is the table of those that were seeds, empty without: image, nucleus, label (its cell, 0 for none), place.
    """

    labels: dict[str, Path]
    cells: pd.DataFrame
    problems: dict[str, str]
    nuclei: pd.DataFrame = field(default_factory=pd.DataFrame)


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
    kept where its image is still the same file, unchanged. With ``seeds="nuclei"`` ``<field>_nuclei.tif`` lies beside
    them, a row a nucleus in ``nuclei.csv``, and ``cells.csv`` has `nuclei` and `parted` (:func:`segment_field`). A
    large uncompressed TIFF is never in memory as a whole, its labels are.

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
    settings = (settings or SegmentSettings()).settled(segmenter)
    record, seeds = {**model_record(segmenter), "settings": asdict(settings)}, None
    if settings.seeds:
        require_seeds(plate, AUTO, None)
        seeds = nuclei_source(plate, AUTO, None, device, settings.precision)
    record |= {"nuclei_from": seeds.record()} if seeds else {}
    with claimed(out, "segment", record, engine) as folder:
        write_json(folder / PLATE, plate.as_dict())
        work = segment_work(segmenter, folder, settings, overlays, seeds)
        done = each(plate.fields, folder, work, desc="segment", engine=engine)
        every = Joined(folder, finished(folder))
        for name in every:
            write_table(folder, name, every.parts(name))
    labels = {name: label_path(folder, name) for name in done.names}
    cells, nuclei = (done.tables.get(name, pd.DataFrame()) for name in (CELLS, NUCLEI))
    return SegmentResult(labels, cells, done.problems, nuclei)


def segment_work(
    segmenter: Segmenter,
    out: Path,
    settings: SegmentSettings,
    overlays: bool = False,
    nuclei: NucleiSource | None = None,
) -> Work:
    """Segmenting one field into `out`: its label image, its table "cells" and, where asked for, its picture.

    With `nuclei`, seeds of the cells, their label image too.
    """
    one = _Segmenting(segmenter, out, settings, overlays, nuclei)
    return Work(one.do, files_of_images, one.outputs, FieldFiles.reading)


@dataclass(frozen=True)
class _Segmenting:
    segmenter: Segmenter
    out: Path
    settings: SegmentSettings
    overlays: bool
    nuclei: NucleiSource | None

    def do(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        image = read_field(item, mapped=True)
        labels, table, nuclei = segment_field(item, image, self.segmenter, self.settings, self.nuclei)
        if self.overlays:
            draw_outlines(overlay_path(self.out, item.name), image, labels)
        else:
            overlay_path(self.out, item.name).unlink(missing_ok=True)  # of an earlier run, with its outlines
        write_labels(label_path(self.out, item.name), labels, image.pixel_size_um)
        tables = {CELLS: table}
        numbered = self.nuclei.write(item, image, labels, self.out, nuclei) if self.nuclei else None
        if numbered is not None:  # a field may have no channel of nuclei
            tables[NUCLEI] = nuclei_table(item.name, numbered, labels)
        return tables

    def outputs(self, item: FieldFiles) -> list[Path]:
        made = [label_path(self.out, item.name)] + (self.nuclei.outputs(item, self.out) if self.nuclei else [])
        return made + ([overlay_path(self.out, item.name)] if self.overlays else [])


def files_of_images(item: FieldFiles) -> tuple[Path, ...]:
    """The field's image files, its labels left out: they are what is made."""
    return files_of(replace(item, labels=None, ignore=None, original=None))


def segment_field(
    item: FieldFiles,
    image: FieldImage,
    segmenter: Segmenter,
    settings: SegmentSettings,
    source: NucleiSource | None = None,
) -> tuple[np.ndarray, pd.DataFrame, np.ndarray | None]:
    """One field's cells (Y, X), their :func:`cell_table`, and its nuclei (Y, X), where they were seeds; else None.

    Parted cells have no score, for no model stands for them; the table says which they are, and each cell's nuclei.
    Raises InputError where there are to be seeds, and the field has no DNA or is too large to be taken in one piece.
    """
    found = segment_image(image, segmenter, settings)
    if settings.seeds is None:
        return found.labels, cell_table(item.name, found.labels, found.scores), None
    if source is None or not source.has(item):
        raise InputError(f"--seeds nuclei needs nuclei, and {item.name} has no DNA and no label image of them")
    if found.cell_probability is None:
        side = max(image.shape)
        raise InputError(f"--seeds nuclei needs the field in one piece, and it is {side} px: give --window {side}")
    nuclei = source.read(item, image)
    seeded = part_by_nuclei(found.labels, found.cell_probability, nuclei)
    scores = np.append(found.scores, np.full(len(seeded.parted) - len(found.scores), np.nan))
    table = cell_table(item.name, seeded.labels, np.where(seeded.parted, np.nan, scores))
    return seeded.labels, table.assign(nuclei=seeded.nuclei, parted=seeded.parted), nuclei


def segment_image(image: FieldImage, segmenter: Segmenter, settings: SegmentSettings) -> Segmentation:
    """Segment one field's image by the channels that the model knows; seeds are for :func:`segment_field`."""
    pixels, channels = network_image(image, segmenter.model.info, settings.channels)
    how = {name: value for name, value in asdict(settings).items() if name != "seeds"}
    return segmenter.segment(pixels, **how | {"channels": channels})


def plate_diameter(plate: Plate, segmenter: Segmenter, settings: SegmentSettings) -> float:
    """The cells' diameter in px: the median of estimates from a few fields, evenly spread over the plate.

    One number for a plate: cells of one field and of the next are outlined, and their puncta sought, at one scale.
    Raises InputError where none of these fields can be used.
    """
    found, problem = [], "there are none"
    for item in progress(spread(plate.fields, DIAMETER_FIELDS), desc="diameter", unit="field"):
        try:
            pixels, channels = network_image(read_field(item), segmenter.model.info, settings.channels)
            found.append(segmenter.diameter(pixels, channels, invert=settings.invert, precision=settings.precision))
        except InputError as error:
            problem = str(error)
    if not found:
        raise InputError(f"The cells' diameter cannot be estimated: {problem}; give --diameter")
    return round(float(np.median(found)), 1)


def model_record(segmenter: Segmenter) -> dict[str, Any]:
    """Which model it was: name and SHA-256 of its file, and what it says of itself where that lies beside the file."""
    model = segmenter.model
    record: dict[str, Any] = {"model": model.name, "sha256": sha256_of(model.path)}
    if model.path.suffix == SAFETENSORS:
        return record
    info = settings_to_dict(model.info)
    del info["trained_on"]  # no matter of how it segments
    return record | {"model_info": info}


def overlay_path(out: Path, name: str) -> Path:
    """Where the picture of a field with its outlines goes."""
    return out / "overlays" / f"{name}.jpg"


def forget_overlays(out: Path, drawn: Iterable[Path]) -> None:
    """Delete the pictures in ``overlays`` but those `drawn`: of other fields they may show outlines of before."""
    kept = set(drawn)
    for path in (out / "overlays").glob("*.jpg"):
        if path not in kept:
            path.unlink(missing_ok=True)


def draw_outlines(path: Path, image: FieldImage, labels: np.ndarray) -> None:
    """Write the field's image with white outlines around its cells."""
    write_image(path, outline_overlay(colour_image(image), [(labels, PLAIN)]))


def cell_table(name: str, labels: np.ndarray, scores: np.ndarray | None = None) -> pd.DataFrame:
    """One row per cell: image, label, score (0..1), area_px, box (y0, x0, y1, x1; end exclusive) and centroid (px).

    `scores` (N,) of cells 1 to N; without them, of outlines that no model stands for, they are missing.
    """
    found = cells_of(labels)
    numbers = np.array([label for label, _ in found], np.int64)
    boxes = np.array([cell.box for _, cell in found], np.int64).reshape(-1, 4)
    places = np.array([cell.centroid for _, cell in found]).reshape(-1, 2).round(2)
    # made at once: on a small image, inserting and converting columns takes longer than finding their values
    columns = {
        "image": pd.Series([name] * len(found), dtype=object),
        "label": numbers,
        "score": np.full(len(found), np.nan) if scores is None else scores[numbers - 1].round(4),
        "area_px": np.array([cell.area for _, cell in found], np.int64),
        **dict(zip(("y0", "x0", "y1", "x1"), boxes.T)),
        **dict(zip(("y", "x"), places.T)),
    }
    return pd.DataFrame(columns)


def nuclei_table(name: str, nuclei: np.ndarray, cells: np.ndarray) -> pd.DataFrame:
    """One row per nucleus of (Y, X) `nuclei`: image, nucleus, label (the cell that holds it, 0 for none) and place."""
    table = cell_table(name, nuclei).rename(columns={"label": "nucleus"}).drop(columns="score")
    table.insert(2, "label", Regions.of(nuclei).holders(cells))
    return table
