"""What :mod:`cellular.jobs.teach` left behind: its lessons, and whether their models are kept."""

import shutil
from pathlib import Path
from typing import Any

from cellular.errors import InputError, MissingInputError
from cellular.files import read_json, whole_file, write_json

RESULT, MODEL = "teach.json", "model.safetensors"


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
