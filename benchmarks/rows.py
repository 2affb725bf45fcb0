"""The rows of the benchmark: what ours does, and how its result must agree with the peer's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from benchmarks.fields import Field
from cellular.device import resolve_precision
from cellular.errors import WeightsError
from cellular.evaluate.overlap import overlap
from cellular.evaluate.scores import THRESHOLDS, FieldScores, rates, score_field
from cellular.labels.checks import as_labels
from cellular.segment import flows_to_labels, labels_to_flows
from cellular.segment.flows.numba.tidy import fill_holes_and_drop_small
from cellular.segment.image.normalize import to_network_input
from cellular.segment.image.tiles import run_network
from cellular.segment.model.inference import for_inference
from cellular.segment.model.network import CPnet, build_network
from cellular.segment.model.registry import Model, load_model, save_model, shipped_path
from cellular.segment.model.weights import save_network
from cellular.segment.segmenter import STEPS, Segmenter
from cellular.train.loop import train_network
from cellular.train.samples import make_sample
from cellular.train.settings import TrainSettings

DIAMETER = 121.0  # px, of the published evaluation
SCALE = 30 / DIAMETER
SLIM = 16  # width of the network that trains and runs well without a GPU; Cellpose's full width is 32
TRAIN_BAR = 9.5  # crops/s


class Training(NamedTuple):
    """What is trained: width of the network, crops' side in px, epochs of sixteen crops in batches of eight."""

    width: int
    crop: int
    epochs: int


# A GPU gets Cellpose's own width and crops, and enough of them that what is done once a run does not count.
TRAINING = {"cpu": Training(SLIM, 128, 2), "cuda": Training(32, 224, 20)}


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
    peer : whom ours is measured against; None where nobody else does that.
    theirs : the peer's work and what came out, where it runs in this environment and not in its own.
    """

    name: str
    title: str
    bar: float | None
    ours: Callable[[], object]
    agree: Callable[[object, dict], str]
    crops: int = 0
    peer: str | None = "Cellpose"
    theirs: Callable[[], dict] | None = None


@dataclass
class Inputs:
    """What both sides get: the field, and a folder where the peer finds it and leaves its results."""

    field: Field
    folder: Path
    device: str
    nchan: int = 2  # channels of the trained network

    @cached_property
    def truth(self) -> np.ndarray:
        """The field's labels (Y, X) without gaps, which Cellpose's metrics want."""
        return as_labels(np.unique(self.field.labels, return_inverse=True)[1].reshape(self.field.labels.shape))

    @cached_property
    def prediction(self) -> np.ndarray:
        """What flows -> labels makes of the field's noisy flows, to be scored against the truth."""
        return flows_to_labels(self.field.flows, self.field.cell_probability, niter=int(STEPS / SCALE))

    def save(self) -> None:
        images, targets = training_set(self.field)
        np.savez(
            self.folder / "input.npz",
            **self.field._asdict(),
            truth=self.truth,
            prediction=self.prediction,
            thresholds=THRESHOLDS,
            niter=int(STEPS / SCALE),
            diameter=DIAMETER,
            nchan=self.nchan,
            train_images=images,
            train_targets=targets,
            slim_width=SLIM,
            **{f"train_{name}": value for name, value in TRAINING[self.device]._asdict().items()},
        )


def rows(inputs: Inputs) -> list[Row]:
    """All rows that can be had here; scores and the starter's own settings are the CPU's."""
    found = [flows_row(inputs), masks_row(inputs), network_row(inputs), network_row(inputs, SLIM)]
    try:
        model = load_model(shipped_path("starter"))
    except WeightsError as error:
        print(f"no rows for a whole segmentation: {error}")
    else:
        found += [segment_row(inputs, model), starter_row(inputs)]
    found.append(training_row(inputs))
    if inputs.device == "cpu":
        found += [training_row(inputs, amp=True), pixels_row(inputs), instances_row(inputs), matching_row(inputs)]
    return found


def flows_row(inputs: Inputs) -> Row:
    labels, device = inputs.field.labels, inputs.device

    def agree(ours: np.ndarray, theirs: dict) -> str:
        apart = np.abs(ours - theirs["flows"]).max(0)
        far = apart > 1e-4
        if np.bincount(labels[far], minlength=1).max() > 1:  # a cell's centre, where the gradient is mere rounding
            raise Disagreement(f"{np.count_nonzero(far)} px differ by more than 1e-4, several in one cell")
        return f"{np.count_nonzero(far)} centres apart, else {apart[~far].max():.1g} at most"

    bar = 1.0 if device == "cpu" else None
    return Row("flows", "labels to flows", bar, lambda: labels_to_flows(labels, device=device), agree)


