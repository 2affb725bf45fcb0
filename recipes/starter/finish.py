"""Turn a trained network into the model that ships: diameter, thresholds and calibrated scores.

    python recipes/starter/finish.py MODEL --fields FIELDS --out src/cellular/segment/model/starter/starter.safetensors

MODEL is what train.py left (``models/<stage>``). Everything is settled on the "train" fields alone: the cell
probability is the one of a small grid with the best box AP at IoU 0.5 (without flips, which take four times the time),
the scores are a logistic regression: was the cell's box right (IoU of at least 0.5 with an expert's box, matched one
to one)?
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boxes import FIELD_DIAMETER, read_boxes

from cellular.data.formats.images import read_image
from cellular.evaluate.detection import Boxes, average_precision, match_boxes
from cellular.files import read_json
from cellular.jobs.calibrate import fit_scores
from cellular.labels.cells import cell_boxes
from cellular.progress import progress
from cellular.segment.model.registry import Model, load_model, save_model
from cellular.segment.scores import ScoreModel, score_measurements, scores_of
from cellular.segment.segmentation import Segmentation
from cellular.segment.segmenter import Segmenter
from train import FLOW_THRESHOLD

CELLPROB_THRESHOLDS = (-0.5, 0.0, 0.5, 1.0)


def segmented(model: Model, folder: Path, names: list[str], threshold: float) -> list[tuple[Segmentation, Boxes]]:
    """What the model finds in the named fields at a cell probability `threshold`, and the experts' boxes."""
    segmenter, results = Segmenter(model, "cpu"), []
    for name in progress(names, desc=f"cell probability {threshold}", unit="field"):
        image = read_image(folder / "images-color" / f"{name}.jpg")
        found = segmenter.segment(image, cellprob_threshold=threshold)
        # The network's output is the bulk of it and not needed any more.
        truth = Boxes(read_boxes(folder / "boxes" / f"{name}.txt", image.shape[0]))
        results.append((replace(found, flows=None, cell_probability=None), truth))
    return results


def box_scores(results: list[tuple[Segmentation, Boxes]]) -> dict[str, float]:
    """Coefficients of a ScoreModel: is the box of the cell right?"""
    measured, right = [], []
    for found, truth in results:
        values = score_measurements(found.evidence)
        numbers, boxes = cell_boxes(found.labels)
        table = np.stack(list(values.values()), axis=1)[numbers - 1]
        # Matching goes by score; any score that falls with the flow error is good enough to say which box is right.
        rank = -values["flow_error"][numbers - 1]
        matched = match_boxes([truth], [Boxes(boxes, rank)])
        measured.append(table[np.argsort(-rank, kind="mergesort")])
        right.append(matched.correct[0])
    return fit_scores(np.concatenate(measured), np.concatenate(right))


def box_ap(results: list[tuple[Segmentation, Boxes]], score: dict[str, float]) -> float:
    """Box AP at IoU 0.5 of what was found, in the order of the scores."""
    predictions = []
    for found, _ in results:
        numbers, boxes = cell_boxes(found.labels)
        predictions.append(Boxes(boxes, scores_of(found.evidence, ScoreModel(**score))[numbers - 1]))
    return average_precision(match_boxes([truth for _, truth in results], predictions), 0.5)


def finished(model: Model, fields: Path, augment: bool = True) -> Model:
    """`model` with diameter, thresholds and scores; prints the grid. `augment`: with four flips averaged."""
    model.network.diam_labels.data.fill_(FIELD_DIAMETER)
    about = "Starter model of cellular: Drosophila S2R+ cells of the CELLULAR dataset, and nuclei"
    info = replace(model.info, flow_threshold=FLOW_THRESHOLD, augment=augment, resample=False, score=None, about=about)
    model = replace(model, info=info, diameter=FIELD_DIAMETER)
    names = read_json(fields / "split.json")["train"]
    quick = replace(model, info=replace(info, augment=False))
    best = None
    for threshold in CELLPROB_THRESHOLDS:
        results = segmented(quick, fields, names, threshold)
        value = box_ap(results, box_scores(results))
        print(f"cell probability {threshold}: box AP50 {value:.4f} on the training fields, without flips", flush=True)
        if best is None or value > best[0]:
            best = value, threshold, results
    results = segmented(model, fields, names, best[1]) if augment else best[2]
    score = box_scores(results)
    print(f"as it ships: box AP50 {box_ap(results, score):.4f} on the training fields")
    return replace(model, info=replace(info, cellprob_threshold=best[1], score=score))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = finished(load_model(args.model), args.fields)
    save_model(args.out, model.network, model.info, half=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB; {model.info}")


if __name__ == "__main__":
    main()
