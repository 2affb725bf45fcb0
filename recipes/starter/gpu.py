"""Train candidate recipes with wells left out, and the models that ship, side by side on one GPU in a given time.

    python recipes/starter/gpu.py --data PACKED --out OUT --seconds 540 [--recipes strong24 close24] [--device auto]

PACKED is what pack.py wrote. All trainings take their steps in turn, each on a stream of its own, with a learning rate
that falls to nothing by the clock, so that they end together. OUT gets, now and then and at the end,

- ``<recipe>_fold<k>.safetensors``: models of each recipe that have not seen the wells of fold k (heldout.py tells
  what they find there); of further seeds ``<recipe>-<seed>_fold<k>``;
- ``<recipe>_43.safetensors``: of all fields, with twice the steps (not with `--folds_only`);
  ``nuclei<px>.safetensors``: of nuclei at that scale;
- ``log.txt``.

Folds leave whole wells out. The "val" fields of split.json are among them.
"""

import argparse
import itertools
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from atlas import ALL, GREEN, GREY, RED, REPORTER, Atlas, Crops, Cut, Packed, Source
from boxes import FIELD_DIAMETER
from planes import FIELD_SCALE, listing, pack
from stepper import Stepper

from cellular.device import resolve_device
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model

LEARNING_RATE, WEIGHT_DECAY, WARM_UP, KEEP = 2e-3, 0.03, 0.05, 0.995
SAVE_EVERY_S, LOG_EVERY_S, LAST_S = 120.0, 20.0, 5.0
# Trainings are waited for after so many rounds: the clock must be the GPU's, not the queue's.
ROUNDS = 10
FLOW_THRESHOLD = 0.8
# Whole wells left out together; C05 alone holds 15 of the 43 fields.
FOLDS = ({"C05"}, {"I04"}, {"I06"}, {"C03", "C06", "K07"})


@dataclass(frozen=True)
class Recipe:
    """What is learned from, and how hard.

    Attributes
    ----------
    width : of the first level. strong, close : see :class:`Cut`. dropout : whether channels are left out.
    shares : of all crops, of real fields, nuclei and simulated sheets.
    """

    width: int = 16
    strong: bool = False
    close: bool = False
    dropout: bool = False
    shares: tuple[float, float, float] = (0.72, 0.28, 0.0)


WIDE = Recipe(24, strong=True, dropout=True, shares=(0.7, 0.15, 0.15))
RECIPES = {
    "base": Recipe(),
    "dropout": Recipe(dropout=True),
    "strong": Recipe(strong=True, dropout=True, shares=(0.7, 0.15, 0.15)),
    "strong24": WIDE,
    "close24": Recipe(24, strong=True, close=True, dropout=True, shares=(0.7, 0.15, 0.15)),
}


# What is seen of a field where channels are left out, by its share of the crops.
VIEWS = {ALL: 0.6, REPORTER: 0.24, RED: 0.08, GREEN: 0.08}


@dataclass(frozen=True)
class Job:
    """One training: `held` names the fields it must not see; `steps` it takes a round; `scale`, px a cell."""

    name: str
    recipe: Recipe
    scale: float = FIELD_SCALE
    held: tuple[str, ...] = ()
    steps: int = 1
    nuclei: bool = False
    seed: int = 0


def planned(
    recipes: list[str], nuclei: list[float], fields: list[str], seeds: Sequence[int] = (0,), folds_only: bool = False
) -> list[Job]:
    """All trainings of a run."""
    jobs = []
    for name, seed in itertools.product(recipes, seeds):
        called = f"{name}-{seed}" if seed else name
        for k, held in enumerate(held_fields(fields)):
            jobs.append(Job(f"{called}_fold{k}", RECIPES[name], held=held, seed=seed))
        if not folds_only:
            jobs.append(Job(f"{called}_43", RECIPES[name], steps=2, seed=seed))
    return jobs + [Job(f"nuclei{scale:g}", Recipe(strong=True), scale, nuclei=True) for scale in nuclei]


def held_fields(fields: list[str]) -> list[tuple[str, ...]]:
    """Fields of each fold's wells."""
    return [tuple(field for field in fields if field.split("_")[-2] in wells) for wells in FOLDS]


def sources(job: Job, entries: list[tuple[str, Path]]) -> list[Source]:
    """What a job draws its crops from."""
    number = {kind: [i for i, (k, _) in enumerate(entries) if k == kind] for kind in ("fields", "nuclei", "simulated")}
    nuclei = number["nuclei"]
    if job.nuclei:
        return [Source(nuclei, 1.0, {(0,): 1.0})]
    seen = [i for i in number["fields"] if entries[i][1].stem not in job.held]
    parts = (
        (seen, VIEWS if job.recipe.dropout else {ALL: 1.0}),
        (nuclei, {GREY: 1.0}),
        (number["simulated"], {REPORTER: 0.6, RED: 0.2, GREEN: 0.2}),
    )
    return [Source(images, share, views) for (images, views), share in zip(parts, job.recipe.shares) if share]


