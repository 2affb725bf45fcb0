"""`cellular classify`: train on cells whose state is known, judge on unseen ones; predict for any others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from cellular.autophagy.state import crop_train
from cellular.autophagy.state.by_hand import laid_over
from cellular.autophagy.state.crop_file import FORMAT as CROPS
from cellular.autophagy.state.crop_file import load_crop_model, save_crop_model
from cellular.autophagy.state.crop_model import CropModel, CropSettings, predict_crops
from cellular.autophagy.state.crops import Crops, join_crops
from cellular.autophagy.state.explain import explain_crops, integrated_gradients
from cellular.autophagy.state.files import load_model, read_header, save_model
from cellular.autophagy.state.tree_model import ClassifySettings, TreeModel, predict, warn_of_strangers
from cellular.autophagy.state.trees import explain, train, validate
from cellular.autophagy.state.truth import add_truth, checked_cells, two_states
from cellular.autophagy.state.unseen import Validation
from cellular.autophagy.state.words import UNIDENTIFIED
from cellular.data.image import FieldImage
from cellular.data.plate import Plate
from cellular.errors import InputError, SettingsError
from cellular.files import alone_in, read_csv, together, write_csv, write_json
from cellular.jobs.cells_by_hand import cells_and_states, truth_by_hand
from cellular.jobs.crops import crops_by_field, crops_of, fields_of, no_crops
from cellular.report.autophagy import calibration_figure, confusion_figure, importance_figure, saliency_figure
from cellular.report.style import save
from cellular.settings import settings_to_dict
from cellular.tables import from_frame, read_table, write_table

TREATMENT_CAVEAT = (
    "Truth here is the treatment of the well, not an expert's look at the cell: fed wells hold activated cells, too, "
    "and starved wells basal ones, so this says how well the measurements separate the treatments, no more."
)
HAND_CAVEAT = (
    "Truth here is what somebody told by hand of cells that they chose, most likely where a model was wrong or the "
    "case was plain: scores on these say little of all other cells."
)
MODEL, REASONS = "model.safetensors", "explanations.csv"
Settings = TypeVar("Settings", ClassifySettings, CropSettings)
# Cells of each state in the picture of what the network looks at.
_SHOWN = 4


@dataclass(frozen=True)
class TrainedState:
    """What training made: the model's file and how it did on units unseen."""

    model: Path
    validation: Validation


def train_state(
    cells: str | Path,
    out: str | Path,
    truth: str | Path | None = None,
    settings: ClassifySettings | None = None,
    positive: str | None = None,
    corrections: str | Path | None = None,
) -> TrainedState:
    """Train trees on ``cells.csv`` of measure and write the model and its validation to folder `out`.

    `out` gets ``model.safetensors``, ``validation.json``, ``predicted_unseen.csv``, ``left_out.csv``, ``fields.csv``,
    ``confusion.csv``, ``calibration.csv``, ``importance.csv`` and ``figures/``. `truth` as in
    :func:`add_truth`; `positive` names the state that probabilities are of, where it is not activated. `corrections`
    is a folder of these: the states told by hand are the truth, in place of a table, and no other cell is learnt from.
    """
    table, settings = _known_cells(cells, truth, settings or ClassifySettings(), positive, corrections)
    checked, model = validate(table, settings), train(table, settings)
    with alone_in(out) as folder:
        _write_validation(checked, folder, settings, caveat(truth, corrections))
        return TrainedState(save_model(folder / MODEL, model), checked)


def train_crop_state(
    cells: str | Path,
    out: str | Path,
    images: str | Path | Plate,
    labels: str | Path,
    truth: str | Path | None = None,
    settings: CropSettings | None = None,
    positive: str | None = None,
    corrections: str | Path | None = None,
) -> TrainedState:
    """Train a network on crops of the cells of ``cells.csv``; `images` and `labels` as for `cellular measure`.

    `out` gets ``model.safetensors``, the tables and figures of :func:`train_state` and ``figures/saliency.png``: what
    the network looks at in cells that it was sure of, rightly and wrongly, when it had not seen their well. All crops
    are in memory at once: 80 kB a cell at the usual size.
    """
    table, settings = _known_cells(cells, truth, settings or CropSettings(), positive, corrections)
    crops = join_crops(list(crops_by_field(fields_of(table, images, labels), table, settings)))
    model, checked = crop_train.train(crops, table, settings)
    with alone_in(out) as folder:
        _write_validation(checked, folder, settings, caveat(truth, corrections))
        _look(model, crops, _surest(checked.cells, settings), folder)
        return TrainedState(save_crop_model(folder / MODEL, model), checked)


