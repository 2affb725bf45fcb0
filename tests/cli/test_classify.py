"""`cellular classify train` and `predict` as a user runs them."""

import json

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.classify import FEATURES
from cellular.cli.main import main

WELLS = ("C03", "C05", "I04", "I06")


@pytest.fixture
def tables(tmp_path):
    """40 cells in each of four wells; the red-only fraction tells their state."""
    rng = np.random.default_rng(1)
    rows = [(f"Timepoint_001_220518-ST_{well}_s1", label) for well in WELLS for label in range(1, 41)]
    cells = pd.DataFrame(rows, columns=["field", "label"])
    activated = rng.random(len(cells)) < np.where(cells["field"].str.contains("_I0"), 0.8, 0.2)
    cells = cells.assign(**{name: rng.normal(size=len(cells)) for name in FEATURES})
    cells["red_only_fraction"] = np.where(activated, 0.8, 0.2) + rng.normal(0, 0.05, len(cells))
    truth = cells[["field", "label"]].assign(**{"class": np.where(activated, "unfed", "fed")})
    truth.loc[::15, "class"] = "Unidentified"
    cells.to_csv(tmp_path / "cells.csv", index=False)
    truth.to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


def test_train_then_predict(tables, capsys):
    cells, truth, out = str(tables / "cells.csv"), str(tables / "truth.csv"), tables / "state"
    assert main(["classify", "train", cells, "--truth", truth, "--out", str(out), "--trees", "15"]) == 0
    assert "wells never seen: balanced accuracy" in capsys.readouterr().out
    scores = json.loads((out / "validation.json").read_text())["scores"]
    assert scores["balanced_accuracy"] > 0.9
    assert pd.read_csv(out / "importance.csv")["feature"][0] == "red_only_fraction"
    assert all((out / "figures" / f"{name}.png").is_file() for name in ("confusion", "importance", "calibration"))
    there = tables / "predicted"
    assert main(["classify", "predict", cells, "--model", str(out / "model.skops"), "--out", str(there)]) == 0
    predicted = pd.read_csv(there / "cells.csv").merge(pd.read_csv(truth))
    told = predicted[predicted["class"] != "Unidentified"]
    assert (told["state"].map({"basal": "fed", "activated": "unfed"}) == told["class"]).mean() > 0.95
    assert len(pd.read_csv(there / "explanations.csv")) == 3 * len(predicted)


def test_without_truth_the_treatment_stands_in_and_it_says_so(tables, capsys):
    out = tables / "state"
    assert main(["classify", "train", str(tables / "cells.csv"), "--out", str(out), "--trees", "10"]) == 0
    assert "not an expert's look" in capsys.readouterr().out
    assert json.loads((out / "validation.json").read_text())["note"]
    assert pd.read_csv(out / "fields.csv")["truth"].tolist() == ["basal", "basal", "activated", "activated"]


def test_truth_of_other_cells_is_an_error(tables, capsys):
    pd.DataFrame({"field": ["x"], "label": [1], "class": ["fed"]}).to_csv(tables / "other.csv", index=False)
    command = ["classify", "train", str(tables / "cells.csv"), "--truth", str(tables / "other.csv")]
    assert main([*command, "--out", str(tables / "o")]) == 2
    assert "do not meet" in capsys.readouterr().err
