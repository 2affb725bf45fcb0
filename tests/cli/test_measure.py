"""`cellular measure` as a user runs it."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from cellular.autophagy.compare.design import StatsSettings, nest
from cellular.autophagy.compare.effects import _measured
from cellular.autophagy.measure.columns import TABLES
from cellular.cli.main import main
from cellular.data.formats.images import write_image, write_labels
from cellular.data.formats.labelled import find_labelled
from cellular.files import read_csv
from cellular.jobs.export_plate import table_of_names
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("sim") / "s", SimulationSettings(fields=2, size_px=256, diameter_px=50))


def test_tables_columns_and_pictures(sim, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["measure", str(sim.images), str(sim.truth), "--out", str(out), "--pixel_size", "0.32"]
    assert main([*command, "--anndata"]) == 0
    printed = capsys.readouterr().out
    assert "2 fields" in printed
    assert "not flux" in printed
    cells = pd.read_csv(out / "cells.csv")
    assert len(cells) == len(pd.read_csv(sim.truth / "cells.csv"))
    documented = pd.read_csv(out / "columns.csv")
    for table in ("cells", "puncta", "images"):
        written = pd.read_csv(out / f"{table}.csv", dtype={"date": str})
        assert list(written) == documented.loc[documented["table"] == table, "column"].tolist()
        pd.testing.assert_frame_equal(pd.read_parquet(out / f"{table}.parquet"), written, check_dtype=False)
    images = pd.read_csv(out / "images.csv")
    assert images["treatment"].tolist() == ["fed", "starved"]
    assert images["pixel_size_um"].tolist() == [0.32, 0.32]
    assert len(list((out / "overlays").glob("*.jpg"))) == 2

    anndata = pytest.importorskip("anndata")
    data = anndata.read_h5ad(out / "cells.h5ad")
    assert len(data) == len(cells)
    assert set(data.var_names) == set(cells) - set(data.obs) - {"y", "x"}
    assert set(TABLES["cells"]) <= {*data.var_names, *data.obs, "y", "x"}
    np.testing.assert_allclose(data.obsm["spatial"], cells[["x", "y"]])
    assert {"well", "treatment", "label"} <= set(data.obs)


def test_the_plate_map_travels_into_every_table_and_is_never_a_measurement(sim, tmp_path):
    """`passage` is a number that tells of a well; with one cell a field too, where it differs from cell to cell."""
    wells = sorted({path.name.split("ST_")[1].split("_")[0] for path in sim.composites.iterdir()})
    rows = [f"{well},drug {k},{k},{10 + k}" for k, well in enumerate(wells)]
    (tmp_path / "map.csv").write_text("\n".join(["well,treatment,dose,passage", *rows]))
    out = tmp_path / "out"
    command = ["measure", str(sim.images), str(sim.truth), "--out", str(out), "--overlays", "0"]
    assert main([*command, "--plate_map", str(tmp_path / "map.csv")]) == 0
    for name in ("cells", "puncta"):
        table = read_csv(out / f"{name}.csv")
        told = table[["well", "treatment", "dose", "passage"]].drop_duplicates().sort_values("well").values.tolist()
        assert told == [[well, f"drug {k}", k, 10 + k] for k, well in enumerate(wells)]
    cells, images = (read_csv(out / f"{name}.csv") for name in ("cells", "images"))
    alone = cells.groupby("field").head(1)
    names = _measured(nest(alone, StatsSettings(), images), alone, StatsSettings(), images)[0].features
    assert "area" in names
    assert {"dose", "passage", "site"}.isdisjoint(names)
    labelled = find_labelled(sim.truth, cells=out / "cells.csv")
    measured = next(iter(labelled[0].measurements.values()))
    assert "area" in measured
    assert {"dose", "passage", "site", "timepoint"}.isdisjoint(measured)
    assert list(table_of_names(cells, ("dose", "passage")).select_dtypes("number")[["label", "area"]]) == [
        "label",
        "area",
    ]
    assert {"dose", "passage"}.isdisjoint(table_of_names(cells, ("dose", "passage")).select_dtypes("number"))


def test_a_bad_field_is_passed_over_and_the_rest_resumed(sim, tmp_path, capsys):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for path in sim.composites.iterdir():
        (images / path.name).write_bytes(path.read_bytes())
    (images / "Timepoint_001_220518-ST_C09_s1.jpg").write_bytes(b"no picture")
    bad = sorted(images.iterdir())[0]
    kept = bad.read_bytes()
    bad.write_bytes(kept[:100])
    command = ["measure", str(images), str(sim.truth), "--out", str(out)]
    assert main(command) == 1
    assert capsys.readouterr().out.count("passed over") == 2
    done = next((out / "fields").iterdir()) / "cells.csv"
    before = done.stat().st_mtime_ns
    bad.write_bytes(kept)
    assert main(command) == 1  # C09 has no labels still
    assert done.stat().st_mtime_ns == before
    assert pd.read_csv(out / "cells.csv")["field"].nunique() == 2


def test_other_settings_need_another_folder(sim, tmp_path, capsys):
    command = ["measure", str(sim.composites), str(sim.truth), "--out", str(tmp_path / "out"), "--overlays", "0"]
    assert main(command) == 0
    assert main([*command, "--snr", "4"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_micrometres_without_a_pixel_size_are_refused(sim, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["measure", str(sim.composites), str(sim.truth), "--out", out, "--unit", "um"]) == 2
    assert "--pixel_size" in capsys.readouterr().err


def test_other_images_of_the_same_names_are_measured_again(sim, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    paths = [path for path in sorted(sim.images.iterdir()) if "ST_C05" in path.name]
    for path in paths:
        (images / path.name).write_bytes(path.read_bytes())
    command = ["measure", str(images), str(sim.truth), "--out", str(out)]
    main(command)
    before = pd.read_csv(out / "cells.csv")["mean__mRFP"]
    red = next(path for path in images.iterdir() if "_w2" in path.name)
    tifffile.imwrite(red, tifffile.imread(red) // 2)
    main(command)
    after = pd.read_csv(out / "cells.csv")["mean__mRFP"]
    assert after.mean() == pytest.approx(before.mean() / 2, rel=0.05)


def test_a_field_without_one_of_its_channels_is_passed_over(sim, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for path in sim.images.iterdir():
        if not ("ST_C05" in path.name and "_w2" in path.name):
            (images / path.name).write_bytes(path.read_bytes())
    assert main(["measure", str(images), str(sim.truth), "--out", str(tmp_path / "out")]) == 1
    assert "there is no channel mRFP" in capsys.readouterr().out


def test_raw_channels_of_8_bit_are_no_composite(sim, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in sim.images.iterdir():
        plane = tifffile.imread(path)
        tifffile.imwrite(images / path.name, (plane / plane.max() * 255).astype(np.uint8))
    assert main(["measure", str(images), str(sim.truth), "--out", str(tmp_path / "out")]) == 0
    assert (pd.read_csv(tmp_path / "out" / "images.csv")["source"] == "raw").all()


@pytest.mark.parametrize("how", [[], ["--reporter", "none"]])
def test_a_picture_of_unknown_colours_is_asked_about_and_both_answers_work(tmp_path, capsys, how):
    """As Cellpose's command leaves them: f.png and f_cp_masks.png. Red, green and blue are no dyes by themselves."""
    labels = np.zeros((64, 64), np.uint16)
    labels[5:25, 5:25], labels[35:55, 30:50] = 1, 2
    write_image(tmp_path / "lab" / "f.png", np.dstack([(labels > 0) * 200 + 20] * 3).astype(np.uint8))
    write_labels(tmp_path / "lab" / "f_cp_masks.png", labels)
    lab, size = str(tmp_path / "lab"), ["--min_sigma", "1", "--max_sigma", "3"]
    assert main(["measure", lab, lab, "--out", str(tmp_path / "m"), *how]) == 2
    said = capsys.readouterr().err
    assert "Say which it is, for instance: --channels mRFP=red EGFP=green" in said
    assert "marker:NAME=red" in said
    assert not (tmp_path / "m").exists()
    answers = (["mRFP=red", "EGFP=green"], ["marker:red=red", "--reporter", "none"])
    for number, answer in enumerate(answers):
        assert main(["measure", lab, lab, "--out", str(tmp_path / f"m{number}"), "--channels", *answer, *size]) == 0
        assert pd.read_csv(tmp_path / f"m{number}" / "cells.csv")["area"].tolist() == [400, 400]


