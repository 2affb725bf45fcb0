"""What :mod:`cellular.jobs.teach` left behind: its lessons, and whether their models are kept."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellular.errors import InputError, MissingInputError
from cellular.files import read_json, whole_file, write_json

RESULT, MODEL = "teach.json", "model.safetensors"
# What a lesson is judged by: F1 at IoU 0.5, and the mean over thresholds, which sees how well outlines fit.
JUDGED = ("instance.0.50.f1", "instance.mean_ap")


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
