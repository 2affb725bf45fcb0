"""Blank wells: no cell anywhere, in two fields of two treatments at two timepoints each."""

import numpy as np
import pytest
from verbs import cells_table

from cellular.autophagy.state.tree_model import FEATURES
from cellular.cli.main import EXIT_ERROR, main
from cellular.data.formats.images import write_image, write_labels
from cellular.files import read_csv, write_csv

SIZES = ("--min_sigma", "1", "--max_sigma", "3")


@pytest.fixture
def plate(tmp_path):
    noise = np.random.default_rng(0)
    for well in ("C03", "I03"):
        for t in (1, 2):
            name = f"Timepoint_00{t}_220518-ST_{well}_s1"
            for channel in (1, 2, 3):
                pixels = noise.integers(90, 110, (48, 48)).astype(np.uint16)
                write_image(tmp_path / "images" / f"{name}_w{channel}.TIF", pixels)
            write_labels(tmp_path / "labels" / f"{name}_masks.tif", np.zeros((48, 48), np.uint16))
    return tmp_path


def test_analyse_says_so(plate, capsys):
    command = ["analyse", str(plate / "images"), "--labels", str(plate / "labels"), "--out", str(plate / "out"), *SIZES]
    assert main(command) == main(command) == 0
    assert "0 cells in 4 fields" in capsys.readouterr().out
    assert "No cell was found in any of the 4 fields" in (plate / "out" / "report.html").read_text(encoding="utf-8")
    assert {"field", "label", "area"} <= set(read_csv(plate / "out" / "cells.csv")), "without rows, not without columns"


def test_tables_without_rows(plate, capsys):
    labels, out = str(plate / "labels"), plate / "out"
    assert main(["measure", str(plate / "images"), labels, "--out", str(out / "measured"), *SIZES]) == 0
    cells = str(out / "measured" / "cells.csv")
    assert main(["track", labels, "--out", str(out / "tracks"), "--cells", cells, "--export", "ctc", "napari"]) == 0
    assert read_csv(out / "tracks" / "summary.csv")["cells"].tolist() == [0, 0]
    for verb in (["stats"], ["classify", "train"]):
        assert main([*verb, cells, "--out", str(out / "refused")]) == EXIT_ERROR
        assert f"{cells} has no rows" in capsys.readouterr().err
    assert not (out / "refused").exists()


@pytest.mark.parametrize("form", ["cellpose", "coco", "yolo", "geojson", "imagej", "hdf5"])
def test_exports(plate, form):
    assert main(["export", str(plate / "labels"), "--to", form, "-o", str(plate / form)]) == 0


def test_evaluate_of_fields_without_cells(plate):
    """Nothing to find and nothing found is right, a cell found there is wrong; neither stops the other fields."""
    spot = np.zeros((48, 48), np.uint16)
    spot[5:20, 5:20] = 1
    for name, found in (("a", spot * 0), ("b", spot)):
        write_image(plate / "test" / f"{name}.png", np.full((48, 48, 3), 90, np.uint8))
        write_labels(plate / "test" / f"{name}_masks.tif", spot * 0)
        write_labels(plate / "found" / f"{name}_masks.tif", found)
    folders = ("--test_dir", plate / "test", "--labels", plate / "found", "--output_dir", plate / "scores")
    assert main(["evaluate", *map(str, folders)]) == 0
    fields = next((plate / "scores").glob("*fields*.csv"))
    scores = read_csv(fields).set_index("field")
    column = next(name for name in scores if "f1" in name and "50" in name)
    assert scores[column].to_dict() == {"a": 1, "b": 0}


def test_classify_predict_of_a_table_without_cells(plate):
    cells = cells_table(FEATURES)
    write_csv(plate / "measured.csv", cells)
    write_csv(plate / "truth.csv", cells[["field", "label"]].assign(**{"class": cells["treatment"]}))
    write_csv(plate / "none.csv", cells.head(0))
    train = ["classify", "train", plate / "measured.csv", "--truth", plate / "truth.csv", "--out", plate / "state"]
    assert main([str(word) for word in [*train, "--trees", 3]]) == 0
    told = ["classify", "predict", plate / "none.csv", "--model", plate / "state" / "model.safetensors"]
    assert main([str(word) for word in [*told, "--out", plate / "told"]]) == 0
    table = read_csv(plate / "told" / "cells.csv")
    assert len(table) == 0
    assert {"field", "label", "state", "probability_activated"} <= set(table)
