"""What evaluating found, and its report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellular.data.plate import FieldFiles
from cellular.evaluate.bootstrap import Clusters
from cellular.evaluate.detection import Detections
from cellular.evaluate.scores import THRESHOLDS, FieldScores


@dataclass(frozen=True)
class EvaluationResult:
    """What evaluating found and where it is.

    Attributes
    ----------
    output_dir : folder of all files. split : name of the test folder.
    values : flat name -> value (see docs/metrics.md). intervals : name -> (low, high), 95 %; empty with few clusters.
    clusters : what the intervals rest on.
    fields : scores of each field. detections : boxes matched over all fields.
    labels : predicted label image of each field. items : the files of the fields evaluated.
    recall_by_class : class -> (cells, found at IoU 0.5); empty where classes are not known.
    problems : field -> what was wrong with it.
    trained_on : names of the fields that the model has learned from, as its file tells; on them it is flattered.
    """

    output_dir: Path
    split: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    clusters: Clusters
    fields: list[FieldScores] = field(repr=False)
    detections: Detections = field(repr=False)
    labels: dict[str, Path] = field(repr=False)
    items: list[FieldFiles] = field(repr=False)
    recall_by_class: dict[str, tuple[int, int]]
    problems: dict[str, str]
    trained_on: tuple[str, ...] = ()


def as_json(result: EvaluationResult) -> dict[str, Any]:
    """The report: published keys first (pixel scores, means over images), then everything else."""
    tree = _nested(result.values)
    report = dict(tree.pop("pixel")) | tree
    report["intervals_95"] = {name: list(pair) for name, pair in result.intervals.items()}
    report["intervals_note"] = result.clusters.note
    report["recall_by_class"] = {
        name: {"cells": cells, "found": found, "recall": found / cells if cells else None}
        for name, (cells, found) in sorted(result.recall_by_class.items())
    }
    report["fields"] = len(result.fields)
    report["cells"] = {
        "true": sum(f.n_true for f in result.fields),
        "predicted": sum(f.n_predicted for f in result.fields),
    }
    report["trained_on"] = list(result.trained_on)
    report["problems"] = result.problems
    return report


def _nested(flat: Mapping[str, float]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`; thresholds like 0.50 stay one key."""
    tree: dict[str, Any] = {}
    thresholds = {f"{t:.2f}" for t in THRESHOLDS}
    for name, value in flat.items():
        parts = name.split(".")
        if len(parts) == 4 and f"{parts[1]}.{parts[2]}" in thresholds:
            parts = [parts[0], f"{parts[1]}.{parts[2]}", parts[3]]
        branch = tree
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
        branch[parts[-1]] = value
    return tree
