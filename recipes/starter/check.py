"""What a model finds where it was not trained: simulated plates of another lab, and nuclei.

    python recipes/starter/check.py plate MODEL [MODEL ...] --data PLATE [--fields 8]
    python recipes/starter/check.py nuclei MODEL [MODEL ...] --data NUCLEI [--part test]
    python recipes/starter/check.py fields MODEL [MODEL ...] --data FIELDS

PLATE holds ``ometiff/<field>.ome.tif`` (Hoechst, GFP, mRFP) and ``truth/<field>_labels.tif`` and ``_nuclei.tif``; a
model of three channels is given mRFP and EGFP with transmitted light dark, then each of the two alone, a model of one
the Hoechst channel; the cells' diameter is estimated. NUCLEI is as in pack.py; of its images by name the last 30 are
the test, the ten before them settle thresholds (``--part settle`` goes through a grid). FIELDS is as in train.py: box
AP50 of the validation fields, from all channels and from the reporters alone. Prints a table.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

sys.path.insert(0, str(Path(__file__).parent))

from boxes import read_boxes
from pack import NUCLEI_TRAIN, read_nuclei
from planes import reporters

from cellular.data.formats.images import read_image
from cellular.evaluate.detection import Boxes, average_precision, match_boxes
from cellular.evaluate.scores import score_field, summary
from cellular.files import read_json
from cellular.labels.cells import cell_boxes
from cellular.segment.segmenter import Segmenter

PARTS = {"settle": slice(NUCLEI_TRAIN, 90), "test": slice(90, None)}
FLOW_THRESHOLDS, CELLPROB_THRESHOLDS = (0.4, 0.6, 0.8), (-1.0, -0.5, 0.0, 0.5)


def plate_images(folder: Path, count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, planes (3, Y, X), and true cells and nuclei (Y, X) of the first fields by name."""
    for path in sorted((folder / "ometiff").rglob("*.ome.tif"))[:count]:
        name = path.name.removesuffix(".ome.tif")
        truth = (tifffile.imread(folder / "truth" / f"{name}_{what}.tif") for what in ("labels", "nuclei"))
        yield name, np.squeeze(tifffile.imread(path)), *truth


def check_plate(model: str, folder: Path, count: int) -> Iterator[str]:
    segmenter = Segmenter.from_pretrained(model, "cpu")
    one_channel = segmenter.model.network.channels == 1
    views = ("DNA",) if one_channel else ("mRFP, EGFP", "mRFP alone", "EGFP alone")
    scores, diameters, seconds = ({view: [] for view in views} for _ in range(3))
    true_diameters = []
    for name, (dna, green, red), cells, nuclei in plate_images(folder, count):
        images = {"mRFP, EGFP": np.dstack([red, green, 0 * red]), "mRFP alone": red, "EGFP alone": green, "DNA": dna}
        truth = nuclei if one_channel else cells
        true_diameters.append(np.median(np.sqrt(np.bincount(truth.ravel())[1:] * 4 / np.pi)))
        for view in views:
            began = time.monotonic()
            found = segmenter.segment(images[view], diameter="auto")
            seconds[view].append(time.monotonic() - began)
            diameters[view].append(found.diameter)
            scores[view].append(score_field(truth, found.labels, name=name))
    for view in views:
        low, middle, high = np.percentile(diameters[view], (0, 50, 100))
        true = f"{np.median(true_diameters):.0f}"
        yield (
            f"| {model} | {view} | {len(scores[view])} | {rates(scores[view])} | "
            f"{middle:.0f} ({low:.0f} to {high:.0f}; true {true}) | {np.median(seconds[view]):.2f} |"
        )


def rates(scores: list) -> str:
    values = summary(scores)
    names = ("instance.0.50.f1", "instance.0.50.precision", "instance.0.50.recall", "instance.0.75.ap")
    return " | ".join(f"{values[name]:.3f}" for name in names)


def check_nuclei(model: str, folder: Path, part: str) -> Iterator[str]:
    segmenter = Segmenter.from_pretrained(model, "cpu")
    paths = sorted((folder / "images-color").glob("*.png"))[PARTS[part]]
    images = [read_nuclei(folder, path) for path in paths]
    info = segmenter.model.info
    pairs = [(info.flow_threshold, info.cellprob_threshold)]
    if part == "settle":
        pairs = itertools.product(FLOW_THRESHOLDS, CELLPROB_THRESHOLDS)
    sizes = [segmenter.diameter(grey) for grey, _ in images]
    for flow, cellprob in pairs:
        how = {"flow_threshold": flow, "cellprob_threshold": cellprob}
        scores = [
            score_field(truth, segmenter.segment(grey, size, **how).labels)
            for (grey, truth), size in zip(images, sizes)
        ]
        yield f"| {model} | flow {flow:g}, cell probability {cellprob:g} | {len(scores)} | {rates(scores)} | |"


def check_fields(model: str, folder: Path) -> Iterator[str]:
    segmenter, names = Segmenter.from_pretrained(model, "cpu"), read_json(folder / "split.json")["val"]
    views = "all channels", "reporters alone"
    boxes, seconds = ({view: [] for view in views} for _ in range(2))
    truth = []
    for name in names:
        image = read_image(folder / "images-color" / f"{name}.jpg")
        truth.append(Boxes(read_boxes(folder / "boxes" / f"{name}.txt", image.shape[0])))
        red, green = reporters(image)
        for view, given in zip(views, (image, np.dstack([red, green, 0 * red]))):
            began = time.monotonic()
            found = segmenter.segment(given)
            seconds[view].append(time.monotonic() - began)
            numbers, corners = cell_boxes(found.labels)
            boxes[view].append(Boxes(corners, found.scores[numbers - 1]))
    for view in views:
        value = average_precision(match_boxes(truth, boxes[view]), 0.5)
        yield f"| {model} | {view} | {len(names)} | box AP50 {value:.3f} | | | | | {np.median(seconds[view]):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["plate", "nuclei", "fields"])
    parser.add_argument("model", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=8)
    parser.add_argument("--part", choices=list(PARTS), default="test")
    args = parser.parse_args()
    print("| model | given | images | F1 | precision | recall | AP at 0.75 | diameter, px | s an image |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in args.model:
        rows = {
            "plate": lambda model=model: check_plate(model, args.data, args.fields),
            "nuclei": lambda model=model: check_nuclei(model, args.data, args.part),
            "fields": lambda model=model: check_fields(model, args.data),
        }
        for row in rows[args.what]():
            print(row, flush=True)


if __name__ == "__main__":
    main()