class Training:
    """A job at work."""

    def __init__(self, job: Job, atlas: Atlas, entries: list[tuple[str, Path]], batch: int, side: int):
        self.job, self.steps = job, 0
        drawn, recipe, channels = sources(job, entries), job.recipe, 1 if job.nuclei else len(ALL)
        torch.manual_seed(job.seed)
        network, self.average = (
            build_network(channels, recipe.width).to(atlas.device, memory_format=torch.channels_last) for _ in range(2)
        )
        diameter = float(atlas.diameters[drawn[0].images].mean()) if job.nuclei else FIELD_DIAMETER
        network.diam_mean.data.fill_(job.scale)
        network.diam_labels.data.fill_(diameter)
        self.average.eval().load_state_dict(network.state_dict())
        cut = Cut(batch, side, job.scale, recipe.strong, recipe.close)
        self.step = Stepper(network, self.average, Crops(atlas, drawn, cut, job.seed), WEIGHT_DECAY, KEEP)
        self.warm = False

    def round(self, progress: float) -> None:
        """The steps of a round, when `progress` of the time has gone."""
        for _ in range(self.job.steps):
            self.step(rate(progress))
        self.steps += self.job.steps
        if not self.warm and progress >= WARM_UP:
            self.step.restart_mean()
            self.warm = True

    def save(self, folder: Path) -> None:
        path = folder / f"{self.job.name}.safetensors"
        temporary = path.with_name(f"saving_{path.name}")
        save_model(temporary, self.average, info_of(self.job), half=True)
        temporary.replace(path)


def rate(progress: float) -> float:
    """Learning rate: up over the first twentieth, then half a cosine down to nothing."""
    return LEARNING_RATE * min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def info_of(job: Job) -> ModelInfo:
    if job.nuclei:
        about = "Nuclei model of cellular: a DNA channel, or grey pictures of nuclei"
        return ModelInfo((0,), ("DNA",), about=about)
    about = f"Drosophila S2R+ cells of the CELLULAR dataset, nuclei, simulated sheets ({job.name})"
    return ModelInfo((1, 2, 3), flow_threshold=FLOW_THRESHOLD, resample=False, about=about)


class Log:
    """Lines with the seconds since the start, on screen and in a file."""

    def __init__(self, path: Path):
        self.path, self.began = path, time.monotonic()

    def __call__(self, line: str) -> None:
        line = f"[{time.monotonic() - self.began:6.1f} s] {line}"
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def prepared(entries: list[tuple[str, Path]], scratch: Path, cores: int) -> list[Packed]:
    """Every packed image, made ready by `cores` processes and mapped from files in `scratch`."""
    os.environ["NUMBA_NUM_THREADS"] = "1"  # of the processes to come: one core each
    with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
        # One alone compiles what the others then find compiled.
        pool.submit(pack, *entries[-1], scratch).result()
        list(pool.map(pack, *zip(*entries), [scratch] * len(entries)))
    images = []
    for kind, path in entries:
        smooth, sharp, diameter = (
            np.load(scratch / f"{kind}_{path.stem}_{part}.npy", mmap_mode="r")
            for part in ("smooth", "sharp", "diameter")
        )
        images.append(Packed(smooth, sharp, float(diameter)))
    return images


def run(args: argparse.Namespace, log: Log) -> None:
    device = resolve_device(args.device)
    torch.backends.cudnn.benchmark = True
    log(f"torch {torch.__version__}, {torch.cuda.get_device_name() if device.type == 'cuda' else 'cpu'}")
    entries = listing(args.data)
    with tempfile.TemporaryDirectory(prefix="starter_") as scratch:
        atlas = Atlas(prepared(entries, Path(scratch), args.cores), device)
    log(f"{len(entries)} images prepared")
    fields = [path.stem for kind, path in entries if kind == "fields"]
    jobs = planned(args.recipes, args.nuclei, fields, args.seeds, args.folds_only)
    trainings = [Training(job, atlas, entries, args.batch, args.side) for job in jobs]
    for training in trainings:
        training.round(0.0)  # at no learning rate: captured, nothing learned
    began = logged = saved = time.monotonic()
    log(f"{len(trainings)} trainings ready")
    end, rounds = log.began + args.seconds - LAST_S, 0
    while (now := time.monotonic()) < end:
        progress = (now - began) / (end - began)
        for training in trainings:
            training.round(progress)
        rounds += 1
        if rounds % ROUNDS or device.type != "cuda":
            continue
        torch.cuda.synchronize()
        if now > logged + LOG_EVERY_S:
            crops = sum(job.steps for job in jobs) * rounds * args.batch
            losses = " ".join(f"{float(t.step.total) / t.steps:.3f}" for t in trainings)
            log(f"{rounds} rounds, {crops / (now - began):.0f} crops/s, mean losses {losses}")
            logged = now
        if now > saved + SAVE_EVERY_S:
            for training in trainings:
                training.save(args.out)
            saved = now
    for training in trainings:
        training.save(args.out)
        loss = float(training.step.total) / training.steps
        log(f"{training.job.name}: {training.steps} steps of {args.batch} crops, mean loss {loss:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--recipes", nargs="*", choices=list(RECIPES), default=["strong24", "close24"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folds_only", action="store_true", help="no model of all fields")
    parser.add_argument("--nuclei", nargs="*", type=float, default=[18.0, 36.0], help="scales of nuclei models, px")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=8, help="crops a step")
    parser.add_argument("--side", type=int, default=256, help="of a crop, px")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    run(args, Log(args.out / "log.txt"))


if __name__ == "__main__":
    main()