def caveat(truth: str | Path | None, corrections: str | Path | None) -> str:
    """What takes away from scores on such a truth; empty for a table of truth."""
    return HAND_CAVEAT if corrections else "" if truth else TREATMENT_CAVEAT


def _known_cells(
    cells: str | Path,
    truth: str | Path | None,
    settings: Settings,
    positive: str | None,
    corrections: str | Path | None,
) -> tuple[pd.DataFrame, Settings]:
    """The cells with their truth, and the settings with the two states that it holds."""
    measured = read_table(cells)
    if not len(measured):
        raise InputError(f"{cells} has no rows: there is no cell to learn from")
    if truth and corrections:
        raise SettingsError("truth is told twice, by a table and by hand: give --truth or --corrections")
    told = read_csv(truth) if truth else truth_by_hand(measured, corrections) if corrections else None
    table = add_truth(measured, told)
    if positive is None and table["truth"].eq(settings.states[1]).any():
        positive = settings.states[1]
    return table, replace(settings, states=two_states(table["truth"], positive))


def read_state_model(path: str | Path) -> CropModel | TreeModel:
    """The model in a file of classify train, trees or network by what it says of itself."""
    return load_crop_model(path) if read_header(path)["format"] == CROPS else load_model(path)


def _told_by_trees(cells: pd.DataFrame, model: TreeModel) -> pd.DataFrame:
    """`cells` with ``state`` and ``probability_<positive>``."""
    told = predict(model, cells)
    return cells.drop(columns=list(told), errors="ignore").join(told)


def predict_state(
    cells: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    top: int = 3,
    method: str = "occlusion",
    corrections: str | Path | None = None,
) -> pd.DataFrame:
    """Write ``cells.csv`` with the state of every cell, and ``explanations.csv`` with what each rests on, to `out`.

    `top` features per cell, by `method` of :func:`explain`; none with 0. A table without cells gives one without.
    States told by hand in the folder `corrections` stand over the model's; what explains is of the model's.
    """
    fitted = load_model(model)
    table, by_hand = cells_and_states(cells, corrections, fitted.settings.known)
    classified = _told_by_trees(checked_cells(table), fitted)
    warn_of_strangers(fitted, classified)
    reasons = explain(fitted, classified, top, method) if top else None
    classified = classified if by_hand is None else laid_over(classified, by_hand)
    with alone_in(out) as folder:
        _forget(folder)
        if reasons is not None:
            write_csv(folder / REASONS, reasons)
        write_table(folder, "cells", [from_frame(classified)])
    return classified


def predict_crop_state(
    cells: str | Path,
    model: str | Path,
    out: str | Path,
    images: str | Path | Plate,
    labels: str | Path,
    *,
    top: int = 3,
    corrections: str | Path | None = None,
) -> pd.DataFrame:
    """The same by a network on crops; ``explanations.csv`` holds the effect of each channel (`top` of them, 0: none).

    ``figures/saliency.png`` shows what the network looks at in the cells that it is surest of, if there are any cells.
    """
    network = load_crop_model(model)
    table, by_hand = cells_and_states(cells, corrections, network.settings.known)
    table = checked_cells(table)
    pairs = fields_of(table, images, labels) if len(table) else {}
    nothing = no_crops(network)
    told, reasons = [predict_crops(network, nothing)], [explain_crops(network, nothing)]
    for crops in crops_by_field(pairs, table, network.settings):
        told.append(predict_crops(network, crops))
        if top:
            reasons.append(explain_crops(network, crops).query("rank <= @top"))
    by_model = _join_told(table, together(told))
    classified = by_model if by_hand is None else laid_over(by_model, by_hand)
    with alone_in(out) as folder:
        _forget(folder)
        if len(table):
            shown = _surest(by_model.assign(truth=np.nan), network.settings)
            again = crops_by_field({n: pairs[n] for n in shown["field"].unique()}, table, network.settings)
            _look(network, join_crops(list(again)), shown, folder)
        if top:
            write_csv(folder / REASONS, together(reasons))
        write_table(folder, "cells", [from_frame(classified)])
    return classified


