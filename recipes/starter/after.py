"""What can be done after the network: ideas tried on the outputs that folds.py kept, each against one threshold alone.

    python recipes/starter/after.py OUT [OUT ...] --fields FIELDS [--part train|all]

Everything that is fitted or chosen for a fold (thresholds, scores) comes from the other folds. A row an idea: box AP50
and the best F1 with a cut of the scores, chosen likewise; and how much that is above the first row, with 95 % bootstrap
intervals over positions, paired: both ideas see the same draws. Of several OUTs (other seeds) all fields are taken
together; then there is a row for the mean of the seeds' outputs, too: what a network taught by all of them could reach.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))

from boxes import iou_matrix, read_boxes
from crossval import DRAWS, FIELD_SIDE, Found, detections, fitted_score, held_out, right_boxes, unit_of
from gpu import held_fields
from heldout import cells_of

from cellular.evaluate.detection import average_precision
from cellular.files import read_json
from cellular.segment.scores import ScoreModel, score_measurements, scores_of

LEVELS = (-0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
# What a wrong cell costs where a right one gains what is left to 1.
COSTS = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Level:
    """Cells of a field at one cell probability: labels (Y, X) at the network's scale, boxes (N, 4) in the field."""

    labels: np.ndarray
    boxes: np.ndarray
    found: Found


# Every field's cells and their scores, by the models of folds that it is not in.
Ranked = tuple[list[Found], list[np.ndarray]]
Fields = list[dict[float, Level]]
Classifier = HistGradientBoostingClassifier | LogisticRegression


def read_outputs(out: Path, names: list[str], view: Callable[[dict], np.ndarray]) -> list[np.ndarray]:
    return [view(np.load(out / "outputs" / f"{name}.npz")).astype(np.float32) for name in names]


def averaged(outputs: dict) -> np.ndarray:
    """The mean of the two scales, at the smaller."""
    side = outputs["all"].shape[1]
    larger = [
        cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in outputs["all, 1.25"].astype("f4")
    ]
    return (outputs["all"].astype(np.float32) + np.stack(larger)) / 2


VIEWS = {
    "all": lambda outputs: outputs["all"],
    "flips": lambda outputs: outputs["all, flips"],
    "1.25": lambda outputs: outputs["all, 1.25"],
    "both": averaged,
}


def levels_of(
    name: str, fold: str, output: np.ndarray, truth: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> dict[float, Level]:
    result = {}
    for level in levels:
        labels, boxes, evidence = cells_of(output, level, (FIELD_SIDE, FIELD_SIDE))
        result[level] = Level(labels, boxes, Found(name, fold, evidence, iou_matrix(boxes, truth)))
    return result


def by_level(fields: Fields) -> dict[float, list[Found]]:
    return {level: [field[level].found for field in fields] for level in fields[0]}


def one_threshold(fields: Fields) -> Ranked:
    return held_out(by_level(fields))[:2]


# ---------------------------------------------------------------- a better score


def measured(field: dict[float, Level], level: float) -> np.ndarray:
    """(N, 10) of a field's cells at a level: evidence, form, and what crowds them."""
    here, found = field[level], field[level].found
    columns = list(score_measurements(found.evidence).values())
    height, width = (here.boxes[:, 2:] - here.boxes[:, :2]).T
    grain = FIELD_SIDE / here.labels.shape[0]
    columns += [height / width + width / height, found.evidence[:, 0] * grain**2 / (height * width)]
    overlap = iou_matrix(here.boxes, here.boxes) - np.eye(len(here.boxes))
    columns += [overlap.max(axis=1, initial=0), (overlap > 0).sum(axis=1), np.full(len(height), len(height))]
    return np.stack(columns, axis=1)


def within_field(field: dict[float, Level], level: float) -> np.ndarray:
    """(N, 5) of how cells differ from the mean of their field: what all of them share says less of which are right."""
    table = np.stack(list(score_measurements(field[level].found.evidence).values()), axis=1)
    # areas are relative to the field's already
    return np.hstack([table[:, :3] - table[:, :3].mean(axis=0), table[:, 3:]])


def classified(
    fields: Fields, table_of: Callable[[dict[float, Level], float], np.ndarray], make: Callable[[], Classifier]
) -> Ranked:
    """One threshold, the scores of another model on other measurements."""
    founds, _, chosen = held_out(by_level(fields))
    scores = {}
    for fold, level in chosen.items():
        here = [field[level].found for field in fields]
        table = [table_of(field, level) for field in fields]
        right = [right_boxes(found.iou, -found.evidence[:, 2]) for found in here]
        seen = [k for k, found in enumerate(here) if found.fold != fold]
        model = make().fit(np.concatenate([table[k] for k in seen]), np.concatenate([right[k] for k in seen]))
        scores |= {id(here[k]): model.predict_proba(table[k])[:, 1] for k in range(len(here)) if k not in seen}
    return founds, [scores[id(found)] for found in founds]


def trees() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=80, learning_rate=0.05, max_leaf_nodes=6, min_samples_leaf=40)


