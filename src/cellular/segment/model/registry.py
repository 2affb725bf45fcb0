"""Models by name or file: a network and what one has to know to feed it."""

import json
import logging
import math
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from safetensors import safe_open

from cellular.data.archive.catalogue import WEIGHTS
from cellular.data.archive.download import fetch_size_model, fetch_weights, find_weights, list_weights
from cellular.errors import MissingInputError, WeightsError
from cellular.files import read_json, sha256_of, write_json
from cellular.segment.model.network import CPnet
from cellular.segment.model.size import SizeModel, load_size_model
from cellular.segment.model.weights import SAFETENSORS, load_network, read_state, save_network
from cellular.segment.scores import ScoreModel
from cellular.settings import settings_from, settings_to_dict

logger = logging.getLogger(__name__)

# The models that come with the package, each in a folder of its own beside this file.
STARTER = "starter"
SHIPPED = (STARTER, "nuclei")
_METADATA = "cellular"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _words(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) for word in value)


def _channels(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(type(c) is int and 0 <= c < 1000 for c in value)


def _score(value: object) -> bool:
    known = {field.name for field in fields(ScoreModel)}
    return value is None or (isinstance(value, dict) and set(value) <= known and all(map(_number, value.values())))


# What each piece of a model's information must be.
_FITS = {
    "channels": _channels,
    "roles": _words,
    "optional_roles": _words,
    "flow_threshold": _number,
    "cellprob_threshold": _number,
    "augment": lambda value: isinstance(value, bool),
    "resample": lambda value: isinstance(value, bool),
    "score": _score,
    "about": lambda value: isinstance(value, str),
    "trained_on": _words,
}


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about itself; a plain Cellpose file says nothing and gets these defaults.

    Attributes
    ----------
    channels : image channels the network was trained on (see :func:`to_network_input`); (0, 0) is grey.
    roles : what these channels are ("mRFP", "EGFP", "transmitted", ...); empty for a model of any images.
    optional_roles : those of them that it can do without.
    flow_threshold, cellprob_threshold : what to segment with where nothing else is asked for (Cellpose's defaults).
    augment, resample : whether to average over flips, and whether to follow flows at the image's own scale; likewise.
    score : coefficients that turn a cell's measurements into the probability that it is right; None without them.
    about : one line for people.
    trained_on : what tells the images of the fields that it has learned from (:mod:`cellular.jobs.learned`).
    """

    channels: tuple[int, ...] = (0, 0)
    roles: tuple[str, ...] = ()
    optional_roles: tuple[str, ...] = ()
    flow_threshold: float = 0.4
    cellprob_threshold: float = 0.0
    augment: bool = False
    resample: bool = True
    score: dict | None = None
    about: str = ""
    trained_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A model file comes from anywhere: what it says of itself is checked here, once.
        wrong = [name for name, fits in _FITS.items() if not fits(getattr(self, name))]
        if wrong:
            raise WeightsError(f"the model's information has {wrong[0]} = {getattr(self, wrong[0])!r}, which cannot be")
        if self.roles and len(self.roles) != len(self.channels):
            raise WeightsError(f"the model has {len(self.channels)} channels and {len(self.roles)} roles for them")


@dataclass(frozen=True)
class Model:
    """A network and how to use it.

    Attributes
    ----------
    name : as asked for.
    path : file it came from.
    network : on the CPU, in evaluation mode.
    info : channels and scores.
    diameter : mean cell diameter (px) of its training labels; None for a stock model, whose users' cells vary.
    size : Cellpose's size model, where there is one beside a stock model.
    """

    name: str
    path: Path
    network: CPnet
    info: ModelInfo
    diameter: float | None
    size: SizeModel | None = None

    def __reduce__(self) -> tuple:
        """Pickled, a model is the name of its file: weights stay out of messages to workers, who share the disk."""
        about = (self.name, self.path.resolve(), self.info, self.diameter, self.size)
        return _arrived, (*about, sha256_of(self.path))

    @property
    def score_model(self) -> ScoreModel:
        """Calibrated per-cell score, or the uncalibrated default."""
        return settings_from(ScoreModel, self.info.score) if self.info.score else ScoreModel()


def load_model(name_or_path: str | Path) -> Model:
    """Load a model: "starter" or "nuclei", a catalogue name (fetched if it is not here yet), or a file.

    Raises WeightsError for a name that is neither, or weights that cannot be obtained; nothing else is loaded instead.
    """
    name = str(name_or_path)
    if name in SHIPPED:
        return _from_file(name, shipped_path(name))
    if name in WEIGHTS:
        path = find_weights(name) or fetch_weights(name)
        size = fetch_size_model(name) if WEIGHTS[name].size_url else None
        model = _from_file(name, path)
        # The paper's fine-tuned models know their cells; Cellpose's own are for anybody's.
        diameter = None if WEIGHTS[name].size_url else model.diameter
        return Model(name, path, model.network, model.info, diameter, load_size_model(size) if size else None)
    if not Path(name).exists():
        raise WeightsError(
            f"No model '{name}': neither a file nor one of {', '.join([*SHIPPED, *WEIGHTS])}. "
            "Name one of those or give the path of a model file"
        )
    model = _from_file(name, Path(name))
    if model.path.suffix != SAFETENSORS and not info_path(model.path).is_file():
        logger.warning(
            "%s: no %s beside it says which channels it was trained on; grey (0 0) is taken unless some are given",
            model.path, info_path(model.path).name,
        )  # fmt: skip
    return model


def shipped_path(name: str) -> Path:
    """File of one of the models that ship with the package.

    Raises WeightsError where this build has none of that name.
    """
    path = Path(str(resources.files("cellular.segment.model") / name / f"{name}.safetensors"))
    if not path.is_file():
        raise WeightsError(f"This build of cellular ships no {name} model; use cyto, cyto2, cyto3 or a model file")
    return path


def list_models() -> list[dict[str, str | None]]:
    """A row for every model that can be named: those that ship here first, then those of :func:`list_weights`."""
    return [*map(_shipped_row, SHIPPED), *list_weights()]


def _shipped_row(name: str) -> dict[str, str | None]:
    path = shipped_path(name)
    row = {"name": name, "path": str(path), "url": None, "sha256": sha256_of(path)}
    return row | {"licence": "ships with cellular", "citation": read_info(path).about}


def _arrived(
    name: str, path: Path, info: ModelInfo, diameter: float | None, size: SizeModel | None, sha256: str
) -> Model:
    """The model of another process; WeightsError where this one finds another file, or none."""
    path = shipped_path(name) if name in SHIPPED else path
    if not path.is_file() or sha256_of(path) != sha256:
        raise WeightsError(f"{path} is not here, or not the file that the run was begun with; is the disk shared?")
    return Model(name, path, load_network(path), info, diameter, size)


def _from_file(name: str, path: Path) -> Model:
    if path.is_dir():
        raise MissingInputError(f"{path} is a folder; give the model file inside it")
    network = load_network(path)
    diameter = float(network.diam_labels) if "diam_labels" in read_state(path) else None
    return Model(name, path, network, read_info(path), diameter)


def info_path(path: Path) -> Path:
    """Where a Cellpose-format file's information lies: beside it, with .json added."""
    return path.with_name(path.name + ".json")


def read_info(path: Path) -> ModelInfo:
    """Information of a model file: inside a safetensors file, beside a Cellpose one, else the defaults.

    Raises WeightsError where it is damaged.
    """
    if path.suffix == SAFETENSORS:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_METADATA)
        try:
            values = json.loads(text) if text else {}
        except ValueError as error:
            raise WeightsError(f"{path}: its information is not JSON: {error}") from error
    else:
        values = read_json(info_path(path)) if info_path(path).is_file() else {}
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: its information is no table of settings")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return settings_from(ModelInfo, values)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def save_model(path: str | Path, network: CPnet, info: ModelInfo, half: bool = False) -> None:
    """Save a network with its information: one safetensors file, or a Cellpose file with a JSON beside it."""
    path = Path(path)
    values = settings_to_dict(info)
    if path.suffix == SAFETENSORS:
        save_network(path, network, half, {_METADATA: json.dumps(values)})
    else:
        # Information first: a model without it would be used wrongly, information without a model is not used.
        write_json(info_path(path), values)
        save_network(path, network, half)
