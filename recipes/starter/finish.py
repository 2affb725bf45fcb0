"""Turn a trained network into the model that ships: diameter, thresholds and calibrated scores.

    python recipes/starter/finish.py MODEL --fields FIELDS --out src/cellular/segment/starter/starter.safetensors

MODEL is what train.py left (``models/starter_best``). The scores are a logistic regression on the "train" fields alone:
was the cell's box right (IoU of at least 0.5 with an expert's box, matched one to one)?
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))
from boxes import read_boxes

from cellular.data.images import read_image
from cellular.evaluate.detection import Boxes, match_boxes
from cellular.progress import progress
from cellular.segment.files import cell_boxes
from cellular.segment.models import Model, load_model, save_model
from cellular.segment.scores import score_measurements
from cellular.segment.segmenter import Segmenter
from cellular.tables import read_json
from train import FIELD_DIAMETER

# Looser than Cellpose's 0.4 and 0: in crowded fields its flow check drops more right cells than wrong ones, and the
# scores order what it would have dropped (docs/accuracy.md has the comparison).
FLOW_THRESHOLD = 0.8
CELLPROB_THRESHOLD = 0.5


def fit_scores(model: Model, folder: Path, names: list[str]) -> dict[str, float]:
    """Coefficients of :class:`cellular.segment.scores.ScoreModel` fitted on the named fields."""
    segmenter = Segmenter(model, "cpu")
    measured, right = [], []
    for name in progress(names, desc="calibrate", unit="field"):
        image = read_image(folder / "images-color" / f"{name}.jpg")
        found = segmenter.segment(image)
        values = score_measurements(found.labels, found.flows, found.cell_probability)
        numbers, boxes = cell_boxes(found.labels)
        table = np.stack(list(values.values()), axis=1)[numbers - 1]
        # Matching goes by score; any score that falls with the flow error is good enough to say which box is right.
        rank = -values["flow_error"][numbers - 1]
        truth = Boxes(read_boxes(folder / "boxes" / f"{name}.txt", image.shape[0]))
        matched = match_boxes([truth], [Boxes(boxes, rank)])
        measured.append(table[np.argsort(-rank, kind="mergesort")])
        right.append(matched.correct[0])
    fit = LogisticRegression(C=10, max_iter=1000).fit(np.concatenate(measured), np.concatenate(right))
    coefficients = dict(zip(values, fit.coef_[0]))
    return {"intercept": float(fit.intercept_[0])} | {name: float(value) for name, value in coefficients.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = load_model(args.model)
    model.network.diam_labels.data.fill_(FIELD_DIAMETER)
    info = replace(
        model.info,
        flow_threshold=FLOW_THRESHOLD,
        cellprob_threshold=CELLPROB_THRESHOLD,
        about="Starter model of cellular: Drosophila S2R+ cells of the CELLULAR dataset, and nuclei",
    )
    model = replace(model, info=info, diameter=FIELD_DIAMETER)
    score = fit_scores(model, args.fields, read_json(args.fields / "split.json")["train"])
    save_model(args.out, model.network, replace(info, score=score), half=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB; scores {score}")


if __name__ == "__main__":
    main()
