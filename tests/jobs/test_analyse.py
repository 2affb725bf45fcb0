"""A plate through the whole pipeline: every layout the same; what is kept, passed over and refused."""

import sys
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from microscopes import CHANNELS, LAYOUTS, WELLS, write_plate

from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.errors import CellularError, InputError, OutputExistsError
from cellular.jobs import analyse as module
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.segment.settings import SegmentSettings
from cellular.track.link import TrackSettings

CELLULAR_WELLS = ("C03", "C05", "I04", "I06")


def command(folder, layout, *more, verb="analyse"):
    channels = ["--channels", *CHANNELS] if layout.startswith("imagexpress") else []
    plate, labels = str(write_plate(folder, layout)), str(folder / "labels")
    words = {"analyse": [plate, "--labels", labels, "--control", "DMSO"], "measure": [plate, labels]}[verb]
    # nuclei are checked by tests/jobs/test_nuclei.py: finding them takes longer than all the rest
    words = [verb, *words, "--plate_map", str(folder / "map.csv"), "--nuclei", "off", "--out", str(folder / "out")]
    return [*words, *channels, *more]


def check_planted(cells):
    """The fed well lies in row I, the starved one in row C: nothing may come of the rows."""
    for well, (yellow, red_only) in WELLS.items():
        here = cells[cells["well"] == well]
        assert len(here) == 12
        more = here["label"] == 4
        assert (here["puncta_yellow"] == yellow + more).all()
        assert (here["puncta_red_only"] == red_only + more).all()
        assert set(here["treatment"]) == {{"I02": "DMSO", "C03": "EBSS"}[well]}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_planted_puncta_and_the_maps_treatments(layout, tmp_path, capsys):
    """What `analyse` does next it does with these tables, whatever the layout was."""
    assert main(command(tmp_path, layout, "--overlays", "0", verb="measure")) == 0
    assert "24 cells" in capsys.readouterr().out
    check_planted(pd.read_csv(tmp_path / "out" / "cells.csv", dtype={"replicate": str}))


@pytest.fixture(scope="module", params=["imagexpress", "ometiff"])
def analysed(request, tmp_path_factory):
    """Layout, folder and printed words of a whole run: of channels that are told, and of files that tell theirs."""
    folder = tmp_path_factory.mktemp(request.param)
    stores = ["--ome_zarr"] if request.param == "ometiff" and sys.version_info >= (3, 11) else []
    with redirect_stdout(StringIO()) as printed:
        assert main(command(folder, request.param, *stores)) == 0
    return request.param, folder / "out", printed.getvalue()


