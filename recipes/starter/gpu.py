"""Cross-validate candidate recipes and train the models that ship, on one GPU within a given time.

    python recipes/starter/gpu.py --data PACKED --out OUT --seconds 420 [--plan cv|final] [--device auto]

PACKED is what pack.py wrote. Trainings run side by side in `--workers` processes, each for its share of the time, with
a learning rate that falls to nothing by the clock; what they held out is segmented on the CPU cores meanwhile. OUT
gets, as they are done: ``<model>.safetensors`` of the final models, ``predictions.zip`` with an .npz for each training
and field (crossval.py reads it), ``log.txt``.

Folds leave whole wells out. The "val" fields of split.json are in the folds, and in no final model but those "_43".
"""

import argparse
import heapq
import io
import itertools
import math
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import numpy as np
import torch
from atlas import ALL, GREEN, GREY, PLANES, RED, REPORTER, Atlas, Packed, Source
from boxes import FIELD_DIAMETER
from planes import FIELD_SCALE, field_planes, listing, pack
from stepper import Stepper

from cellular.data.formats.images import read_image
from cellular.device import resolve_device
from cellular.files import read_json
from cellular.labels.cells import cell_boxes
from cellular.labels.enlarge import enlarge_labels
from cellular.segment.flows.to_labels import labels_and_errors
from cellular.segment.image.tiles import run_network
from cellular.segment.model.network import CPnet, build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model
from cellular.segment.scores import cell_evidence

NUCLEI_SCALE = 36.0
LEARNING_RATE, WEIGHT_DECAY, WARM_UP, KEEP = 2e-3, 0.03, 0.05, 0.995
SAVE_EVERY_S, TAIL_S, START_S = 20.0, 12.0, 15.0
THRESHOLDS = (-0.5, 0.0, 0.5, 1.0)
FLOW_THRESHOLD, STEPS = 0.8, 200
# The best on ten images of nuclei beside those that are learned from (check.py nuclei --part settle).
NUCLEI_CELLPROB = 0.5
# Whole wells left out together; C05 alone holds 15 of the 43 fields.
FOLDS = ({"C05"}, {"I04"}, {"I06"}, {"C03", "C06", "K07"})


@dataclass(frozen=True)
class Recipe:
    """What is learned from, and how hard.

    Attributes
    ----------
    width : of the first level. strong : see :meth:`Atlas.batch`. dropout : whether channels are left out.
    shares : of all crops, of real fields, nuclei and simulated sheets.
    """

    width: int = 16
    strong: bool = False
    dropout: bool = False
    shares: tuple[float, float, float] = (0.72, 0.28, 0.0)


RECIPES = {
    "base": Recipe(),
    "dropout": Recipe(dropout=True),
    "strong": Recipe(strong=True, dropout=True, shares=(0.7, 0.15, 0.15)),
    "strong24": Recipe(24, strong=True, dropout=True, shares=(0.7, 0.15, 0.15)),
}


# What is seen of a field where channels are left out, by its share of the crops.
VIEWS = {ALL: 0.6, REPORTER: 0.24, RED: 0.08, GREEN: 0.08}

# By what recipe that ships is trained.
FINAL = "strong24"


@dataclass(frozen=True)
class Job:
    """One training: `held` names the fields it must not see; `units` is its share of the time."""

    name: str
    recipe: str
    held: tuple[str, ...] = ()
    units: float = 1.0
    nuclei: bool = False
    seed: int = 0


# ---------------------------------------------------------------- what to learn from


def sources(job: Job, entries: list[tuple[str, Path]]) -> list[Source]:
    """What a job draws its crops from."""
    number = {kind: [i for i, (k, _) in enumerate(entries) if k == kind] for kind in ("fields", "nuclei", "simulated")}
    nuclei = number["nuclei"]
    if job.nuclei:
        return [Source(nuclei, 1.0, {(0,): 1.0})]
    recipe = RECIPES[job.recipe]
    seen = [i for i in number["fields"] if entries[i][1].stem not in job.held]
    parts = (
        (seen, VIEWS if recipe.dropout else {ALL: 1.0}),
        (nuclei, {GREY: 1.0}),
        (number["simulated"], {REPORTER: 0.6, RED: 0.2, GREEN: 0.2}),
    )
    return [Source(images, share, views) for (images, views), share in zip(parts, recipe.shares) if share]