def logistic() -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=1000)


# ---------------------------------------------------------------- several thresholds as a tree


def parents_of(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """For cells 1..N of `upper` (Y, X) the cell of `lower` that holds most of each, 0 for none: (N,)."""
    count, width = int(upper.max(initial=0)), int(lower.max(initial=0)) + 1
    table = np.bincount(upper.ravel().astype(np.int64) * width + lower.ravel(), minlength=(count + 1) * width)
    return table.reshape(count + 1, width)[1:].argmax(axis=1)


def chosen_cells(field: dict[float, Level], chance: dict[float, np.ndarray], cost: float) -> list[tuple[float, int]]:
    """(level, row) of cells of several levels of which none lies in another, with the largest sum of chance - cost."""
    best: dict[tuple[float, int], tuple[float, list]] = {}
    parts: dict[tuple[float, int], list] = {}
    roots, levels = [], sorted(chance)
    for k in reversed(range(len(levels))):
        level = levels[k]
        for row, value in enumerate(chance[level]):
            below = [best[part] for part in parts.get((level, row), [])]
            gain = sum(part[0] for part in below)
            whole = value - cost > max(gain, 0)
            cells = [(level, row)] if whole else [cell for part in below for cell in part[1]]
            best[level, row] = (value - cost if whole else gain), cells
        free = np.ones(len(chance[level]), bool)
        for lower in reversed(levels[:k]):
            holder = parents_of(field[level].labels, field[lower].labels)
            for row in np.flatnonzero(free & (holder > 0)):
                parts.setdefault((lower, holder[row] - 1), []).append((level, row))
                free[row] = False
        roots += [(level, row) for row in np.flatnonzero(free)]
    return [cell for root in roots for cell in best[root][1]]


def tree_of_levels(fields: Fields, levels: tuple[float, ...] = LEVELS) -> Ranked:
    """Cells of all `levels`, scores fitted for each level, those with the largest sum taken."""
    founds, scores = [], []
    for fold in sorted({field[levels[0]].found.fold for field in fields}):
        others = [field for field in fields if field[levels[0]].found.fold != fold]
        model = {level: fitted_score([field[level].found for field in others]) for level in levels}
        cost = max(COSTS, key=lambda cost: average_precision(detections(*taken(others, model, cost)), 0.5))
        mine = taken([field for field in fields if field[levels[0]].found.fold == fold], model, cost)
        founds += mine[0]
        scores += mine[1]
    return founds, scores


def taken(fields: Fields, model: dict[float, ScoreModel], cost: float) -> Ranked:
    founds, scores = [], []
    for field in fields:
        chance = {level: scores_of(field[level].found.evidence, score) for level, score in model.items()}
        cells = chosen_cells(field, chance, cost)
        one = next(iter(field.values())).found
        iou = np.array([field[level].found.iou[row] for level, row in cells]).reshape(len(cells), one.iou.shape[1])
        evidence = np.array([field[level].found.evidence[row] for level, row in cells]).reshape(len(cells), 4)
        founds.append(Found(one.field, one.fold, evidence, iou))
        scores.append(np.array([chance[level][row] for level, row in cells]))
    return founds, scores


# ---------------------------------------------------------------- the table


def counts(found: Found, score: np.ndarray, cut: float) -> tuple[int, int, int]:
    """Right cells, cells and the expert's boxes of a field, of scores above `cut`."""
    kept = score >= cut
    return int(right_boxes(found.iou[kept], score[kept]).sum()), int(kept.sum()), found.iou.shape[1]


def counted(ranked: Ranked) -> np.ndarray:
    """(F, 3) of :func:`counts` at the cut with the best F1 of the other folds."""
    founds, scores = ranked
    cuts = np.linspace(0, 0.9, 19)
    table = np.array([[counts(found, score, cut) for cut in cuts] for found, score in zip(founds, scores)])
    fold = np.array([found.fold for found in founds])
    result = np.empty((len(founds), 3), int)
    for one in set(fold):
        right, cells, true = table[fold != one].sum(axis=0).T
        result[fold == one] = table[fold == one, (2 * right / (cells + true)).argmax()]
    return result


def f1(table: np.ndarray, weight: np.ndarray) -> float:
    right, cells, true = weight @ table
    return 2 * right / (cells + true)


def print_ideas(ideas: dict[str, Ranked]) -> None:
    order = [found.field for found in ideas["one threshold"][0]]
    names, index = np.unique([unit_of(field, "position") for field in order], return_inverse=True)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    weights = [np.ones(len(order)), *draws[:, index].astype(float)]
    first = None
    print("| idea | box AP50 | gain | F1 | gain |\n|---|---|---|---|---|")
    for name, ranked in ideas.items():
        if [found.field for found in ranked[0]] != order:
            raise ValueError(f"{name}: fields in another order")
        found, table = detections(*ranked), counted(ranked)
        values = np.array([(average_precision(found, 0.5, weight), f1(table, weight)) for weight in weights])
        first = values if first is None else first
        cells = []
        for k in range(2):
            gain = values[:, k] - first[:, k]
            low, high = np.percentile(gain[1:], (2.5, 97.5))
            cells += [f"{values[0, k]:.3f}", f"{gain[0]:+.3f} [{low:+.3f}, {high:+.3f}]"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--part", choices=["train", "all"], default="train")
    args = parser.parse_args()
    split = read_json(args.fields / "split.json")
    held = held_fields(split["train"] + split["val"])
    names = split["train"] + (split["val"] if args.part == "all" else [])
    fold = {name: str(k) for k, fields in enumerate(held) for name in fields}
    truth = {name: read_boxes(args.fields / "boxes" / f"{name}.txt", FIELD_SIDE) for name in names}
    fields: dict[str, Fields] = {}
    for view, look in VIEWS.items():
        seeds = [read_outputs(out, names, look) for out in args.out]
        fields[view] = [levels_of(n, fold[n], output, truth[n]) for seed in seeds for n, output in zip(names, seed)]
        if len(seeds) > 1 and view in ("all", "flips"):
            means = [sum(outputs) / len(seeds) for outputs in zip(*seeds)]
            mean = [levels_of(n, fold[n], output, truth[n]) for n, output in zip(names, means)]
            fields[f"{view}, mean"] = mean * len(seeds)  # beside them, in their order
    ideas = {
        "one threshold": one_threshold(fields["all"]),
        "several thresholds as a tree": tree_of_levels(fields["all"]),
        "three thresholds as a tree": tree_of_levels(fields["all"], LEVELS[1::2]),
        "one threshold, scores of boosted trees": classified(fields["all"], measured, trees),
        "one threshold, scores within the field": classified(fields["all"], within_field, logistic),
        "four flips averaged": one_threshold(fields["flips"]),
        "at 1.25 times the scale": one_threshold(fields["1.25"]),
        "two scales averaged": one_threshold(fields["both"]),
        "two scales averaged, as a tree": tree_of_levels(fields["both"]),
    }
    if len(args.out) > 1:
        ideas["the seeds averaged"] = one_threshold(fields["all, mean"])
        ideas["the seeds and four flips averaged"] = one_threshold(fields["flips, mean"])
    print_ideas(ideas)


if __name__ == "__main__":
    main()