def test_colours_of_different_kinds_have_no_ratio(tmp_path, capsys):
    """Counts of one, fractions of 65,535 of the other: log2_ratio was 17 in place of 1."""
    labels = np.zeros((64, 64), np.uint16)
    labels[5:25, 5:25] = 1
    light = np.where(labels > 0, 160, 100).astype(np.uint16)
    write_labels(tmp_path / "labels" / "A01_s1_masks.tif", labels)
    write_image(tmp_path / "images" / "A01_s1_w1.tif", light)
    command = ["measure", tmp_path / "images", tmp_path / "labels", "--out", tmp_path / "out"]
    command += ["--channels", "mRFP=w1", "EGFP=w2", "--min_sigma", 1, "--max_sigma", 3]
    for other in ((light / 65535).astype(np.float32), light.astype(np.uint8)):
        write_image(tmp_path / "images" / "A01_s1_w2.tif", other)
        assert main([str(word) for word in command]) == 2
        said = capsys.readouterr().err
        assert f"A01_s1_w2.tif has {other.dtype} pixels, A01_s1_w1.tif uint16" in said
        assert "the levels of EGFP and mRFP cannot be compared; save both alike" in said


def test_a_plate_of_one_unknown_channel_is_not_asked_to_call_it_two_things(tmp_path, capsys):
    labels = np.zeros((64, 64), np.uint16)
    labels[5:20, 5:20], labels[35:50, 30:45] = 1, 2  # 15 px across: too small for puncta, and none are sought on DNA
    write_image(tmp_path / "lab" / "P_A01_s1_w1.tif", ((labels > 0) * 200 + 20).astype(np.uint16))
    write_labels(tmp_path / "labels" / "P_A01_s1_masks.tif", labels)
    command = ["measure", str(tmp_path / "lab"), str(tmp_path / "labels"), "--out", str(tmp_path / "m")]
    assert main([*command, "--nuclei", "off"]) == 2
    said = capsys.readouterr().err
    assert "without these, a role for every channel (such as DNA=w1 or marker:NAME=w1)" in said
    assert said.strip().endswith("for instance: --channels mRFP=w1")
    assert not (tmp_path / "m").exists()
    assert main([*command, "--nuclei", "off", "--channels", "EGFP=w1"]) == 2
    said = capsys.readouterr().err
    assert "by the cells' diameter of 16.9 px, are too small for these pixels" in said
    assert main([*command, "--nuclei", "off", "--channels", "DNA=w1"]) == 0
    assert pd.read_csv(tmp_path / "m" / "cells.csv")["area"].tolist() == [225, 225]
