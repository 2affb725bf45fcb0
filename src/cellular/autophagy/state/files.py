"""Trained trees on disk: arrays in safetensors, everything else as JSON in the file's header; nothing to run."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cellular.autophagy.state.tree_model import ARRAYS, DTYPES, ClassifySettings, TreeModel
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.files import write_bytes
from cellular.settings import settings_from

FORMAT = "cellular-trees-1"


def save_model(path: str | Path, model: TreeModel) -> Path:
    """Write a model with the settings it was trained with; the same model gives the same bytes."""
    about = json.dumps({"format": FORMAT, "settings": asdict(model.settings)})
    write_bytes(path, save({name: getattr(model, name) for name in ARRAYS}, {"cellular": about}))
    return Path(path)


def read_header(path: str | Path) -> dict:
    """What a model of classify says of itself: ``format``, ``settings`` and more by format.

    Raises MissingInputError where there is no file, InputError for one that is no such model. Models of the former
    format, ``.skops``, are refused: such a file can run any command when it is read.
    """
    path = Path(path)
    if path.suffix.lower() == ".skops":
        raise InputError(f"{path}: .skops models are not read, they can run commands; train again with classify train")
    if not path.is_file():
        raise MissingInputError(f"No such model: {path}")
    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {}).get("cellular", "{}"))
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not a model of cellular classify: {error}") from error
    if not isinstance(about, dict) or not isinstance(about.get("format"), str):
        raise InputError(f"{path} is a safetensors file, but not a model of cellular classify")
    return about


def with_words(kept: object, *names: str) -> dict:
    """Settings from a file's header with the lists of words `names` as tuples; TypeError for what is no such thing."""
    if not isinstance(kept, dict):
        raise TypeError(f"its settings are {kept!r}")
    for name in set(names) & set(kept):
        if not isinstance(kept[name], list) or not all(isinstance(word, str) for word in kept[name]):
            raise TypeError(f"{name} is {kept[name]!r}, not a list of words")
    return {**kept, **{name: tuple(kept[name]) for name in names if name in kept}}


def load_model(path: str | Path) -> TreeModel:
    """Read a model of :func:`save_model`; every array and setting is checked before one is used.

    Raises MissingInputError where there is no file, InputError for one that is no such model.
    """
    about = read_header(path)
    if about["format"] != FORMAT:
        raise InputError(f"{path} is a {about['format']}, not trees of cellular classify ({FORMAT})")
    try:
        kept = about["settings"]
        settings = settings_from(ClassifySettings, with_words(kept, "features", "states"))
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        _check(arrays, settings)
    except (CellularError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a model of cellular classify: {error}") from error
    return TreeModel(settings, **arrays)


def _check(arrays: Mapping[str, np.ndarray], settings: ClassifySettings) -> None:
    """Raise InputError for arrays that are not trees: names, types, shapes, numbers, and where nodes lead."""
    states = len(settings.known)
    decisions = 1 if states == 2 else states
    if set(arrays) != set(ARRAYS):
        raise InputError(f"it holds the arrays {sorted(arrays)}, not {sorted(ARRAYS)}")
    nodes = arrays["value"].size
    lone = {
        "start": arrays["start"].shape,
        "usual": (len(settings.features),),
        "seen": (len(settings.features), 2),
        "baseline": (decisions,),
        "sigmoid": (decisions, 2),
    }
    for name, array in arrays.items():
        shape = lone.get(name, (nodes,))
        if array.dtype != DTYPES[name] or array.shape != shape:
            raise InputError(f"{name} is {array.dtype} of shape {array.shape}, not {DTYPES[name]} of shape {shape}")
        if np.isinf(array).any() or (name not in ("usual", "seen") and np.isnan(array).any()):
            raise InputError(f"{name} holds values that are not finite")
    _check_start(arrays["start"], nodes, decisions)
    if (arrays["missing_left"] > 1).any() or (arrays["count"] < 0).any():
        raise InputError("missing_left holds something else than 0 and 1, or count a number below 0")
    if ((arrays["feature"] < 0) | (arrays["feature"] >= len(settings.features))).any():
        raise InputError(f"feature holds numbers outside the {len(settings.features)} features")
    for root, stop in zip(arrays["start"][:-1], arrays["start"][1:]):
        _check_tree(arrays["left"][root:stop] - root, arrays["right"][root:stop] - root)


def _check_start(start: np.ndarray, nodes: int, decisions: int) -> None:
    """The first nodes of trees: rising from 0 to the number of nodes, as many trees for each decision."""
    if start.ndim != 1 or len(start) < 2 or start[0] != 0 or start[-1] != nodes or (start[1:] <= start[:-1]).any():
        raise InputError(f"start does not cut {nodes} nodes into trees")
    if (len(start) - 1) % decisions:
        raise InputError(f"{len(start) - 1} trees do not share out among {decisions} decisions")


def _check_tree(left: np.ndarray, right: np.ndarray) -> None:
    """Children of one tree, counted from its root: inside it, after their parent, each the child of one node."""
    own = np.arange(len(left))
    inner = left != own
    children = np.concatenate([left[inner], right[inner]])
    if ((left < own) | (right < own) | (left >= len(own)) | (right >= len(own)) | (inner != (right != own))).any():
        raise InputError("a node leads out of its tree or back")
    if not np.array_equal(np.sort(children), own[1:]):
        raise InputError("a node of a tree has no parent, or two")
