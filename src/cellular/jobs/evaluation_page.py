"""The page of evaluations: cells judged one by one, models compared, pictures read."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellular.data.formats.read import read_any_labels
from cellular.data.image import FieldImage, load_ignore, load_labels, read_field
from cellular.evaluate.cells import calibration, cell_verdicts, errors_by
from cellular.evaluate.paired import paired_differences
from cellular.evaluate.result import EvaluationResult
from cellular.evaluate.scores import FieldScores
from cellular.files import read_json, write_csv, write_json
from cellular.jobs.evaluate import evaluated, scores_beside
from cellular.jobs.evaluation_pictures import PAGE
from cellular.jobs.explore import for_paper
from cellular.report.choice import choose_fields
from cellular.report.evaluation import field_picture
from cellular.report.evaluation_page import (
    HEADLINES,
    VERDICTS,
    Evaluated,
    calibration_figure,
    cell_crop,
    contact_sheet,
    evaluation_page,
    iou_data,
    iou_figure,
    worst_cells,
)
from cellular.report.explorer import Explored
from cellular.report.linked import choose_rows
from cellular.report.outlines import Ring, outlines_of
from cellular.report.pictures import size_choice
from cellular.report.provenance import versions
from cellular.report.style import save
from cellular.report.viewer import frame_of

_FEATURES = ("iou", "score", "area", "brightness")


def write_evaluation_page(
    results: Mapping[str, EvaluationResult], out: str | Path, commands: Sequence[str] = ()
) -> Path:
    """Write ``report.html`` of one or more models on the same fields to folder `out`; the last one is looked into.

    ``figures/`` get the figures as SVG with their data, ``cells_judged.csv`` a row for every cell; ``report.json`` says
    what the page tells of, for :func:`evaluation_page_again`. `commands` make it all again.
    """
    of = {name: [os.path.relpath(result.output_dir, out), result.split] for name, result in results.items()}
    # drawing may have passed over fields that were scored
    problems = {name: result.problems for name, result in results.items()}
    record = {"evaluations": of, "problems": problems, "commands": list(commands), "versions": versions()}
    page = _write(results, Path(out), record)
    write_json(Path(out) / PAGE, record)
    return page


def evaluation_page_again(out: str | Path) -> Path:
    """Write the page of `out`, that :func:`write_evaluation_page` made, again; nothing is segmented or scored.

    Raises InputError, MissingInputError where label images, tables or images have changed or are gone.
    """
    out = Path(out)
    record = read_json(out / PAGE)
    results = {name: evaluated(out / folder, split) for name, (folder, split) in record["evaluations"].items()}
    results = {name: replace(result, problems=record["problems"][name]) for name, result in results.items()}
    return _write(results, out, record)


def _write(results: Mapping[str, EvaluationResult], out: Path, record: Mapping[str, Any]) -> Path:
    result = list(results.values())[-1]
    # a field whose image cannot be read is scored, by labels that were given, and not looked into
    seen = [one for one in result.fields if one.name not in result.problems]
    shown = replace(result, fields=seen or result.fields)
    true, predicted = _judged(shown)
    unsaid = int(predicted["score"].isna().sum())
    predicted = predicted.fillna({"score": 1.0})
    write_csv(out / "cells_judged.csv", pd.concat([true.assign(of="truth"), predicted.assign(of="prediction")]))
    others = list(results)[:-1]
    differences = {name: paired_differences(results[name], result, list(HEADLINES)) for name in others}
    for old in out.glob("difference_to_*.csv"):  # to models that this page does not compare
        old.unlink()
    for name, table in differences.items():
        write_csv(out / f"difference_to_{name}.csv", table)
    explored, still, words = _explored(shown, true, predicted)
    words += [f"{unsaid:,} of {len(predicted):,} predictions have no score, and count as sure: 1."] * (unsaid > 0)
    for name, one in results.items():
        if one.trained_on:
            said = f"{name} was trained on {len(one.trained_on)} of the {len(one.fields)} fields: that flatters it."
            words.append(said)
    told = Evaluated(
        results,
        differences,
        _figures(results, out / "figures"),
        errors_by(true, "area"),
        errors_by(true, "brightness"),
        _worst(shown, true, predicted),
        explored,
        still,
        words,
        _settings(result),
        record["commands"],
        record["versions"],
    )
    return evaluation_page(told, out).write(out / "report.html")


def _settings(result: EvaluationResult) -> dict[str, object]:
    """What was scored: the record of the model's run, where there was one, else whose label images."""
    folder = next(iter(result.labels.values())).parent
    made = read_json(folder / "segment.json") if (folder / "segment.json").is_file() else {"labels": str(folder)}
    return made | {"test fields": str(result.items[0].images[0].parent)}


def _read(
    result: EvaluationResult, name: str
) -> tuple[FieldImage, np.ndarray, np.ndarray, FieldScores, np.ndarray | None]:
    """Image, truth, prediction and scores of a field."""
    item = next(item for item in result.items if item.name == name)
    image = read_field(item)
    truth = load_labels(item, image.shape)
    scores = next(one for one in result.fields if one.name == name)
    prediction = read_any_labels(result.labels[name], truth.shape, field=name)
    return image, truth, prediction, scores, load_ignore(item, image.shape)


