"""What models find in fields of wells that they have not seen: box AP50, with an interval over positions.

    python recipes/starter/crossval.py OUT [OUT ...] --fields FIELDS [--part train|all] [--recipe NAME ...]

OUT is what heldout.py or folds.py wrote; ``predictions*.zip`` in it hold boxes and evidence of every cell found.
Thresholds and scores of a fold are settled on the other folds' predictions (each by a model that had not seen them), so
nothing of a field's truth is used for the field itself. `--part train`, the default, looks at the 35 training fields
alone: choices are made there. All timepoints of a position stay together in the bootstrap.
"""

import argparse
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from boxes import iou_matrix, read_boxes

from cellular.evaluate.detection import Detections, average_precision
from cellular.files import read_json
from cellular.jobs.calibrate import fit_scores
from cellular.segment.scores import ScoreModel, score_measurements, scores_of

DRAWS = 400
FIELD_SIDE = 2048


@dataclass(frozen=True)
class Found:
    """Cells found in one field: `evidence` (N, 4), and `iou` (N, M) of their boxes with the expert's."""

    field: str
    fold: str
    evidence: np.ndarray
    iou: np.ndarray


def read_predictions(
    archives: list[Path], fields: Path, names: list[str], sibling: str | None = None
) -> dict[tuple[str, str, float], list[Found]]:
    """What was found in `names` by the models of the folds, and by `sibling`; by recipe, channels and threshold."""
    truth = {name: read_boxes(fields / "boxes" / f"{name}.txt", FIELD_SIDE) for name in names}
    found: dict[tuple[str, str, float], list[Found]] = {}
    for archive in archives:
        with zipfile.ZipFile(archive) as file:
            for entry in sorted(file.namelist()):
                job, field = entry.removesuffix(".npz").split("/")
                recipe, _, fold = job.partition("_fold")
                if field not in truth or (not fold and recipe != sibling):
                    continue
                arrays = np.load(io.BytesIO(file.read(entry)))
                for key in arrays:
                    view, threshold, what = key.split("|")
                    if what == "boxes":
                        iou = iou_matrix(arrays[key], truth[field])
                        one = Found(field, fold, arrays[f"{view}|{threshold}|evidence"], iou)
                        found.setdefault((recipe, view, float(threshold)), []).append(one)
    return found


def right_boxes(iou: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Which of N boxes are right (N,): surest first, each takes the expert's free box it overlaps most, by half."""
    free, right = iou.copy(), np.zeros(len(iou), bool)
    for k in np.argsort(-score, kind="mergesort"):
        best = int(free[k].argmax()) if free.shape[1] else 0
        if free.shape[1] and free[k, best] >= 0.5:
            right[k] = True
            free[:, best] = 0
    return right


def fitted_score(found: list[Found]) -> ScoreModel:
    """Is the box of the cell right? Fitted to these predictions."""
    measured = [np.stack(list(score_measurements(one.evidence).values()), axis=1) for one in found]
    # Matching goes by score; any score that falls with the flow error is good enough to say which box is right.
    right = [right_boxes(one.iou, -one.evidence[:, 2]) for one in found]
    return ScoreModel(**fit_scores(np.concatenate(measured), np.concatenate(right)))


def detections(found: list[Found], scores: list[np.ndarray]) -> Detections:
    """At IoU 0.5 alone."""
    right = [right_boxes(one.iou, score) for one, score in zip(found, scores)]
    field = np.repeat(np.arange(len(found)), [len(score) for score in scores])
    counts = np.array([one.iou.shape[1] for one in found])
    return Detections(field, np.concatenate(scores).astype(float), np.concatenate(right)[None], counts)


def best_threshold(by_threshold: dict[float, list[Found]]) -> tuple[float, float, ScoreModel]:
    """Box AP50 at the threshold where it is largest, that threshold, and the scores fitted there."""
    best = None
    for threshold, found in sorted(by_threshold.items()):
        score = fitted_score(found)
        value = average_precision(detections(found, [scores_of(one.evidence, score) for one in found]), 0.5)
        if best is None or value > best[0]:
            best = value, threshold, score
    return best


def of_recipe(
    found: dict[tuple[str, str, float], list[Found]], recipe: str, view: str = "all"
) -> dict[float, list[Found]]:
    """What :func:`read_predictions` gives of one recipe and view, by threshold."""
    return {key[2]: value for key, value in found.items() if key[:2] == (recipe, view)}


def settled_without(by_threshold: dict[float, list[Found]], fold: str) -> tuple[float, ScoreModel]:
    """Threshold and scores that the folds but `fold` settle on."""
    others = {t: [one for one in found if one.fold != fold] for t, found in by_threshold.items()}
    return best_threshold(others)[1:]


def held_out(by_threshold: dict[float, list[Found]]) -> tuple[list[Found], list[np.ndarray], dict[str, float]]:
    """Every field's cells and their scores, at the threshold and by the model the other folds settle on; thresholds."""
    first = next(iter(by_threshold.values()))
    fields, scores, chosen = [], [], {}
    for fold in sorted({one.fold for one in first}):
        chosen[fold], score = settled_without(by_threshold, fold)
        mine = [one for one in by_threshold[chosen[fold]] if one.fold == fold]
        fields += mine
        scores += [scores_of(one.evidence, score) for one in mine]
    return fields, scores, chosen


def unit_of(field: str, unit: str) -> str:
    well, site = field.split("_")[-2:]
    return well if unit == "well" else f"{well}_{site}"


def interval(found: Detections, units: list[str]) -> tuple[float, float]:
    """95 % bootstrap interval of the AP at IoU 0.5 over `units`, fields of the same one drawn together."""
    names, index = np.unique(units, return_inverse=True)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    values = [average_precision(found, 0.5, draw[index].astype(float)) for draw in draws]
    return tuple(np.percentile(values, (2.5, 97.5)))


def row(recipe: str, view: str, by_threshold: dict[float, list[Found]]) -> str:
    fields, scores, chosen = held_out(by_threshold)
    found = detections(fields, scores)
    cells = [recipe, view, str(len(fields)), f"{average_precision(found, 0.5):.3f}"]
    for unit in ("position", "well"):
        low, high = interval(found, [unit_of(one.field, unit) for one in fields])
        cells.append(f"[{low:.3f}, {high:.3f}]")
    wells = [unit_of(one.field, "well") for one in fields]
    values = [
        (well, average_precision(found, 0.5, np.array([one == well for one in wells], float)))
        for well in sorted(set(wells))
    ]
    cells.append(", ".join(f"{well} {value:.3f}" for well, value in values))
    cells.append(" ".join(f"{chosen[fold]:g}" for fold in sorted(chosen)))
    return f"| {' | '.join(cells)} |"


def print_table(outs: list[Path], fields: Path, names: list[str], recipes: list[str] | None = None) -> None:
    archives = [archive for out in outs for archive in sorted(out.glob("predictions*.zip"))]
    found = read_predictions(archives, fields, names)
    print("| recipe | channels | fields | box AP50 | over positions | over wells | by well | thresholds |")
    print("|---|---|---|---|---|---|---|---|")
    for recipe, view in sorted({key[:2] for key in found}):
        if recipes and recipe not in recipes:
            continue
        print(row(recipe, view, of_recipe(found, recipe, view)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="+")
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--part", choices=["train", "all"], default="train")
    parser.add_argument("--recipe", nargs="*")
    args = parser.parse_args()
    split = read_json(args.fields / "split.json")
    names = split["train"] + (split["val"] if args.part == "all" else [])
    print_table(args.out, args.fields, names, args.recipe)


if __name__ == "__main__":
    main()