def masks_row(inputs: Inputs) -> Row:
    field, device, niter = inputs.field, inputs.device, int(STEPS / SCALE)

    def ours() -> np.ndarray:
        # On the processor, as the segmenter does beside a GPU too.
        return flows_to_labels(field.flows, field.cell_probability, niter=niter)

    def agree(ours: np.ndarray, theirs: dict) -> str:
        expected = well_filtered(theirs)
        if device != "cpu":
            return alike(ours, expected)
        differ = np.count_nonzero(ours != expected)
        if differ:
            raise Disagreement(f"{differ} px carry other labels")
        wrong = np.count_nonzero((theirs["labels"] > 0) != (expected > 0))
        fault = f"; Cellpose's small-cell filter got {wrong} px wrong" if wrong else ""
        return f"{ours.max()} cells, {differ} px differ{fault}"

    title = f"flows to labels, {niter} steps, flow check included{'' if device == 'cpu' else '; ours on the processor'}"
    return Row("masks", title, 3.0 if device == "cpu" else None, ours, agree)


def network_row(inputs: Inputs, width: int = 32) -> Row:
    torch.manual_seed(0)
    network = lively(build_network(width=width))
    name = "network" if width == 32 else "slim"
    save_network(inputs.folder / f"{name}.pth", network)
    device = torch.device(inputs.device)
    # As the segmenter runs it: what is to equal Cellpose in single precision, the rest in what the processor has.
    ready = {"cellpose": torch.float32, "whole": getattr(torch, resolve_precision("auto", device))}
    ready = {how: for_inference(network, of).to(device, memory_format=torch.channels_last) for how, of in ready.items()}
    shape = inputs.field.labels.shape
    planes = to_network_input(inputs.field.image, (0, 0))
    small = tuple(int(side * SCALE) for side in shape)

    def run(tiling: str = "whole") -> np.ndarray:
        output, _ = run_network(ready[tiling], resized(planes, small), tiling=tiling)
        return resized(output, shape)

    def agree(ours: np.ndarray, theirs: dict) -> str:
        spread = theirs["output"].std()
        with full_precision():
            same = np.abs(run("cellpose") - theirs["output"]).max() / spread
        if same > 1e-3:
            raise Disagreement(f"with Cellpose's tiling outputs differ by {same:.1g} of their spread")
        whole = np.abs(ours - theirs["output"]).mean() / spread
        return f"{same:.1g} of the spread apart in Cellpose's tiling; {whole:.1g} (mean) as timed, in one piece"

    title, bar = ("network, full width", 1.5) if width == 32 else (f"network, slim (width {width})", 0.5)
    return Row(name, title, bar if inputs.device == "cpu" else None, run, agree)


def segment_row(inputs: Inputs, model: Model) -> Row:
    """The starter's weights in a network of full width, the other channels silent: real cells, and all the work."""
    inputs.nchan = model.network.channels
    wide = widened(model.network)
    save_model(inputs.folder / "trained.safetensors", wide, model.info)
    save_network(inputs.folder / "trained.pth", wide)
    segmenter = Segmenter(load_model(inputs.folder / "trained.safetensors"), inputs.device)
    image = inputs.field.image
    thresholds = {"flow_threshold": 0.4, "cellprob_threshold": 0.0}
    settings = thresholds | {"diameter": DIAMETER, "augment": False, "resample": True}  # the peer's own

    def ours(tiling: str = "whole") -> np.ndarray:
        return segmenter.segment(image, **settings, tiling=tiling).labels

    def agree(labels: np.ndarray, theirs: dict) -> str:
        expected = well_filtered(theirs)
        with full_precision():
            found = ours("cellpose")
        if inputs.device != "cpu":
            return f"{labels.max()} cells; in Cellpose's tiling {alike(found, expected)}"
        same = np.mean((found > 0) == (expected > 0))
        if same < 0.999:
            raise Disagreement(f"with Cellpose's tiling only {same:.2%} of the pixels agree")
        return f"{labels.max()} cells, Cellpose {expected.max()}; {same:.3%} of pixels agree in its tiling"

    title = "image to labels, the starter's weights at full width"
    return Row("segment", title, 5.0 if inputs.device == "cpu" else None, ours, agree)


def alike(ours: np.ndarray, theirs: np.ndarray) -> str:
    """How far ours and Cellpose's labels agree on a GPU, where its walks are half a pixel off those on its CPU."""
    scores = score_field(theirs, ours)
    same, precise = (scores.instance(threshold).f1 for threshold in (0.5, 0.9))
    if same < 0.98:
        raise Disagreement(f"F1 at IoU 0.5 of ours against Cellpose's is {same:.3f}")
    pixels = np.mean((ours > 0) == (theirs > 0))
    counts = f"{ours.max()} cells, Cellpose {theirs.max()}"
    return f"{counts}; F1 {same:.3f} at IoU 0.5, {precise:.3f} at 0.9; {pixels:.3%} of pixels agree"


@contextmanager
def full_precision() -> Iterator[None]:
    """Convolutions of a GPU in single precision and not in TF32, its default, which has three digits."""
    former = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = former


