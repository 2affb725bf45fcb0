"""`cellular report`: the page of a run made again from what lies in its folder; nothing is measured or segmented."""

from dataclasses import fields as fields_of
from pathlib import Path

from cellular.autophagy.state.by_hand import all_measured
from cellular.data.formats.images import read_labels
from cellular.data.formats.suffixes import label_path
from cellular.data.listing import PLATE
from cellular.data.plate import Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import alone_in, read_csv, read_json
from cellular.jobs.conclude import AnalyseSettings, conclude
from cellular.jobs.corrections import Corrections, open_corrections
from cellular.jobs.evaluation_page import evaluation_page_again
from cellular.jobs.evaluation_pictures import PAGE
from cellular.jobs.flat_field import open_flat_field, settle
from cellular.jobs.runner import ITEMS, Done, Joined, finished
from cellular.jobs.runs import MADE_WITH, corrections_of
from cellular.labels.cells import pixel_hash
from cellular.settings import settings_from
from cellular.tables import read_table


def report(run: str | Path) -> Path:
    """Make ``report.html`` of the run in folder `run` again, and its tables and figures; returns the page's path.

    The images are read for pictures alone; in a run of `analyse`, fields whose images are gone are left out of these,
    and named. The brightness of evaluated cells is of the images: they are needed.

    Raises
    ------
    MissingInputError, InputError : no `analyse`, `evaluate`, `reproduce` or `demo` of this version wrote the folder, it
        has no field, files that it rests on have changed, or outlines were corrected since they were measured.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> result = cellular.analyse(made.images, "analysis", labels=made.truth)
    >>> cellular.report("analysis") == result.page
    True
    """
    run = Path(run)
    if (run / "analyse.json").is_file():
        return _analysis(run)
    if (run / PAGE).is_file():
        with alone_in(run):
            return evaluation_page_again(run)
    if list(run.glob("*_eval.json")):
        raise InputError(f"{run} was evaluated without a page, or by an earlier version; run cellular evaluate again")
    raise MissingInputError(f"{run} is no run of analyse, evaluate, reproduce or demo: no analyse.json or {PAGE} in it")


def _analysis(run: Path) -> Path:
    if not (run / MADE_WITH).is_file():
        raise InputError(f"{run} was made by an earlier version; run cellular analyse again, fields that are done stay")
    with alone_in(run):
        record = read_json(run / "analyse.json")
        known = {one.name for one in fields_of(AnalyseSettings)}
        settings = settings_from(AnalyseSettings, {name: value for name, value in record.items() if name in known})
        plate = Plate.from_dict(read_json(run / PLATE))
        known_fields = {item.name for item in plate.fields}
        names = [name for name in finished(run) if name in known_fields]
        if not names:
            raise InputError(f"{run} has no field that is done; run cellular analyse")
        flat = settle(open_flat_field(plate, settings.flat_field), plate, run)
        made_with = read_json(run / MADE_WITH)
        folder = corrections_of(run)
        edits = open_corrections(folder) if folder else None
        if edits:
            _check_measured(run, names, edits)
            plate = _outlined_by(plate, edits)
        passed_over = read_csv(run / "problems.csv")
        missing = dict(zip(passed_over["field"], passed_over["problem"]))
        done_names = set(names)
        missing = {name: why for name, why in missing.items() if name not in done_names}
        done = Done(Joined(run, names), {}, tuple(names))
        return conclude(plate, done, run, settings, record, flat, made_with["exclude"], missing, edits).page


def _outlined_by(plate: Plate, edits: Corrections) -> Plate:
    """The plate with the corrected label images where they lie now: the run may have been moved since."""
    kept = {item.name: item.labels for item in plate.fields if item.labels}
    return plate.with_labels(kept | {name: label_path(edits.folder, name) for name in edits.fields})


def _check_measured(run: Path, names: list[str], edits: Corrections) -> None:
    """Raise InputError where a field's outlines were corrected, or corrections taken back, since it was measured."""
    for name in dict.fromkeys(entry["field"] for entry in edits.log):
        path = label_path(edits.folder, name)
        if name not in names or not (path.is_file() or name in edits.fields):
            continue
        labels = read_labels(path) if path.is_file() else None
        cells = read_table(run / ITEMS / name / "cells.csv")
        if labels is None or pixel_hash(labels) != edits.of(name)[-1]["after"] or not all_measured(cells, labels):
            raise InputError(
                f"{name} was corrected in {edits.folder} since it was measured: run cellular analyse again with "
                "--corrections, which measures it and makes the page"
            )
