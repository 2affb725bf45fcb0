"""The evaluation stage: segment a test folder, score it, say how sure the scores are."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.label_files import match_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, MissingInputError
from cellular.evaluate.bootstrap import Clusters, Unit, clusters_of, intervals
from cellular.evaluate.detection import Boxes, Detections, average_precision, match_boxes, mean_average_precision
from cellular.evaluate.result import EvaluationResult, as_json
from cellular.evaluate.scores import FieldScores, summary
from cellular.files import read_csv, read_json, write_csv, write_json
from cellular.jobs.corrections import annotated
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.evaluate_field import BOX, RECORDS, ScoredField, ScoreField, scored_fields
from cellular.jobs.evaluation_pictures import forget_drawn
from cellular.jobs.learned import learned_from
from cellular.jobs.runner import ITEMS, Joined, Work, attempt, each, held, is_done
from cellular.jobs.segment import segment
from cellular.jobs.shards import for_the_rest
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.tables import find_table, read_table

logger = logging.getLogger(__name__)

# Beside the runner's records: what was asked for and passed over, so that the result can be had again.
ASKED = "evaluated.json"


def evaluate(
    test_dir: Plate | str | Path,
    output_dir: str | Path,
    segmenter: Segmenter | None = None,
    settings: SegmentSettings | None = None,
    labels_dir: str | Path | None = None,
    boxes_dir: str | Path | None = None,
    interval_unit: Unit = "well",
    *,
    corrections: str | Path | None = None,
    engine: Engine = HERE,
) -> EvaluationResult:
    """Score a model, or label images made elsewhere, against the expert's labels.

    Writes ``<split>_eval.json`` (published keys, all other scores, intervals), ``<split>_fields.csv`` (a row per field)
    and the predicted ``labels/`` into `output_dir`. A second run goes on where the first one stopped: what is
    labelled, scored and drawn is kept while its files are the same; a page or a picture of other scores goes.

    Parameters
    ----------
    test_dir : folder of ``<field>.<ext>`` with ``<field>_masks.<png|tif>`` and, where some cells' truth is unknown,
        ``<field>_ignore.<png|tif>``.
    segmenter, settings : the model to score.
    labels_dir : instead of a model, a folder of ``<field>_masks.tif`` as ``cellular segment`` writes; scores are taken
        from the ``cells.csv`` beside them, and are all equal without it.
    boxes_dir : true boxes for the detection scores, as YOLO text files ``<field>.txt``; without it, the boxes in the
        ``cells.csv`` that ``cellular prepare`` wrote (hidden parts included), else those of the label images.
    interval_unit : what the intervals resample. Fields of one well are alike: resampling "field" tells how the scores
        vary between fields of these wells, and too little about other wells.
    corrections : folder of corrections: the corrected label images are the truth of their fields, and fields of
        `test_dir` without label images may be there too.
    engine : where the fields are segmented and scored; the result is the same. Shards part the first of what is to be
        done: the segmenting, or the scoring of labels that are given. See :mod:`cellular.jobs.engines`.

    Raises
    ------
    InputError, MissingInputError : the folder cannot be used. A single bad field is reported in `problems` instead.

    Examples
    --------
    >>> import cellular
    >>> from cellular.simulate import SimulationSettings
    >>> made = cellular.simulate("sim", SimulationSettings(fields=1, size_px=160, diameter_px=30))
    >>> folder = cellular.prepare(made.folder, "prepared").output / "all" / "train"
    >>> result = cellular.evaluate(folder, "scores", labels_dir=folder)  # the truth against itself
    >>> result.values["instance.0.50.f1"]
    1.0
    """
    by = labels_dir if segmenter is None else segmenter
    if by is None or (segmenter is not None and labels_dir is not None):
        raise InputError("evaluate takes either a model or a folder of predicted labels")
    output_dir = Path(output_dir)
    plate = annotated(test_dir, corrections)
    clusters_of([], interval_unit)  # a typing error is said before the work, not after
    if boxes_dir is not None:
        _check_boxes(Path(boxes_dir), plate)
    with held(output_dir, engine):
        return _evaluate(plate, output_dir, by, settings, boxes_dir, interval_unit, bool(corrections), engine)


def _evaluate(
    plate: Plate,
    output_dir: Path,
    by: Segmenter | str | Path,
    settings: SegmentSettings | None,
    boxes_dir: str | Path | None,
    interval_unit: Unit,
    corrected: bool,
    engine: Engine,
) -> EvaluationResult:
    given = isinstance(by, (str, Path))
    if isinstance(by, (str, Path)):
        labels, cells, problems = _given_labels(plate.fields, Path(by))
    else:
        segmented = segment(plate, output_dir / "labels", by, settings, engine=engine)
        engine = for_the_rest(engine)
        labels, cells, problems = segmented.labels, segmented.cells, dict(segmented.problems)
    predicted = [item for item in plate.fields if item.name in labels]
    score = ScoreField(labels, given=given)
    records = output_dir / RECORDS / plate.folder.name
    done = each(predicted, records, Work(score, score.inputs), desc="score", engine=engine)
    asked = {
        "plate": plate.as_dict(),
        "labels": str(by) if given else None,
        "boxes": None if boxes_dir is None else str(boxes_dir),
        "interval_unit": interval_unit,
        "corrected": corrected,
        "scored": list(done.names),
        "trained_on": [] if isinstance(by, (str, Path)) else list(learned_from(predicted, by.model)),
        "problems": problems | done.problems,
    }
    result = _concluded(output_dir, plate, asked, labels, cells, done.tables)
    _write(result)
    write_json(records / ASKED, asked | {"detections": result.detections.sha256()})
    return result


def evaluated(output_dir: str | Path, split: str) -> EvaluationResult:
    """What an earlier :func:`evaluate` found, from its records: nothing is segmented or scored.

    Raises
    ------
    MissingInputError : there is no such evaluation. InputError : files that it rests on have changed since.
    """
    output_dir = Path(output_dir)
    records = output_dir / RECORDS / split
    if not (records / ASKED).is_file():
        raise MissingInputError(f"{output_dir} holds no evaluation of {split} by this version; run cellular evaluate")
    asked = read_json(records / ASKED)
    plate = Plate.from_dict(asked["plate"])
    labels, cells, _ = _given_labels(plate.fields, Path(asked["labels"] or output_dir / "labels"))
    score = ScoreField(labels)
    for item in (item for item in plate.fields if item.name in asked["scored"]):
        if item.name not in labels or not is_done(records / ITEMS / item.name, score.inputs(item)):
            raise InputError(f"{item.name}: its label images changed, moved or went since; run cellular evaluate again")
    result = _concluded(output_dir, plate, asked, labels, cells, Joined(records, asked["scored"]))
    if result.detections.sha256() != asked["detections"]:
        raise InputError(f"{output_dir}: true boxes or scores of cells changed since; run cellular evaluate again")
    return result


def _concluded(
    output_dir: Path,
    plate: Plate,
    asked: Mapping[str, Any],
    labels: dict[str, Path],
    cells: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
) -> EvaluationResult:
    """From the `tables` of all fields that were scored to the scores of all; `asked` is what the record says."""
    scored = {one.scores.name: one for one in scored_fields(tables)} if asked["scored"] else {}
    # a table of the cells as they were says nothing of corrected ones
    truth_table = None if asked["corrected"] else _truth_table(plate)

    def boxes(item: FieldFiles) -> tuple[Boxes, Boxes]:
        one = scored[item.name]
        if truth_table is not None:
            _check_told(one, truth_table)
        return _true_boxes(one, asked["boxes"], truth_table), _found_boxes(cells, one, labels[item.name])

    boxed, without = attempt([item for item in plate.fields if item.name in scored], boxes, desc="boxes")
    problems = asked["problems"] | without
    if not boxed:
        raise InputError(f"{plate.folder}: no field could be scored; first problem: {next(iter(problems.values()))}")
    true_boxes, found_boxes = map(list, zip(*boxed.values()))
    kept = [item for item in plate.fields if item.name in boxed]
    fields = [scored[item.name].scores for item in kept]
    clusters = clusters_of(kept, asked["interval_unit"])
    detections = match_boxes(true_boxes, found_boxes)
    told = _summarise(output_dir, plate.folder.name, fields, clusters, detections, labels, kept, problems, truth_table)
    learned = set(asked.get("trained_on", ()))  # records of earlier versions do not tell
    return replace(told, trained_on=tuple(item.name for item in kept if item.name in learned))


def _given_labels(fields: Sequence[FieldFiles], folder: Path) -> tuple[dict[str, Path], pd.DataFrame, dict[str, str]]:
    labels = match_labels(fields, folder)
    problems = {
        item.name: f"no {item.name}_masks.tif or .png in {folder}" for item in fields if item.name not in labels
    }
    cells = scores_beside(labels)
    if not len(cells):
        logger.warning("%s gives no scores: all predictions count the same, which lowers the box AP", folder)
    return labels, cells, problems


def scores_beside(labels: Mapping[str, Path]) -> pd.DataFrame:
    """``image, label, score`` of the cells of label images, of the table beside them; no rows where none tells."""
    table = find_table(next(iter(labels.values())).parent, "cells") if labels else None
    cells = read_table(table) if table else pd.DataFrame()
    told = {"image", "label", "score"} <= set(cells.columns)
    return cells if told else pd.DataFrame(columns=["image", "label", "score"])


def _truth_table(plate: Plate) -> pd.DataFrame | None:
    """The cells.csv of the prepared dataset that the plate's folder (OUT/all/<split>) and label images belong to."""
    folder = plate.folder.resolve()
    own = all(item.labels is not None and item.labels.parent.resolve() == folder for item in plate.fields)
    path = folder.parent.parent / "cells.csv"
    if not own or folder.parent.name != "all" or not path.is_file():
        return None
    table = read_csv(path)
    return table if {"field", "class", "label", "area_px", "lost_px", *BOX} <= set(table.columns) else None


