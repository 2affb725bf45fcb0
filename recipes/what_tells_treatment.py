"""What tells the treatment of a well: the cells, or the light of the well? A control for any classifier of states.

    python recipes/what_tells_treatment.py CELLS IMAGES LABELS

CELLS is cells.csv of `cellular measure IMAGES LABELS`. Trees are trained on groups of features of the cells, then on
discs of medium that touch no cell, each time leaving a well out; the treatment stands in for the truth. Where medium
does as well as cells, a classifier of cells has shown nothing about them.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cellular.autophagy.measure.columns import COUNTS, SHAPE
from cellular.autophagy.measure.intensity import measure_colocalisation, measure_intensity
from cellular.autophagy.measure.unmix import REPORTER, Channels, unmix
from cellular.autophagy.state.tree_model import FEATURES, ClassifySettings
from cellular.autophagy.state.trees import validate
from cellular.autophagy.state.truth import add_truth
from cellular.data.image import load_labels, read_field
from cellular.data.plate import FieldFiles
from cellular.files import read_csv
from cellular.jobs.classify import fields_of
from cellular.labels.regions import Regions
from cellular.progress import progress

RADIUS_PX, DISCS, CLEAR_PX = 24, 60, 12
LEVELS = tuple(f"{what}__{name}" for what in ("mean", "median") for name in REPORTER)
TEXTURE = (*(f"{what}__{name}" for what in ("deviation", "upper") for name in REPORTER), "pearson")
PUNCTA = tuple(name for name in COUNTS if name in FEATURES and "contrast" not in name)


def discs_of_medium(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(Y, X) labels of up to `DISCS` discs that are `CLEAR_PX` or more from any cell and from each other."""
    free = (labels == 0).astype(np.uint8)
    free[[0, -1]] = free[:, [0, -1]] = 0
    discs = np.zeros(labels.shape, np.uint16)
    for number in range(1, DISCS + 1):
        room = np.argwhere(cv2.distanceTransform(free, cv2.DIST_L2, 3)[::4, ::4] > RADIUS_PX + CLEAR_PX) * 4
        if len(room) == 0:
            break
        y, x = room[rng.integers(len(room))].tolist()
        cv2.circle(discs, (x, y), RADIUS_PX, number, -1)
        cv2.circle(free, (x, y), RADIUS_PX, 0, -1)
    return discs


def measure_medium(item: FieldFiles, rng: np.random.Generator) -> pd.DataFrame:
    """Levels of each disc as they are, and its texture over the disc's own median; one row a disc."""
    image = read_field(item)
    labels = load_labels(item, image.shape)
    channels, regions = unmix(image, labels), Regions.of(discs_of_medium(labels, rng))
    as_it_is = replace(channels, background=(0.0,) * len(channels.names))
    levels = measure_intensity(as_it_is, regions)
    even = measure_intensity(_without_levels(as_it_is, regions), regions)
    pearson = measure_colocalisation(as_it_is, regions)["pearson"]
    table = {name: levels[name] for name in LEVELS} | {name: even[name] for name in TEXTURE if name in even}
    return pd.DataFrame({"field": item.name, "label": regions.labels, **table, "pearson": pearson})


def _without_levels(channels: Channels, regions: Regions) -> Channels:
    """The same with every disc's median at 0."""
    planes = []
    for plane in channels.planes.values():
        values = regions.values(plane)
        flat = plane.ravel().copy()
        flat[regions.pixels] = values - regions.spread(np.array([np.median(piece) for piece in regions.pieces(plane)]))
        planes.append(flat.reshape(plane.shape))
    return replace(channels, pixels=tuple(planes))


def judge(name: str, table: pd.DataFrame, features: tuple[str, ...]) -> dict[str, object]:
    """One row of the table: trees on `features`, wells left out."""
    result = validate(add_truth(table, None), ClassifySettings(features=features))
    wells = dict(zip(result.left_out["left_out"].str.split("/").str[-1], result.left_out["accuracy"].round(2)))
    scores = {"balanced accuracy": result.balanced_accuracy, "AUC": result.auc, "AUC of fields": result.field_auc}
    return {"told by": name, "features": len(features), "objects": len(table), **scores, **wells}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("cells", "images", "labels"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    args = parser.parse_args()
    cells = read_csv(args.cells)
    fields = fields_of(cells, args.images, args.labels)
    rng = np.random.default_rng(0)
    parts = [measure_medium(item, rng) for item in progress(fields.values(), desc="medium")]
    medium = pd.concat(parts, ignore_index=True)
    shape = tuple(name for name in SHAPE if name in FEATURES)
    light = tuple(name for name in FEATURES if name not in (*shape, *COUNTS))
    rows = [
        judge("cells: all measurements", cells, FEATURES),
        judge("cells: light alone", cells, light),
        judge("cells: puncta alone", cells, PUNCTA),
        judge("cells: shape alone", cells, shape),
        judge("medium: levels", medium, LEVELS),
        judge("medium: texture", medium, TEXTURE),
    ]
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
