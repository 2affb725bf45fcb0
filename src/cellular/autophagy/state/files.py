"""A trained state classifier on disk: skops, never pickle."""

import zipfile
from dataclasses import asdict
from pathlib import Path

from sklearn.calibration import CalibratedClassifierCV
from skops.io import dump, get_untrusted_types, load

from cellular.autophagy.state.trees import ClassifySettings
from cellular.errors import InputError, MissingInputError
from cellular.files import whole_file
from cellular.settings import settings_from

FORMAT = "cellular-state-1"
# What gradient-boosted trees are made of beside what skops trusts by itself; anything else in a file is refused.
_TREES = ("sklearn._loss.", "sklearn.ensemble._hist_gradient_boosting.", "sklearn.calibration.")


def save_model(path: str | Path, model: CalibratedClassifierCV, settings: ClassifySettings) -> Path:
    """Write a model with the settings it was trained with."""
    with whole_file(path) as temporary:
        dump({"format": FORMAT, "settings": asdict(settings), "model": model}, temporary)
    return Path(path)


def load_model(path: str | Path) -> tuple[CalibratedClassifierCV, ClassifySettings]:
    """Read a model of :func:`save_model`; a file that holds any type but the trees' own is refused, not run."""
    if not Path(path).is_file():
        raise MissingInputError(f"No such model: {path}")
    try:
        unknown = get_untrusted_types(file=path)
        strange = [name for name in unknown if not name.startswith(_TREES)]
        content = {} if strange else load(path, trusted=unknown)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise InputError(f"{path} is not a model of cellular classify: {error}") from error
    if strange:
        raise InputError(f"{path} holds a {strange[0]}, which no model of cellular classify does; it was not loaded")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is not a model of cellular classify")
    settings = content["settings"]
    return content["model"], settings_from(ClassifySettings, {**settings, "features": tuple(settings["features"])})