def _check_told(one: ScoredField, table: pd.DataFrame) -> None:
    """Refuse a label image that is not the one that `table` tells of: classes and boxes would be other cells'."""
    told = table[(table["field"] == one.scores.name) & (table["label"] > 0)].set_index("label")
    seen, true = told[told["lost_px"] < told["area_px"]], one.true.set_index("label")
    same = sorted(seen.index) == sorted(true.index)
    if same:
        low, high = (seen.loc[true.index, list(ends)].to_numpy() for ends in (BOX[:2], BOX[2:]))
        same = bool((low <= true[list(BOX[:2])]).all(axis=None) and (high >= true[list(BOX[2:])]).all(axis=None))
    if not same:
        raise InputError(
            f"{one.scores.name}: its label image is not as prepared, cells.csv tells of other cells; prepare again, "
            "or evaluate a copy of the folder that lies elsewhere"
        )


def _check_boxes(folder: Path, plate: Plate) -> None:
    """Raise MissingInputError for a folder of other fields' boxes; a field that lacks its own is passed over."""
    wanted = [f"{item.name}.txt" for item in plate.fields]
    if wanted and not any((folder / name).is_file() for name in wanted):
        raise MissingInputError(f"{folder} holds boxes of none of the fields of {plate.folder}: no {wanted[0]}, first")


