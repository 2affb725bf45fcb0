"""`cellular classify`: train on cells whose state is known, judge on unseen wells; predict for any others."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellular.autophagy.classify import (
    STATES,
    UNIDENTIFIED,
    ClassifySettings,
    Validation,
    explain,
    predict,
    train,
    validate,
)
from cellular.autophagy.state_file import load_model, save_model
from cellular.data.fields import parse_field
from cellular.errors import InputError
from cellular.report.autophagy import calibration_figure, confusion_figure, importance_figure
from cellular.report.style import save
from cellular.settings import settings_to_dict
from cellular.tables import read_csv, write_csv, write_json

logger = logging.getLogger(__name__)

TREATMENT_CAVEAT = (
    "Truth here is the treatment of the well, not an expert's look at the cell: fed wells hold activated cells and "
    "starved wells basal ones, so this says how well the measurements separate the treatments, no more."
)


@dataclass(frozen=True)
class TrainedState:
    """What training made: the model's file and how it did on unseen wells."""

    model: Path
    validation: Validation


def add_truth(cells: pd.DataFrame, truth: pd.DataFrame | None) -> pd.DataFrame:
    """`cells` with columns ``truth`` (basal, activated, Unidentified or missing) and ``well``.

    `truth` is a table with ``field, label`` and ``class`` (as in the dataset: fed, unfed, Unidentified) or ``state``;
    without it the treatment of the well stands in. ``well`` tells wells of different plates and dates apart.
    """
    if truth is None:
        named = cells["field"].map(lambda name: parse_field(str(name)).treatment)
    else:
        column = next((name for name in ("class", "state") if name in truth), None)
        if column is None or not {"field", "label"} <= set(truth):
            raise InputError("The table of truth needs the columns field, label and class (or state)")
        found = cells[["field", "label"]].merge(truth, on=["field", "label"], how="left", validate="many_to_one")
        named = found[column].set_axis(cells.index)
    states = named.map({**STATES, UNIDENTIFIED: UNIDENTIFIED})
    if states.isna().all():
        raise InputError("No cell has a known state: fields and labels of cells and truth do not meet, or names differ")
    parts = cells["field"].map(lambda name: parse_field(str(name)))
    well = parts.map(lambda part: f"{part.date}-{part.plate}/{part.well}" if part.well else part.name)
    return cells.assign(truth=states, well=well)


def train_state(
    cells: str | Path, out: str | Path, truth: str | Path | None = None, settings: ClassifySettings | None = None
) -> TrainedState:
    """Train on ``cells.csv`` of measure and write the model and its validation to folder `out`.

    `out` gets ``model.skops``, ``validation.json``, ``predicted_unseen.csv``, ``wells.csv``, ``fields.csv``,
    ``confusion.csv``, ``calibration.csv``, ``importance.csv`` and ``figures/``. `truth` as in :func:`add_truth`.
    """
    settings, out = settings or ClassifySettings(), Path(out)
    table = add_truth(read_csv(cells), read_csv(truth) if truth else None)
    checked = validate(table, settings)
    for name in ("wells", "fields", "calibration", "importance"):
        write_csv(out / f"{name}.csv", getattr(checked, name))
    write_csv(out / "predicted_unseen.csv", checked.cells)
    write_csv(out / "confusion.csv", checked.confusion_all.rename_axis("truth").reset_index())
    figures = {
        "confusion": confusion_figure({"told by the expert": checked.confusion, "all": checked.confusion_all}),
        "importance": importance_figure(checked.importance),
        "calibration": calibration_figure(checked.calibration),
    }
    for name, figure in figures.items():
        save(figure, out / "figures" / f"{name}.png")
    scores = {n: _number(getattr(checked, n)) for n in ("accuracy", "balanced_accuracy", "auc", "brier", "field_auc")}
    note = "" if truth else TREATMENT_CAVEAT
    write_json(out / "validation.json", {"scores": scores, "settings": settings_to_dict(settings), "note": note})
    return TrainedState(save_model(out / "model.skops", train(table, settings), settings), checked)


def _number(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)


def classifier(model: str | Path) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that adds ``state`` and ``probability_activated`` to a table of measured cells."""
    fitted, settings = load_model(model)

    def classify(cells: pd.DataFrame) -> pd.DataFrame:
        return cells.drop(columns=["state", "probability_activated"], errors="ignore").join(
            predict(fitted, cells, settings)
        )

    return classify


def predict_state(cells: str | Path, model: str | Path, out: str | Path, *, top: int = 3) -> pd.DataFrame:
    """Write ``cells.csv`` with the state of every cell, and ``explanations.csv`` with what each rests on, to `out`."""
    table, out = read_csv(cells), Path(out)
    fitted, settings = load_model(model)
    classified = classifier(model)(table)
    if top:
        write_csv(out / "explanations.csv", explain(fitted, table, settings, table, top))
    write_csv(out / "cells.csv", classified)
    return classified
