"""What models find in fields of wells that they have not seen.

    python recipes/starter/heldout.py OUT --fields FIELDS [--recipes strong24 ...] [--part train|all] [--labels close24]

OUT is what gpu.py wrote. It gets ``predictions_<recipe>_fold<k>.zip``: an .npz for each field of the wells that were
left out, with the boxes and evidence of the cells found, by view ("all" channels; the "reporter"s alone; ", flips" for
the mean of four flips) and cell probability. crossval.py's table of them follows. Where it was stopped it goes on.
`--labels` names a recipe whose cells are written to ``labels/`` as ``cellular evaluate`` does, for errors.py, at the
threshold and with the scores that the other folds settle on.
"""

import argparse
import io
import itertools
import re
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cv2
import numpy as np
import pandas as pd
import torch
from atlas import ALL
from boxes import FIELD_DIAMETER
from crossval import FIELD_SIDE, of_recipe, print_table, read_predictions, settled_without
from gpu import FLOW_THRESHOLD, held_fields
from planes import field_planes

from cellular.data.formats.images import read_image, write_labels
from cellular.files import read_json, whole_file, write_csv
from cellular.labels.cells import cell_boxes
from cellular.labels.enlarge import enlarge_labels
from cellular.progress import progress
from cellular.segment.flows.to_labels import labels_and_errors
from cellular.segment.image.tiles import run_network
from cellular.segment.model.network import CPnet
from cellular.segment.model.registry import load_model
from cellular.segment.scores import cell_evidence, scores_of

THRESHOLDS, STEPS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5), 200


def views_of(planes: np.ndarray) -> dict[str, np.ndarray]:
    """What a network of three channels is given of `planes` (PLANES, Y, X), by view."""
    return {"all": planes[list(ALL)], "reporter": np.stack([planes[3], planes[4], 0 * planes[0]])}


def outputs_of(network: CPnet, planes: np.ndarray, flips: bool) -> dict[str, np.ndarray]:
    """Outputs (3, Y, X) float32 for a whole field's `planes`, by view; resized as the segmenter does."""
    side = int(FIELD_SIDE * float(network.diam_mean) / FIELD_DIAMETER)
    planes = np.stack([cv2.resize(plane, (side, side)) for plane in planes])
    outputs = {}
    for (view, given), augment in itertools.product(views_of(planes).items(), (False, True) if flips else (False,)):
        outputs[f"{view}, flips" if augment else view] = run_network(network, given, augment=augment)[0]
    return outputs


def cells_of(output: np.ndarray, threshold: float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels at the scale of an output (3, Y, X); their boxes in a field of `shape` and evidence, (N, 4) float32."""
    how = {"niter": STEPS, "flow_threshold": FLOW_THRESHOLD, "cellprob_threshold": threshold, "min_size": 3}
    labels, errors = labels_and_errors(output[:2], output[2], **how)
    evidence = cell_evidence(labels, output[:2], output[2], errors)
    numbers, boxes = cell_boxes(enlarge_labels(labels, shape))
    return labels, boxes.astype(np.float32), evidence[numbers - 1].astype(np.float32)


def cells_by_threshold(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Boxes and evidence by view and threshold, as crossval.py reads them."""
    cells = {}
    for view, threshold in itertools.product(outputs, THRESHOLDS):
        _, boxes, evidence = cells_of(outputs[view].astype(np.float32), threshold, (FIELD_SIDE, FIELD_SIDE))
        cells[f"{view}|{threshold}|boxes"], cells[f"{view}|{threshold}|evidence"] = boxes, evidence
    return cells


def archived(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz file."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def add_to(archive: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
        file.writestr(name, content)


def write_found(out: Path, recipe: str, fields: Path, names: list[str]) -> None:
    """``labels/<field>_masks.tif`` and ``labels/cells/<field>.csv`` of what each field's fold finds."""
    archives = sorted(out.glob(f"predictions_{recipe}_fold*.zip"))
    found = read_predictions(archives, fields, names)
    by_threshold = of_recipe(found, recipe)
    for fold, held in enumerate(held_fields(names)):
        network = load_model(out / f"{recipe}_fold{fold}.safetensors").network.eval()
        threshold, score = settled_without(by_threshold, str(fold))
        for name in progress(held, desc=f"labels of fold {fold}", unit="field"):
            planes = field_planes(read_image(fields / "images-color" / f"{name}.jpg"))
            small, _, evidence = cells_of(
                outputs_of(network, planes, False)["all"], threshold, (FIELD_SIDE, FIELD_SIDE)
            )
            labels = enlarge_labels(small, (FIELD_SIDE, FIELD_SIDE))
            write_labels(out / "labels" / f"{name}_masks.tif", labels)
            cells = pd.DataFrame({"label": cell_boxes(labels)[0], "score": scores_of(evidence, score)})
            write_csv(out / "labels" / "cells" / f"{name}.csv", cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--recipes", nargs="*", help="all, where none is named")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--part", choices=["train", "all"], default="train")
    parser.add_argument("--labels", metavar="RECIPE")
    parser.add_argument("--flips", action="store_true", help="the mean of four flips, too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    split = read_json(args.fields / "split.json")
    folds = held_fields(sorted(split["train"] + split["val"]))
    for path in sorted(args.out.glob("*_fold*.safetensors")):
        recipe, fold = re.fullmatch(r"(.+)_fold(\d+)", path.stem).groups()
        archive = args.out / f"predictions_{path.stem}.zip"
        if archive.is_file() or int(fold) not in args.folds or (args.recipes and recipe not in args.recipes):
            continue
        network = load_model(path).network.eval()
        with whole_file(archive) as temporary:
            for name in progress(folds[int(fold)], desc=path.stem, unit="field"):
                planes = field_planes(read_image(args.fields / "images-color" / f"{name}.jpg"))
                cells = cells_by_threshold(outputs_of(network, planes, args.flips))
                add_to(temporary, f"{path.stem}/{name}.npz", archived(cells))
    if args.labels:
        write_found(args.out, args.labels, args.fields, sorted(split["train"] + split["val"]))
    print_table([args.out], args.fields, split["train"] + (split["val"] if args.part == "all" else []), args.recipes)


if __name__ == "__main__":
    main()