def classify(
    cells: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    images: str | Path | Plate | None = None,
    labels: str | Path | None = None,
    top: int = 3,
    method: str = "occlusion",
    corrections: str | Path | None = None,
) -> pd.DataFrame:
    """Tell the state of every cell of ``cells.csv`` by a model of :func:`train_state`, trees or network.

    Writes ``cells.csv`` with ``state`` and ``probability_<positive>`` and, for `top` above 0, ``explanations.csv`` to
    `out`; returns the first.

    Parameters
    ----------
    images, labels : what the cells were measured on: a plate or a folder of it, and a folder of label images; a network
        needs them, trees do not look at them. The light that it sees is as it was recorded, before any flat field.
    corrections : folder of corrections (see :mod:`cellular.jobs.corrections`): states told by hand stand over the
        model's, which moves to ``state_model`` and ``probability_<positive>_model``.
    top : features, or channels, that explain each cell. method : how trees are explained, "occlusion" or "shapley".

    Raises
    ------
    SettingsError : a network without `images` and `labels`.
    InputError, MissingInputError : a file that is no model, a table that is not of this kind, or a cell that is not as
        it was when its state was told by hand.

    Examples
    --------
    >>> import cellular, numpy as np, pandas as pd
    >>> from cellular.jobs.classify import ClassifySettings, train_state
    >>> wells = [f"Timepoint_001_220518-ST_{well}_s1" for well in ("C05", "C06", "C07", "I05", "I06", "I07")]
    >>> cells = pd.DataFrame({"field": np.repeat(wells, 8), "label": np.tile(np.arange(1, 9), 6)})
    >>> fed = cells["field"].str.contains("_C").to_numpy()
    >>> cells["area"] = np.where(fed, 500.0, 900.0) + np.arange(48)
    >>> cells.to_csv("measured.csv", index=False)
    >>> trained = train_state("measured.csv", "state", settings=ClassifySettings(features=("area",), trees=5))
    >>> told = cellular.classify("measured.csv", trained.model, "told")
    >>> told.groupby(fed)["state"].first().tolist()
    ['activated', 'basal']
    """
    if read_header(model)["format"] != CROPS:
        return predict_state(cells, model, out, top=top, method=method, corrections=corrections)
    return predict_crop_state(cells, model, out, *pictures(images, labels), top=top, corrections=corrections)


def pictures(images: str | Path | Plate | None, labels: str | Path | None) -> tuple[str | Path | Plate, str | Path]:
    """The folders that a network needs; SettingsError where they are not given."""
    if not (images and labels):
        raise SettingsError("a network looks at pictures: give --images and --labels, as to cellular measure")
    return images, labels


def warn_of_run(model: CropModel | TreeModel, cells: str | Path) -> None:
    """Warn once of what is strange to trees in the table `cells` of a run, all of its fields together."""
    if isinstance(model, TreeModel):
        warn_of_strangers(model, read_table(cells, columns=("field", *model.settings.features)))


def classify_field(
    model: CropModel | TreeModel,
    cells: pd.DataFrame,
    image: FieldImage,
    labels: np.ndarray,
    others: np.ndarray | None = None,
) -> pd.DataFrame:
    """The cells of one field with ``state`` and ``probability_<positive>``.

    `image` is as the camera recorded it, as networks learn from it; trees go by the measurements and do not look at it.
    """
    cells = checked_cells(cells)
    if isinstance(model, TreeModel):
        return _told_by_trees(cells, model)
    if not len(cells):
        return _join_told(cells, predict_crops(model, no_crops(model)))
    crops = crops_of(image, labels, cells["field"].iloc[0], model.settings, others)
    return _join_told(cells, predict_crops(model, crops))