def _judged(result: EvaluationResult) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All true and all predicted cells, with ``field``; predictions with their ``score``, NaN where none is known."""
    true: list[pd.DataFrame] = []
    predicted: list[pd.DataFrame] = []
    for one in result.fields:
        image, truth, prediction, scores, ignore = _read(result, one.name)
        mine = cell_verdicts(truth, prediction, scores, image.array(), ignore)
        for found, table in zip((true, predicted), mine):
            table.insert(0, "field", one.name)
            found.append(table)
    joined = pd.concat(predicted).merge(_told(result), on=["field", "label"], how="left")
    return pd.concat(true).assign(score=np.nan).reset_index(drop=True), joined


def _told(result: EvaluationResult) -> pd.DataFrame:
    """``field, label, score`` of the predictions, as the table beside their label images tells them."""
    told = scores_beside(result.labels).rename(columns={"image": "field"})[["field", "label", "score"]]
    return told.astype({"label": int, "score": float})


def _promised(result: EvaluationResult) -> pd.DataFrame:
    """How often a score came true, of whole cells, which `calibrate` fits it to, and of boxes: ``of`` says which."""
    found = [
        pd.DataFrame({"field": one.name, "label": (of := one.predicted_labels), "right": ~np.isin(of, one.spurious)})
        for one in result.fields
    ]
    cells = pd.concat(found).merge(_told(result), on=["field", "label"], how="left").fillna({"score": 1.0})
    by_cell = calibration(cells["score"].to_numpy(), cells["right"].to_numpy())
    by_box = calibration(result.detections.score, result.detections.correct[0])
    return pd.concat([by_cell.assign(of="cells"), by_box.assign(of="boxes")])


def _figures(results: Mapping[str, EvaluationResult], folder: Path) -> dict[str, Path]:
    by_iou = iou_data(results)
    by_score = pd.concat([_promised(result).assign(model=name) for name, result in results.items()])
    return {
        "Average precision against the IoU asked for.": save(iou_figure(by_iou), folder / "ap_iou.svg", by_iou),
        "Calibration: what scores promise and what came true. On the line a score is a probability.": save(
            calibration_figure(by_score, list(results)), folder / "calibration.svg", by_score
        ),
    }


def _worst(result: EvaluationResult, true: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray | None:
    rows = worst_cells(true, predicted)
    if rows.empty:
        return None
    read = {name: _read(result, name) for name in rows["field"].unique()}
    crops = []
    for row in rows.to_dict("records"):
        image, truth, prediction, *_ = read[row["field"]]
        crops.append(cell_crop(image.array(), truth, prediction, row))
    return contact_sheet(crops)


def _explored(
    result: EvaluationResult, true: pd.DataFrame, predicted: pd.DataFrame
) -> tuple[Explored, dict[str, np.ndarray], list[str]]:
    """The fields to look into: predictions, and true cells that were missed; truth as a layer below."""
    scores = [one.instance(0.5).f1 for one in result.fields]
    choice = choose_fields(pd.DataFrame({"position": [one.name for one in result.fields], "sharpness": scores}))
    frames, still, rings = [], {}, []
    outlines: dict[tuple[str, int], Ring] = {}
    for number, name in enumerate(choice.why):
        image, truth, prediction, scored, _ = _read(result, name)
        frames.append(frame_of(image, name, len(choice.why)))
        of_truth = outlines_of(truth)
        missed = {(name, -label): of_truth[label] for label in scored.missed.tolist()}
        outlines |= {(name, label): ring for label, ring in outlines_of(prediction).items()} | missed
        rings += [(number, *ring) for ring in of_truth.values()]
        still[f"{name}: {choice.why[name]}"] = for_paper(field_picture(image.array(), truth, prediction, scored))
    lost = true[true["verdict"] == "missed"]
    # labels of truth and prediction are numbers of their own: those of the truth are told by their sign
    cells = pd.concat([predicted, lost.assign(label=-lost["label"])]).reset_index(drop=True)
    cells = cells.assign(first=cells["area"], second=cells["iou"])
    shown = [frame.field for frame in frames]
    truth_layer = pd.DataFrame(rings, columns=["frame", "xs", "ys"])
    told = Explored(
        frames,
        outlines,
        choose_rows(cells, shown),
        _FEATURES,
        layers={f"{word} ({dash})": ("verdict", word, colour, dash) for word, (colour, dash) in VERDICTS.items()},
        further={"truth (white)": (truth_layer, "#FFFFFF", "solid")},
        unit="field",
        map_names=("area (px)", "IoU with the other side"),
    )
    words = [choice.words.replace("sharpness", "F1"), size_choice([p for f in frames for _, p in f.channels.values()])]
    return told, still, [*words, "Cells with a negative number are true cells that were missed."]
