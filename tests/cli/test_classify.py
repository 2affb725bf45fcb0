"""`cellular classify train` and `predict` as a user runs them."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from cellular.autophagy.state.crop_model import CropSettings
from cellular.autophagy.state.tree_model import FEATURES
from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_image, write_image, write_labels
from cellular.jobs.classify import train_crop_state

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
    there = tables / "predicted"
    for folder in (out, there):  # as a network left them
        (folder / "figures").mkdir(parents=True)
        for end in ("svg", "csv"):
            (folder / "figures" / f"saliency.{end}").write_text("of another model")
    assert main(["classify", "train", cells, "--truth", truth, "--out", str(out), "--trees", "15"]) == 0
    assert "wells never seen: balanced accuracy" in capsys.readouterr().out
    said = json.loads((out / "validation.json").read_text())
    assert said["left_out"] == "well"
    assert said["scores"]["balanced_accuracy"] > 0.9
    assert pd.read_csv(out / "importance.csv")["feature"][0] == "red_only_fraction"
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert drawn == {f"{name}.{kind}" for name in ("confusion", "importance", "calibration") for kind in ("svg", "csv")}
    counts = pd.read_csv(out / "figures" / "confusion.csv").query("of == 'all'")
    assert counts["cells"].sum() == pd.read_csv(out / "confusion.csv").drop(columns="truth").to_numpy().sum()
    assert main(["classify", "predict", cells, "--model", str(out / "model.safetensors"), "--out", str(there)]) == 0
    assert not list((there / "figures").iterdir())
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


def test_states_in_other_words(tables, capsys):
    truth = pd.read_csv(tables / "truth.csv")
    words = {"fed": "0", "unfed": "1", "Unidentified": ""}
    truth.assign(**{"class": truth["class"].map(words)}).to_csv(tables / "words.csv", index=False)
    out, cells = tables / "state", str(tables / "cells.csv")
    train = ["classify", "train", cells, "--truth", str(tables / "words.csv"), "--out", str(out), "--trees", "10"]
    assert main(train) == 2
    assert "0 and 1; the positive one is not named: give --positive" in capsys.readouterr().err
    assert not out.exists()
    assert main([*train, "--positive", "1"]) == 0
    assert main(["classify", "predict", cells, "--model", str(out / "model.safetensors"), "--out", str(out / "p")]) == 0
    told = pd.read_csv(out / "p" / "cells.csv")
    assert ((told["probability_1"] > 0.5) == (told["state"] == 1)).all()


@pytest.mark.parametrize("explain", ["occlusion", "shapley"])
def test_tables_without_rows(tables, capsys, explain):
    cells, out = str(tables / "cells.csv"), tables / "state"
    train = ["classify", "train", cells, "--out", str(out), "--trees", "10"]
    assert main(train) == 0
    none = tables / "none.csv"
    pd.read_csv(cells).head(0).to_csv(none, index=False)
    model = ["--model", str(out / "model.safetensors"), "--explain", explain]
    assert main(["classify", "predict", str(none), *model, "--out", str(tables / "p")]) == 0
    told = pd.read_csv(tables / "p" / "cells.csv")
    assert told.empty
    assert list(told)[-2:] == ["state", "probability_activated"]
    assert list(pd.read_csv(tables / "p" / "explanations.csv"))[:3] == ["field", "label", "rank"]
    capsys.readouterr()
    assert main(["classify", "train", str(none), "--out", str(tables / "o")]) == 2
    assert "has no rows" in capsys.readouterr().err
    assert not (tables / "o").exists()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("area", "True", "area"),
        ("area", "large", "area holds large"),
        ("label", "one", "label 'one'"),
        ("field", "", "field"),
    ],
)
def test_tables_that_are_none_of_measure_are_refused(tables, capsys, column, value, said):
    cells, out = str(tables / "cells.csv"), tables / "state"
    assert main(["classify", "train", cells, "--out", str(out), "--trees", "10"]) == 0
    table = pd.read_csv(cells, dtype=str)
    table.loc[0, column] = value
    table.to_csv(tables / "odd.csv", index=False)
    odd = [str(tables / "odd.csv"), "--out", str(tables / "p")]
    capsys.readouterr()
    for command in (["predict", *odd, "--model", str(out / "model.safetensors")], ["train", *odd]):
        assert main(["classify", *command]) == 2
        assert said in capsys.readouterr().err
        assert not (tables / "p").exists()


def test_truth_of_other_cells_is_an_error(tables, capsys):
    pd.DataFrame({"field": ["x"], "label": [1], "class": ["fed"]}).to_csv(tables / "other.csv", index=False)
    command = ["classify", "train", str(tables / "cells.csv"), "--truth", str(tables / "other.csv")]
    assert main([*command, "--out", str(tables / "o")]) == 2
    assert "do not meet" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path):
    """Four cells in each of six fields of four wells; activated cells, those of starved wells, have bright dots."""
    rng, rows = np.random.default_rng(2), []
    for well in ("C03", "C05", "I04", "I06"):
        field = f"Timepoint_001_220518-ST_{well}_s1"
        labels = np.zeros((64, 64), np.uint16)
        planes = rng.normal(100, 2, (64, 64, 2))
        for label, (y, x) in enumerate([(4, 4), (4, 36), (36, 4), (36, 36)], 1):
            labels[y : y + 24, x : x + 24] = label
            planes[y : y + 24, x : x + 24] += 60
            if well[0] == "I":
                planes[y + rng.integers(4, 20, 6), x + rng.integers(4, 20, 6), 0] += 900
            rows.append((field, label))
        for channel, plane in ((2, planes[..., 0]), (1, planes[..., 1])):
            write_image(tmp_path / "images" / f"{field}_w{channel}.TIF", plane.astype(np.uint16))
        write_labels(tmp_path / "labels" / f"{field}_masks.tif", labels)
    pd.DataFrame(rows, columns=["field", "label"]).to_csv(tmp_path / "cells.csv", index=False)
    return tmp_path


def test_a_network_is_trained_and_used(pictures, capsys):
    cells, folders = str(pictures / "cells.csv"), ["--images", str(pictures / "images")]
    folders += ["--labels", str(pictures / "labels")]
    train = ["classify", "train", cells, "--backend", "crops", "--crop_px", "32", "--epochs", "1", "--device", "cpu"]
    assert main([*train, "--out", str(pictures / "out")]) == 2
    assert "give --images and --labels" in capsys.readouterr().err
    assert main([*train, *folders, "--out", str(pictures / "out")]) == 0
    assert "wells never seen" in capsys.readouterr().out
    assert pd.read_csv(pictures / "out" / "importance.csv")["feature"].isin(["mRFP", "EGFP", "outline"]).all()
    assert (pictures / "out" / "figures" / "saliency.svg").is_file()
    looked = pd.read_csv(pictures / "out" / "figures" / "saliency.csv")
    assert {"field", "label", "log_odds_mRFP", "log_odds_EGFP"} <= set(looked)
    model = str(pictures / "out" / "model.safetensors")
    predict = ["classify", "predict", cells, "--model", model, "--out", str(pictures / "told")]
    assert main(predict) == 2
    assert "give --images and --labels" in capsys.readouterr().err
    assert main([*predict, *folders, "--top", "2"]) == 0
    told = pd.read_csv(pictures / "told" / "cells.csv")
    assert told["probability_activated"].between(0, 1).all()
    assert len(pd.read_csv(pictures / "told" / "explanations.csv")) == 2 * len(told)
    none = pictures / "none.csv"
    pd.read_csv(cells).head(0).to_csv(none, index=False)
    empty = ["classify", "predict", str(none), "--model", model, *folders, "--out", str(pictures / "nobody")]
    assert main(empty) == 0
    assert list(pd.read_csv(pictures / "nobody" / "cells.csv")) == ["field", "label", "state", "probability_activated"]
    assert list(pd.read_csv(pictures / "nobody" / "explanations.csv"))[3] == "feature"
    (pictures / "labels" / "Timepoint_001_220518-ST_I06_s1_masks.tif").unlink()
    assert main([*predict, *folders]) == 2
    assert "Timepoint_001_220518-ST_I06_s1 (1 of 4 fields are missing)" in capsys.readouterr().err


def quickly_trained(pictures, pixel_size_um):
    plate = find_plate(pictures / "images", pixel_size_um=pixel_size_um)
    quick = CropSettings(side_px=32, size=32, width=4, epochs=1, cells_per_epoch=32, batch=16, device="cpu")
    cells, labels = pictures / "cells.csv", pictures / "labels"
    return train_crop_state(cells, pictures / "out", plate, labels, settings=quick).model


def test_a_network_sees_the_projection_that_it_is_told(pictures, capsys):
    """Slices of which the second is dark: of them summed up, the network says what it says of single images."""
    cells, model = str(pictures / "cells.csv"), str(quickly_trained(pictures, None))
    labels = ["--labels", str(pictures / "labels")]
    for path in (pictures / "images").iterdir():
        plane = read_image(path)
        (pictures / "stack").mkdir(exist_ok=True)
        tifffile.imwrite(
            pictures / "stack" / path.name, np.stack([plane, 0 * plane]), imagej=True, metadata={"axes": "ZYX"}
        )
    predict = ["classify", "predict", cells, "--model", model, "--out"]
    assert main([*predict, str(pictures / "flat"), "--images", str(pictures / "images"), *labels]) == 0
    stack = [*labels, "--images", str(pictures / "stack")]
    capsys.readouterr()
    assert main([*predict, str(pictures / "none"), *stack]) == 2
    assert "--z" in capsys.readouterr().err
    assert main([*predict, str(pictures / "summed"), *stack, "--z", "sum"]) == 0
    flat, summed = (pd.read_csv(pictures / name / "cells.csv") for name in ("flat", "summed"))
    pd.testing.assert_frame_equal(flat, summed)


def test_a_network_is_not_shown_pixels_of_another_size(pictures, capsys):
    cells, model = str(pictures / "cells.csv"), str(quickly_trained(pictures, 0.3))
    folders = ["--images", str(pictures / "images"), "--labels", str(pictures / "labels")]
    predict = ["classify", "predict", cells, "--model", model, *folders, "--out", str(pictures / "told")]
    for size, code in (("0.302", 0), ("0.6", 2)):
        assert main([*predict, "--pixel_size", size]) == code
    assert "trained on pixels of 0.3 um, these are of 0.6 um" in capsys.readouterr().err
