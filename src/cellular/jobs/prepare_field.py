"""Preparing one field: its masks to label images in every class folder that it belongs to."""

import errno
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.data.formats.annotation import Remarks
from cellular.data.formats.images import read_image, write_labels
from cellular.data.formats.suffixes import IGNORE_SUFFIX, MASKS_SUFFIX
from cellular.data.masks.cells_table import COLUMNS
from cellular.data.masks.combine import FieldPainting
from cellular.data.masks.sources import ALL, Entry, Sources
from cellular.errors import InputError, MissingInputError, OutputError
from cellular.files import read_csv, whole_file
from cellular.jobs.runner import ITEMS

logger = logging.getLogger(__name__)

RESERVED = (ALL, "cells.csv", "manifest.json")  # no class can be called so
# The runner's records lie in a hidden folder: what can be seen in an output is a folder a class.
RECORDS = ".prepare"
CELLS, REMARKS = "cells", "remarks"


@dataclass(frozen=True)
class Field:
    """What is done one by one: the field `name`, for `split`."""

    name: str
    split: str


class Strict(Exception):
    """Its sentence stops the run: no CellularError, or the runner would pass over the field and go on."""


@dataclass(frozen=True)
class FieldWork:
    """Preparing one field: its files into the class folders, its tables for cells.csv and the manifest.

    Table "cells" has a row per cell; table "remarks" what else is to be told of the field, one sentence or path a row.
    A field that cannot be prepared has remarks and no outputs: it is told with all of its problems, not the last.
    """

    sources: Sources
    output: Path
    overlap: str
    exclude: tuple[str, ...]
    format: str
    strict: bool

    def inputs(self, field: Field) -> list[Path]:
        """All files of the field."""
        return self.sources.files_of(field.name)

    def outputs(self, field: Field) -> list[Path]:
        """Files that were written of the field when it was last done."""
        remarks = self.output / RECORDS / ITEMS / field.name / f"{REMARKS}.csv"
        return [self.output / name for name in told_of(read_csv(remarks), "output")] if remarks.is_file() else []

    def __call__(self, field: Field) -> Mapping[str, pd.DataFrame]:
        """Read, combine and write one field."""
        for stale in (*self.outputs(field), self.output / "cells.csv", self.output / "manifest.json"):
            stale.unlink(missing_ok=True)
        listing, problems = self.sources.listing(field.name)
        remarks, cells, written = Remarks(problems), [], []
        try:
            images = self.sources.images_of(field.name)
            painting = FieldPainting(_image_shape(images), self.overlap, self.exclude)
            self._paint(field.name, painting, remarks)
            if not (cells := painting.cells()) and problems:
                raise InputError(
                    f"{self.sources.masks / field.name}: none of its masks can be used; the field was left out"
                )
            self._stop_if_strict(problems)
            written = self._write(field, painting, images)
        except (InputError, MissingInputError) as error:
            problems.append(str(error))
            cells = []  # of a field that is left out
        self._stop_if_strict(problems)
        told = [("listing", listing), *(("problem", text) for text in problems)]
        told += [*(("notice", text) for text in remarks.notices), *(("output", path) for path in written)]
        return {
            CELLS: pd.DataFrame([{"field": field.name, "split": field.split, **row} for row in cells], columns=COLUMNS),
            REMARKS: pd.DataFrame([(field.name, *one) for one in told], columns=["field", "kind", "text"]),
        }

    def _stop_if_strict(self, problems: list[str]) -> None:
        if self.strict and problems:
            raise Strict(problems[0])

    def _paint(self, field: str, painting: FieldPainting, remarks: Remarks) -> None:
        """Paint every cell of a field; one that cannot be used adds a sentence to the remarks."""
        for name, source, cell in self.sources.cells(field, painting.shape, remarks):
            if name in RESERVED or name.startswith("."):
                raise InputError(f"{source}: a class cannot be called '{name}', which prepare or the system uses")
            painting.add(name, source, cell)

    def _write(self, field: Field, painting: FieldPainting, images: list[Entry]) -> list[str]:
        """Write one field's files into each class folder it belongs to; returns their paths inside the output."""
        written: list[Path] = []
        try:
            for folder_name, canvas in [(ALL, painting.all), *painting.classes.items()]:
                folder = self.output / folder_name / field.split
                for suffix, labels in ((MASKS_SUFFIX, canvas), (IGNORE_SUFFIX, painting.ignore)):
                    if labels is not None:
                        path = folder / f"{field.name}{suffix}.{self.format}"
                        written.append(write_labels(path, labels.labels))
                for image in images:
                    first = self.output / ALL / field.split / image.path.name
                    written.append(_place(image.path, folder / image.path.name, first))
        except OutputError as error:
            for path in written:
                path.unlink(missing_ok=True)
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            raise InputError(f"{field.name}: its name is too long for a label image's ({error})") from error
        return [path.relative_to(self.output).as_posix() for path in written]


def told_of(remarks: pd.DataFrame, kind: str) -> list[str]:
    """The sentences or paths of one kind."""
    return remarks.loc[remarks["kind"] == kind, "text"].tolist()


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
