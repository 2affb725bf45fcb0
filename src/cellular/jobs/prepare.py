"""Per-cell masks to label images, split into train, valid and test: the first stage."""

import errno
import logging
import os
import platform
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cellular
from cellular.data.formats.annotated import annotated_fields, images_beside, is_published_layout
from cellular.data.formats.annotation import Remarks
from cellular.data.formats.images import read_image, write_labels
from cellular.data.formats.suffixes import IGNORE_SUFFIX, MASKS_SUFFIX, same_name
from cellular.data.masks.cells_table import write_cells
from cellular.data.masks.combine import OVERLAPS, FieldPainting
from cellular.data.masks.sources import ALL, Entry, Sources, find_sources
from cellular.data.masks.splits import PAPER_TEST, PAPER_VALID, SPLITS, Split, resolve_split
from cellular.errors import InputError, MissingInputError, OutputError, SettingsError
from cellular.files import whole_file, write_json
from cellular.jobs.prepare_journal import Journal
from cellular.progress import progress
from cellular.settings import settings_to_dict

logger = logging.getLogger(__name__)

FORMATS = ("png", "tif")
RESERVED = (ALL, "cells.csv", "manifest.json")  # no class can be called so


@dataclass(frozen=True)
class PrepareSettings:
    """How to prepare a dataset.

    Attributes
    ----------
    images : folder of the images; None looks beside the masks' folder for ``images-color``, then ``images``, then
        takes the input folder.
    image_dirname : name of the images' folder beside the masks', "" to look as above.
    mask_dirname : name of the masks' folder inside the input.
    split : None for the two patterns, "paper", "followup2025" or a JSON file (see `cellular.data.masks.splits`).
    val_pattern, test_pattern : a field whose name contains it is validation, or test; "" for no such split.
    format : file format of the label images, "png" (16 bit) or "tif".
    exclude : classes kept out of "all" and drawn into the ignore label image.
    overlap : who keeps a pixel that two cells claim: the "last" in order of name (as published), "first" or "smallest".
    strict : stop at the first problem instead of reporting all at the end.
    workers : threads; 0 takes one per processor, at most 8.
    """

    images: str | None = None
    image_dirname: str = ""
    mask_dirname: str = "masks"
    split: str | None = None
    val_pattern: str = PAPER_VALID
    test_pattern: str = PAPER_TEST
    format: str = "png"
    exclude: tuple[str, ...] = ("Unidentified",)
    overlap: str = "last"
    strict: bool = False
    workers: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.exclude, str):
            raise SettingsError(f"exclude is the text {self.exclude!r}; give a tuple of class names")
        if self.format not in FORMATS:
            raise SettingsError(f"format is '{self.format}'; use one of {', '.join(FORMATS)}")
        if self.overlap not in OVERLAPS:
            raise SettingsError(f"overlap is '{self.overlap}'; use one of {', '.join(OVERLAPS)}")
        if self.workers < 0:
            raise SettingsError(f"workers is {self.workers}; use 0 (one per processor) or more")
        if ALL in self.exclude:
            raise SettingsError(f"'{ALL}' cannot be excluded: it is the folder of every class together")


@dataclass(frozen=True)
class PrepareResult:
    """What a run wrote.

    Attributes
    ----------
    output : the output folder.
    fields : number of fields by split.
    cells : number of cells by class, excluded classes included.
    problems : a sentence for every input that was passed over; empty when all went well.
    notices : what else is worth knowing.
    seconds : time taken, s.
    """

    output: Path
    fields: dict[str, int]
    cells: dict[str, int]
    problems: tuple[str, ...]
    notices: tuple[str, ...]
    seconds: float


