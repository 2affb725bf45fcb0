"""Quality, flat fields and exclusions from files to files."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage as ndi

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.measure.field import MeasureSettings
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.state.crop_model import CropSettings
from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_image, write_image, write_labels
from cellular.data.image import read_field
from cellular.errors import InputError, MissingInputError, OutputExistsError
from cellular.files import read_csv
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.jobs.classify import classify, train_crop_state
from cellular.jobs.flat_field import open_flat_field, settle
from cellular.jobs.measure import measure
from cellular.jobs.quality import quality
from cellular.jobs.stats import compare_tables
from cellular.report.html import Page
from cellular.report.quality import add_quality, profile_figure

SIDE, CHANNELS = 96, ["mRFP=w2", "EGFP=w1"]
TOOL = Path(__file__).parents[3] / "shared" / "tools" / "make_plate.py"
SMALL = PunctaSettings(min_sigma=1.0, max_sigma=1.5)


def cells_of(rng: np.random.Generator) -> np.ndarray:
    """(Y, X) labels of 9 to 16 discs."""
    labels = np.zeros((SIDE, SIDE), np.uint16)
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(16):
        row, column = 12 + 24 * (number // 4), 12 + 24 * (number % 4)
        labels[(y - row) ** 2 + (x - column) ** 2 < rng.integers(70, 110)] = number + 1
    return labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 fields, 8 wells, mRFP and EGFP in shaded light; the second of B02 is blurred."""
    rng, out = np.random.default_rng(0), tmp_path_factory.mktemp("plate")
    side = np.linspace(-1, 1, SIDE)
    bowl = 1 - 0.2 * (side[:, None] ** 2 + side**2)
    for well in ("A01", "A02", "A03", "A04", "B01", "B02", "B03", "B04"):
        for site in (1, 2):
            labels = cells_of(rng)
            name = f"P1_{well}_s{site}"
            write_labels(out / "labels" / f"{name}_masks.tif", labels)
            for channel in (1, 2):
                light = 600.0 * (labels > 0) + rng.random((SIDE, SIDE)) * 900 * (labels > 0)
                light = ndi.gaussian_filter(light, 4 if (well, site) == ("B02", 2) else 0.7) * bowl
                image = rng.poisson(light + 50) + 200
                write_image(out / "images" / f"{name}_w{channel}.tif", image.astype(np.uint16))
    rows = [f"{row}0{n},{'fed' if row == 'A' else 'starved'}" for row in "AB" for n in (1, 2, 3, 4)]
    (out / "map.csv").write_text("well,treatment\n" + "\n".join(rows) + "\n")
    return out


def found(folder: Path):
    from cellular.autophagy.measure.columns import MEASURED
    from cellular.data.platemap import read_plate_map

    known = read_plate_map(folder / "map.csv", MEASURED)
    return find_plate(folder / "images", channels=CHANNELS, labels=folder / "labels", plate_map=known)


def test_the_verb_tells_the_blurred_field_and_the_uneven_light(folder, tmp_path, capsys):
    out = tmp_path / "quality"
    command = ["quality", str(folder / "images"), "--labels", str(folder / "labels"), "--out", str(out)]
    assert main([*command, "--channels", *CHANNELS]) == 0
    assert "1 of 16 fields" in capsys.readouterr().out
    table = read_csv(out / "quality.csv")
    assert list(table.loc[table["flagged"], "field"]) == ["P1_B02_s2"]
    assert table["cells"].eq(16).all()
    columns = read_csv(out / "columns.csv").set_index("column")
    assert list(columns.index) == list(table.columns)
    assert columns.loc["noise__mRFP", "meaning"] == "Robust standard deviation of mRFP in a pixel of the background."
    flat = read_csv(out / "flat_field" / "flat_field.csv")
    assert flat["helps"].all()
    assert not flat["applied"].any()
    page = (out / "quality.html").read_text()
    assert "mRFP out of focus: power slope" in page
    assert "--flat_field auto" in page
    assert (out / "thumbnails" / "P1_B02_s2.jpg").is_file()
    assert not any((out / "flat_field").glob(".partial*"))


