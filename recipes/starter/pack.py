"""Put what gpu.py learns from into one small folder, so that it can travel to another machine.

    python recipes/starter/pack.py --fields FIELDS --nuclei NUCLEI --out FOLDER [--model starter] [--simulated 40]

FIELDS as in train.py. NUCLEI holds ``images-color/<name>.png`` and ``masks/<name>/nucleus/*.png``, one per nucleus.
FOLDER gets

- ``fields/<field>.jpg`` and ``.png``: outlines at twice the network's scale, of `model` itself where
  they fill the expert's box, else superellipses;
- ``nuclei/<name>.png`` and ``<name>_masks.png``, ``simulated/`` likewise, as JPEG (monolayer.py);
- ``split.json`` as it is in FIELDS.
"""

import argparse
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boxes import FIELD_DIAMETER, outlines, read_boxes, refined
from monolayer import monolayer

from cellular.data.formats.images import read_image
from cellular.files import read_json
from cellular.progress import progress
from cellular.segment.segmenter import Segmenter

# Side of a packed field's outlines: twice the network's scale of 48 px a cell.
SIDE = round(2048 * 2 * 48 / FIELD_DIAMETER)
SIMULATED_SIDE = 512
# The nuclei that are learned from; the other 40 stay behind.
NUCLEI_TRAIN = 80


def pack_fields(fields: Path, out: Path, model: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    segmenter = Segmenter.from_pretrained(model)
    split = read_json(fields / "split.json")
    shutil.copy(fields / "split.json", out.parent)
    for name in progress(split["train"] + split["val"], desc="fields", unit="field"):
        if (out / f"{name}.png").is_file():
            continue
        shutil.copy(fields / "images-color" / f"{name}.jpg", out)
        image = read_image(fields / "images-color" / f"{name}.jpg")
        # Without flips: only outlines are wanted, of cells whose boxes are known.
        found = segmenter.segment(image, augment=False).labels
        found = cv2.resize(found, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        boxes = read_boxes(fields / "boxes" / f"{name}.txt", SIDE)
        cv2.imwrite(str(out / f"{name}.png"), refined(boxes, outlines(boxes, SIDE), found))


def pack_nuclei(nuclei: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted((nuclei / "images-color").glob("*.png"))[:NUCLEI_TRAIN]
    for path in progress(paths, desc="nuclei", unit="image"):
        grey, labels = read_nuclei(nuclei, path)
        cv2.imwrite(str(out / path.name), grey)
        cv2.imwrite(str(out / f"{path.stem}_masks.png"), labels)


def read_nuclei(folder: Path, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Grey image (Y, X) uint8 and labels (Y, X) uint16 of one image of nuclei."""
    image = read_image(path)
    grey = image if image.ndim == 2 else image.mean(axis=2).round().astype(np.uint8)
    labels = np.zeros(grey.shape, np.uint16)
    for label, mask in enumerate(sorted((folder / "masks" / path.stem / "nucleus").glob("*.png")), start=1):
        labels[cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 0] = label
    return grey, labels


def pack_simulated(count: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for number in progress(range(count), desc="simulated", unit="field"):
        image, labels = monolayer(SIMULATED_SIDE, np.random.default_rng([48, number]))
        # 8 bits of what lies between the extreme percentiles are enough to learn from, and pack smaller.
        low, high = np.percentile(image, (0.5, 99.7))
        grey = np.clip((image - low) / (high - low) * 220 + 10, 0, 255).astype(np.uint8)
        colours = np.dstack([np.zeros_like(grey[..., 0]), grey[..., 1], grey[..., 0]])
        full = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        cv2.imwrite(str(out / f"{number:03d}.jpg"), colours, [cv2.IMWRITE_JPEG_QUALITY, 90, *full])
        cv2.imwrite(str(out / f"{number:03d}_masks.png"), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--nuclei", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--simulated", type=int, default=40)
    args = parser.parse_args()
    pack_nuclei(args.nuclei, args.out / "nuclei")
    pack_simulated(args.simulated, args.out / "simulated")
    pack_fields(args.fields, args.out / "fields", args.model)


if __name__ == "__main__":
    main()
