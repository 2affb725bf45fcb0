"""`cellular export`: label images, or a model, in another tool's format."""

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from cellular.autophagy.state.by_hand import check_measured
from cellular.data.formats.labelled import LabelledField, find_labelled, table_above, with_cells
from cellular.data.formats.suffixes import field_name, kind_of, same_name
from cellular.data.formats.write import EXPORTS
from cellular.data.plate import Plate
from cellular.errors import InputError, OutputExistsError, SettingsError
from cellular.files import alone_in, read_csv, read_json, write_json
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.export_model import export_bioimageio, export_onnx
from cellular.jobs.export_plate import export_plates, table_of_run
from cellular.jobs.processes import Best
from cellular.jobs.runner import ITEMS, Work, each, files_of, finished, held, inputs_of
from cellular.jobs.runs import measured_plate, verb_of
from cellular.tables import find_table, read_table

logger = logging.getLogger(__name__)

MODELS = ("bioimageio", "onnx")
# The runner's records, by format; hidden, since what is exported may lie in any folder.
RECORDS = ".export"
FILES = "files"


@dataclass(frozen=True)
class Exported:
    """`written`: files or folders. `fields`: how many are in them; 0 for a model. `problems`: left out, and why."""

    written: list[Path]
    fields: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def export(
    source: str | Path | Plate,
    to: str,
    out: str | Path,
    *,
    images: str | Path | None = None,
    cells: str | Path | None = None,
    author: str | None = None,
    test_image: str | Path | None = None,
    engine: Engine = HERE,
) -> Exported:
    """Write `source` in the format `to`; a field that cannot be written is named and left out.

    A second run goes on where the first stopped: what was written of the same files is kept.

    Parameters
    ----------
    source : labels or outlines, a file or a folder of them; for "bioimageio" and "onnx" a model's name or file; for
        "ome-zarr" also a Plate, or the folder of a run of `analyse`, `measure` or `segment`. These become a store a
        plate, with label images and tables; a run whose fields have no wells a store a field.
    to : a key of :data:`cellular.data.formats.write.EXPORTS`, "bioimageio" or "onnx".
    out : folder; for a model the file.
    images : folder of the labels' images; None looks beside the labels.
    cells : table of field, label, class and measurements; None takes the one that `prepare` wrote.
    author, test_image : of a BioImage.IO package.
    engine : where fields are written; the result is the same. A model, or a store a plate, is written here.
        See :mod:`cellular.jobs.engines`.

    Raises
    ------
    SettingsError : an unknown format; another engine for what is written in one place.
    InputError, MissingInputError, OutputExistsError : as the formats say.

    Examples
    --------
    >>> import cellular, numpy as np
    >>> from cellular.data.formats.images import write_labels
    >>> _ = write_labels("exported/a_masks.tif", np.array([[0, 1], [2, 2]], np.uint16))
    >>> [path.name for path in cellular.export("exported", "hdf5", "h5").written]
    ['a.h5']
    """
    if to in MODELS:
        _check_here(engine, "a model")
        model = _no_plate(source, to, "a model")
        with alone_in(Path(out).parent, deep=False):
            if to == "onnx":
                return Exported([export_onnx(model, out)])
            return Exported([export_bioimageio(model, out, author=author, test_image=test_image)])
    if to not in EXPORTS:
        raise SettingsError(f"Unknown format '{to}'; known: {', '.join((*EXPORTS, *MODELS))}")
    if to == "ome-zarr" and (isinstance(source, Plate) or verb_of(source)):
        plate = source if isinstance(source, Plate) else measured_plate(source)
        if isinstance(source, Plate) or any(item.well for item in plate.fields):
            _check_here(engine, "a plate's store")
            table = None if isinstance(source, Plate) else table_of_run(source, plate)
            return _export_plate(plate, out, read_table(cells) if cells else table)
        fields = with_cells(plate.fields, cells or find_table(Path(source), "cells"))
    else:
        fields = find_labelled(_no_plate(source, to, "its label images"), images, cells)
    shared = Path(cells) if cells else table_above(fields[0].labels_path)
    return _export_fields(to, fields, Path(out), shared, engine)


def _no_plate(source: str | Path | Plate, to: str, instead: str) -> str | Path:
    if isinstance(source, Plate):
        raise SettingsError(f"A plate of images is exported to ome-zarr, not to {to}; give {instead}")
    return source


def _check_here(engine: Engine, what: str) -> None:
    if engine != HERE and not isinstance(engine, Best):
        raise SettingsError(f"{what} is written in one place; leave --workers, --dask, --cluster and --shard out")


