"""`cellular classify`: train on cells whose state is known, judge on unseen wells; predict for any others."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellular.autophagy.state import crop_train
from cellular.autophagy.state.crop_file import FORMAT as CROPS
from cellular.autophagy.state.crop_file import load_crop_model, save_crop_model
from cellular.autophagy.state.crop_model import CropModel, CropSettings, predict_crops
from cellular.autophagy.state.crops import Crops, cut_crops, join_crops
from cellular.autophagy.state.explain import explain_crops, integrated_gradients
from cellular.autophagy.state.files import load_model, read_header, save_model
from cellular.autophagy.state.tree_model import ClassifySettings, TreeModel, predict
from cellular.autophagy.state.trees import explain, train, validate
from cellular.autophagy.state.unseen import STATES, UNIDENTIFIED, Validation, require_columns
from cellular.data.fields import parse_field
from cellular.data.find import find_plate
from cellular.data.image import FieldImage, load_labels, read_field
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError
from cellular.files import read_csv, write_csv, write_json
from cellular.progress import progress
from cellular.report.autophagy import calibration_figure, confusion_figure, importance_figure, saliency_figure
from cellular.report.style import save
from cellular.settings import settings_to_dict

TREATMENT_CAVEAT = (
    "Truth here is the treatment of the well, not an expert's look at the cell: fed wells hold activated cells and "
    "starved wells basal ones, so this says how well the measurements separate the treatments, no more."
)
MODEL = "model.safetensors"
_TOLD = ["state", "probability_activated"]
# Cells of each state in the picture of what the network looks at.
_SHOWN = 4


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
    require_columns(cells, ("field", "label"))
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
    """Train trees on ``cells.csv`` of measure and write the model and its validation to folder `out`.

    `out` gets ``model.safetensors``, ``validation.json``, ``predicted_unseen.csv``, ``wells.csv``, ``fields.csv``,
    ``confusion.csv``, ``calibration.csv``, ``importance.csv`` and ``figures/``. `truth` as in :func:`add_truth`.
    """
    settings, out = settings or ClassifySettings(), Path(out)
    table = add_truth(read_csv(cells), read_csv(truth) if truth else None)
    checked = validate(table, settings)
    _write_validation(checked, out, settings_to_dict(settings), "" if truth else TREATMENT_CAVEAT)
    return TrainedState(save_model(out / MODEL, train(table, settings)), checked)


def train_crop_state(
    cells: str | Path,
    out: str | Path,
    images: str | Path,
    labels: str | Path,
    truth: str | Path | None = None,
    settings: CropSettings | None = None,
) -> TrainedState:
    """Train a network on crops of the cells of ``cells.csv``; `images` and `labels` as for `cellular measure`.

    `out` gets ``model.safetensors``, the tables and figures of :func:`train_state` and ``figures/saliency.png``: what
    the network looks at in cells that it was sure of, rightly and wrongly, when it had not seen their well. All crops
    are in memory at once: 40 kB a cell at the usual size.
    """
    settings, out = settings or CropSettings(), Path(out)
    table = add_truth(read_csv(cells), read_csv(truth) if truth else None)
    pairs = fields_of(table, images, labels)
    crops = join_crops([part for _, part in _crops(pairs, settings)])
    model, checked = crop_train.train(crops, table, settings)
    _write_validation(checked, out, settings_to_dict(settings), "" if truth else TREATMENT_CAVEAT)
    save(_look(model, crops, _surest(checked.cells)), out / "figures" / "saliency.png")
    return TrainedState(save_crop_model(out / MODEL, model), checked)


def read_state_model(path: str | Path) -> CropModel | TreeModel:
    """The model in a file of classify train, trees or network by what it says of itself."""
    return load_crop_model(path) if read_header(path)["format"] == CROPS else load_model(path)


def classifier(
    model: CropModel | TreeModel, fields: Mapping[str, FieldFiles]
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that adds ``state`` and ``probability_activated`` to a table of measured cells.

    `fields` are the images and label images that the cells are from; trees do not look at them.
    """
    if isinstance(model, CropModel):
        return lambda cells: _join_told(cells, _predict_fields(model, _wanted(cells, fields)))
    return lambda cells: cells.drop(columns=_TOLD, errors="ignore").join(predict(model, cells))


def predict_state(
    cells: str | Path, model: str | Path, out: str | Path, *, top: int = 3, method: str = "occlusion"
) -> pd.DataFrame:
    """Write ``cells.csv`` with the state of every cell, and ``explanations.csv`` with what each rests on, to `out`.

    `top` features per cell, by `method` of :func:`explain`; none with 0.
    """
    table, out = read_csv(cells), Path(out)
    fitted = load_model(model)
    classified = classifier(fitted, {})(table)
    if top:
        write_csv(out / "explanations.csv", explain(fitted, table, top, method))
    write_csv(out / "cells.csv", classified)
    return classified


