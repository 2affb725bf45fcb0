"""The page made again from a run's folder: the same tables, nothing measured, and pages without images say so."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cellular
from cellular.data.formats.images import read_labels, write_image, write_labels
from cellular.data.plate import FieldFiles, Plate
from cellular.errors import InputError, MissingInputError
from cellular.files import read_csv, read_json
from cellular.jobs import analyse as analysing
from cellular.jobs import conclude as concluding
from cellular.jobs import evaluate_field
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.evaluate import evaluate
from cellular.jobs.evaluation_page import write_evaluation_page
from cellular.jobs.report import report
from cellular.jobs.runs import measured_plate
from cellular.jobs.view import open_run
from cellular.simulate import SimulationSettings
from cellular.tables import Tables, of_fields


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A run and what it was made of; not to be written to."""
    folder = tmp_path_factory.mktemp("analysed")
    made = cellular.simulate(folder / "sim", SimulationSettings(fields=2, size_px=160, diameter_px=30))
    return cellular.analyse(made.images, folder / "out", labels=made.truth), made


@pytest.fixture
def run(analysed, tmp_path):
    """The same in a folder of its own; its images are those of all."""
    result, made = analysed
    out = shutil.copytree(result.page.parent, tmp_path / "out")
    return replace(result, page=out / "report.html"), made


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


def test_outlines_that_were_corrected_since_are_not_told_of_as_measured(run, tmp_path):
    """The page told of two cells deleted, and all of them were in its numbers."""
    result, made = run
    out, corrections = result.page.parent, tmp_path / "corrections"
    first, second = result.plate.fields
    given = {item.name: read_labels(item.labels) for item in (first, second)}
    FieldCorrections(corrections, first.name, given[first.name]).do("delete", cells=[1])
    cellular.analyse(made.images, out, labels=made.truth, corrections=corrections)
    assert report(out) == result.page
    other = FieldCorrections(corrections, second.name, given[second.name])
    other.do("state", cells=[2], state="activated")
    report(out)  # nothing is to be measured for a state
    before = (out / "images.csv").read_bytes()
    for act in (
        lambda: other.do("delete", cells=[1]),
        lambda: other.do("draw", polygon=[(0, 0), (160, 0), (160, 160), (0, 160)]),
    ):
        act()
        with pytest.raises(InputError, match=f"{second.name} was corrected in .* since it was measured"):
            report(out)
        other.undo()
        report(out)
    FieldCorrections(corrections, first.name, given[first.name]).undo()
    with pytest.raises(InputError, match=f"{first.name} was corrected in .* since it was measured"):
        report(out)
    assert (out / "images.csv").read_bytes() == before


def test_no_page_shows_outlines_that_were_corrected_since_beside_numbers_of_others(run, monkeypatch):
    """Corrected on the live page once its field was measured, a run ended in a traceback, or drew the new outline."""
    result, made = run
    out, field = result.page.parent, result.plate.fields[0]
    found = FieldCorrections(out / "corrections", field.name, read_labels(field.labels))
    found.do("delete", cells=[1])
    before = result.page.read_bytes()
    for room, when in ((analysing, "each_field"), (concluding, "_gallery")):
        does = getattr(room, when)

        def corrected_meanwhile(*args, does=does, **how):
            done = does(*args, **how)
            found.do("delete", cells=[found.labels.max()])
            return done

        with monkeypatch.context() as patched:
            patched.setattr(room, when, corrected_meanwhile)
            with pytest.raises(InputError, match="was corrected while the run measured it"):
                cellular.analyse(made.images, out, labels=made.truth, corrections=out / "corrections")
        if when == "each_field":
            assert result.page.read_bytes() == before, "nothing of the run was touched"
    assert not result.page.exists()


