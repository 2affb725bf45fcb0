"""`cellular track` on simulated series with truth, and on what goes wrong."""

import numpy as np
import pandas as pd
import pytest

from cellular.cli.main import main
from cellular.data.formats.images import read_labels, write_labels


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Two series of five timepoints, as crowded as the real fields at a quarter of their scale."""
    folder = tmp_path_factory.mktemp("track") / "sim"
    options = ["--fields", "2", "--size", "240", "--diameter", "28", "--timepoints", "5", "--seed", "4"]
    assert main(["simulate", str(folder), *options]) == 0
    return folder / "truth"


def test_simulated_series_are_followed(simulated, tmp_path, capsys):
    """The bar: CTC TRA of at least 0.95 with divisions."""
    pytest.importorskip("traccuracy")
    out = tmp_path / "out"
    truth = ["--truth", str(simulated / "tracks.csv")]
    assert main(["track", str(simulated), "--out", str(out), *truth, "--export", "laptrack", "napari", "ctc"]) == 0
    scores = pd.read_csv(out / "scores.csv")
    assert len(scores) == 2
    assert (scores["tra"] >= 0.95).all()
    assert scores["divisions"].min() > 0
    # a division found is a true one; those missed are mostly half hidden
    assert (scores["division_precision"] >= 0.8).all()
    assert (scores["division_f1"] >= 0.6).all()
    tracks = pd.read_csv(out / "tracks.csv")
    for path in simulated.glob("*_labels.tif"):
        field = path.name.removesuffix("_labels.tif")
        labels = np.unique(read_labels(path))
        assert tracks.loc[tracks["field"] == field, "label"].tolist() == labels[labels > 0].tolist()
    for series in scores["series"]:
        assert (out / "figures" / f"{series}.svg").stat().st_size > 10_000
        assert (out / "exports" / "ctc" / series / "res_track.txt").is_file()
    assert "cells in" in capsys.readouterr().out


def test_states_are_followed_where_they_are_known(simulated, tmp_path):
    tracks = pd.read_csv(simulated / "tracks.csv").rename(columns={"cell": "label"})
    cells = tracks[["field", "label"]].assign(probability_activated=np.where(tracks["state"] == "activated", 0.9, 0.1))
    cells.to_csv(tmp_path / "cells.csv", index=False)
    assert main(["track", str(simulated), "--out", str(tmp_path / "o"), "--cells", str(tmp_path / "cells.csv")]) == 0
    rows = pd.read_csv(tmp_path / "o" / "transitions.csv")
    assert rows["steps"].sum() > 100
    assert rows.groupby("from")["probability"].sum().to_numpy() == pytest.approx(1)
    assert {"activation", "activation_low", "censored"} <= set(pd.read_csv(tmp_path / "o" / "activation.csv"))


def test_a_table_of_other_fields_or_joined_twice_is_refused(simulated, tmp_path, capsys):
    tracks = pd.read_csv(simulated / "tracks.csv").rename(columns={"cell": "label"})
    cells = tracks[["field", "label"]].assign(probability_activated=0.5)
    for table, said in (
        (pd.concat([cells, cells.head(1)]), "two rows for cell"),
        (cells.assign(field="other " + cells["field"]), "knows no field of the label images"),
    ):
        table.to_csv(tmp_path / "cells.csv", index=False)
        options = ["--out", str(tmp_path / "o"), "--cells", str(tmp_path / "cells.csv")]
        assert main(["track", str(simulated), *options]) != 0
        assert said in capsys.readouterr().err
        assert not (tmp_path / "o").exists()


def test_one_timepoint_is_nothing_to_follow(tmp_path, capsys):
    for well in ("C05", "I06"):
        write_labels(tmp_path / f"Timepoint_001_220518-ST_{well}_s1_masks.png", np.ones((6, 6), np.uint16))
    assert main(["track", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "2 position(s), none imaged at two timepoints" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_series_is_reported_and_passed_over(tmp_path, capsys):
    labels = tmp_path / "labels"
    for well in ("C05", "I06"):
        for t in (1, 2):
            write_labels(labels / f"Timepoint_00{t}_220518-ST_{well}_s1_masks.png", np.ones((6, 6), np.uint16))
    (labels / "Timepoint_002_220518-ST_I06_s1_masks.png").write_bytes(b"no picture")
    assert main(["track", str(labels), "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().out
    assert "passed over 220518-ST_I06_s1" in printed
    assert pd.read_csv(tmp_path / "out" / "tracks.csv")["track"].tolist() == [1, 1]


def test_errors_name_what_is_wrong(tmp_path, capsys):
    write_labels(tmp_path / "image.tif", np.ones((4, 4), np.uint16))
    out = ["--out", str(tmp_path / "out")]
    assert main(["track", str(tmp_path), *out]) == 2
    assert "no timepoint in the name 'image'" in capsys.readouterr().err
    assert main(["track", str(tmp_path / "none"), *out]) == 2
    assert main(["track", str(tmp_path), *out, "--export", "imaris"]) == 2
    assert "imaris" in capsys.readouterr().err
    assert main(["track", str(tmp_path), *out, "--appearance", "mean__EGFP"]) == 2
    assert "--appearance mean__EGFP names columns of a table of cells" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