def prepare(input: str | Path, output: str | Path, settings: PrepareSettings | None = None) -> PrepareResult:
    """Combine the masks of every field into label images and lay them out for training and evaluation.

    Writes ``output/<class|all>/<train|valid|test>/`` with, for each field, its images, ``<field>_masks.<png|tif>``
    and, where a class is excluded, ``<field>_ignore.<png|tif>``; ``cells.csv`` (`cellular.data.masks.cells_table`) and
    ``manifest.json``. Fields are done one by one, so memory depends on the size of a field and not on their number
    or on the number of cells. A run that was interrupted is finished by the same call.

    Parameters
    ----------
    input : folder of per-field mask folders (``<field>/<class>/*.png``), or the folder that holds it; or another
        tool's annotations, a file or a folder of them (`cellular.data.formats.annotated`).
    output : a new or empty folder, or one that the same call began to fill.

    Raises
    ------
    MissingInputError, InputError : there is nothing to prepare; with `strict`, the first problem.
    OutputExistsError : `output` holds something else.
    OutputError : it cannot be written.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> done = cellular.prepare(made.folder, "prepared")
    >>> done.fields["train"], sorted(path.name for path in done.output.glob("all/train/*_masks.png"))
    (1, ['Timepoint_001_220518-ST_C05_s1_masks.png'])
    """
    start = time.perf_counter()
    settings = settings or PrepareSettings()
    split = resolve_split(settings.split, settings.val_pattern, settings.test_pattern)
    sources = _find(input, settings)
    if sources.hold(Path(output)):
        raise SettingsError(f"{output} lies inside the masks, {sources.masks}; choose a folder outside them")
    job = _Job(sources, Path(output), settings, split)
    notices, problems = job.survey()
    _stop_if(settings.strict, problems)
    with Journal(job.output, job.fingerprint()) as journal:
        job.check_journal(journal)
        job.run(journal)
        return job.finish(journal, problems, notices, start)


def _find(input: str | Path, settings: PrepareSettings) -> Sources:
    """Per-cell masks as published, or else another tool's annotations."""
    names = {"images": settings.images, "image_dirname": settings.image_dirname}
    path = Path(input)
    empty = path.is_dir() and not any(path.iterdir())
    if empty or not path.exists() or is_published_layout(path, settings.mask_dirname):
        return find_sources(path, masks=settings.mask_dirname, **names)
    images = settings.images or (path / settings.image_dirname if settings.image_dirname else None)
    return annotated_fields(path, images or images_beside(path))


def _stop_if(strict: bool, problems: list[str]) -> None:
    if strict and problems:
        raise InputError(f"{problems[0]} (stopped because of --strict)")


class _Stopped(Exception):
    """Another worker failed or the user interrupted: leave this field for the next run."""


