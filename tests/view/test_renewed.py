"""The live page shows what lies on the disk now, whoever wrote it: another page, a job, a command in a terminal."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

pytest.importorskip("panel", reason="the page needs the extra view")

from cellular.data.formats.images import read_labels, write_labels
from cellular.files import write_csv
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.queue import Queue
from cellular.jobs.view import open_run
from cellular.tables import read_table
from cellular.view.page import Desk, Page


@pytest.fixture
def desk(analysed, tmp_path):
    """A copy of the run, with label images of its own."""
    folder = shutil.copytree(analysed, tmp_path / "run")
    told = json.loads((folder / "analyse.json").read_text())
    told["labels"] = str(shutil.copytree(told["labels"], tmp_path / "labels"))
    (folder / "analyse.json").write_text(json.dumps(told))
    return Desk(open_run(folder), Queue(tmp_path / "jobs"))


def opened(desk):
    page = Page(desk)
    page.open(desk.run.plate.fields[0].name)
    return page


def without_a_cell(folder):
    """Have the table of cells as a command would leave it that found one cell less; how many there are."""
    cells = read_table(folder / "cells.parquet").iloc[1:]
    (folder / "cells.csv").unlink()
    cells.to_parquet(folder / "cells.parquet", index=False)
    return len(cells)


def test_numbers_that_a_command_made_anew_are_shown(desk):
    page = opened(desk)
    first = page.field.cells.data["label"][0]
    count = without_a_cell(desk.run.folder)
    reloaded = opened(desk)
    assert f"{count} cells" in reloaded.head.object, "of a job that was done while no page was open, too"
    page._look()
    for one in (page, reloaded):
        assert f"{count} cells" in one.head.object
        assert np.isnan(one.field.cells.data["puncta_total"][0]), "its row is gone"
        assert one.field.cells.data["label"][0] == first
        assert len(one.plate.dots.data["label"]) == count


def pictured(page):
    """Every colour of the picture, as one number."""
    return page.field.image.data["image"][0].tolist()


@pytest.fixture
def images(desk):
    """The run's images in a folder of their own, in which they can be written and lost."""
    folder = shutil.copytree(desk.run.plate.folder, desk.run.folder.parent / "images")
    return Desk(open_run(desk.run.folder, folder), desk.queue)


def test_a_field_of_which_a_channel_is_gone_leaves_all_as_it_was(images):
    """Picture, outlines and name stayed, and strokes went to the other: its cells of the same numbers were lost."""
    page = opened(images)
    first, second = images.run.plate.fields[:2]
    before, cells = pictured(page), page.field.cells.data["label"]
    second.images[-1].rename(second.images[-1].with_suffix(".away"))
    page.open(second.name)
    assert second.images[-1].stem in page.message.object.replace("\\", "")
    assert page.field.opened.name == page.choice.field == first.name
    assert pictured(page) == before
    page.correct._do("delete", cells=cells[:1])
    assert cells[0] in page.desk.labels(second)
    assert cells[0] not in page.desk.labels(first)
    assert page.plate.table.selection == [0]
    second.images[-1].with_suffix(".away").rename(second.images[-1])
    page.open(second.name)
    assert page.field.opened.name == second.name


def test_pixels_that_were_written_anew_are_shown_and_lost_ones_are_said(images):
    page = opened(images)
    path = images.run.plate.fields[0].images[-1]
    before = pictured(page)
    page._look()
    assert pictured(page) == before
    tifffile.imwrite(path, tifffile.imread(path)[..., ::-1].copy())
    page._look()
    assert pictured(page) != before
    path.unlink()
    page._look()
    assert "What is shown was read before" in page.message.object
    page.field.zoom(0.5)  # of what was read


def test_the_slider_stands_where_the_picture_is(images):
    """At a timepoint that could not be read it told this one, over the picture of another."""
    fields = tuple(replace(item, series="s", timepoint=t) for t, item in enumerate(images.run.plate.fields, 1))
    images.run = replace(images.run, plate=replace(images.run.plate, fields=fields))
    page = opened(images)
    page._go_to(2)
    assert (page.field.opened.name, page.time.value) == (fields[1].name, 2)
    fields[2].images[0].unlink()
    page.time.value = 3
    page._go_to(3)
    assert (page.field.opened.name, page.time.value) == (fields[1].name, 2)
    page.time.value = 9
    page._go_to(1)
    assert page.time.value == 1


def test_what_wells_are_now_said_to_be_given_is_shown(desk):
    page = opened(desk)
    path = desk.run.folder / "plate.json"
    told = json.loads(path.read_text())
    told["map_columns"].append("siRNA")
    for number, well in enumerate(told["wells"]):
        well["siRNA"] = f"si{number}"
    path.write_text(json.dumps(told))
    page._look()
    assert "siRNA" in page.plate.by.options
    assert "siRNA si0" in page.title.object


