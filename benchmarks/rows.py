"""The rows of the benchmark: what ours does, and how its result must agree with the peer's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from benchmarks.fields import Field
from cellular.errors import WeightsError
from cellular.segment import flows_to_labels, labels_to_flows
from cellular.segment._tidy import fill_holes_and_drop_small
from cellular.segment.models import load_model, save_model, starter_path
from cellular.segment.network import CPnet, build_network
from cellular.segment.normalize import to_network_input
from cellular.segment.segmenter import STEPS, Segmenter
from cellular.segment.tiles import run_network
from cellular.segment.weights import save_network
from cellular.train.loop import train_network
from cellular.train.samples import make_sample
from cellular.train.settings import TrainSettings

DIAMETER = 121.0  # px, of the published evaluation
SCALE = 30 / DIAMETER
SLIM = 16  # width of the network that trains and runs well without a GPU; Cellpose's full width is 32
TRAIN_EPOCHS = 2
TRAIN_BAR = 9.5  # crops/s


class Disagreement(Exception):
    """Ours and the peer's results are further apart than they may be."""


class Row(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    name : of the row, and of the peer's task.
    bar : seconds that ours may take; None without one.
    agree : takes ours and the peer's results and says how far apart they are.
    crops : how many crops were trained on, where that is what counts.
    """

    name: str
    title: str
    bar: float | None
    ours: Callable[[], object]
    agree: Callable[[object, dict], str]
    crops: int = 0


@dataclass
class Inputs:
    """What both sides get: the field, and a folder where the peer finds it and leaves its results."""

    field: Field
    folder: Path
    device: str
    nchan: int = 2  # channels of the trained network

    def save(self) -> None:
        images, targets = training_set(self.field)
        np.savez(
            self.folder / "input.npz",
            **self.field._asdict(),
            niter=int(STEPS / SCALE),
            diameter=DIAMETER,
            nchan=self.nchan,
            train_images=images,
            train_targets=targets,
            slim_width=SLIM,
            train_epochs=TRAIN_EPOCHS,
        )


def rows(inputs: Inputs) -> list[Row]:
    """All rows that can be had here."""
    found = [flows_row(inputs), masks_row(inputs), network_row(inputs), network_row(inputs, SLIM), training_row(inputs)]
    try:
        found.append(segment_row(inputs, starter_path()))
    except WeightsError as error:
        print(f"no row for a whole segmentation: {error}")
    return found


def flows_row(inputs: Inputs) -> Row:
    labels, device = inputs.field.labels, inputs.device

    def agree(ours: np.ndarray, theirs: dict) -> str:
        apart = np.abs(ours - theirs["flows"]).max(0)
        cells = len(np.unique(labels)) - 1
        if np.count_nonzero(apart > 1e-4) > cells:
            raise Disagreement(f"{np.count_nonzero(apart > 1e-4)} px differ by more than 1e-4, of {cells} cells")
        return f"largest difference {apart.max():.1g}"

    bar = 1.0 if device == "cpu" else None
    return Row("flows", "labels to flows", bar, lambda: labels_to_flows(labels, device=device), agree)


def masks_row(inputs: Inputs) -> Row:
    field, device, niter = inputs.field, inputs.device, int(STEPS / SCALE)

    def ours() -> np.ndarray:
        return flows_to_labels(field.flows, field.cell_probability, niter=niter, device=device)

    def agree(ours: np.ndarray, theirs: dict) -> str:
        expected = theirs["unfiltered"].astype(np.uint32)
        fill_holes_and_drop_small(expected, 15)  # the peer's filter of small cells deletes the wrong ones
        differ = np.count_nonzero(ours != expected)
        if differ > (0 if device == "cpu" else 1e-3 * ours.size):
            raise Disagreement(f"{differ} px carry other labels")
        wrong = np.count_nonzero((theirs["labels"] > 0) != (expected > 0))
        fault = f"; Cellpose's small-cell filter got {wrong} px wrong" if wrong else ""
        return f"{ours.max()} cells, {differ} px differ{fault}"

    title = f"flows to labels, {niter} steps, flow check included"
    return Row("masks", title, 3.0 if device == "cpu" else None, ours, agree)


def network_row(inputs: Inputs, width: int = 32) -> Row:
    torch.manual_seed(0)
    network = lively(build_network(width=width))
    name = "network" if width == 32 else "slim"
    save_network(inputs.folder / f"{name}.pth", network)
    network = network.to(inputs.device, memory_format=torch.channels_last).eval()
    shape = inputs.field.labels.shape
    planes = to_network_input(inputs.field.image, (0, 0))
    small = tuple(int(side * SCALE) for side in shape)

    def run(tiling: str = "whole") -> np.ndarray:
        output, _ = run_network(network, resized(planes, small), tiling=tiling)
        return resized(output, shape)

    def agree(ours: np.ndarray, theirs: dict) -> str:
        spread = theirs["output"].std()
        same = np.abs(run("cellpose") - theirs["output"]).max() / spread
        if same > 1e-3:
            raise Disagreement(f"with Cellpose's tiling outputs differ by {same:.1g} of their spread")
        whole = np.abs(ours - theirs["output"]).mean() / spread
        return f"{same:.1g} of the spread apart in Cellpose's tiling; {whole:.1g} (mean) as timed, in one piece"

    title, bar = ("network, full width", 1.5) if width == 32 else (f"network, slim (width {width})", 0.5)
    return Row(name, title, bar if inputs.device == "cpu" else None, run, agree)


def segment_row(inputs: Inputs, path: Path) -> Row:
    """The starter's weights in a network of full width, the other channels silent: real cells, and all the work."""
    model = load_model(path)
    inputs.nchan = model.network.channels
    wide = widened(model.network)
    save_model(inputs.folder / "trained.safetensors", wide, model.info)
    save_network(inputs.folder / "trained.pth", wide)
    segmenter = Segmenter(load_model(inputs.folder / "trained.safetensors"), inputs.device)
    image = inputs.field.image
    settings = {"diameter": DIAMETER, "flow_threshold": 0.4, "cellprob_threshold": 0.0}  # as the peer's own

    def ours(tiling: str = "whole") -> np.ndarray:
        return segmenter.segment(image, **settings, tiling=tiling).labels

    def agree(labels: np.ndarray, theirs: dict) -> str:
        same = np.mean((ours("cellpose") > 0) == (theirs["labels"] > 0))
        if same < 0.999:
            raise Disagreement(f"with Cellpose's tiling only {same:.2%} of the pixels agree")
        return f"{labels.max()} cells, Cellpose {theirs['labels'].max()}; {same:.3%} of pixels agree in its tiling"

    title = "image to labels, the starter's weights at full width"
    return Row("segment", title, 5.0 if inputs.device == "cpu" else None, ours, agree)


def training_row(inputs: Inputs) -> Row:
    images, targets = training_set(inputs.field)
    samples = [
        make_sample(str(k), image, target[0].astype(np.uint16))
        for k, (image, target) in enumerate(zip(images, targets))
    ]
    settings = TrainSettings(
        model_type="scratch",
        width=SLIM,
        channels=(0, 0),
        n_epochs=TRAIN_EPOCHS,
        batch_size=8,
        crop_size=128,
        learning_rate=0.1,
        min_train_masks=0,
        validate_every=0,
        device=inputs.device,
    )
    runs = iter(range(1_000_000))

    def ours() -> int:
        torch.manual_seed(0)
        train_network(build_network(2, SLIM), samples, [], settings, inputs.folder / f"run{next(runs)}")
        return len(samples) * TRAIN_EPOCHS

    def agree(crops: int, theirs: dict) -> str:
        if crops != int(theirs["crops"]):
            raise Disagreement(f"{crops} crops against {theirs['crops']}")
        return f"{crops} crops each, not compared further"

    crops = len(samples) * TRAIN_EPOCHS
    title = f"training, slim, {TRAIN_EPOCHS} epochs of {len(samples)} crops of 128 px in batches of 8"
    bar = crops / TRAIN_BAR if inputs.device == "cpu" else None
    return Row("training", title, bar, ours, agree, crops)


def training_set(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Images (16, 2, h, w) float32 at the network's scale; Cellpose's targets (16, 4, h, w): labels, cell, flows."""
    planes = to_network_input(field.image, (0, 0))
    height, width = (int(side * SCALE) for side in field.labels.shape)
    planes = resized(planes, (height, width))
    labels = cv2.resize(field.labels, (width, height), interpolation=cv2.INTER_NEAREST)
    flows = labels_to_flows(labels)
    target = np.concatenate([labels[None], labels[None] > 0, flows]).astype(np.float32)
    half = slice(0, height // 2), slice(0, width // 2)
    corners = [(np.flip(planes, axes), np.flip(target, axes)) for axes in ((), (1,), (2,), (1, 2))]
    images = np.stack([image[(slice(None), *half)] for image, _ in corners] * 4)
    return images, np.stack([target[(slice(None), *half)] for _, target in corners] * 4)


def resized(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.stack([cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes])


def lively(network: CPnet) -> CPnet:
    """Random statistics in the batch norms, so that every layer counts."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def widened(network: CPnet, width: int = 32) -> CPnet:
    """The same function with more channels, the new ones silent."""
    wide = build_network(network.channels, width, network.nout)
    state = network.state_dict()
    for key, value in wide.state_dict().items():
        own = state[key]
        if value.ndim and "running_var" not in key:
            value.zero_()
        value[tuple(slice(0, side) for side in own.shape)] = own
    return wide