def _true_boxes(one: ScoredField, folder: str | Path | None, table: pd.DataFrame | None) -> Boxes:
    if folder is not None:
        return Boxes(read_yolo_boxes(Path(folder) / f"{one.scores.name}.txt", one.shape))
    rows = one.true if table is None else table[(table["field"] == one.scores.name) & (table["label"] > 0)]
    unknown = one.true.loc[~one.true["counts"].astype(bool), "label"]  # wholly ignored, as what is predicted there
    return Boxes(rows.loc[~rows["label"].isin(unknown), list(BOX)].to_numpy(float))


def read_yolo_boxes(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) float64 y0, x0, y1, x1 in px from a YOLO file ([class] x y width height, as fractions)."""
    if not path.is_file():
        raise MissingInputError(f"No such box file: {path}")
    rows: list[list[float]] = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            if values := [float(word) for word in line.split()]:
                rows.append(_box_line(values, f"{path}, line {number}"))
    except ValueError as error:
        raise InputError(f"{path} is not a YOLO box file: {error}") from error
    found = np.array(rows).reshape(-1, 4)
    if not ((found >= 0) & (found <= 1)).all():
        raise InputError(f"{path}: x, y, width and height are fractions of the image, 0 to 1; pixels or NaN are not")
    x, y, width, height = found.T
    edges = np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)
    return edges.clip(0, 1) * np.array([*shape, *shape])


def _box_line(values: list[float], where: str) -> list[float]:
    """x, y, width, height of a line of a YOLO file."""
    count = len(values)
    if count in (4, 5) and (count == 4 or not values[0] % 1):
        return values[-4:]
    held = "a class that is no whole number" if count == 5 else f"{count} numbers"
    polygon = "; boxes are wanted, and this looks like a polygon" * (count > 6 and count % 2)
    raise InputError(f"{where}: a line holds [class] x y width height, not {held}{polygon}")


def _found_boxes(cells: pd.DataFrame, one: ScoredField, labels: Path) -> Boxes:
    """Boxes of the predicted cells that count (those mainly in ignored pixels do not) with their scores."""
    counted = one.predicted[one.predicted["counts"]]
    numbers, boxes = counted["label"].tolist(), counted[list(BOX)].to_numpy(float)
    rows = cells[cells["image"] == one.scores.name]
    try:
        score_of = rows["score"].astype(float).set_axis(rows["label"].astype(int))
    except ValueError as error:
        raise InputError(f"cells.csv beside {labels}: labels and scores are numbers: {error}") from error
    if not score_of.index.is_unique:
        cell = f"cell {score_of.index[score_of.index.duplicated()][0]} of {one.scores.name}"
        raise InputError(f"cells.csv beside {labels} tells of {cell} twice; which score is its own?")
    known = score_of.index[np.isfinite(score_of)]
    if len(cells) and (unknown := set(numbers) - set(known)):
        cell = f"cell {min(unknown)} of {one.scores.name}"
        raise InputError(f"cells.csv beside {labels} has no score for {cell}; is it another's?")
    return Boxes(boxes, np.array([score_of.get(number, 1.0) for number in numbers]))


def _summarise(
    output_dir: Path,
    split: str,
    fields: list[FieldScores],
    clusters: Clusters,
    detections: Detections,
    labels: dict[str, Path],
    items: list[FieldFiles],
    problems: dict[str, str],
    table: pd.DataFrame | None,
) -> EvaluationResult:
    """Values over all fields and their intervals, from counts that are already there."""

    def statistic(weights: np.ndarray) -> dict[str, float]:
        drawn = [f for f, count in zip(fields, weights) for _ in range(int(count))]
        boxes = {"box.ap50": average_precision(detections, 0.5, weights)}
        return summary(drawn) | boxes | {"box.ap50_95": mean_average_precision(detections, weights)}

    return EvaluationResult(
        output_dir,
        split,
        statistic(np.ones(len(fields))),
        intervals(statistic, clusters),
        clusters,
        fields,
        detections,
        labels,
        items,
        _recall_by_class(fields, table),
        problems,
    )


def _recall_by_class(fields: Sequence[FieldScores], table: pd.DataFrame | None) -> dict[str, tuple[int, int]]:
    """Cells and found cells of each class; predictions have no class, so there is no precision by class."""
    counts: dict[str, tuple[int, int]] = {}
    if table is None:
        return counts
    for scores in fields:
        rows = table[(table["field"] == scores.name) & table["label"].isin(scores.true_labels)]
        for name, group in rows.groupby("class"):
            cells, found = counts.get(str(name), (0, 0))
            hit = int((~group["label"].isin(scores.missed)).sum())
            counts[str(name)] = (cells + len(group), found + hit)
    return counts


def _write(result: EvaluationResult) -> None:
    report, path = json.loads(json.dumps(as_json(result))), result.output_dir / f"{result.split}_eval.json"
    forget_drawn(result, all_of_it=not path.is_file() or read_json(path) != report)
    rows = [scores.row() for scores in result.fields]
    for k, row in enumerate(rows):
        row["box_ap50"] = average_precision(result.detections, 0.5, np.eye(len(rows))[k])
    write_csv(result.output_dir / f"{result.split}_fields.csv", pd.DataFrame(rows))
    write_json(path, report)
