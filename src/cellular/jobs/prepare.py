"""Per-cell masks to label images, split into train, valid and test: the first stage."""

import logging
import platform
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import cellular
from cellular.data.formats.annotated import annotated_fields, images_beside, is_published_layout
from cellular.data.formats.suffixes import same_name
from cellular.data.masks.combine import OVERLAPS
from cellular.data.masks.sources import ALL, Sources, find_sources
from cellular.data.masks.splits import PAPER_TEST, PAPER_VALID, SPLITS, Split, resolve_split
from cellular.errors import InputError, OutputExistsError, SettingsError
from cellular.files import empty_folder, is_leftover, read_csv, write_csv, write_json
from cellular.jobs.engines import Engine
from cellular.jobs.prepare_field import CELLS, RECORDS, REMARKS, Field, FieldWork, Strict, told_of
from cellular.jobs.processes import here
from cellular.jobs.runner import ITEMS, RECORD, Done, Work, claimed, each, finished, held
from cellular.jobs.shards import Gather, Shard
from cellular.settings import settings_to_dict

logger = logging.getLogger(__name__)

FORMATS = ("png", "tif")
JOB = "prepare"


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

    def __post_init__(self) -> None:
        if isinstance(self.exclude, str):
            raise SettingsError(f"exclude is the text {self.exclude!r}; give a tuple of class names")
        if self.format not in FORMATS:
            raise SettingsError(f"format is '{self.format}'; use one of {', '.join(FORMATS)}")
        if self.overlap not in OVERLAPS:
            raise SettingsError(f"overlap is '{self.overlap}'; use one of {', '.join(OVERLAPS)}")
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


def prepare(
    input: str | Path, output: str | Path, settings: PrepareSettings | None = None, *, engine: Engine | None = None
) -> PrepareResult:
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
    engine : where the fields are done; the result is the same. None for :func:`here`.

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
    sources, output = _find(input, settings), Path(output)
    if sources.hold(output):
        raise SettingsError(f"{output} lies inside the masks, {sources.masks}; choose a folder outside them")
    assigned = [Field(name, to) for name in sources.fields if (to := split.assign(name)) is not None]
    notices, problems = _survey(sources, assigned, settings, split)
    _stop_if(settings.strict, problems)
    record = _fingerprint(sources, settings, split)
    _check_free(output)
    engine = engine or here()
    with held(output, engine):
        with claimed(output / RECORDS, JOB, record, engine) as records:
            _check_fields(records, assigned, sources, output)
            _forget_problems(records, sources, assigned, engine)
            done = _each(assigned, records, _work(sources, output, settings), engine)
        result = _finish(output, record, done, assigned, notices, problems)
    return replace(result, seconds=time.perf_counter() - start)


def _find(input: str | Path, settings: PrepareSettings) -> Sources:
    """Per-cell masks as published, or else another tool's annotations."""
    path = Path(input)
    empty = path.is_dir() and not any(path.iterdir())
    if empty or not path.exists() or is_published_layout(path, settings.mask_dirname):
        return find_sources(
            path, masks=settings.mask_dirname, images=settings.images, image_dirname=settings.image_dirname
        )
    images = settings.images or (path / settings.image_dirname if settings.image_dirname else None)
    return annotated_fields(path, images or images_beside(path))


def _stop_if(strict: bool, problems: list[str]) -> None:
    if strict and problems:
        raise InputError(f"{problems[0]} (stopped because of --strict)")


def _check_free(output: Path) -> None:
    """Refuse a folder that holds something else."""
    held = [entry for entry in output.iterdir() if not is_leftover(entry)] if output.is_dir() else []
    if (held and output / RECORDS not in held) or (output.exists() and not output.is_dir()):
        raise OutputExistsError(f"{output} holds something else already; choose a new folder or empty this one")


def _check_fields(records: Path, assigned: list[Field], sources: Sources, output: Path) -> None:
    """Refuse to go on where fields were prepared that the input no longer has."""
    gone = sorted(set(finished(records)) - {field.name for field in assigned})
    if gone:
        raise InputError(f"{output} holds field {gone[0]}, which {sources.masks} no longer has; choose a new folder")


def _fingerprint(sources: Sources, settings: PrepareSettings, split: Split) -> dict[str, Any]:
    """Everything that decides what is written, JSON-ready."""
    kept = settings_to_dict(settings)
    for name in ("strict", "images", "image_dirname", "mask_dirname"):
        del kept[name]
    kept["exclude"] = sorted(settings.exclude)
    kept["split"] = {"name": settings.split and Path(settings.split).name, **split.describe()}
    kept["masks"] = str(sources.masks.resolve())
    kept["images"] = str(sources.image_folder.resolve())
    return kept