def test_the_map_and_not_the_rows_decides_what_is_compared(analysed):
    layout, out, printed = analysed
    assert "24 cells in 6 fields" in printed
    cells = pd.read_csv(out / "cells.csv", dtype={"replicate": str})
    check_planted(cells)
    if layout == "ometiff":  # its files give the pixel size
        np.testing.assert_allclose(cells["area_um2"], cells["area"] * 0.3**2)
    effects = pd.read_csv(out / "stats" / "effects.csv").set_index("feature")
    # puncta a cell are compared as rates: (2 + 1/4) / (1/4) and (2 + 1/4) / (1 + 1/4)
    assert effects.loc["puncta_yellow", "estimate"] == pytest.approx(9)
    assert effects.loc["puncta_red_only", "estimate"] == pytest.approx(1.8)
    assert set(effects["unit"]) == {"replicate"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "EBSS" in page
    assert "starved" not in page


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ome-zarr needs Python 3.11")
@pytest.mark.parametrize("analysed", ["ometiff"], indirect=True)
def test_plates_as_ome_zarr_open_in_ngio(analysed):
    ngio = pytest.importorskip("ngio")
    _, out, _ = analysed
    assert sorted(path.name for path in (out / "ome-zarr").iterdir()) == ["P1.ome.zarr", "P2.ome.zarr", "P3.ome.zarr"]
    plate = ngio.open_ome_zarr_plate(out / "ome-zarr" / "P1.ome.zarr")
    assert sorted(plate.wells_paths()) == ["C/03", "I/02"]
    image = next(iter(plate.get_images().values()))
    assert image.channel_labels == ["mRFP", "EGFP", "DNA"]
    assert image.get_label("cells").get_as_numpy().max() == 4
    assert len(image.get_table("cells").dataframe) == 4


def test_channels_that_nobody_names_stop_the_run(tmp_path, capsys):
    words = command(tmp_path, "imagexpress")
    words = words[: words.index("--channels")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "needs mRFP and EGFP" in said
    assert "--channels mRFP=w1 EGFP=w2" in said
    assert not (tmp_path / "out").exists()


def test_dry_run_says_what_is_understood_and_writes_nothing(tmp_path, capsys):
    assert main(command(tmp_path, "phenix", "--dry_run")) == 0
    printed = capsys.readouterr().out
    assert "6 fields, 2 wells" not in printed
    assert "6 fields, 6 wells, 3 plates (P1, P2, P3)" in printed
    assert "ch3 (mRFP1) = mRFP" in printed
    assert "treatment, replicate" in printed
    assert not (tmp_path / "out").exists()


@pytest.fixture
def plate(tmp_path):
    """Four CELLULAR wells, two timepoints, three cells each that hardly move; starved cells are brighter."""
    rng = np.random.default_rng(0)
    for well in CELLULAR_WELLS:
        for t in (1, 2):
            name = f"Timepoint_00{t}_220518-ST_{well}_s1"
            labels = np.zeros((48, 64), np.uint16)
            for n, x in enumerate((6, 26, 46), 1):
                labels[10 + t : 24 + t, x : x + 12 + n] = n
            image = rng.normal(60 + 60 * (well[0] == "I"), 5, labels.shape) * (labels > 0)
            light = rng.normal(40, 3, labels.shape)
            colours = np.dstack([image + light, image + light, light])
            write_image(tmp_path / "images" / f"{name}.png", colours.clip(0, 255).astype(np.uint8))
            write_labels(tmp_path / "labels" / f"{name}_masks.tif", labels)
    return tmp_path


def interrupt_after(count, monkeypatch):
    """Ctrl-C at the field after `count` of them were measured."""
    done = []
    original = module.measure_field

    def measured(*args, **kwargs):
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "measure_field", measured)
    return done


def test_a_run_that_was_cut_short_goes_on_and_tells_everything(plate, monkeypatch):
    out = plate / "out"
    with monkeypatch.context() as patched:
        interrupt_after(3, patched)
        with pytest.raises(KeyboardInterrupt):
            analyse(plate / "images", out, labels=plate / "labels")
    done = interrupt_after(99, monkeypatch)
    result = analyse(plate / "images", out, labels=plate / "labels")
    assert len(done) == 5
    assert result.problems == {}
    assert len(result.cells) == len(pd.read_csv(out / "cells.csv")) == 4 * 2 * 3
    # tracks 1, 2 and 3 of each series, at both timepoints
    assert result.cells.groupby("track")["field"].nunique().to_dict() == {1: 8, 2: 8, 3: 8}
    effects = pd.read_csv(out / "stats" / "effects.csv").set_index(["feature", "timepoint"])
    assert effects.loc[("mean__mRFP", "all"), "estimate"] == pytest.approx(60, abs=3)
    page = result.page.read_text(encoding="utf-8")
    for heading in ("Plate", "Cells", "Treatments", "Tracks", "Provenance"):
        assert f">{heading}</h2>" in page
    assert "Problems</h2>" not in page
    assert "technical replicates" in page
    assert page.count("data:image/") >= 6


def test_bad_fields_are_passed_over_and_named(plate):
    names = [f"Timepoint_00{t}_220518-ST_C05_s1" for t in (1, 2)]
    (plate / "images" / f"{names[0]}.png").write_bytes(b"half a picture")
    (plate / "labels" / f"{names[1]}_masks.tif").unlink()
    result = analyse(plate / "images", plate / "out", labels=plate / "labels")
    assert set(result.problems) == set(names)
    assert len(result.cells) == 18
    assert names[0] in result.page.read_text(encoding="utf-8")
    assert set(pd.read_csv(plate / "out" / "problems.csv")["field"]) == set(names)


def test_one_timepoint_and_one_treatment_are_no_obstacle(plate):
    for path in {*plate.glob("*/Timepoint_002*"), *plate.glob("*/*_I0*")}:
        path.unlink()
    result = analyse(plate / "images", plate / "out", labels=plate / "labels")
    assert result.tracks is None
    assert result.comparison is None
    assert result.problems == {}
    assert "nothing to compare" in result.page.read_text(encoding="utf-8")


def test_other_settings_need_another_folder(plate, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_after(3, patched)
        with pytest.raises(KeyboardInterrupt):
            analyse(plate / "images", plate / "out", labels=plate / "labels")
    other = AnalyseSettings(track=TrackSettings(max_gap=0))
    with pytest.raises(OutputExistsError, match="other settings .track.max_gap was 1, now 0"):
        analyse(plate / "images", plate / "out", other, labels=plate / "labels")
    with pytest.raises(OutputExistsError, match="in use"):
        analyse(plate / "images", plate / "labels", labels=plate / "labels")


def test_channels_are_those_that_were_asked_for(plate):
    """The starter takes three. One well of each treatment: how many fields there are makes no difference."""
    for path in {*plate.glob("*/*_C05_*"), *plate.glob("*/*_I06_*")}:
        path.unlink()
    two = AnalyseSettings(segment=SegmentSettings(diameter=14, channels=(1, 2)))
    with pytest.raises(CellularError, match=r"takes 3 channel\(s\), 2 were given"):
        analyse(plate / "images", plate / "out", two)
    red = AnalyseSettings(segment=SegmentSettings(diameter=14, channels=(1, 1, 1)))
    assert analyse(plate / "images", plate / "red", red).problems == {}


@pytest.mark.parametrize("wrong", [{"state_model": "none.safetensors"}, {"model": "nobody"}])
def test_a_wrong_name_is_told_before_anything_is_written(plate, wrong):
    labels = plate / "labels" if "state_model" in wrong else None
    with pytest.raises(CellularError, match=r"none\.safetensors|nobody"):
        analyse(plate / "images", plate / "out", AnalyseSettings(**wrong), labels=labels)
    assert not (plate / "out").exists()


def test_nothing_measured_is_an_error(plate):
    for path in (plate / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="No field could be done"):
        analyse(plate / "images", plate / "out", labels=plate / "labels")


def test_a_plate_can_be_found_first(plate):
    found = find_plate(plate / "images", labels=plate / "labels")
    assert [item.labels is not None for item in found.fields] == [True] * 8
    assert found.given(found.fields[0]) == {"treatment": "fed"}


def test_a_run_that_is_cut_short_has_nothing_old_beside_new_tables(plate, monkeypatch):
    """Tables of cells were new, effects, tracks and page of the cells before, and nothing told."""
    out, again = plate / "out", {"labels": plate / "labels"}
    told = ("tracks/tracks.csv", "stats/effects.csv", "stats/stats.html", "report.html")

    def there():
        return tuple(name for name in told if (out / name).is_file())

    def cut(*args, **kwargs):
        raise KeyboardInterrupt

    analyse(plate / "images", out, **again)
    assert there() == told
    first = sorted((plate / "labels").iterdir())[0]
    labels = read_labels(first)
    write_labels(first, np.where(labels == 1, 0, labels))
    # the last moment first: what one leaves is old to the next
    moments = {"conclude.gallery": 3, "conclude.compare_tables": 1, "conclude.write_tables": 0}
    for at, made in moments.items():
        with monkeypatch.context() as patched:
            patched.setattr(f"cellular.jobs.{at}", cut)
            with pytest.raises(KeyboardInterrupt):
                analyse(plate / "images", out, **again)
        assert there() == told[:made], at
    assert len(analyse(plate / "images", out, **again).cells) == 23
