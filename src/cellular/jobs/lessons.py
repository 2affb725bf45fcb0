"""Lessons of :mod:`cellular.jobs.teach`: which fields they are of, and whether what they left behind is kept."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cellular.data.plate import FieldFiles
from cellular.errors import InputError, MissingInputError
from cellular.files import read_json, whole_file, write_json

RESULT, MODEL = "teach.json", "model.safetensors"
# What a lesson is judged by: F1 at IoU 0.5, and the mean over thresholds, which sees how well outlines fit.
JUDGED = ("instance.0.50.f1", "instance.mean_ap")

# One corrected field in so many is not learnt from but looked at afterwards, and in as many again thresholds settled.
EVERY = 5
# Below this many fields to learn from, none can be spared to settle thresholds on.
ENOUGH_TO_CALIBRATE = 10


def shares(
    fields: Sequence[FieldFiles],
) -> tuple[tuple[FieldFiles, ...], tuple[FieldFiles, ...], tuple[FieldFiles, ...]]:
    """Fields to learn from, to settle thresholds on, and to hold out: the latest are held out.

    A position is in one of them with all of its timepoints: they show the same cells. Raises InputError for fewer than
    two positions.

    >>> [len(part) for part in shares([FieldFiles(str(n), ()) for n in range(6)])]
    [5, 0, 1]
    >>> [len(part) for part in shares([FieldFiles(str(n), ()) for n in range(15)])]
    [9, 3, 3]
    """
    positions: dict[str, list[FieldFiles]] = {}
    for item in fields:
        positions.setdefault(item.series or item.name, []).append(item)
    if len(positions) < 2:
        raise InputError(
            f"{len(fields)} corrected field(s) of {len(positions)} position(s): teaching takes two positions or more, "
            "one of them to see whether it helped on cells that it has not seen"
        )
    parts, number = list(positions.values()), max(1, len(fields) // EVERY)
    held = _latest(parts, number)
    settled = _latest(parts, number) if sum(map(len, parts)) >= ENOUGH_TO_CALIBRATE else ()
    return tuple(chain(*parts)), settled, held


def _latest(positions: list[list[FieldFiles]], number: int) -> tuple[FieldFiles, ...]:
    """Take the latest positions off the list, of `number` fields or a few more; the first one stays."""
    taken: list[list[FieldFiles]] = []
    while len(positions) > 1 and sum(map(len, taken)) < number:
        taken.insert(0, positions.pop())
    return tuple(chain(*taken))


def helped(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether the model is worth keeping: no score of :data:`JUDGED` fell on the fields held out, and one rose.

    >>> helped({"instance.0.50.f1": 0.8, "instance.mean_ap": 0.6}, {"instance.0.50.f1": 0.9, "instance.mean_ap": 0.5})
    False
    """
    change = [after[name] - before[name] for name in JUDGED]
    return min(change) >= 0 and max(change) > 0


def decide(out: str | Path, keep: bool, models: str | Path) -> Path | None:
    """Keep the model of a lesson, as ``models/<lesson>.safetensors``, or delete it; its path where it is kept."""
    out, kept = Path(out), Path(models) / f"{Path(out).name}.safetensors"
    if not (out / RESULT).is_file():
        raise MissingInputError(f"{out} holds no {RESULT}: there is nothing to decide yet")
    told = read_json(out / RESULT)
    if told["kept"] is not None:
        raise InputError(f"{out} was {'kept' if told['kept'] else 'discarded'} already")
    if keep:
        with whole_file(kept) as temporary:
            shutil.copyfile(out / MODEL, temporary)
    write_json(out / RESULT, {**told, "kept": keep})
    (out / MODEL).unlink()
    shutil.rmtree(out / "experiments", ignore_errors=True)
    return kept if keep else None


def lessons(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What is known of each finished lesson in `folder`, by name, the oldest first."""
    return {path.parent.name: read_json(path) for path in sorted(Path(folder).glob(f"*/{RESULT}"))}