def well_filtered(theirs: dict) -> np.ndarray:
    """The peer's labels before its filter of small cells, which deletes the wrong ones, filtered by our own."""
    expected = theirs["unfiltered"].astype(np.uint32)
    fill_holes_and_drop_small(expected, 15)
    return expected


def starter_row(inputs: Inputs) -> Row:
    """A field as a user segments it: the model that ships, with its own settings."""
    segmenter = Segmenter.from_pretrained("starter", inputs.device)
    info = segmenter.model.info
    bar = 5.0 if inputs.device == "cpu" else None
    title = f"image to labels, the starter as it ships (resample {info.resample}, augment {info.augment})"

    def ours() -> np.ndarray:
        return segmenter.segment(inputs.field.image).labels

    return Row("starter", title, bar, ours, lambda labels, _: f"{labels.max()} cells", peer=None)


def training_row(inputs: Inputs, amp: bool = False) -> Row:
    images, targets = training_set(inputs.field)
    width, crop, epochs = TRAINING[inputs.device]
    samples = [
        make_sample(str(k), image, target[0].astype(np.uint16))
        for k, (image, target) in enumerate(zip(images, targets))
    ]
    settings = TrainSettings(
        model_type="scratch",
        width=width,
        channels=(0, 0),
        n_epochs=epochs,
        batch_size=8,
        crop_size=crop,
        learning_rate=0.1,
        min_train_masks=0,
        validate_every=0,
        device=inputs.device,
        amp="on" if amp else "auto",
    )
    runs = iter(range(1_000_000))

    def ours() -> int:
        torch.manual_seed(0)
        train_network(build_network(2, width), samples, [], settings, inputs.folder / f"run{next(runs)}")
        return len(samples) * epochs

    def agree(crops: int, theirs: dict) -> str:
        if crops != int(theirs["crops"]):
            raise Disagreement(f"{crops} crops against {theirs['crops']}")
        return f"{crops} crops each, not compared further"

    crops = len(samples) * epochs
    size = "slim" if width == SLIM else "full width"
    title = f"training, {size}, {epochs} epochs of {len(samples)} crops of {crop} px in batches of 8"
    bar = crops / TRAIN_BAR if inputs.device == "cpu" else None
    if amp:
        return Row("bfloat16", f"{title}, bfloat16", bar, ours, lambda crops, _: f"{crops} crops", crops, peer=None)
    return Row("training", title, bar, ours, agree, crops)


def pixels_row(inputs: Inputs) -> Row:
    """Precision, recall, F1 and Jaccard of cell and background pixels, as the published script has them."""
    truth, prediction = inputs.truth, inputs.prediction

    def ours() -> np.ndarray:
        (tn, fp), (fn, tp) = overlap(truth, prediction).background
        return np.array([astuple(rates(tn, fn, fp)), astuple(rates(tp, fp, fn))])

    def theirs() -> dict:
        true, predicted = truth.ravel() > 0, prediction.ravel() > 0
        first = precision_recall_fscore_support(true, predicted)[:3]
        return {"scores": np.array([*first, jaccard_score(true, predicted, average=None)]).T}

    def agree(ours: np.ndarray, theirs: dict) -> str:
        equal(ours, theirs["scores"], "pixel scores")
        return "equal"

    return Row("pixels", "precision, recall, F1, Jaccard of pixels", 5e-3, ours, agree, 0, "scikit-learn", theirs)


def instances_row(inputs: Inputs) -> Row:
    def agree(scores: FieldScores, theirs: dict) -> str:
        intersection, union = scores.aji_cellpose_counts
        equal([scores.instance(threshold).jaccard for threshold in THRESHOLDS], theirs["ap"], "average precision")
        equal(intersection / union, theirs["aji"], "aggregated Jaccard")
        return f"AP and AJI equal; {scores.n_true} cells, {scores.n_predicted} predicted"

    title = "all scores (pixels, AP at ten thresholds, PQ, AJI twice, boundary F1) against AP and AJI alone"
    return Row("instances", title, 0.3, lambda: score_field(inputs.truth, inputs.prediction), agree)


def matching_row(inputs: Inputs) -> Row:
    def agree(scores: FieldScores, theirs: dict) -> str:
        equal(scores.tp, theirs["tp"], "true positives")
        equal([scores.instance(threshold).f1 for threshold in THRESHOLDS], theirs["f1"], "F1")
        equal(scores.panoptic()["pq"], theirs["panoptic_quality"][0], "panoptic quality")
        return "counts, F1 and PQ equal"

    title = "the same against AP, F1 and PQ at ten thresholds alone"
    ours = partial(score_field, inputs.truth, inputs.prediction)
    return Row("matching", title, 0.3, ours, agree, peer="StarDist")


def equal(ours: object, theirs: object, what: str) -> None:
    if not np.allclose(ours, theirs, rtol=1e-5, atol=0):
        raise Disagreement(f"{what}: ours {ours}, theirs {theirs}")


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
