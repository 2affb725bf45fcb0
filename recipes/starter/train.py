"""Train the model that ships with cellular.

    python recipes/starter/train.py --fields FIELDS --nuclei NUCLEI --out RUNS [--resume] [--stages third --start MODEL]

FIELDS holds the real fields with expert boxes: ``images-color/<field>.jpg``, ``boxes/<field>.txt`` (YOLO) and
``split.json`` ("train" and "val" lists). NUCLEI is what ``cellular prepare`` made of nuclei with expert outlines:
``all/train`` and ``all/valid``. Nothing is trained on FIELDS' "val" nor on NUCLEI's ``all/test``. RUNS gets a folder
for each stage: from noise at 36 px a cell, on at 48 px, last with more nuclei; ``third/models/third`` is the result.

The other options are for ablations (ablation.py): what else to learn from, and any setting by name.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boxes import EXPONENT, FIELD_DIAMETER, outlines, read_boxes, refined

from cellular.data.find import find_annotated
from cellular.data.formats.images import read_image
from cellular.data.image import load_labels, read_field
from cellular.device import has_bfloat16, resolve_device
from cellular.files import read_json
from cellular.progress import progress
from cellular.segment.image.normalize import to_network_input
from cellular.segment.model.registry import ModelInfo
from cellular.segment.segmenter import Segmenter
from cellular.train import TrainingResult, TrainSettings, train_network
from cellular.train.checkpoint import CHECKPOINT
from cellular.train.loop import start_network
from cellular.train.samples import Sample, make_sample

# Looser than Cellpose's 0.4: in crowded fields its flow check drops more right cells than wrong ones, and the scores
# order what it would have dropped.
FLOW_THRESHOLD = 0.8
# Training fields are kept at twice the network's scale: turning them does not blur what the network sees.
OVERSAMPLING = 2
SETTINGS = TrainSettings(
    model_type="scratch",
    width=16,
    channels=(1, 2, 3),
    diam_mean=36.0,
    crop_size=256,
    n_epochs=90,
    optimizer="adamw",
    schedule="cosine",
    learning_rate=2e-3,
    weight_decay=0.03,
    ema=0.995,
    jitter=0.3,
    min_train_masks=0,
    validate_every=10,
    checkpoint_every=1,
    amp="on" if has_bfloat16(resolve_device("auto")) else "off",
)
# What each stage, on top of the one before, does otherwise. Small cells in clumps need the finer scale, but learning
# the rest there would cost twice the time. Nuclei lose by it (they are smaller and fewer): they get a stage where most
# crops are theirs. That stage also learns its own outlines where they fill an expert's box, which helped in two of
# three short trainings (ablation.py).
STAGES = {
    "first": {},
    "second": {"diam_mean": 48.0, "crop_size": 320, "n_epochs": 30, "learning_rate": 1e-3, "ema": 0.99},
    "third": {"crop_size": 256, "n_epochs": 12, "learning_rate": 5e-4, "repeats": (4, 2), "own_outlines": True},
}


@dataclass(frozen=True)
class Sources:
    """What to learn from.

    Attributes
    ----------
    fields, nuclei : folders, see above. simulated : a folder like `nuclei`, of simulated fields; None without.
    repeats : how often an epoch takes each real field, and each image of nuclei.
    exponent : of the superellipses in the experts' boxes.
    refine : a model whose own outlines are taken wherever they fill the expert's box; None without.
    """

    fields: Path
    nuclei: Path
    simulated: Path | None = None
    repeats: tuple[int, int] = (6, 1)
    exponent: float = EXPONENT
    refine: Path | None = None


def field_samples(sources: Sources, part: str, settings: TrainSettings) -> list[Sample]:
    """The real fields of "train" or "val", shrunk to OVERSAMPLING times the network's scale."""
    guide = Segmenter.from_pretrained(sources.refine) if sources.refine and part == "train" else None
    names = read_json(sources.fields / "split.json")[part]
    return [field_sample(sources, name, settings, guide) for name in progress(names, desc=f"{part} fields")]


