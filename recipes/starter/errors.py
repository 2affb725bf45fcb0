"""Where the model goes wrong on real fields, and how well the experts agree with themselves.

    python recipes/starter/errors.py LABELS --fields FIELDS --part train|val|all --out DIR

LABELS holds ``<field>_masks.tif`` (the ``labels/`` folder that ``cellular evaluate`` or heldout.py writes). Writes
``errors.csv``, ``errors.md``, ``errors.svg`` and ``failures.png`` into DIR.

Every expert's box is *found* (a predicted box of its own at IoU 0.5 or more), or *merged* (the prediction with the
largest IoU also holds the centre of another expert's box), *split* (two or more predictions have their centres in it),
*badly outlined* (best IoU 0.25 to 0.5), or *missed*. The ceiling compares the experts' boxes of the same position at
consecutive timepoints: cells move in between, so it is a lower bound of how well an expert agrees with themselves.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from boxes import iou_matrix, read_boxes

from cellular.data.fields import parse_field
from cellular.data.formats.images import read_image, read_labels
from cellular.data.platemap import cellular_treatment
from cellular.evaluate.scores import match
from cellular.files import read_csv, read_json, whole_file, write_csv
from cellular.labels.cells import cell_boxes
from cellular.report.outlines import PLAIN, outline_overlay
from cellular.report.style import PALETTE, save

KINDS = ("found", "badly outlined", "merged", "split", "missed")
# One picture of each, this many px of a field wide.
PICTURED = ("merged", "split", "missed", "spurious")
WINDOW = 440
GROUPS = ("treatment", "size", "brightness", "crowding")
EDGES = ["y0", "x0", "y1", "x1"]


def pairs_at_half(iou: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns matched one to one at IoU 0.5."""
    rows, columns = np.nonzero(iou)
    chosen = match(rows, columns, iou[rows, columns], 0.5)
    return rows[chosen], columns[chosen]


def inside(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, M) whether point m lies in box n."""
    return ((points[None] >= boxes[:, None, :2]) & (points[None] <= boxes[:, None, 2:])).all(axis=2)


def kinds_of(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What became of each true box, and whether each prediction matches one."""
    kinds, right = np.full(len(truth), "missed", dtype=object), np.zeros(len(predicted), bool)
    if not len(predicted):
        return kinds, right
    iou = iou_matrix(truth, predicted)
    centres, found_centres = (b[:, :2] / 2 + b[:, 2:] / 2 for b in (truth, predicted))
    best = iou.argmax(axis=1)
    kinds[iou.max(axis=1) >= 0.25] = "badly outlined"
    several = inside(truth, found_centres).sum(axis=1) >= 2
    kinds[several & (iou.max(axis=1) >= 0.1)] = "split"
    shares = inside(predicted, centres)[best].sum(axis=1) >= 2
    kinds[shares & (iou.max(axis=1) >= 0.1)] = "merged"
    rows, columns = pairs_at_half(iou)
    kinds[rows], right[columns] = "found", True
    return kinds, right


def rows_of(name: str, folder: Path, labels: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The experts' cells of a field, with what became of each, and the predicted ones: score, and whether right."""
    image = read_image(folder / "images-color" / f"{name}.jpg")
    truth = read_boxes(folder / "boxes" / f"{name}.txt", image.shape[0])
    numbers, predicted = cell_boxes(read_labels(labels / f"{name}_masks.tif"))
    kinds, right = kinds_of(truth, predicted)
    overlap = iou_matrix(truth, truth)
    np.fill_diagonal(overlap, 0)
    brightness = [image[int(y0) : int(y1), int(x0) : int(x1), :2].max(axis=2).mean() for y0, x0, y1, x1 in truth]
    table = pd.DataFrame({"field": name, "treatment": cellular_treatment(parse_field(name).well), "kind": kinds})
    table[EDGES] = truth
    table["size"] = np.sqrt(np.prod(truth[:, 2:] - truth[:, :2], axis=1))
    table["brightness"] = brightness
    table["crowding"] = (overlap > 0.05).sum(axis=1)
    scores = read_csv(labels / "cells" / f"{name}.csv").set_index("label")["score"]
    found = pd.DataFrame({"field": name, "score": scores.loc[numbers].to_numpy(), "right": right})
    found[EDGES] = predicted
    return table, found


def ceiling(folder: Path) -> Iterator[tuple[str, float]]:
    """F1 at IoU 0.5 of the experts' boxes at one timepoint against those at the next, position by position."""
    split = read_json(folder / "split.json")
    fields = sorted((parse_field(n) for n in split["train"] + split["val"]), key=lambda f: (f.series, f.timepoint))
    for one, following in itertools.pairwise(fields):
        if one.series == following.series and following.timepoint == one.timepoint + 1:
            a, b = (read_boxes(folder / "boxes" / f"{f.name}.txt", 2048) for f in (one, following))
            yield one.series, 2 * len(pairs_at_half(iou_matrix(a, b))[0]) / (len(a) + len(b))


def calibration(predicted: pd.DataFrame) -> list[str]:
    """Whether a cell with score 0.8 is right eight times in ten: a table by fifths of the predictions."""
    fifth = pd.qcut(predicted["score"].rank(method="first"), 5, labels=False)
    table = predicted.groupby(fifth)[["score", "right"]].mean()
    brier = ((predicted["score"] - predicted["right"]) ** 2).mean()
    lines = ["| predictions | mean score | share right |", "|---|---|---|"]
    lines += [f"| fifth {k + 1} | {row['score']:.3f} | {row['right']:.3f} |" for k, row in table.iterrows()]
    return [*lines, "", f"Brier score {brier:.3f}."]


def shares(cells: pd.DataFrame) -> pd.DataFrame:
    """Share of each kind by group; size, brightness and crowding in thirds."""
    parts = []
    for group in GROUPS:
        key = cells[group]
        if group != "treatment":
            key = pd.qcut(key.rank(method="first"), 3, labels=["low", "middle", "high"])
        table = pd.crosstab(key, cells["kind"], normalize="index").reindex(columns=KINDS, fill_value=0)
        table.insert(0, "cells", key.value_counts().reindex(table.index))
        parts.append(table.rename(index=lambda value, group=group: f"{group}: {value}"))
    every = cells["kind"].value_counts(normalize=True).reindex(KINDS, fill_value=0).to_frame("all").T
    every.insert(0, "cells", len(cells))
    return pd.concat([every, *parts])


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    left = np.zeros(len(table))
    for kind, colour in zip(KINDS, ("#56B4E9", *PALETTE[1:5])):
        axes.barh(table.index, table[kind], left=left, color=colour, label=kind)
        left += table[kind].to_numpy()
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the experts' cells")
    axes.legend(ncols=5, frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1.0), fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path, table.rename_axis("group").reset_index())