def test_measuring_with_a_flat_field_evens_out_the_cells(folder, tmp_path):
    plate, settings = found(folder), MeasureSettings(puncta=SMALL)

    def corner(**how) -> float:
        cells = measure(plate, None, tmp_path / str(len(how)), settings, overlays=0, **how).cells
        corners = cells["label"].isin((1, 4, 13, 16))
        return cells.loc[corners, "mean__mRFP"].mean() / cells.loc[~corners, "mean__mRFP"].mean()

    assert corner() < 0.9
    assert corner(flat_field="auto") == pytest.approx(1, abs=0.02)
    record = json.loads((tmp_path / "1" / "measure.json").read_text())
    assert record["flat_field"] == "auto"


def test_a_flat_field_is_of_all_fields_where_some_alone_are_outlined(folder, tmp_path):
    """That of `analyse` rested on the outlined fields, that of `measure` on all: their numbers were others."""
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted((folder / "labels").iterdir())[:6]:
        (few / path.name).write_bytes(path.read_bytes())
    settings = MeasureSettings(puncta=SMALL)
    one = find_plate(folder / "images", channels=CHANNELS, labels=few)
    whole = AnalyseSettings(measure=settings, flat_field="auto", overlays=0)
    cells = analyse(one, tmp_path / "one", whole, labels=few).cells
    pd.testing.assert_frame_equal(cells, measure(one, few, tmp_path / "two", settings, flat_field="auto").cells)
    assert read_csv(tmp_path / "one" / "flat_field" / "flat_field.csv")["fields"].gt(6).all()


def test_a_network_of_states_sees_the_light_as_it_was_recorded(folder, tmp_path):
    """It learns from that in `classify`; in `analyse` it saw what the flat field made of it."""
    plate, labels = found(folder), folder / "labels"
    before = measure(plate, None, tmp_path / "measured", MeasureSettings(puncta=SMALL), overlays=0)
    truth = before.cells[["field", "label"]].assign(state=np.where(before.cells["label"] % 3, "basal", "activated"))
    truth.to_csv(tmp_path / "truth.csv", index=False)
    quick = CropSettings(side_px=24, size=24, width=4, epochs=1, cells_per_epoch=64, batch=32, device="cpu", folds=2)
    cells = tmp_path / "measured" / "cells.csv"
    model = train_crop_state(cells, tmp_path / "state", plate, labels, tmp_path / "truth.csv", quick).model
    settings = MeasureSettings(puncta=SMALL)
    whole = AnalyseSettings(measure=settings, flat_field="auto", overlays=0, state_model=str(model))
    told = analyse(plate, tmp_path / "run", whole, labels=labels).cells
    assert (told["mean__mRFP"] / before.cells["mean__mRFP"]).std() > 0.05
    again = classify(tmp_path / "run" / "cells.csv", model, tmp_path / "told", images=plate, labels=labels)
    assert again["probability_activated"].nunique() > 100
    pd.testing.assert_series_equal(told["probability_activated"], again["probability_activated"])


@pytest.mark.parametrize("odd", ["8 bit, lit from the left", "NaN"])
def test_fields_that_are_not_measured_take_no_part_in_the_flat_field(odd, folder, tmp_path):
    """Of the plate with three such fields the tables are those of the plate without them."""
    settings = MeasureSettings(puncta=SMALL)
    shutil.copytree(folder / "images", tmp_path / "images")
    names = ("P1_A01_s1", "P1_A03_s2", "P1_B04_s1")
    for path in (tmp_path / "images" / f"{name}_w{channel}.tif" for name in names for channel in (1, 2)):
        image = read_image(path).astype(np.float32)
        if odd == "NaN":
            image[0, 0] = np.nan
        else:
            image = (image * np.linspace(0.14, 0.05, SIDE)).clip(0, 255).astype(np.uint8)
        write_image(path, image)
    for path in tmp_path.glob("images/*.tif") if odd == "NaN" else ():
        write_image(path, read_image(path).astype(np.float32))
    plate = find_plate(tmp_path / "images", channels=CHANNELS, labels=folder / "labels")
    few = replace(plate, fields=tuple(item for item in plate.fields if item.name not in names))
    made = measure(plate, None, tmp_path / "all", settings, flat_field="auto", overlays=0)
    assert set(made.problems) == set(names)
    alone = measure(few, None, tmp_path / "few", settings, flat_field="auto", overlays=0)
    assert read_csv(tmp_path / "few" / "flat_field" / "flat_field.csv")["applied"].all()
    pd.testing.assert_frame_equal(made.cells, alone.cells)