def test_a_run_that_was_moved_keeps_its_own_corrections(run, tmp_path):
    """Its corrections lie in its folder; they were looked for where they had been, and the page was refused."""
    result, made = run
    out, field = tmp_path / "there", result.plate.fields[0]
    shutil.copytree(result.page.parent, out)
    FieldCorrections(out / "corrections", field.name, read_labels(field.labels)).do("delete", cells=[1])
    cellular.analyse(made.images, out, labels=made.truth, corrections=out / "corrections")
    before = (out / "cells.csv").read_bytes()
    moved = out.rename(tmp_path / "elsewhere")
    page = report(moved).read_text(encoding="utf-8")
    assert "All 2 positions are on this page" in page
    assert "could not be shown" not in page
    assert "Gallery" in page
    assert (moved / "cells.csv").read_bytes() == before


def test_a_run_goes_by_the_corrections_that_it_was_measured_with(run, tmp_path, monkeypatch):
    """Those in ./corrections were taken for those in its own folder, which it was not measured with."""
    result, made = run
    monkeypatch.chdir(tmp_path)
    first, second = result.plate.fields
    FieldCorrections("corrections", first.name, read_labels(first.labels)).do("delete", cells=[1])
    cellular.analyse(made.images, "out", labels=made.truth, corrections="corrections")
    before = Path("out/images.csv").read_bytes()
    FieldCorrections("out/corrections", second.name, read_labels(second.labels)).do("delete", cells=[1])
    report("out")
    assert Path("out/images.csv").read_bytes() == before


def test_label_images_of_a_moved_run_are_the_corrected_ones(run, tmp_path):
    """Outlines were exported as they had been before they were corrected, beside the cells of the corrected ones."""
    result, made = run
    field = result.plate.fields[0]
    out = tmp_path / "out"
    FieldCorrections(out / "corrections", field.name, read_labels(field.labels)).do("delete", cells=[1])
    cellular.analyse(made.images, out, labels=made.truth, corrections=out / "corrections")
    copy = shutil.copytree(out, tmp_path / "copy")
    for moved in (copy, out.rename(tmp_path / "elsewhere")):
        first, second = (item.labels for item in measured_plate(moved).fields)
        assert first.parent == moved / "corrections"
        assert 1 not in read_labels(first)
        assert second == result.plate.fields[1].labels
    shutil.rmtree(copy / "corrections")
    with pytest.raises(MissingInputError, match="was measured by .*, which is gone"):
        measured_plate(copy)


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


def test_every_figure_of_the_comparison_is_svg_with_its_data(analysed):
    result, _ = analysed
    folder = result.page.parent / "stats" / "figures"
    drawn = sorted(folder.glob("*.svg"))
    assert drawn
    assert not list(folder.glob("*.png"))
    for path in drawn:
        assert path.with_suffix(".csv").is_file(), path
        assert f'href="stats/figures/{path.name}"' in result.page.read_text(encoding="utf-8")


@pytest.mark.parametrize("cells", [0, 1])
def test_a_run_with_hardly_a_cell_shows_its_fields(tmp_path, cells):
    made = cellular.simulate(tmp_path / "sim", SimulationSettings(fields=2, size_px=160, diameter_px=30))
    for number, path in enumerate(sorted(made.truth.glob("*.tif"))):
        labels = read_labels(path)
        write_labels(tmp_path / "few" / path.name, np.where(labels == 1, labels, 0) * (cells and not number))
    result = cellular.analyse(made.images, tmp_path / "out", labels=tmp_path / "few")
    assert len(result.cells) == cells
    text = result.page.read_text(encoding="utf-8")
    assert ("No cell was found in any of the 2 fields" in text) is (cells == 0)
    pictures = re.findall(r'"data:image/(?:jpeg|webp);base64,[^"]*', text[text.index("live-data") :])
    shown, on_paper = 2 * len(result.plate.fields[0].sources), 2
    assert len(pictures) >= shown + on_paper


def test_images_that_are_gone_are_named_on_the_page(run):
    result, made = run
    away = made.images.rename(made.images.with_name("away"))
    try:
        assert report(result.page.parent) == result.page
    finally:
        away.rename(made.images)
    assert "No picture could be read" in result.page.read_text(encoding="utf-8")


def test_a_plate_is_read_back_as_it_was(analysed):
    result, _ = analysed
    again = Plate.from_dict(read_json(result.page.parent / "plate.json"))
    assert again.fields == result.plate.fields
    assert again.summary() == result.plate.summary()
    assert again.table().equals(result.plate.table())