def test_a_field_is_shown_while_its_puncta_are_being_written(desk):
    """An error came, and the next look drew the cells of the field before over its picture."""
    page = opened(desk)
    second = desk.run.plate.fields[1].name
    path = desk.run.folder / "puncta.parquet"
    path.rename(path.with_suffix(".away"))
    page.open(second)
    assert page.choice.field == page.field.opened.name == second
    assert "puncta" in page.message.object
    assert page.field.puncta.data["x"] == []
    path.with_suffix(".away").rename(path)
    page._look()
    page.field.show_cells()
    assert len(page.field.puncta.data["x"]) == (read_table(path)["field"] == second).sum() > 0


def test_a_well_is_without_the_fields_that_are_left_out_of_the_comparison(desk):
    """wells.csv told the mean of one field, and the page that of both."""
    first, second, third = (item.name for item in desk.run.plate.fields)
    plate = replace(desk.run.plate, fields=tuple(replace(item, well="A01") for item in desk.run.plate.fields))
    page = opened(Desk(replace(desk.run, plate=plate), desk.queue))
    page.plate.column.value = "area"
    mean = desk.run.tables["cells"].groupby("field")["area"].mean()
    assert page.plate.wells.data["value"] == pytest.approx([mean.mean()])
    (desk.run.folder / "plate.json").write_text(json.dumps(plate.as_dict()))
    ledger = pd.DataFrame({"field": [second], "reason": ["named by --exclude"], "cells": [1]})
    write_csv(desk.run.folder / "stats" / "exclusions.csv", ledger)
    page._look()
    assert page.plate.wells.data["value"] == pytest.approx([mean[[first, third]].mean()])
    page.open(second)
    assert "left\\_out named by" in page.title.object
    page.plate.compared.value = []
    assert page.plate.wells.data["value"] == pytest.approx([mean.mean()])


def test_a_run_that_is_being_written_stays_as_it_was_until_it_is_whole(desk):
    page = opened(desk)
    before = page.head.object
    path = desk.run.folder / "cells.csv"
    text = path.read_text()
    path.write_text(text + "x")
    page._look()
    assert "cells.csv is not what was written with cells.parquet" in page.message.object
    assert page.head.object == before
    path.write_text(text)
    page._look()
    assert page.message.object == ""


def test_a_stroke_on_a_label_image_that_was_written_anew_is_not_done_unseen(desk):
    page = opened(desk)
    item = desk.run.plate.fields[0]
    labels = read_labels(item.labels)
    one, other = (int(k) for k in np.unique(labels)[1:3])
    swapped = np.choose((labels == one) + 2 * (labels == other), [labels, other, one]).astype(labels.dtype)
    write_labels(item.labels, swapped)
    page.correct._guarded(lambda: page.correct._do("delete", cells=[one]))
    assert "changed by another command" in page.message.object
    page.correct._guarded(lambda: page.correct._do("delete", cells=[one]))  # seen now
    assert page.message.object == "delete: saved"
    assert (desk.labels(item) == np.where(swapped == one, 0, swapped)).all()
    assert FieldCorrections(desk.run.corrections, item.name, swapped).labels.tolist() == desk.labels(item).tolist()


def test_a_reload_shows_what_was_corrected_by_another_program(desk):
    page = opened(desk)
    item = desk.run.plate.fields[0]
    cell = int(page.field.cells.data["label"][0])
    FieldCorrections(desk.run.corrections, item.name, read_labels(item.labels)).do("delete", cells=[cell])
    assert cell not in opened(desk).field.cells.data["label"]
    page.correct._guarded(page.correct._undo)
    assert "another window" in page.message.object
    assert cell not in page.field.cells.data["label"]


def test_corrections_that_were_taken_away_are_not_gone_on_with(desk):
    """The next stroke filled the place of those before it with zeros: a log that no command could read."""
    page = opened(desk)
    item = desk.run.plate.fields[0]
    one, other = (int(k) for k in page.field.cells.data["label"][:2])
    page.correct._do("delete", cells=[one])
    shutil.rmtree(desk.run.corrections)
    page.correct._guarded(lambda: page.correct._do("delete", cells=[other]))
    assert "meanwhile" in page.message.object
    assert one in page.field.cells.data["label"], "as it is on the disk"
    page.correct._guarded(lambda: page.correct._do("delete", cells=[other]))
    kept = FieldCorrections(desk.run.corrections, item.name, read_labels(item.labels))
    assert (one in kept.labels, other in kept.labels) == (True, False)
