"""All experiments of the paper in one command: pretrained against fine-tuned, on every split."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from cellular.errors import CellularError, InputError, SettingsError, WeightsError
from cellular.evaluate.result import EvaluationResult
from cellular.files import alone_in, read_json
from cellular.jobs.evaluate import evaluate
from cellular.jobs.evaluation_page import write_evaluation_page
from cellular.jobs.evaluation_pictures import draw_evaluation
from cellular.jobs.models_table import comparison, write_comparison
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.jobs.train import train
from cellular.segment.model.registry import load_model
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.train.loop import DIAMETERS, TrainingResult
from cellular.train.settings import TrainSettings

logger = logging.getLogger(__name__)

# Al Outa et al. 2023: the pretrained models are evaluated at this diameter, px.
PRETRAINED_DIAMETER = 121.0
SPLITS = ("test", "valid", "train")
KEYS = ("model", "weights", "split")


@dataclass(frozen=True)
class ReproduceSettings:
    """The published experiments, or less of them.

    Attributes
    ----------
    models : what to fine-tune and compare, by name or file ("scratch" has no pretrained side).
    images : folder of the images; None looks beside the masks.
    train : settings of the training; the model is filled in. pretrained_diameter : px.
    """

    models: tuple[str, ...] = ("cyto", "cyto2")
    images: str | None = None
    train: TrainSettings = field(default_factory=TrainSettings)
    pretrained_diameter: float = PRETRAINED_DIAMETER


@dataclass(frozen=True)
class ReproduceResult:
    """The results table, where it is, and what could not be done and why."""

    folder: Path
    table: pd.DataFrame
    problems: tuple[str, ...]


def reproduce(masks: str | Path, out: str | Path, settings: ReproduceSettings | None = None) -> ReproduceResult:
    """Prepare, fine-tune each model, and evaluate it fine-tuned and pretrained on test, valid and train.

    Writes ``prepared/``, ``experiments/<model>/``, ``evaluation/<model>/<weights>/<split>/`` and the table
    ``results.{csv,md,json}`` into `out`. Every stage goes on where an earlier run stopped. A model that cannot be had
    is reported with the URL and where to put its file, and the others go on.

    Raises InputError where a split has no field, or no model at all could be evaluated, SettingsError for two models of
    one name.
    """
    settings = settings or ReproduceSettings()
    names = [Path(model).name for model in settings.models]
    if twice := [model for model, name in zip(settings.models, names) if names.count(name) > 1]:
        raise SettingsError(
            f"Models are told apart by the names of their files: {' and '.join(twice)} have the same one"
        )
    with alone_in(out) as folder:
        return _reproduce(masks, folder, settings)


def _reproduce(masks: str | Path, out: Path, settings: ReproduceSettings) -> ReproduceResult:
    prepared = prepare(masks, out / "prepared", PrepareSettings(images=settings.images))
    problems = list(prepared.problems)
    if lacking := [split for split in SPLITS if not prepared.fields[split]]:  # said before days of training
        raise InputError(
            f"The experiments want fields in {', '.join(SPLITS)}; in {' and '.join(lacking)} there are none: "
            + "; ".join(problems)
        )
    folders = {split: out / "prepared" / "all" / split for split in SPLITS}
    results: dict[Sequence[str], EvaluationResult] = {}
    for model in settings.models:
        name = Path(model).name
        try:
            trained = _train(model, name, folders, out, settings.train)
        except WeightsError as error:
            problems.append(f"{model}: {error}")
            logger.warning("%s", problems[-1])
            continue
        diameter = float(read_json(trained.folder / DIAMETERS)["diam_labels"])
        sides = {"fine-tuned": (str(trained.model), diameter)}
        if model != "scratch":
            sides["pretrained"] = (model, settings.pretrained_diameter)
        for weights, (path, size) in sides.items():
            segmenter = Segmenter.from_pretrained(path, settings.train.device)
            for split in SPLITS:
                result = _evaluate(segmenter, size, folders[split], out / "evaluation" / name / weights / split)
                results[(name, weights, split)] = result
                problems += [f"{name}, {weights}, {split}: {field}: {text}" for field, text in result.problems.items()]
    if not results:
        raise InputError("No model could be evaluated:\n" + "\n".join(problems))
    table = comparison(results, KEYS)
    by_split = {split: result.clusters.note for (*_, split), result in results.items()}
    notes = "\n\n".join(f"{split}: {note}" for split, note in by_split.items())
    write_comparison(table, KEYS, out / "results", notes + "".join(f"\n\nNot done: {p}" for p in problems))
    # the page looks into the last, and tells what it has over each other: a fine-tuned one, over the pretrained
    last = sorted(results.items(), key=lambda one: one[0][1] == "fine-tuned")
    tested = {f"{name}, {weights}": result for (name, weights, split), result in last if split == "test"}
    scored = [[one.name for one in result.fields] for result in tested.values()]
    shown = {name: r for (name, r), own in zip(tested.items(), scored) if own == scored[-1]}
    typed = ["cellular", "reproduce", str(masks), str(out), "--config", str(out / "reproduce.toml")]
    write_evaluation_page(shown, out, [shlex.join(typed)])
    return ReproduceResult(out, table, tuple(problems))


def _train(model: str, name: str, folders: dict[str, Path], out: Path, settings: TrainSettings) -> TrainingResult:
    """Fine-tune, go on with an interrupted training, or take the finished one."""
    if model != "scratch":
        load_model(model)  # before anything is written: a model that cannot be had leaves no experiment behind
    settings = replace(settings, model_type=model)
    begun = (out / "experiments" / name / "checkpoint.pt").is_file()
    return train(folders["train"], folders["valid"], name, out / "experiments", settings, resume=begun)


def _evaluate(segmenter: Segmenter, diameter: float, folder: Path, out: Path) -> EvaluationResult:
    try:
        result = evaluate(folder, out, segmenter, SegmentSettings(diameter=diameter))
    except CellularError as error:
        raise type(error)(f"{folder}: {error}") from error
    draw_evaluation(result)
    return result