def predict_crop_state(
    cells: str | Path, model: str | Path, out: str | Path, images: str | Path, labels: str | Path, *, top: int = 3
) -> pd.DataFrame:
    """The same by a network on crops; ``explanations.csv`` holds the effect of each channel (`top` of them, 0: none).

    ``figures/saliency.png`` shows what the network looks at in the cells that it is surest of.
    """
    table, out = read_csv(cells), Path(out)
    network = load_crop_model(model)
    pairs = fields_of(table, images, labels)
    told, reasons = [], []
    for _, crops in _crops(pairs, network.settings):
        told.append(predict_crops(network, crops))
        if top:
            reasons.append(explain_crops(network, crops).query("rank <= @top"))
    classified = _join_told(table, pd.concat(told, ignore_index=True))
    shown = _surest(classified.assign(truth=np.nan))
    crops = join_crops([part for _, part in _crops({n: pairs[n] for n in shown["field"].unique()}, network.settings)])
    save(_look(network, crops, shown), out / "figures" / "saliency.png")
    if top:
        write_csv(out / "explanations.csv", pd.concat(reasons, ignore_index=True))
    write_csv(out / "cells.csv", classified)
    return classified


def fields_of(cells: pd.DataFrame, images: str | Path | Plate, labels: str | Path | None) -> dict[str, FieldFiles]:
    """Image and label image of every field of `cells`; InputError where one is missing."""
    plate = images if isinstance(images, Plate) else find_plate(images, labels=labels)
    return _wanted(cells, {item.name: item for item in plate.fields if item.labels})


def _wanted(cells: pd.DataFrame, fields: Mapping[str, FieldFiles]) -> dict[str, FieldFiles]:
    require_columns(cells, ("field", "label"))
    names = sorted(cells["field"].astype(str).unique())
    missing = [name for name in names if name not in fields]
    if missing:
        raise InputError(
            f"No image and label image of {missing[0]} ({len(missing)} of {len(names)} fields are missing)"
        )
    return {name: fields[name] for name in names}


def _crops(fields: Mapping[str, FieldFiles], settings: CropSettings) -> Iterator[tuple[str, Crops]]:
    for name, item in progress(fields.items(), desc="crops", unit="field"):
        image = read_field(item)
        yield name, crops_of(image, load_labels(item, image.shape), name, settings)


def crops_of(image: FieldImage, labels: np.ndarray, name: str, settings: CropSettings) -> Crops:
    """The cells of one field cut out as the network wants them."""
    return cut_crops(image, labels, name, channels=settings.channels, side_px=settings.side_px, size=settings.size)


def _predict_fields(network: CropModel, fields: Mapping[str, FieldFiles]) -> pd.DataFrame:
    return pd.concat(
        [predict_crops(network, crops) for _, crops in _crops(fields, network.settings)], ignore_index=True
    )


def classify_field(
    model: CropModel | TreeModel, cells: pd.DataFrame, image: FieldImage, labels: np.ndarray
) -> pd.DataFrame:
    """The cells of one field with ``state`` and ``probability_activated``; trees do not look at the image."""
    if not len(cells):
        return cells.assign(state=pd.Series(dtype=object), probability_activated=pd.Series(dtype=float))
    if isinstance(model, CropModel):
        crops = crops_of(image, labels, str(cells["field"].iloc[0]), model.settings)
        return _join_told(cells, predict_crops(model, crops))
    return classifier(model, {})(cells)


def _join_told(cells: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """`cells` with the states of `told`; InputError where a cell of the table is not in the label images."""
    joined = cells.drop(columns=_TOLD, errors="ignore").merge(told, on=["field", "label"], how="left")
    lost = joined["state"].isna()
    if lost.any():
        cell = joined[lost].iloc[0]
        raise InputError(f"No cell {cell['label']} in the label image of {cell['field']}: are they those measured?")
    return joined


def _surest(cells: pd.DataFrame) -> pd.DataFrame:
    """A few cells that were called most certainly: each state rightly and, where there is a truth, wrongly."""
    ordered = cells.sort_values("probability_activated", kind="stable")
    right = ordered[ordered["truth"].isna() | (ordered["truth"] == ordered["state"])]
    wrong = ordered[ordered["truth"].notna() & (ordered["truth"] != ordered["state"])]
    wrong = wrong[wrong["truth"] != UNIDENTIFIED]
    parts = [right.head(_SHOWN), right.tail(_SHOWN), wrong.head(_SHOWN // 2), wrong.tail(_SHOWN // 2)]
    return pd.concat(parts).drop_duplicates(["field", "label"])


def _look(model: CropModel, crops: Crops, shown: pd.DataFrame):
    """The picture of what `model` looks at in the cells `shown`."""
    rows = crop_train.rows_of(crops, shown)
    titles = [
        f"{p:.2f}" if pd.isna(truth) else f"{p:.2f}\n{truth}"
        for p, truth in zip(shown["probability_activated"], shown["truth"])
    ]
    return saliency_figure(crops.pixels[rows], integrated_gradients(model, crops, rows), crops.channels, titles)


def _write_validation(checked: Validation, out: Path, settings: dict, note: str) -> None:
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
    write_json(out / "validation.json", {"scores": scores, "settings": settings, "note": note})


def _number(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)