@dataclass
class _Job:
    """One call of `prepare`."""

    sources: Sources
    output: Path
    settings: PrepareSettings
    split: Split

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        assigned = {field: self.split.assign(field) for field in self.sources.fields}
        self.assigned = {field: split for field, split in assigned.items() if split is not None}

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides what is written, JSON-ready."""
        kept = settings_to_dict(self.settings)
        for name in ("strict", "workers", "images", "image_dirname", "mask_dirname"):
            del kept[name]
        kept["exclude"] = sorted(self.settings.exclude)
        kept["split"] = {"name": self.settings.split and Path(self.settings.split).name, **self.split.describe()}
        kept["masks"] = str(self.sources.masks.resolve())
        kept["images"] = str(self.sources.image_folder.resolve())
        return kept

    def survey(self) -> tuple[list[str], list[str]]:
        """Notices and problems that show before any mask is read."""
        bare = sorted(set(self.sources.images) - {same_name(field) for field in self.sources.fields})
        left_out = [field for field in self.sources.fields if field not in self.assigned]
        notices = self.sources.notices()
        if bare:
            notices.append(f"{len(bare)} image(s) without masks were left out, first {bare[0]}")
        if left_out:
            notices.append(f"{len(left_out)} field(s) in no list of the split were left out, first {left_out[0]}")
        found = Counter(self.assigned.values())
        empty = [name for name in self.split.expected() if not found[name]]
        problems = [f"No field of {self.sources.masks} is in split '{name}' ({self._how(name)})" for name in empty]
        problems += self.split.strangers(self.sources.fields)
        # The default need not be there; a class that was named but is nowhere is a typing error.
        if named := sorted(set(self.settings.exclude) - set(PrepareSettings.exclude)):
            classes = self.sources.classes()
            for name in sorted(set(named) - classes if classes is not None else ()):
                problems.append(f"Class '{name}' is to be excluded, but the classes are {', '.join(sorted(classes))}")
        return notices, problems

    def _how(self, split: str) -> str:
        if self.settings.split is not None:
            return f"split {self.settings.split}"
        pattern = {"valid": self.settings.val_pattern, "test": self.settings.test_pattern}.get(split)
        return f"pattern '{pattern}'" if pattern else "every field matches another split's pattern"

    def check_journal(self, journal: Journal) -> None:
        """Refuse to go on where fields were prepared that the input no longer has."""
        gone = sorted(set(journal.fields()) - set(self.assigned))
        if gone:
            raise InputError(
                f"{self.output} holds field {gone[0]}, which {self.sources.masks} no longer has; choose a new folder"
            )
        for leftover in self.output.rglob(".partial-*"):
            leftover.unlink(missing_ok=True)

    def run(self, journal: Journal) -> None:
        """Prepare the fields that are not done yet and put each on record as it is finished."""
        todo = [field for field in self.assigned if not self._is_done(field, journal)]
        if not todo:
            return
        for name in ("cells.csv", "manifest.json"):
            (self.output / name).unlink(missing_ok=True)
        if len(todo) < len(self.assigned):
            logger.info("%d of %d fields are done already", len(self.assigned) - len(todo), len(self.assigned))
        workers = self.settings.workers or min(os.cpu_count() or 1, 8)
        bar = progress(total=len(todo), desc="prepare", unit="field")
        cells, start = 0, time.perf_counter()
        with bar, ThreadPoolExecutor(workers) as pool:
            try:
                for record in _in_flight(pool, self._prepare_field, todo, 2 * workers):
                    journal.add(record)
                    _stop_if(self.settings.strict, record["problems"])
                    cells += len(record["cells"])
                    bar.set_postfix_str(f"{cells} cells, {cells / (time.perf_counter() - start):.0f}/s", refresh=False)
                    bar.update()
            finally:
                self.stop.set()

    def _is_done(self, field: str, journal: Journal) -> bool:
        """On record without a problem, from the same files, and nothing written has gone since."""
        if field not in journal:
            return False
        record = journal.get(field)
        outputs = [self.output / path for path in record["outputs"]]
        if not record["problems"] and all(path.is_file() for path in outputs):
            listing, problems = self.sources.listing(field)
            if not problems and record["listing"] == listing:
                return True
        for path in outputs:
            path.unlink(missing_ok=True)
        return False

    def _prepare_field(self, field: str) -> dict[str, Any]:
        """Read, combine and write one field; the record says what was written and what was wrong."""
        listing, problems = self.sources.listing(field)
        remarks = Remarks(problems)
        record = {
            "field": field,
            "split": self.assigned[field],
            "listing": listing,
            "problems": remarks.problems,
            "notices": remarks.notices,
            "cells": [],
            "outputs": [],
        }
        try:
            images = self.sources.images_of(field)
            painting = FieldPainting(_image_shape(images), self.settings.overlap, self.settings.exclude)
            self._paint(field, painting, remarks)
            record["cells"] = painting.cells()
            if not record["cells"] and problems:
                raise InputError(f"{self.sources.masks / field}: none of its masks can be used; the field was left out")
            record["outputs"] = self._write(field, painting, images)
        except (InputError, MissingInputError) as error:
            problems.append(str(error))
        return record

    def _paint(self, field: str, painting: FieldPainting, remarks: Remarks) -> None:
        """Paint every cell of a field; one that cannot be used adds a sentence to the remarks."""
        for name, source, cell in self.sources.cells(field, painting.shape, remarks):
            if self.stop.is_set():
                raise _Stopped
            if name in RESERVED or name.startswith("."):
                raise InputError(f"{source}: a class cannot be called '{name}', which prepare or the system uses")
            painting.add(name, source, cell)

    def _write(self, field: str, painting: FieldPainting, images: list[Entry]) -> list[str]:
        """Write one field's files into each class folder it belongs to; returns their paths inside the output."""
        written: list[Path] = []
        try:
            for folder_name, canvas in [(ALL, painting.all), *painting.classes.items()]:
                folder = self.output / folder_name / self.assigned[field]
                for suffix, labels in ((MASKS_SUFFIX, canvas), (IGNORE_SUFFIX, painting.ignore)):
                    if labels is not None:
                        path = folder / f"{field}{suffix}.{self.settings.format}"
                        written.append(write_labels(path, labels.labels))
                for image in images:
                    first = self.output / ALL / self.assigned[field] / image.path.name
                    written.append(_place(image.path, folder / image.path.name, first))
        except OutputError as error:
            for path in written:
                path.unlink(missing_ok=True)
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            raise InputError(f"{field}: its name is too long for a label image's ({error})") from error
        return [path.relative_to(self.output).as_posix() for path in written]

    def finish(self, journal: Journal, problems: list[str], notices: list[str], start: float) -> PrepareResult:
        """Write cells.csv and manifest.json from the journal."""
        fields, cells, inputs, hidden = Counter({name: 0 for name in SPLITS}), Counter(), {}, []
        notices, problems = list(notices), list(problems)
        for record in journal.records(list(self.assigned)):
            fields[record["split"]] += bool(record["outputs"])
            cells.update(row["class"] for row in record["cells"])
            problems += record["problems"]
            notices += record["notices"]
            hidden += [row["source"] for row in record["cells"] if row["lost_px"] == row["area_px"]]
            inputs[record["field"]] = {"split": record["split"], "sha256": record["listing"]}
        if hidden:
            notices.append(f"{len(hidden)} cell(s) lie wholly under others and have no pixel left, first {hidden[0]}")
        if not sum(fields.values()):
            # what is wrong with the fields, before what is therefore missing in a split
            why = [text for record in journal.records(list(self.assigned)) for text in record["problems"]] or problems
            journal.discard()
            first = f"{len(problems)} problem(s), first: {why[0] if why else 'the split names no field'}"
            raise InputError(f"No field of {self.sources.masks} could be prepared; {first}")
        write_cells(self.output / "cells.csv", journal.records(list(self.assigned)))
        write_json(
            self.output / "manifest.json",
            {
                "settings": self.fingerprint(),
                "versions": _versions(),
                "fields": dict(fields),
                "cells": dict(sorted(cells.items())),
                "inputs": inputs,
                "problems": problems,
                "notices": notices,
            },
        )
        seconds = time.perf_counter() - start
        return PrepareResult(self.output, dict(fields), dict(cells), tuple(problems), tuple(notices), seconds)


