"""Can a model tell how well it did on a field? Statistics of what it says of it, against the F1 by the expert's boxes.

    python recipes/starter/expected_f1.py OUT [OUT ...] --fields FIELDS [--view all|reporter]

OUT is of folds.py. F1 (boxes, IoU 0.5) is of all cells found, threshold and scores from the other folds. For each
statistic a straight line is fitted without the position (or well, or fold, that is: model) whose F1 it then foretells,
and compared with the mean F1 of the others: mean absolute error of both, how much smaller the line's is with a 95 %
bootstrap interval over positions, rank correlation of foretold and true F1.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))

from after import LEVELS, levels_of, one_threshold
from boxes import read_boxes
from crossval import DRAWS, FIELD_SIDE, right_boxes, unit_of
from gpu import held_fields

from cellular.files import read_json


def statistics(score: np.ndarray, evidence: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Of a field: its cells' scores (N,) and evidence (N, 4), and the cell probability (Y, X), logits."""
    cell = probability > -2
    return {
        "mean score": float(score.mean()),
        "lowest fifth of the scores": float(np.quantile(score, 0.2)),
        "mean flow error": float(evidence[:, 2].mean()),
        "share of uncertain pixels": float((cell & (probability < 2)).sum() / cell.sum()),
        "cells": float(np.log(len(score))),
        "spread of sizes": float(np.log(evidence[:, 0]).std()),
    }


def foretold(x: np.ndarray, f1: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F1 (F,) by a least-squares plane on `x` (F, M), and by the mean, each fitted without the field's group."""
    line, mean = np.empty(len(f1)), np.empty(len(f1))
    for one in set(group):
        seen = group != one
        middle, spread = x[seen].mean(axis=0), x[seen].std(axis=0) + 1e-9
        design = np.column_stack([np.ones(len(x)), (x - middle) / spread])
        line[~seen] = design[~seen] @ np.linalg.lstsq(design[seen], f1[seen], rcond=None)[0]
        mean[~seen] = f1[seen].mean()
    return line, mean


def row(name: str, x: np.ndarray, f1: np.ndarray, groups: dict[str, np.ndarray]) -> str:
    cells = [name, f"{spearmanr(x[:, 0], f1)[0]:+.2f}" if x.shape[1] == 1 else ""]
    names, index = np.unique(groups["position"], return_inverse=True)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)[:, index]
    for group in groups.values():
        line, mean = foretold(x, f1, group)
        better = np.abs(mean - f1) - np.abs(line - f1)
        low, high = np.percentile((draws @ better) / draws.sum(axis=1), (2.5, 97.5))
        cells.append(
            f"{np.abs(line - f1).mean():.3f}, {np.abs(mean - f1).mean():.3f}: {better.mean():+.3f} "
            f"[{low:+.3f}, {high:+.3f}], {spearmanr(line, f1)[0]:+.2f}"
        )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--view", default="all")
    args = parser.parse_args()
    split = read_json(args.fields / "split.json")
    names = split["train"] + split["val"]
    fold = {name: str(k) for k, fields in enumerate(held_fields(names)) for name in fields}
    table, f1, places = [], [], []
    for out in args.out:
        outputs = {name: np.load(out / "outputs" / f"{name}.npz")[args.view].astype(np.float32) for name in names}
        truth = {name: read_boxes(args.fields / "boxes" / f"{name}.txt", FIELD_SIDE) for name in names}
        fields = [levels_of(name, fold[name], outputs[name], truth[name], LEVELS[:4]) for name in names]
        for found, score in zip(*one_threshold(fields)):
            table.append(statistics(score, found.evidence, outputs[found.field][2]))
            right = right_boxes(found.iou, score).sum()
            f1.append(2 * right / sum(found.iou.shape))
            places.append(found.field)
    f1 = np.array(f1)
    groups = {unit: np.array([unit_of(name, unit) for name in places]) for unit in ("position", "well")}
    groups["fold"] = np.array([fold[name] for name in places])
    spread = f"from {f1.min():.3f} to {f1.max():.3f}, standard deviation {f1.std():.3f}"
    print(f"{len(f1)} fields, F1 {f1.mean():.3f}, {spread}")
    for well in sorted(set(groups["well"])):
        inside = groups["well"] == well
        print(f"{well}: {inside.sum()} fields, F1 {f1[inside].mean():.3f}, standard deviation {f1[inside].std():.3f}")
    print("| statistic | rank correlation | position left out: error, of the mean: gain, correlation | well | model |")
    print("|---|---|---|---|---|")
    columns = {name: np.array([[one[name]] for one in table]) for name in table[0]}
    columns["mean score, share of uncertain pixels"] = np.hstack(
        [columns["mean score"], columns["share of uncertain pixels"]]
    )
    columns["all of them"] = np.hstack([columns[name] for name in table[0]])
    for name, x in columns.items():
        print(row(name, x, f1, groups), flush=True)


if __name__ == "__main__":
    main()