def _export_plate(plate: Plate, out: str | Path, cells: pd.DataFrame | None) -> Exported:
    """A store a plate; each is whole or not at all, so a run that was cut off begins the one it was at again."""
    with alone_in(out) as folder:
        stores, problems = export_plates(plate, folder, cells)
    return Exported(stores, len(plate) - len(problems), problems)


def _export_fields(to: str, fields: Sequence[LabelledField], out: Path, cells: Path | None, engine: Engine) -> Exported:
    """Write each field, but for those that an earlier run wrote of the same files, and what is about all of them."""
    _warn_of_ignored(fields)
    records, export = out / RECORDS / to, EXPORTS[to]
    names = export.names(fields)
    noted = records / "classes.json"
    one = _ExportField(to, out, tuple(names), tuple(path for path in (cells, noted) if path))
    with held(out, engine, partial(_note, noted, names)):
        one.forget_gone({item.name for item in fields})
        done = each(fields, records, Work(one, one.inputs, one.outputs), desc=f"export {to}", engine=engine)
        if not done.names:
            raise InputError(f"No field could be exported; first problem: {next(iter(done.problems.values()))}")
        wanted = set(done.names)
        kept = [item for item in fields if item.name in wanted]
        files = [out / name for name in done.tables[FILES]["file"]]
        files += export.whole(kept, out, names, done.tables) if export.whole else []
    return Exported(files, len(kept), done.problems)


def _warn_of_ignored(fields: Sequence[LabelledField]) -> None:
    """Say that cells nobody could tell are lost: trained on or scored by the export, their pixels are background."""
    folders = {item.labels_path.parent for item in fields}
    files = (file for folder in folders for file in folder.iterdir() if kind_of(file) == "ignore")
    unknown = {same_name(field_name(file)): file for file in files}
    if lost := [unknown[same_name(item.name)] for item in fields if same_name(item.name) in unknown]:
        logger.warning(
            "%d field(s) have cells that are to be ignored, first in %s: no format here holds them, so in what is "
            "written they are background",
            *(len(lost), lost[0]),
        )


def _note(path: Path, names: Sequence[str], shared: bool) -> None:
    """Write the classes' names, if they are new: every field's file depends on all of them."""
    if path.is_file() and read_json(path) == list(names):
        return
    if shared:
        raise OutputExistsError(f"{path.parents[2]}: shards of other labels are at work there; choose another --out")
    write_json(path, list(names))


@dataclass(frozen=True)
class _ExportField:
    """Exporting one field; its table "files" says what was written.

    Attributes
    ----------
    names : of the classes. shared : files that every field depends on.
    """

    to: str
    out: Path
    names: tuple[str, ...]
    shared: tuple[Path, ...]

    def inputs(self, item: LabelledField) -> list[Path]:
        return [*files_of(item.files), *self.shared]

    def outputs(self, item: LabelledField) -> list[Path]:
        """What was written of the field when it was last done; of a store, the file that says what it is."""
        return [path / "zarr.json" if path.suffix == ".zarr" else path for path in self._written(item.name)]

    def _written(self, name: str) -> list[Path]:
        told = self.out / RECORDS / self.to / ITEMS / name / f"{FILES}.csv"
        return [self.out / file for file in read_csv(told)["file"]] if told.is_file() else []

    def _forget(self, name: str) -> None:
        for path in self._written(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def forget_gone(self, here: Collection[str]) -> None:
        """Delete what was written of fields whose files are gone since: who trains on the folder would train on them.

        Fields of other folders, exported to the same one, stay.
        """
        records = self.out / RECORDS / self.to
        for name in set(finished(records)).difference(here):
            if not all(path.exists() for path in inputs_of(records / ITEMS / name)):
                self._forget(name)
                shutil.rmtree(records / ITEMS / name, ignore_errors=True)  # another shard may do it too

    def __call__(self, item: LabelledField) -> Mapping[str, pd.DataFrame]:
        self._forget(item.name)  # labels that cannot be read any more leave nothing of what they were
        if item.measurements:
            numbers = pd.DataFrame.from_dict(item.measurements, orient="index").rename_axis("label").reset_index()
            check_measured(item.name, numbers, item.labels())
        written = EXPORTS[self.to].one(item, self.out, self.names)
        files = [path.relative_to(self.out).as_posix() for path in written.files]
        return {FILES: pd.DataFrame({"field": item.name, "file": files}, dtype=object), **written.tables}
