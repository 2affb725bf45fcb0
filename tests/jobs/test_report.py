"""The page made again from a run's folder: the same tables, nothing measured, and pages without images say so."""

import shutil

import pytest

import cellular
from cellular.data.plate import Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import read_csv, read_json
from cellular.jobs import analyse as analysing
from cellular.jobs.report import report
from cellular.jobs.view import open_run
from cellular.simulate import SimulationSettings
from cellular.tables import Tables, of_fields


@pytest.fixture
def run(tmp_path):
    made = cellular.simulate(tmp_path / "sim", SimulationSettings(fields=2, size_px=160, diameter_px=30))
    return cellular.analyse(made.images, tmp_path / "out", labels=made.truth), made


def test_a_page_is_made_again_without_measuring(run, monkeypatch):
    result, _ = run
    out = result.page.parent
    before = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    result.page.unlink()
    (out / "cells.csv").unlink()
    monkeypatch.setattr(analysing, "measure_field", lambda *a, **k: pytest.fail("measured again"))
    assert report(out) == result.page
    assert {path.name: path.read_bytes() for path in out.glob("*.csv")} == before
    text = result.page.read_text(encoding="utf-8")
    assert "bokeh" in text
    assert "data:image/webp;base64," in text
    assert "All 2 positions are on this page" in text


def test_puncta_are_looked_up_and_never_read_whole(run, monkeypatch):
    """Neither the page nor what `view` opens reads the table of puncta; a field's are those of its own file."""
    result, _ = run
    out, whole = result.page.parent, Tables.__getitem__
    monkeypatch.setattr(Tables, "__getitem__", lambda self, name: None if name == "puncta" else whole(self, name))
    assert report(out) == result.page
    opened = open_run(out)
    for item in opened.plate.fields:
        own = read_csv(out / "fields" / item.name / "puncta.csv")
        assert of_fields(opened.tables, "puncta", [item.name])["x"].tolist() == own["x"].tolist()


def test_every_figure_of_the_comparison_is_svg_with_its_data(run):
    folder = run[0].page.parent / "stats" / "figures"
    drawn = sorted(folder.glob("*.svg"))
    assert drawn
    assert not list(folder.glob("*.png"))
    for path in drawn:
        assert path.with_suffix(".csv").is_file(), path
        assert f'href="stats/figures/{path.name}"' in run[0].page.read_text(encoding="utf-8")


def test_images_that_are_gone_are_named_on_the_page(run):
    result, made = run
    shutil.rmtree(made.images)
    assert report(result.page.parent) == result.page
    assert "No picture could be read" in result.page.read_text(encoding="utf-8")


def test_a_plate_is_read_back_as_it_was(run):
    result, _ = run
    again = Plate.from_dict(read_json(result.page.parent / "plate.json"))
    assert again.fields == result.plate.fields
    assert again.summary() == result.plate.summary()
    assert again.table().equals(result.plate.table())


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="no run"):
        report(tmp_path)
    (tmp_path / "analyse.json").write_text("{}")
    with pytest.raises(InputError, match="earlier version"):
        report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analyse.json"]
