"""Cross-validate a small recipe on one processor core, and keep what the network said of every field left out.

    python recipes/starter/folds.py --fields FIELDS --out OUT [--steps 600] [--batch 4] [--seed 0] [--folds 0 1 2 3]

Four trainings (gpu.py's folds: whole wells left out) of a network of width 16 at 24 px a cell, on crops of 128 px of
superellipses in the expert's boxes, channels left out at random; then the table of crossval.py. OUT gets

- ``settings.json``: another run into OUT must have the same;
- ``fold<k>.safetensors``, and while it trains ``fold<k>.pt``, from which the command, run again, goes on;
- ``outputs/<field>.npz``: flows and cell probability (3, Y, X) float16 of each field left out, by view, at 24 px a
  cell; "all, 1.25" is the field at 1.25 times that, "all, flips" the mean over its four flips. With them ideas of what
  to do after the network need no training;
- ``predictions_fold<k>.zip`` as gpu.py writes it: boxes and evidence of these fields' cells by view and threshold.

Folds are independent: with `--folds` several of these commands may work into the same OUT, a core each.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from atlas import ALL, Atlas, Crops, Cut, Packed, Source
from boxes import FIELD_DIAMETER, outlines, read_boxes
from crossval import FIELD_SIDE, print_table
from gpu import FLOW_THRESHOLD, KEEP, VIEWS, WEIGHT_DECAY, held_fields, rate
from heldout import add_to, archived, cells_by_threshold, views_of
from planes import field_planes, packed
from stepper import Stepper

from cellular.data.formats.images import read_image
from cellular.device import keep_freed_memory
from cellular.files import read_json, whole_file, write_json
from cellular.segment.image.tiles import run_network
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model

WIDTH, SCALE, CROP = 16, 24.0, 128
RECIPE = "small"
SAVE_EVERY = 100


@dataclass(frozen=True)
class Field:
    """Planes (PLANES, Y, X) float32 at twice the network's scale, and the expert's boxes in them."""

    name: str
    planes: np.ndarray
    boxes: np.ndarray


def read_field(folder: Path, name: str) -> Field:
    side = round(FIELD_SIDE * 2 * SCALE / FIELD_DIAMETER)
    planes = field_planes(read_image(folder / "images-color" / f"{name}.jpg"))
    planes = np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes])
    return Field(name, planes, read_boxes(folder / "boxes" / f"{name}.txt", side))


def packed_field(field: Field) -> Packed:
    return packed(field.planes, outlines(field.boxes, field.planes.shape[1]), 2 * SCALE)


def train(images: list[Packed], steps: int, batch: int, seed: int, path: Path) -> None:
    """Train on `images`, from the checkpoint beside `path` if there is one; save the running mean of the weights."""
    atlas = Atlas(images, torch.device("cpu"))
    drawn = [Source(list(range(len(images))), 1.0, VIEWS)]
    torch.manual_seed(seed)
    network, average = (build_network(len(ALL), WIDTH).to(memory_format=torch.channels_last) for _ in range(2))
    average.eval().load_state_dict(network.state_dict())
    crops = Crops(atlas, drawn, Cut(batch, CROP, SCALE), seed)
    step = Stepper(network, average, crops, WEIGHT_DECAY, KEEP)
    done, checkpoint = 0, path.with_suffix(".pt")
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in (("network", network), ("average", average), ("optimizer", step.optimizer)):
            part.load_state_dict(state[name])
        crops.generator.set_state(state["generator"])
        done = state["done"]
    began, first = time.monotonic(), done
    while done < steps:
        # Of few steps, the first weights must not stay in the mean.
        step.keep = min(KEEP, (1 + done) / (10 + done))
        step(rate(done / steps))
        done += 1
        if done % SAVE_EVERY == 0 or done == steps:
            state = {"network": network.state_dict(), "average": average.state_dict(), "done": done}
            state |= {"optimizer": step.optimizer.state_dict(), "generator": crops.generator.get_state()}
            with whole_file(checkpoint) as temporary:
                torch.save(state, temporary)
            speed = (done - first) * batch / (time.monotonic() - began)
            print(f"{path.stem}: {done} steps, {speed:.0f} crops/s, loss {step.total / (done - first):.4f}", flush=True)
    average.diam_mean.data.fill_(SCALE)
    average.diam_labels.data.fill_(FIELD_DIAMETER)
    info = ModelInfo((1, 2, 3), flow_threshold=FLOW_THRESHOLD, resample=False, about=f"{RECIPE}, wells left out")
    save_model(path, average, info)
    checkpoint.unlink()


def outputs_of(model: Path, field: Field) -> dict[str, np.ndarray]:
    """Outputs (3, Y, X) float16 by view."""
    network = load_model(model).network
    given = {view: (planes, 1.0) for view, planes in views_of(field.planes).items()}
    given["all, 1.25"] = field.planes[list(ALL)], 1.25
    result = {}
    for view, (planes, zoom) in given.items():
        side = round(planes.shape[1] * zoom / 2)
        small = np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes])
        result[view] = run_network(network, small)[0].astype(np.float16)
        if view == "all":
            result["all, flips"] = run_network(network, small, augment=True)[0].astype(np.float16)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=4, help="crops a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3])
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    cv2.setNumThreads(1)
    (args.out / "outputs").mkdir(parents=True, exist_ok=True)
    settings = {"steps": args.steps, "batch": args.batch, "seed": args.seed}
    about = args.out / "settings.json"
    if about.is_file() and read_json(about) != settings:
        parser.error(f"{args.out} is of a run with {read_json(about)}; name another folder with --out")
    write_json(about, settings)
    split = read_json(args.fields / "split.json")
    names = split["train"] + split["val"]
    field = cache(lambda name: read_field(args.fields, name))
    for fold, held in enumerate(held_fields(names)):
        if fold not in args.folds:
            continue
        model = args.out / f"fold{fold}.safetensors"
        if not model.is_file():
            images = [packed_field(field(name)) for name in names if name not in held]
            train(images, args.steps, args.batch, args.seed, model)
        paths = {name: args.out / "outputs" / f"{name}.npz" for name in held}
        for name, path in paths.items():
            if not path.is_file():
                with whole_file(path) as temporary:
                    temporary.write_bytes(archived(outputs_of(model, field(name))))
        archive = args.out / f"predictions_fold{fold}.zip"
        if not archive.is_file():
            with whole_file(archive) as temporary:
                for name, path in paths.items():
                    cells = cells_by_threshold(dict(np.load(path)))
                    add_to(temporary, f"{RECIPE}_fold{fold}/{name}.npz", archived(cells))
    print_table([args.out], args.fields, split["train"])


if __name__ == "__main__":
    main()
