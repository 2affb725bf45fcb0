"""The live page shows what lies on the disk now, whoever wrote it: another page, a job, a command in a terminal."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

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
