"""Pictures of an evaluation: every field with its cells found, missed and made up."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.data.formats.images import write_image
from cellular.data.formats.read import read_any_labels
from cellular.data.image import load_labels, read_field
from cellular.data.plate import FieldFiles
from cellular.evaluate.result import EvaluationResult
from cellular.files import read_json
from cellular.jobs.engines import HERE, Engine
from cellular.jobs.evaluate_field import RECORDS, ScoreField
from cellular.jobs.runner import ITEMS, Work, each, files_of, forget_others
from cellular.jobs.shards import for_the_rest
from cellular.report.evaluation import field_picture, precision_recall_data, precision_recall_figure
from cellular.report.style import save

# What the page of evaluations tells of, beside it: evaluations by model, and how they were made.
PAGE = "report.json"


def draw_evaluation(result: EvaluationResult, engine: Engine = HERE) -> dict[str, str]:
    """Write ``figures/<field>.jpg`` for every field and ``figures/precision_recall.svg`` into the output folder.

    What is drawn already, of the same files, is kept; of fields that are not scored now it goes. Returns problems.
    """
    draw = _DrawField(result)
    records = _records(result)
    work = Work(draw, draw.inputs, draw.outputs, FieldFiles.reading)
    done = each(result.items, records, work, desc="draw", engine=for_the_rest(engine))
    forget_others(records, done.names, draw.path)
    curves = precision_recall_data(result)
    figure = precision_recall_figure(curves, f"{result.split}: {len(result.fields)} fields")
    save(figure, result.output_dir / "figures" / "precision_recall.svg", curves)
    return done.problems


def forget_drawn(result: EvaluationResult, all_of_it: bool) -> None:
    """Delete pictures of an earlier run's outlines, and, if `all_of_it` is to go, the page that tells of the split."""
    draw, records = _DrawField(result), _records(result)
    work = Work(draw, draw.inputs, known=FieldFiles.reading)
    kept = [item.name for item in result.items if work.is_done(item, records / ITEMS / item.name)]
    forget_others(records, kept, draw.path)
    out, own = result.output_dir, [".", result.split]
    page = read_json(out / PAGE)["evaluations"] if (out / PAGE).is_file() else {}
    if not all_of_it or not (own in page.values() if page else records.is_dir()):
        return
    # without its record, a page is none of ours
    figures = ("precision_recall", "ap_iou", "calibration") if page else ("precision_recall",)
    files = [out / "figures" / f"{name}{end}" for name in figures for end in (".svg", ".csv")]
    if page:
        files += [out / "report.html", out / "cells_judged.csv", *(out / f"difference_to_{name}.csv" for name in page)]
    for path in (*files, out / PAGE):  # last what tells whose the others are
        path.unlink(missing_ok=True)


def _records(result: EvaluationResult) -> Path:
    return result.output_dir / RECORDS / f"{result.split} figures"


@dataclass(frozen=True)
class _DrawField:
    """Drawing one field with its cells found, missed and made up."""

    result: EvaluationResult

    def path(self, name: str) -> Path:
        return self.result.output_dir / "figures" / f"{name}.jpg"

    def outputs(self, item: FieldFiles) -> list[Path]:
        return [self.path(item.name)]

    def inputs(self, item: FieldFiles) -> list[Path]:
        return [*files_of(item), *ScoreField(self.result.labels).inputs(item)]

    def __call__(self, item: FieldFiles) -> Mapping[str, pd.DataFrame]:
        write_image(self.path(item.name), _picture(self.result, item.name))
        return {}


def draw_before_after(before: EvaluationResult, after: EvaluationResult, path: str | Path) -> Path:
    """Write the field that gained most, as `before` and as `after` saw it, to `path`; returns the path.

    Each side is called by the name of its output folder.
    """
    old = {one.name: one for one in before.fields}
    both = [one for one in after.fields if one.name in old]
    most = max(both, key=lambda one: one.instance(0.5).f1 - old[one.name].instance(0.5).f1)
    panels = [_picture(result, most.name, result.output_dir.name) for result in (before, after)]
    gap = np.full((panels[0].shape[0], 16, 3), 255, np.uint8)
    return write_image(path, np.hstack([panels[0], gap, panels[1]]))


def _picture(result: EvaluationResult, name: str, model: str = "") -> np.ndarray:
    item = next(item for item in result.items if item.name == name)
    scores = next(one for one in result.fields if one.name == name)
    image = read_field(item)
    prediction = read_any_labels(result.labels[name], image.shape, field=name)
    return field_picture(image.array(), load_labels(item, image.shape), prediction, scores, model)