def _image_shape(images: list[Entry]) -> tuple[int, int]:
    """(Y, X) of a field, px, once every image of it has been read and they agree."""
    shapes = [read_image(entry.path).shape[:2] for entry in images]
    for entry, shape in zip(images, shapes):
        if shape != shapes[0]:
            raise InputError(f"{entry.path} is {shape} px but {images[0].path.name} is {shapes[0]} px")
    return shapes[0]


def _place(source: Path, target: Path, first: Path) -> Path:
    """Copy an image into "all"; link the class folders' to that one, or copy where the disk cannot link."""
    with whole_file(target) as temporary:
        if target != first:
            temporary.unlink()
            try:
                os.link(first, temporary)
                return target
            except OSError:
                logger.debug("no hard links on this disk: copying %s", source)
        shutil.copy2(source, temporary)
    return target


def _in_flight(pool: ThreadPoolExecutor, work: Any, items: list[str], limit: int) -> Iterator[Any]:
    """Results of `work` as they are ready, with at most `limit` under way."""
    waiting: set[Future] = set()
    queue = iter(items)
    try:
        while True:
            waiting |= {pool.submit(work, item) for _, item in zip(range(limit - len(waiting)), queue)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in waiting:
            future.cancel()


def _versions() -> dict[str, str]:
    packages = ("numpy", "opencv-python-headless", "deflate", "tifffile")
    return {"cellular": cellular.__version__, "python": platform.python_version(), **{p: version(p) for p in packages}}