# ---------------------------------------------------------------- training


@dataclass
class Worker:
    """What a training process keeps between jobs."""

    atlas: Atlas
    entries: list[tuple[str, Path]]
    batch: int
    side: int


worker: Worker | None = None


def start_worker(data: Path, scratch: Path, device: str, batch: int, side: int) -> None:
    global worker
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    entries = listing(data)
    images = []
    for kind, path in entries:
        load = [
            np.load(scratch / f"{kind}_{path.stem}_{part}.npy", mmap_mode="r")
            for part in ("smooth", "sharp", "diameter")
        ]
        images.append(Packed(load[0], load[1], float(load[2])))
    worker = Worker(Atlas(images, resolve_device(device)), entries, batch, side)


def train(job: Job, seconds: float, path: Path) -> str:
    """Train a job for `seconds` and save the running mean of its weights, also on the way; a line for the log."""
    atlas, device, recipe = worker.atlas, worker.atlas.device, RECIPES[job.recipe]
    torch.manual_seed(job.seed)
    rng = np.random.default_rng([job.seed, *job.name.encode()])
    scale = NUCLEI_SCALE if job.nuclei else FIELD_SCALE
    network = build_network(1 if job.nuclei else 3, recipe.width).to(device, memory_format=torch.channels_last)
    network.diam_mean.data.fill_(scale)
    drawn = sources(job, worker.entries)
    usual = float(np.mean(atlas.diameters[drawn[0].images])) if job.nuclei else FIELD_DIAMETER
    network.diam_labels.data.fill_(usual)
    average = build_network(network.channels, recipe.width).to(device, memory_format=torch.channels_last).eval()
    average.load_state_dict(network.state_dict())
    step = Stepper(network, average, WEIGHT_DECAY, KEEP)
    began = saved = time.monotonic()
    steps, total = 0, torch.zeros((), device=device)
    while (now := time.monotonic()) < began + seconds:
        progress = (now - began) / seconds
        image, target = atlas.batch(drawn, worker.batch, worker.side, scale, recipe.strong, rng)
        total += step(image, target, rate(progress))
        steps += 1
        if now > saved + SAVE_EVERY_S:
            save(path, job, average)
            saved = now
        if steps % 10 == 0 and device.type == "cuda":
            torch.cuda.synchronize()  # the clock must be the GPU's, not the queue's
    save(path, job, average)
    took = time.monotonic() - began
    speed = f"{steps * worker.batch} crops in {took:.1f} s, {steps * worker.batch / took:.0f} crops/s"
    return f"{job.name}: {steps} steps, {speed}, loss {float(total) / max(steps, 1):.4f}"