def draw_failures(cells: pd.DataFrame, predicted: pd.DataFrame, folder: Path, labels: Path, path: Path) -> None:
    """Where each of PICTURED is most frequent: outlines as predicted (white), the boxes that went wrong (orange)."""
    spurious = predicted[~predicted["right"]].assign(kind="spurious")
    wrong = pd.concat([cells, spurious], ignore_index=True)
    figure, axes = plt.subplots(1, len(PICTURED), figsize=(3 * len(PICTURED), 3.2))
    for axis, kind in zip(axes, PICTURED):
        here = wrong[wrong["kind"] == kind]
        field, (y, x) = busiest(here)
        image, mask = read_image(folder / "images-color" / f"{field}.jpg"), read_labels(labels / f"{field}_masks.tif")
        y, x = (min(start, side - WINDOW) for start, side in zip((y, x), mask.shape))
        image, mask = (whole[y : y + WINDOW, x : x + WINDOW] for whole in (image, mask))
        axis.imshow(outline_overlay(image, [(mask, PLAIN)]), extent=(0, WINDOW, WINDOW, 0))
        for y0, x0, y1, x1 in here.loc[here["field"] == field, EDGES].to_numpy() - (y, x, y, x):
            axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="#E69F00", linewidth=1.5))
        axis.set(xlim=(0, WINDOW), ylim=(WINDOW, 0), xticks=[], yticks=[])
        axis.set_title(f"{kind}\n{field}", fontsize=7)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def busiest(boxes: pd.DataFrame) -> tuple[str, tuple[int, int]]:
    """Field and corner (y, x) of the window with the most of `boxes`, around one of them."""
    best = (0, "", (0, 0))
    for field, group in boxes.groupby("field"):
        centres = group[EDGES].to_numpy().reshape(-1, 2, 2).mean(axis=1)
        near = (np.abs(centres[:, None] - centres[None]) <= WINDOW / 2).all(axis=2).sum(axis=1)
        y, x = centres[near.argmax()] - WINDOW / 2
        best = max(best, (int(near.max()), field, (max(0, int(y)), max(0, int(x)))))
    return best[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--part", default="val")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    split = read_json(args.fields / "split.json")
    names = split["train"] + split["val"] if args.part == "all" else split[args.part]
    results = [rows_of(name, args.fields, args.labels) for name in names]
    cells = pd.concat([r[0] for r in results], ignore_index=True)
    write_csv(args.out / "errors.csv", cells)
    table = shares(cells)
    draw(table, args.out / "errors.svg")
    agreement = [f1 for _, f1 in ceiling(args.fields)]
    predicted = pd.concat([r[1] for r in results], ignore_index=True)
    draw_failures(cells, predicted, args.fields, args.labels, args.out / "failures.png")
    spurious, count = int((~predicted["right"]).sum()), len(predicted)
    lines = ["| cells | n | " + " | ".join(KINDS) + " |", "|---|" + "---|" * (len(KINDS) + 1)]
    lines += [
        f"| {i} | {int(r['cells'])} | " + " | ".join(f"{r[k]:.3f}" for k in KINDS) + " |" for i, r in table.iterrows()
    ]
    lines.append(f"\nPredictions that match no expert's box: {spurious} of {count} ({spurious / count:.1%}).")
    lines.append(
        f"Experts at consecutive timepoints of {len(agreement)} pairs: F1 {np.median(agreement):.2f} in the median, "
        f"{min(agreement):.2f} to {max(agreement):.2f}."
    )
    lines += ["", *calibration(predicted)]
    with whole_file(args.out / "errors.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