def test_flat_field_images_are_applied_by_channel(folder, tmp_path):
    side = np.linspace(-1, 1, SIDE)
    bowl = 3000 * (1 - 0.2 * (side[:, None] ** 2 + side**2))
    write_image(tmp_path / "flat" / "mRFP.tif", bowl.astype(np.float32))
    plate, settings = found(folder), MeasureSettings(puncta=SMALL)
    with pytest.raises(MissingInputError, match="no flat field of EGFP"):
        measure(plate, None, tmp_path / "out", settings, flat_field=str(tmp_path / "flat"))
    with pytest.raises(MissingInputError, match="no such folder"):
        measure(plate, None, tmp_path / "out", settings, flat_field="flatt")
    assert not (tmp_path / "out").exists()
    write_image(tmp_path / "flat" / "w1.tif", np.ones((SIDE, SIDE), np.float32))
    result = measure(plate, None, tmp_path / "out", settings, flat_field=str(tmp_path / "flat"), overlays=0)
    corners = result.cells["label"].isin((1, 4, 13, 16))
    means = result.cells.groupby(corners)[["mean__mRFP", "mean__EGFP"]].mean()
    assert means.loc[True, "mean__mRFP"] / means.loc[False, "mean__mRFP"] == pytest.approx(1, abs=0.02)
    assert means.loc[True, "mean__EGFP"] / means.loc[False, "mean__EGFP"] < 0.9
    shape = read_image(tmp_path / "out" / "flat_field" / "mRFP.tif")
    assert shape.mean() == pytest.approx(1, abs=1e-3)
    # others of the same names: what is measured by the first is not kept as if by these
    write_image(tmp_path / "flat" / "w1.tif", bowl.astype(np.float32))
    with pytest.raises(OutputExistsError, match="flat_field_images"):
        measure(plate, None, tmp_path / "out", settings, flat_field=str(tmp_path / "flat"), overlays=0)


def test_composites_have_no_flat_field(tmp_path):
    write_image(tmp_path / "Timepoint_001_220518-ST_C03_s1.png", np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="raw channels"):
        quality(find_plate(tmp_path), tmp_path / "out", flat_field=str(tmp_path))


@pytest.mark.filterwarnings("ignore")
def test_a_field_that_could_not_be_measured_may_be_excluded(folder, tmp_path):
    """By name, as it may be in a list of bad fields that is used for several plates' commands."""
    shutil.copytree(folder / "images", tmp_path / "images")
    broken = tmp_path / "images" / "P1_A01_s1_w1.tif"
    broken.write_bytes(broken.read_bytes()[:900])
    plate = find_plate(tmp_path / "images", channels=CHANNELS, labels=folder / "labels", plate_map=folder / "map.csv")
    stats = StatsSettings(control="fed", features=("mean__mRFP",))
    settings = AnalyseSettings(measure=MeasureSettings(puncta=SMALL), stats=stats, overlays=0)
    bad = ["P1_A01_s1", "P1_A02_s1"]
    made = analyse(plate, tmp_path / "out", settings, labels=folder / "labels", exclude=bad)
    assert list(made.problems) == ["P1_A01_s1"]
    assert made.comparison.units.set_index("treatment")["images"].to_dict() == {"fed": 6, "starved": 8}
    page = made.page.read_text(encoding="utf-8")
    assert "Left out of the comparison: 1 of 15 fields; they stay in all tables. 1 more could not be measured." in page
    compare_tables(tmp_path / "out" / "cells.csv", tmp_path / "stats", stats, exclude=bad)
    for out in (tmp_path / "out" / "stats", tmp_path / "stats"):
        told = read_csv(out / "exclusions.csv").set_index("field")["cells"]
        assert told.to_dict() == {"P1_A02_s1": 16, "P1_A01_s1": 0}