def rate(progress: float) -> float:
    """Learning rate: up over the first twentieth, then half a cosine down to nothing."""
    return LEARNING_RATE * min(1.0, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def save(path: Path, job: Job, average: CPnet) -> None:
    if job.nuclei:
        about = "Nuclei model of cellular: a DNA channel, or grey pictures of nuclei"
        info = ModelInfo((0,), ("DNA",), flow_threshold=FLOW_THRESHOLD, cellprob_threshold=NUCLEI_CELLPROB, about=about)
    else:
        about = f"Drosophila S2R+ cells of the CELLULAR dataset, nuclei, simulated sheets ({job.recipe})"
        info = ModelInfo((1, 2, 3), flow_threshold=FLOW_THRESHOLD, resample=False, about=about)
    temporary = path.with_name(f"saving_{path.name}")
    save_model(temporary, average, info, half=True)
    temporary.replace(path)


# ---------------------------------------------------------------- what the models find


def segment(model_path: Path, field: Path) -> bytes:
    """What a model finds in a field it has not seen: an .npz of boxes and evidence for each view and threshold."""
    torch.set_num_threads(1)
    network = load_model(model_path).network.eval()
    image, result = read_image(field), {}
    planes = field_planes(image)
    side = int(planes.shape[1] * FIELD_SCALE / FIELD_DIAMETER)
    planes = np.stack([cv2.resize(plane, (side, side)) for plane in planes])
    views = {"all": planes[list(ALL)], "reporter": np.stack([planes[3], planes[4], 0 * planes[0]])}
    for view, augment in itertools.product(views, (False, True)):
        output, _ = run_network(network, views[view], augment=augment)
        view = f"{view}, flips" if augment else view
        for threshold in THRESHOLDS:
            _, boxes, evidence = cells_of(output, threshold, image.shape[:2])
            result[f"{view}|{threshold}|boxes"], result[f"{view}|{threshold}|evidence"] = boxes, evidence
    return archived(result)


def cells_of(output: np.ndarray, threshold: float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels at the scale of an output (3, Y, X); their boxes in a field of `shape` and evidence, (N, 4) float32."""
    how = {"niter": STEPS, "flow_threshold": FLOW_THRESHOLD, "cellprob_threshold": threshold, "min_size": 3}
    labels, errors = labels_and_errors(output[:2], output[2], **how)
    evidence = cell_evidence(labels, output[:2], output[2], errors)
    numbers, boxes = cell_boxes(enlarge_labels(labels, shape))
    return labels, boxes.astype(np.float32), evidence[numbers - 1].astype(np.float32)


def archived(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


# ---------------------------------------------------------------- the plan


def plans(name: str, fields: list[str], val: list[str]) -> list[Job]:
    """Jobs in order of size, so that the workers end together."""
    if name == "final":
        folds = [Job(f"{FINAL}_fold{k}", FINAL, held, 1.5) for k, held in enumerate(held_fields(fields))]
        return [
            *folds,
            Job("starter_35", FINAL, tuple(val), 3.0),
            Job("nuclei", FINAL, units=2.0, nuclei=True),
            Job("starter_43", FINAL, (), 4.0),
        ]
    jobs = [Job("starter_35", "strong", tuple(val), 2.5), Job("nuclei", "strong", units=1.5, nuclei=True)]
    wide = [(recipe, 1.5 if RECIPES[recipe].width > 16 else 1.0) for recipe in RECIPES]
    for units in (1.5, 1.0):
        for k, held in enumerate(held_fields(fields)):
            jobs += [Job(f"{recipe}_fold{k}", recipe, held, units) for recipe, u in wide if u == units]
    return jobs


def held_fields(fields: list[str]) -> list[tuple[str, ...]]:
    """Fields of each fold's wells."""
    return [tuple(field for field in fields if field.split("_")[-2] in wells) for wells in FOLDS]


def makespan(jobs: list[Job], workers: int) -> float:
    """Units until the last of `jobs`, taken in order by whoever is free, is done."""
    free = [0.0] * workers
    for job in jobs:
        heapq.heappush(free, heapq.heappop(free) + job.units)
    return max(free)


class Log:
    """Lines with the seconds since the start, on screen and in a file."""

    def __init__(self, path: Path):
        self.path, self.began = path, time.monotonic()

    def __call__(self, line: str) -> None:
        line = f"[{time.monotonic() - self.began:6.1f} s] {line}"
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def smoke(device: torch.device, args: argparse.Namespace, log: Log) -> None:
    """One kind of everything a training does on `device`, with its speed, before anything else."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    log(f"torch {torch.__version__}, {name}, {os.cpu_count()} cores")
    torch.backends.cudnn.benchmark = True
    network, average = (build_network(3, 16).to(device, memory_format=torch.channels_last) for _ in range(2))
    step = Stepper(network, average, WEIGHT_DECAY, KEEP)
    rng = np.random.default_rng(0)
    image = np.zeros((300, 300, PLANES + 2), np.float16)
    atlas = Atlas([Packed(image, np.ones((300, 300, 2), np.float16), 48.0)], device)
    drawn = [Source([0], 1.0, {ALL: 0.5, REPORTER: 0.5})]
    loss = step(*atlas.batch(drawn, args.batch, args.side, FIELD_SCALE, True, rng), LEARNING_RATE)
    log(f"first step done, loss {float(loss):.3f}")
    for what in ("cutting", "training"):
        began, steps = time.monotonic(), 0
        while steps < 2 or time.monotonic() < began + 2:
            image, target = atlas.batch(drawn, args.batch, args.side, FIELD_SCALE, True, rng)
            loss = step(image, target, LEARNING_RATE) if what == "training" else image.sum()
            float(loss)
            steps += 1
        log(f"{what}: {steps * args.batch / (time.monotonic() - began):.0f} crops/s in one process")


def run(args: argparse.Namespace, scratch: Path, log: Log) -> None:
    device, end = str(resolve_device(args.device)), log.began + args.seconds
    smoke(torch.device(device), args, log)
    entries, spawn = listing(args.data), get_context("spawn")
    os.environ["NUMBA_NUM_THREADS"] = "1"  # of the processes to come: one core each
    with ProcessPoolExecutor(args.cores, spawn) as pool:
        # One alone compiles what the others then find compiled.
        pool.submit(pack, *entries[-1], scratch).result()
        list(pool.map(pack, *zip(*entries), [scratch] * len(entries)))
    log(f"{len(entries)} images prepared")
    fields = [path.stem for kind, path in entries if kind == "fields"]
    jobs = plans(args.plan, fields, read_json(args.data / "split.json")["val"])
    seconds = max(args.least, (end - TAIL_S - START_S - time.monotonic()) / makespan(jobs, args.workers))
    log(f"{len(jobs)} trainings, {args.workers} at a time, {seconds:.1f} s a unit")
    readers = max(1, args.cores - args.workers)
    trainers = ProcessPoolExecutor(
        args.workers, spawn, start_worker, (args.data, scratch, device, args.batch, args.side)
    )
    segmenters = ProcessPoolExecutor(readers, spawn)
    waiting: dict[Future, tuple] = {
        trainers.submit(train, job, job.units * seconds, model_path(job, args.out, scratch)): (job, None)
        for job in jobs
    }
    for future, (job, field) in finished(waiting, end):
        try:
            result = future.result()
        except Exception as error:  # one training less, the others go on
            log(f"FAILED {job.name} {field or ''}: {type(error).__name__}: {error}")
            continue
        if field is None:
            log(result)
            path = model_path(job, args.out, scratch)
            for name in () if job.nuclei else job.held:
                waiting[segmenters.submit(segment, path, args.data / "fields" / f"{name}.jpg")] = (job, name)
        else:
            add_to(args.out / "predictions.zip", f"{job.name}/{field}.npz", result)
    log(
        f"done; {len(waiting)} left undone: {sorted(f'{job.name} {field or str()}' for job, field in waiting.values())}"
    )


def finished(waiting: dict[Future, tuple], end: float) -> Iterator[tuple[Future, tuple]]:
    """Futures of `waiting`, which may grow, as they are done, until `end` on the monotonic clock."""
    while waiting and (left := end - time.monotonic()) > 0:
        for future in wait(waiting, timeout=left, return_when=FIRST_COMPLETED).done:
            yield future, waiting.pop(future)


def model_path(job: Job, out: Path, scratch: Path) -> Path:
    return (scratch if "_fold" in job.name else out) / f"{job.name}.safetensors"


def add_to(archive: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
        file.writestr(name, content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--plan", choices=["cv", "final"], default="cv")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=32, help="crops a step")
    parser.add_argument("--side", type=int, default=256, help="of a crop, px")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--least", type=float, default=5.0, help="seconds a unit of training gets at the least")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="starter_"))
    log = Log(args.out / "log.txt")
    run(args, scratch, log)
    for process in active_children():  # what is still at work has had its time
        process.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
