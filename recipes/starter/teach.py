"""What `cellular teach` is worth on real fields: some corrected, and others looked at that it did not learn from.

    python recipes/starter/teach.py MODEL --fields FIELDS --out OUT --learn NAME [NAME ...] --judge NAME [NAME ...]

MODEL must not have seen these fields (`folds.py` makes such). The expert's boxes, made outlines, are drawn over the
cells that MODEL finds in the fields to learn from and in the first to judge, as somebody would on the live page; then
the verb runs. Prints box AP50, and precision, recall and F1 of boxes at IoU 0.5, of the fields to judge, before and
after.
"""

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from boxes import outlines, read_boxes

import cellular
from cellular.cli.main import main as run
from cellular.data.formats.images import read_image, read_labels
from cellular.evaluate.detection import THRESHOLDS, Boxes, average_precision, match_boxes
from cellular.jobs.corrections import FieldCorrections
from cellular.labels.cells import cell_boxes

IOU = 0.5


def correct(names: list[str], fields: Path, found: Path, out: Path) -> None:
    """Every cell as the expert has it, one stroke a field."""
    for name in names:
        labels = read_labels(found / f"{name}_masks.tif")
        truth = outlines(read_boxes(fields / "boxes" / f"{name}.txt", labels.shape[0]), labels.shape[0])
        # New cells get numbers of their own.
        truth = truth.astype("uint32")
        truth[truth > 0] += labels.max()
        FieldCorrections(out, name, labels).become(truth)
        print(f"{name}: {labels.max()} cells corrected to {len(cell_boxes(truth)[0])}", flush=True)


def score(model: str | Path, names: list[str], fields: Path) -> str:
    segmenter = cellular.Segmenter.from_pretrained(model, "cpu")
    true, found = [], []
    for name in names:
        image = read_image(fields / "images-color" / f"{name}.jpg")
        cells = segmenter.segment(image)
        numbers, corners = cell_boxes(cells.labels)
        found.append(Boxes(corners, cells.scores[numbers - 1]))
        true.append(Boxes(read_boxes(fields / "boxes" / f"{name}.txt", image.shape[0])))
    detections = match_boxes(true, found)
    right = detections.correct[THRESHOLDS.index(IOU)].sum()
    precision, recall = right / len(detections.score), right / detections.true_boxes.sum()
    f1 = 2 * precision * recall / (precision + recall)
    return f"{average_precision(detections, IOU):.3f} | {precision:.3f} | {recall:.3f} | {f1:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--learn", nargs="+", required=True)
    parser.add_argument("--judge", nargs="+", required=True)
    args = parser.parse_args()
    sixth, images = args.judge[0], args.out / "images"
    found, taught, corrections = (args.out / name for name in ("found", "taught", "corrections"))
    images.mkdir(parents=True, exist_ok=True)
    for name in [*args.learn, sixth]:
        shutil.copy(args.fields / "images-color" / f"{name}.jpg", images)
    run(["segment", str(images), "--out", str(found), "--model", str(args.model)])
    if not corrections.is_dir():
        correct([*args.learn, sixth], args.fields, found, corrections)
    run(["teach", str(found), "--corrections", str(corrections), "--model", str(args.model), "--out", str(taught)])
    print("| fields | model | box AP50 | precision | recall | F1 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for what, names in (("the sixth", args.judge[:1]), (f"all {len(args.judge)} to judge", args.judge)):
        for model, path in (("before", args.model), ("taught", taught / "model.safetensors")):
            print(f"| {what} | {model} | {score(path, names, args.fields)} |", flush=True)


if __name__ == "__main__":
    main()
