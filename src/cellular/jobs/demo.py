"""The whole job on simulated fields, in minutes: what `cellular demo` shows a newcomer."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cellular.errors import OutputExistsError
from cellular.evaluate.result import EvaluationResult
from cellular.files import alone_in, empty_folder, is_leftover, write_json
from cellular.jobs.evaluate import evaluate
from cellular.jobs.evaluation_page import write_evaluation_page
from cellular.jobs.evaluation_pictures import draw_before_after, draw_evaluation
from cellular.jobs.models_table import comparison, write_comparison
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.jobs.simulate import simulate
from cellular.jobs.train import train
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.simulate.settings import SimulationSettings
from cellular.train.settings import TrainSettings

# Written when the demo ends well, and what tells its folder from anybody else's.
MARK = "demo.json"
KEYS = ("model",)
EXPERIMENT = "demo"


@dataclass(frozen=True)
class DemoSettings:
    """How much to simulate and to train.

    Attributes
    ----------
    fields : positions, of which a third is for training, the rest for validation and test.
    size_px, diameter_px : side of a field and mean cell diameter.
    epochs : passes over the training fields. seed : of the simulation and the training.
    device : "auto", "cpu", "cuda", ...
    """

    fields: int = 9
    size_px: int = 512
    diameter_px: float = 40.0
    epochs: int = 12
    seed: int = 0
    device: str = "auto"


QUICK = DemoSettings(fields=3, size_px=256, epochs=2)


@dataclass(frozen=True)
class DemoResult:
    """Where everything is, the table of models, and how long it took (s)."""

    folder: Path
    table: pd.DataFrame
    picture: Path
    seconds: float


def demo(out: str | Path, settings: DemoSettings | None = None) -> DemoResult:
    """Simulate a small dataset, prepare it, fine-tune the starter model on it and score both on the test fields.

    Raises OutputExistsError where `out` holds something that an earlier demo did not make.
    """
    out = Path(out)
    if out.is_dir() and not (out / MARK).is_file() and not all(map(is_leftover, out.iterdir())):
        raise OutputExistsError(f"{out} is in use and no demo made it; name another folder with --out")
    with alone_in(out):
        empty_folder(out, MARK)
        return _demo(out, settings or DemoSettings())


def _demo(out: Path, settings: DemoSettings) -> DemoResult:
    started = time.perf_counter()
    write_json(out / MARK, {"finished": False})
    simulated = simulate(
        out / "simulated",
        SimulationSettings(
            fields=settings.fields, size_px=settings.size_px, diameter_px=settings.diameter_px, seed=settings.seed
        ),
    )
    prepared = out / "prepared"
    prepare(simulated.folder, prepared, PrepareSettings(images=str(simulated.composites), overlap="smallest"))
    folders = {split: prepared / "all" / split for split in ("train", "valid", "test")}
    trained = train(
        folders["train"],
        folders["valid"],
        EXPERIMENT,
        out / "experiments",
        TrainSettings(
            model_type="starter",
            n_epochs=settings.epochs,
            fields_per_epoch=64,
            optimizer="adamw",
            schedule="cosine",
            learning_rate=1e-3,
            weight_decay=1e-2,
            crop_size=160,
            ema=0.9,
            min_train_masks=1,
            validate_every=max(1, settings.epochs // 4),
            seed=settings.seed,
            device=settings.device,
        ),
    )
    diameter = settings.diameter_px
    results: dict[Sequence[str], EvaluationResult] = {
        ("starter",): _score(folders["test"], out, "starter", "starter", settings.device, diameter),
        ("fine-tuned",): _score(folders["test"], out, "fine-tuned", str(trained.best), settings.device, diameter),
    }
    table = comparison(results, KEYS)
    write_comparison(table, KEYS, out / "results")
    write_evaluation_page({name: result for (name,), result in results.items()}, out, _commands(out, settings))
    picture = draw_before_after(results[("starter",)], results[("fine-tuned",)], out / "before_after.jpg")
    seconds = time.perf_counter() - started
    write_json(out / MARK, {"finished": True, "seconds": round(seconds, 1)})
    return DemoResult(out, table, picture, seconds)


def _commands(out: Path, settings: DemoSettings) -> list[str]:
    """What is typed for the same again; nothing for settings that the command line does not offer."""
    typed = ["cellular", "demo", "--out", str(out), "--seed", str(settings.seed), "--device", settings.device]
    for offered, flags in ((DemoSettings(), []), (QUICK, ["--quick"])):
        if replace(offered, seed=settings.seed, device=settings.device) == settings:
            return [shlex.join([*typed, *flags])]
    return []


def _score(folder: Path, out: Path, name: str, model: str, device: str, diameter: float) -> EvaluationResult:
    segmenter = Segmenter.from_pretrained(model, device)
    result = evaluate(folder, out / "evaluation" / name, segmenter, SegmentSettings(diameter=diameter))
    draw_evaluation(result)
    return result