def _join_told(cells: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """`cells` with the states of `told`; InputError where a cell of the table is not in the label images."""
    new = [name for name in told if name not in ("field", "label")]
    joined = cells.drop(columns=new, errors="ignore").merge(told, on=["field", "label"], how="left")
    lost = joined["state"].isna()
    if lost.any():
        cell = joined[lost].iloc[0]
        raise InputError(f"No cell {cell['label']} in the label image of {cell['field']}: are they those measured?")
    return joined


def _surest(cells: pd.DataFrame, settings: CropSettings) -> pd.DataFrame:
    """A few cells that were called most certainly: each state rightly and, where there is a truth, wrongly."""
    ordered = cells.sort_values(settings.probability, kind="stable")
    right = ordered[ordered["truth"].isna() | (ordered["truth"] == ordered["state"])]
    wrong = ordered[ordered["truth"].notna() & (ordered["truth"] != ordered["state"])]
    wrong = wrong[wrong["truth"] != UNIDENTIFIED]
    parts = [right.head(_SHOWN), right.tail(_SHOWN), wrong.head(_SHOWN // 2), wrong.tail(_SHOWN // 2)]
    return pd.concat(parts).drop_duplicates(["field", "label"])


def _look(model: CropModel, crops: Crops, shown: pd.DataFrame, out: Path) -> None:
    """Write the picture of what `model` looks at in the cells `shown`, and what each channel of these adds in all."""
    rows = crop_train.rows_of(crops, shown)
    titles = [
        f"{p:.2f}" if pd.isna(truth) else f"{p:.2f}\n{truth}"
        for p, truth in zip(shown[model.settings.probability], shown["truth"])
    ]
    effects = integrated_gradients(model, crops, rows)
    figure = saliency_figure(crops.pixels[rows], effects, crops.channels, titles, model.settings.states)
    sums = dict(zip((f"log_odds_{name}" for name in crops.channels), effects.sum(axis=(2, 3)).T))
    data = shown[["field", "label", "truth", model.settings.probability]].assign(**sums)
    save(figure, out / "figures" / "saliency.svg", data)


def _forget(out: Path) -> None:
    """Take away what an earlier model wrote of its reasons, and this one may not."""
    for path in (out / REASONS, *(out / "figures" / f"saliency{end}" for end in (".svg", ".csv"))):
        path.unlink(missing_ok=True)


def _write_validation(checked: Validation, out: Path, settings: ClassifySettings | CropSettings, note: str) -> None:
    _forget(out)
    for name in ("left_out", "fields", "calibration", "importance"):
        write_csv(out / f"{name}.csv", getattr(checked, name))
    write_csv(out / "predicted_unseen.csv", checked.cells)
    write_csv(out / "confusion.csv", checked.confusion_all.rename_axis("truth").reset_index())
    counts = {"told by the expert": checked.confusion, "all": checked.confusion_all}
    save(confusion_figure(counts), out / "figures" / "confusion.svg", _long(counts))
    save(importance_figure(checked.importance), out / "figures" / "importance.svg", checked.importance)
    figure = calibration_figure(checked.calibration, settings.states[1])
    save(figure, out / "figures" / "calibration.svg", checked.calibration)
    scores = {n: _number(getattr(checked, n)) for n in ("accuracy", "balanced_accuracy", "auc", "brier", "field_auc")}
    about = {"left_out": checked.unit, "scores": scores, "remarks": list(checked.remarks)}
    write_json(out / "validation.json", {**about, "settings": settings_to_dict(settings), "note": note})


def _long(counts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Confusion matrices as one table: ``of, truth, predicted, cells``."""
    rows = [
        (of, truth, predicted, int(cells))
        for of, matrix in counts.items()
        for (truth, predicted), cells in matrix.stack().items()
    ]
    return pd.DataFrame(rows, columns=["of", "truth", "predicted", "cells"])


def _number(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)