@pytest.mark.filterwarnings("ignore")
def test_what_is_excluded_is_listed_and_counted(folder, tmp_path):
    stats = StatsSettings(control="fed", features=("mean__mRFP", "mean__EGFP"))
    settings = AnalyseSettings(measure=MeasureSettings(puncta=SMALL), stats=stats, overlays=0)
    labels = folder / "labels"
    with pytest.raises(InputError, match="there is no such field"):
        analyse(found(folder), tmp_path / "out", settings, labels=labels, exclude=["P1_B09_s1"])
    assert not (tmp_path / "out").exists()
    first = analyse(found(folder), tmp_path / "out", settings, labels=labels)
    assert any("1 field(s) are flagged" in note for note in first.comparison.notes)
    again = analyse(found(folder), tmp_path / "out", settings, labels=labels, exclude=["flagged", "P1_A01_s1"])
    units = again.comparison.units.set_index("treatment")
    assert list(units["images"]) == [7, 7]
    assert list(units["images_before"]) == [8, 8]
    assert len(again.cells) == len(first.cells) == 16 * 16
    told = read_csv(tmp_path / "out" / "stats" / "exclusions.csv")
    assert list(told["field"]) == ["P1_A01_s1", "P1_B02_s2"]
    assert told["reason"].iloc[0] == "named by --exclude"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Left out of the comparison: 2 of 16 fields" in page
    assert "cells 256 before, 224 after" in page
    result, _ = compare_tables(tmp_path / "out" / "cells.csv", tmp_path / "stats", stats, exclude=["flagged"])
    assert list(result.units["images"]) == [8, 7]


def test_a_page_says_of_how_many_flagged_fields_it_has_pictures(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    table = pd.DataFrame({"field": list("abcd"), "flagged": [True, True, True, False], "reasons": "dim"})
    empty, shown = pd.DataFrame(), {"a": tmp_path / "a.png"}
    page = add_quality(Page("t"), table, [], empty, empty, None, shown).render()
    assert "Pictures are of the first 1 of the 3 fields, and of usual ones." in page
    page = add_quality(Page("t"), table.iloc[[0, 3]], [], empty, empty, None, shown).render()
    assert "Pictures are of" not in page


@pytest.mark.long
@pytest.mark.skipif(not TOOL.is_file(), reason=f"{TOOL} is not here")
def test_the_planted_fields_are_found_and_no_other(tmp_path):
    command = [sys.executable, str(TOOL), str(tmp_path), "--size", "256", "--replicates", "2", "--layouts", "ometiff"]
    subprocess.run([*command, "--seed", "3"], check=True, capture_output=True)
    main(["quality", str(tmp_path / "ometiff"), "--out", str(tmp_path / "out")])
    table = pd.read_csv(tmp_path / "out" / "quality.csv").set_index("field")
    reasons = table.loc[table["flagged"], "reasons"]
    assert list(reasons.index) == ["Plate2_B01_s2", "Plate2_C03_s2"]
    assert "mRFP saturated" in reasons.iloc[0]
    assert "out of focus" in reasons.iloc[1]


def test_plates_that_are_lit_differently_are_each_evened_out(tmp_path):
    """Two plates of 14 fields of even cells, one dim at the left, one at the right: by one profile neither is right."""
    side = np.linspace(-1, 1, SIDE)
    for plate, tilt in (("P1", 0.3), ("P2", -0.3)):
        for number in range(14):
            rng = np.random.default_rng([number, len(plate)])
            light = (600.0 * (cells_of(rng) > 0)) * (1 + tilt * side) * (1 + number % 3)
            image = (rng.poisson(light + 50) + 200).astype(np.uint16)
            for channel in (1, 2):
                name = f"{plate}_A{number // 2 + 1:02d}_s{number % 2 + 1}_w{channel}.tif"
                write_image(tmp_path / "images" / name, image)
    plate = find_plate(tmp_path / "images", channels=CHANNELS)
    flat = settle(open_flat_field(plate, "auto"), plate, tmp_path / "out")
    assert sorted(flat.images) == ["P1 EGFP", "P1 mRFP", "P2 EGFP", "P2 mRFP"]
    assert flat.table["applied"].all()
    for item in plate.fields[:2] + plate.fields[-2:]:
        recorded = read_field(item)
        cells = recorded.plane("mRFP") > 500
        plane = flat.correct(recorded, item).plane("mRFP")
        left, right = (plane[:, part][cells[:, part]].mean() for part in (slice(0, 24), slice(72, 96)))
        assert (left - 250) / (right - 250) == pytest.approx(1, abs=0.05)
    titles = [axis.get_title() for axis in profile_figure(flat.images).axes]
    assert sum(title.startswith("P1 mRFP: 0.7") for title in titles) == 1
