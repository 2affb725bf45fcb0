"""The plate that a run was made of, from the run's folder: nothing is found anew, and no image is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellular.data.formats.suffixes import label_path
from cellular.data.label_files import match_labels
from cellular.data.listing import PLATE
from cellular.data.plate import Plate
from cellular.errors import MissingInputError
from cellular.files import read_json

# What made the tables, and what was to be left out: beside the settings, which a run that goes on must share.
MADE_WITH = "made_with.json"
# The verbs whose output can be looked at.
VERBS = ("analyse", "measure", "segment")


def verb_of(folder: str | Path) -> str | None:
    """The verb of :data:`VERBS` that wrote `folder`; None for any other folder."""
    return next((verb for verb in VERBS if (Path(folder) / f"{verb}.json").is_file()), None)


def plate_of_run(run: str | Path, images: str | Path | None = None) -> Plate:
    """The plate that analyse, measure or segment was given, its fields with the label images that the run went by.

    Parameters
    ----------
    run : folder that one of :data:`VERBS` wrote.
    images : where the images are now, if they are no longer where they were.

    Raises MissingInputError where the images, or the label images that were given, are gone.
    """
    run = Path(run)
    verb = verb_of(run)
    plate = Plate.from_dict(read_json(run / PLATE))
    if images is not None:
        plate = plate.moved_to(images)
    if not all(path.exists() for item in plate.fields[:1] for path in (plate.folder, *item.images)):
        raise MissingInputError(f"{run} was made of {plate.folder}, which is not there; say where it is with --images")
    return _outlined(plate, run, verb, read_json(run / f"{verb}.json"))


def measured_plate(run: str | Path) -> Plate:
    """The plate of a run, its fields with the label images that its tables are of: corrected ones, where there are any.

    Raises as :func:`plate_of_run`, and where a label image that the run was measured by is gone.
    """
    run = Path(run)
    plate = plate_of_run(run)
    if verb_of(run) == "segment":
        return plate
    told = Plate.from_dict(read_json(run / PLATE))
    used = {item.name: _now(item.labels, run) for item in told.fields if item.labels is not None}
    return plate.with_labels({item.name: item.labels for item in plate.fields if item.labels} | used)


def corrections_of(run: Path) -> Path | None:
    """The corrections that an analysis was made with, which may lie in its own folder; None without."""
    told = read_json(run / MADE_WITH).get("corrections") if (run / MADE_WITH).is_file() else None
    if not told:
        return None
    own = run / told
    return own if own.is_dir() else Path(told)


def _now(path: Path, run: Path) -> Path:
    """Where a label image that the run was measured by lies now: one of the run's own corrections moved with it."""
    folder = corrections_of(run) or (path.parent if path.is_file() else run / "corrections")
    if folder.name == path.parent.name and (folder / path.name).is_file():
        return folder / path.name
    if not path.is_file():
        raise MissingInputError(f"{run} was measured by {path}, which is gone; measure it again")
    return path


def _outlined(plate: Plate, run: Path, verb: str | None, record: Mapping[str, Any]) -> Plate:
    if verb != "segment" and record.get("labels"):
        if not Path(record["labels"]).is_dir():
            raise MissingInputError(f"{run} was measured by the label images in {record['labels']}, which is gone")
        return plate.with_labels(match_labels(plate.fields, record["labels"]))
    place = run if verb == "segment" else run / "labels"
    paths = {item.name: label_path(place, item.name) for item in plate.fields}
    return plate.with_labels({name: path for name, path in paths.items() if path.is_file()})
