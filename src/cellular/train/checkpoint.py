"""Everything a run needs to go on as if it had never stopped, and a JSON beside it that a person can read."""

from pathlib import Path
from typing import Any

import torch

from cellular.errors import InputError, MissingInputError
from cellular.files import write_bytes, write_json
from cellular.segment.model.weights import torch_bytes

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any], summary: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) and its human-readable `summary`, each whole or not at all."""
    path = folder / CHECKPOINT
    write_bytes(path, torch_bytes(state))
    write_json(path.with_suffix(".json"), summary)


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """State of the last checkpoint in `folder`. Raises MissingInputError or InputError naming the file."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise MissingInputError(f"Nothing to resume: {path} is not there; start without --resume")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(f"{path} cannot be read: {error}; delete {folder} and train again") from error