def _survey(
    sources: Sources, assigned: list[Field], settings: PrepareSettings, split: Split
) -> tuple[list[str], list[str]]:
    """Notices and problems that show before any mask is read."""
    bare = sorted(set(sources.images) - {same_name(field) for field in sources.fields})
    left_out = sorted(set(sources.fields) - {field.name for field in assigned}, key=sources.fields.index)
    notices = sources.notices()
    if bare:
        notices.append(f"{len(bare)} image(s) without masks were left out, first {bare[0]}")
    if left_out:
        notices.append(f"{len(left_out)} field(s) in no list of the split were left out, first {left_out[0]}")
    found = Counter(field.split for field in assigned)
    empty = [name for name in split.expected() if not found[name]]
    problems = [f"No field of {sources.masks} is in split '{name}' ({_how(settings, name)})" for name in empty]
    problems += split.strangers(sources.fields)
    # The default need not be there; a class that was named but is nowhere is a typing error.
    named = set(settings.exclude) - set(PrepareSettings.exclude)
    if named and (classes := sources.classes()) is not None:
        known = ", ".join(sorted(classes))
        for name in sorted(named - classes):
            problems.append(f"Class '{name}' is to be excluded, but the classes are {known}")
    return notices, problems


def _how(settings: PrepareSettings, split: str) -> str:
    if settings.split is not None:
        return f"split {settings.split}"
    pattern = {"valid": settings.val_pattern, "test": settings.test_pattern}.get(split)
    return f"pattern '{pattern}'" if pattern else "every field matches another split's pattern"


def _forget_problems(records: Path, sources: Sources, assigned: list[Field], engine: Engine) -> None:
    """A field with a problem is done again, though its files are the same: a disk or a network may be back.

    One of another shard is left alone, and so are all when they are only joined.
    """
    if isinstance(engine, Gather):
        return
    mine = {field.name for field in (engine.part(assigned) if isinstance(engine, Shard) else assigned)}
    for name in mine.intersection(finished(records)):
        folder = records / ITEMS / name
        remarks = folder / f"{REMARKS}.csv"
        if not remarks.is_file() or told_of(read_csv(remarks), "problem") or sources.listing(name)[1]:
            (folder / RECORD).unlink()


def _work(sources: Sources, output: Path, settings: PrepareSettings) -> FieldWork:
    return FieldWork(sources, output, settings.overlap, tuple(settings.exclude), settings.format, settings.strict)


def _each(assigned: list[Field], records: Path, do: FieldWork, engine: Engine) -> Done:
    """Prepare the fields that are not done yet."""
    try:
        return each(assigned, records, Work(do, do.inputs, do.outputs), desc="prepare", engine=engine)
    except Strict as problem:
        _stop_if(True, list(problem.args))
        raise


def _finish(
    output: Path, settings: dict[str, Any], done: Done, assigned: list[Field], notices: list[str], problems: list[str]
) -> PrepareResult:
    """Write cells.csv and manifest.json from the tables of all fields."""
    fields, inputs = Counter({name: 0 for name in SPLITS}), {}
    surveyed = len(problems)
    notices, problems, split_of = list(notices), list(problems), {field.name: field.split for field in assigned}
    for name, remarks in _by_field(done.tables.get(REMARKS)):
        fields[split_of[name]] += bool(told_of(remarks, "output"))
        problems += told_of(remarks, "problem")
        notices += told_of(remarks, "notice")
        inputs[name] = {"split": split_of[name], "sha256": told_of(remarks, "listing")[0]}
    problems += done.problems.values()
    # what is wrong with the fields, before what is therefore missing in a split
    why = [*problems[surveyed:], *problems]
    if not sum(fields.values()):
        empty_folder(output / RECORDS, f"{JOB}.json")
        (output / RECORDS).rmdir()
        raise InputError(
            f"No field of {settings['masks']} could be prepared; {len(problems)} problem(s), first: "
            f"{why[0] if why else 'the split names no field'}"
        )
    table = done.tables[CELLS]
    hidden = table.loc[table["lost_px"] == table["area_px"], "source"].tolist()
    if hidden:
        notices.append(f"{len(hidden)} cell(s) lie wholly under others and have no pixel left, first {hidden[0]}")
    cells = dict(sorted(Counter(table["class"]).items()))
    write_csv(output / "cells.csv", table)
    told = {"cells": cells, "inputs": inputs, "problems": problems, "notices": notices}
    write_json(
        output / "manifest.json", {"settings": settings, "versions": _versions(), "fields": dict(fields), **told}
    )
    return PrepareResult(output, dict(fields), cells, tuple(problems), tuple(notices), 0.0)


def _by_field(table: pd.DataFrame | None) -> Iterator[tuple[str, pd.DataFrame]]:
    yield from () if table is None else table.groupby("field", sort=False)


def _versions() -> dict[str, str]:
    packages = ("numpy", "opencv-python-headless", "deflate", "tifffile")
    return {"cellular": cellular.__version__, "python": platform.python_version(), **{p: version(p) for p in packages}}
