"""Train the model that ships with cellular.

    python recipes/starter/train.py --fields FIELDS --nuclei NUCLEI --out RUNS [--resume]

FIELDS holds the real fields with expert boxes: ``images-color/<field>.jpg``, ``boxes/<field>.txt`` (YOLO) and
``split.json`` ("train" and "val" lists). NUCLEI is what ``cellular prepare`` made of nuclei with expert outlines:
``all/train`` and ``all/valid``. Nothing is trained on FIELDS' "val" nor on NUCLEI's ``all/test``.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boxes import outlines, read_boxes

from cellular.data.images import read_image
from cellular.data.pairs import find_pairs, load_image, load_labels
from cellular.progress import progress
from cellular.segment.models import ModelInfo
from cellular.segment.network import CPnet
from cellular.segment.normalize import to_network_input
from cellular.tables import read_json
from cellular.train import TrainSettings, train_network
from cellular.train.loop import start_network
from cellular.train.samples import Sample, make_sample

# Mean side of the training boxes, px: the scale at which real fields are segmented.
FIELD_DIAMETER = 121.0
# Training fields are kept at twice the network's scale: turning them does not blur what the network sees.
OVERSAMPLING = 2
# One epoch takes each real field this often and each nuclei image once.
REPEATS = 6

SETTINGS = TrainSettings(
    model_type="scratch",
    width=16,
    channels=(1, 2, 3),
    diam_mean=24.0,
    crop_size=192,
    n_epochs=55,
    optimizer="adamw",
    schedule="cosine",
    learning_rate=2e-3,
    weight_decay=1e-2,
    ema=0.99,
    jitter=0.2,
    min_train_masks=0,
    validate_every=5,
    checkpoint_every=1,
)


def field_sample(folder: Path, name: str) -> Sample:
    """A real field, shrunk to OVERSAMPLING times the network's scale, its outlines inscribed in the expert's boxes."""
    image = read_image(folder / "images-color" / f"{name}.jpg")
    side = round(image.shape[0] * OVERSAMPLING * SETTINGS.diam_mean / FIELD_DIAMETER)
    planes = to_network_input(image, SETTINGS.channels)
    planes = np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes])
    sample = make_sample(name, planes, outlines(read_boxes(folder / "boxes" / f"{name}.txt", side), side))
    # One diameter for all fields, as they will be segmented, instead of each field's own median.
    return replace(sample, diameter=OVERSAMPLING * SETTINGS.diam_mean)


def nuclei_samples(folder: Path) -> list[Sample]:
    """Nuclei, grey in all three channels."""
    samples = []
    for pair in progress(find_pairs(folder), desc="nuclei", unit="image"):
        image = load_image(pair)
        labels = load_labels(pair, image.shape[:2])
        grey = to_network_input(image, (0,))
        samples.append(make_sample(pair.name, np.repeat(grey, len(SETTINGS.channels), axis=0), labels))
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--nuclei", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    split = read_json(args.fields / "split.json")
    fields, validation = (
        [field_sample(args.fields, name) for name in progress(split[part], desc=f"{part} fields", unit="field")]
        for part in ("train", "val")
    )
    samples = REPEATS * fields + nuclei_samples(args.nuclei / "all" / "train")
    settings = replace(SETTINGS, seed=args.seed)
    network, _, settings = start_network(settings)
    info = ModelInfo(settings.channels, about="starter: real CELLULAR fields (boxes) and nuclei (outlines)")
    result = train_network(network, samples, validation, settings, args.out, info, args.resume)
    print(f"{describe(network)}; best validation loss {result.best_loss:.4f}; {result.best}")


def describe(network: CPnet) -> str:
    return f"{sum(p.numel() for p in network.parameters()):,} parameters"


if __name__ == "__main__":
    main()