def field_sample(sources: Sources, name: str, settings: TrainSettings, guide: Segmenter | None) -> Sample:
    image = read_image(sources.fields / "images-color" / f"{name}.jpg")
    side = round(image.shape[0] * OVERSAMPLING * settings.diam_mean / FIELD_DIAMETER)
    planes = to_network_input(image, settings.channels)
    planes = np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes])
    boxes = read_boxes(sources.fields / "boxes" / f"{name}.txt", side)
    labels = outlines(boxes, side, sources.exponent)
    if guide is not None:
        # As the starter ships; a model fresh from training knows nothing of that yet.
        how = {"flow_threshold": FLOW_THRESHOLD, "augment": True, "resample": False}
        found = guide.segment(image, FIELD_DIAMETER, **how).labels
        labels = refined(boxes, labels, cv2.resize(found, (side, side), interpolation=cv2.INTER_NEAREST))
    # One diameter for all fields, as they will be segmented, instead of each field's own median.
    return replace(make_sample(name, planes, labels), diameter=OVERSAMPLING * settings.diam_mean)


def outlined_samples(folder: Path, settings: TrainSettings, grey: bool) -> list[Sample]:
    """Images with true outlines; nuclei are grey, and grey stands in for every channel."""
    samples = []
    for item in progress(find_annotated(folder).fields, desc=folder.parent.parent.name, unit="image"):
        image = read_field(item)
        labels = load_labels(item, image.shape)
        planes = to_network_input(image.array(), (0,) if grey else settings.channels)
        samples.append(make_sample(item.name, np.repeat(planes, len(settings.channels) // len(planes), axis=0), labels))
    return samples


def run(sources: Sources, settings: TrainSettings, out: Path, resume: bool = False) -> TrainingResult:
    """Train from noise, or from an earlier model (``--set model_type=FILE``), at the recipe's scale."""
    fields, validation = (field_samples(sources, part, settings) for part in ("train", "val"))
    nuclei = outlined_samples(sources.nuclei / "all" / "train", settings, grey=True)
    samples = sources.repeats[0] * fields + sources.repeats[1] * nuclei
    if sources.simulated:
        samples += outlined_samples(sources.simulated / "all" / "train", settings, grey=False)
    network, _, settings = start_network(settings)
    network.diam_mean.data.fill_(settings.diam_mean)
    info = ModelInfo(settings.channels, about="starter: real CELLULAR fields (boxes) and nuclei (outlines)")
    return train_network(network, samples, validation, settings, out, info, resume)


def changed(settings: TrainSettings, changes: Sequence[str]) -> TrainSettings:
    """`settings` with ``name=value`` put in, the value read as the type that is there."""
    values = {}
    for change in changes:
        name, text = change.split("=", 1)
        old = getattr(settings, name)
        values[name] = tuple(int(c) for c in text.split(",")) if isinstance(old, tuple) else type(old)(text)
    return replace(settings, **values)


def add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--nuclei", type=Path, required=True)
    parser.add_argument("--simulated", type=Path)
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings other than the first stage's"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--exponent", type=float, default=EXPONENT)
    parser.add_argument("--refine", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--start", type=Path, metavar="MODEL", help="where the first of --stages goes on from")
    args = parser.parse_args()
    if "first" not in args.stages and args.start is None:
        parser.error(f"--stages {' '.join(args.stages)} goes on from a model: name it with --start")
    sources = Sources(args.fields, args.nuclei, args.simulated, exponent=args.exponent, refine=args.refine)
    settings, model = replace(changed(SETTINGS, args.set), seed=args.seed), args.start
    for stage, changes in STAGES.items():
        changes = dict(changes)
        sources = replace(sources, repeats=changes.pop("repeats", sources.repeats))
        if changes.pop("own_outlines", False):
            sources = replace(sources, refine=model)
        settings = replace(settings, **changes)
        if stage not in args.stages:
            continue
        settings = replace(settings, model_type=str(model) if model else settings.model_type)
        result = run(sources, settings, args.out / stage, args.resume and (args.out / stage / CHECKPOINT).is_file())
        model = result.model
        print(f"{stage}: best validation loss {result.best_loss:.4f}; model {model}")


if __name__ == "__main__":
    main()