def test_what_a_plate_map_leaves_open_stays_none(tmp_path):
    items = tuple(FieldFiles(name, (), plate="P", well=name) for name in ("A01", "A02"))
    told = {"plate": ["P", "P"], "well": ["A01", "A02"], "treatment": ["x", None], "dose": [1.0, np.nan]}
    plate = Plate(tmp_path, "plain", items, pd.DataFrame(told).astype({"treatment": object}), "map")
    again = Plate.from_dict(json.loads(json.dumps(plate.as_dict())))
    assert again.given(items[1])["treatment"] is None
    # where a field is told of in words alone, too
    words = replace(again, wells=again.wells.drop(columns="dose")).table().set_index("field").loc["A02"]
    assert (words["treatment"], words["date"]) == (None, None)


@pytest.fixture
def scored(tmp_path):
    """Two models' labels, one of which misses a cell of each field, on one page."""
    rng = np.random.default_rng(0)
    for number in range(2):
        name, labels = f"Timepoint_001_220518-ST_C03_s{number + 1}", np.zeros((60, 60), np.uint16)
        labels[5:25, 5:25], labels[30:55, 30:50] = 1, 2
        write_image(tmp_path / "test" / f"{name}.png", rng.integers(0, 255, (60, 60), np.uint8))
        for folder, found in (("test", labels), ("whole", labels), ("half", np.where(labels == 1, labels, 0))):
            write_labels(tmp_path / folder / f"{name}_masks.png", found)
    names, out = ("half", "whole"), tmp_path / "out"
    results = {n: evaluate(tmp_path / "test", out / n, labels_dir=tmp_path / n) for n in names}
    results["whole"].problems["Timepoint_001_220518-ST_C03_s2"] = "could not be drawn"
    write_evaluation_page(results, out, ["cellular reproduce"])
    return out


def test_the_page_of_an_evaluation_is_made_again_byte_for_byte(scored, monkeypatch):
    before = {path: path.read_bytes() for path in scored.rglob("*.*") if path.suffix in (".html", ".svg", ".csv")}
    assert {"report.html", "ap_iou.svg", "difference_to_half.csv"} <= {path.name for path in before}
    for path in before:
        if path.parent in (scored, scored / "figures"):
            path.unlink()
    monkeypatch.setattr(evaluate_field, "score_field", lambda *a, **k: pytest.fail("scored again"))
    assert report(scored) == scored / "report.html"
    assert {path: path.read_bytes() for path in before} == before
    assert b"cellular reproduce" in before[scored / "report.html"]
    assert b"could not be drawn" in before[scored / "report.html"]
    assert b"2 of 2 predictions have no score, and count as sure: 1." in before[scored / "report.html"]


def test_an_evaluation_whose_files_changed_is_not_told_as_if_they_had_not(scored):
    truth = next((scored.parent / "test").glob("*_masks.png"))
    was = truth.read_bytes(), truth.stat()
    write_labels(truth, np.ones((60, 60), np.uint16))
    page = (scored / "report.html").read_bytes()
    with pytest.raises(InputError, match="label images changed"):
        report(scored)
    truth.write_bytes(was[0])
    os.utime(truth, ns=(was[1].st_atime_ns, was[1].st_mtime_ns))
    rows = "".join(f"Timepoint_001_220518-ST_C03_s{site},{cell},0.{cell}\n" for site in (1, 2) for cell in (1, 2))
    (scored.parent / "whole" / "cells.csv").write_text(f"image,label,score\n{rows}")
    with pytest.raises(InputError, match="scores of cells changed"):
        report(scored)
    assert (scored / "report.html").read_bytes() == page


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="no run"):
        report(tmp_path)
    (tmp_path / "test_eval.json").write_text("{}")
    with pytest.raises(InputError, match="without a page"):
        report(tmp_path)
    (tmp_path / "test_eval.json").unlink()
    (tmp_path / "analyse.json").write_text("{}")
    with pytest.raises(InputError, match="earlier version"):
        report(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analyse.json"]
