"""What a result was made of: the same file is the same entry by whatever way it is named."""

import numpy as np
import pandas as pd
import pytest
from works import Thing

from cellular.data.find import find_plate
from cellular.data.image import read_field
from cellular.errors import InputError, OutputExistsError
from cellular.files import read_json, write_json
from cellular.jobs.runner import Work, _listing, claimed, do_one, files_of


def test_files_are_recorded_by_where_they_really_are(tmp_path, monkeypatch):
    """Links to files and folders, relative paths and steps up: as pathlib resolves each by itself."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.tif").write_bytes(b"one")
    (tmp_path / "two.tif").write_bytes(b"22")
    (tmp_path / "folder").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b" / "two.tif").symlink_to(tmp_path / "two.tif")
    monkeypatch.chdir(tmp_path / "a")
    whole = tmp_path / "a" / "b"
    ways = [whole / "one.tif", whole / "two.tif", tmp_path / "folder" / "b" / "one.tif", tmp_path / "folder" / "b"]
    ways += [type(tmp_path)(text) for text in ("b/one.tif", "b/../b/two.tif", "../two.tif", "b/..")]
    assert _listing(ways) == [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in ways]


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    with pytest.raises(InputError, match="gone.tif cannot be read: No such file"):
        _listing([tmp_path / "gone.tif"])


def test_of_nested_settings_those_alone_are_said_that_differ(tmp_path):
    begun = {"measure": {"unit": "px", "puncta": {"snr": 2.3, "looks": 3}}, "model": "starter"}
    with claimed(tmp_path, "job", begun, kept=("model",)):
        (tmp_path / "model").write_bytes(b"")
    other = {"measure": {"unit": "px", "puncta": {"snr": 2.3, "looks": 2}}, "model": "starter"}
    said = r"other settings \(measure.puncta.looks was 3, now 2\); choose"
    with pytest.raises(OutputExistsError, match=said), claimed(tmp_path, "job", other, kept=("model",)):
        pass


def test_what_a_job_without_items_made_is_not_taken_for_that_of_other_settings(tmp_path):
    """Thresholds that were settled on fields as they were corrected then, say, beside a lesson of today's."""
    for record in ({"a": 1}, {"a": 2}):  # nothing was made by the first
        with claimed(tmp_path, "job", record, kept=("model",)):
            pass
    (tmp_path / "model").write_bytes(b"of 2")
    with claimed(tmp_path, "job", {"a": 2}, kept=("model",)):
        pass
    with pytest.raises(OutputExistsError, match="a was 2, now 3"), claimed(tmp_path, "job", {"a": 3}, kept=("model",)):
        pass


@pytest.mark.parametrize("lost", ["inputs", "known", "tables", "sha256"])
def test_a_record_that_lost_a_key_vouches_for_no_table(tmp_path, lost):
    """One turned byte in a key's name: what else has changed since would be taken for the result."""
    made = pd.DataFrame({"a": [1, 2]})
    work = Work(do=lambda item: {"cells": made}, inputs=lambda item: [])
    do_one(Thing("x"), tmp_path, work)
    folder = tmp_path / "fields" / "x"
    (record,) = folder.glob("*.json")
    write_json(record, {name.upper() if name == lost else name: told for name, told in read_json(record).items()})
    (folder / "cells.csv").write_text("a\n3\n")
    do_one(Thing("x"), tmp_path, work)
    assert (folder / "cells.csv").read_text() == "a\n1\n2\n"


@pytest.mark.parametrize(("form", "more"), [(2, {}), (3, {}), (3, {"shards": (1, 4, 8)})])
def test_pixels_of_a_zarr_that_changed_are_read_anew(tmp_path, form, more):
    """Its metadata stood for it: pixels that were evened out in place left tables as they were."""
    zarr = pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
    group = zarr.open_group(tmp_path / "in" / "a.zarr", mode="w", zarr_format=form)
    group.create_array("0", data=np.ones((2, 8, 8), np.uint16), chunks=(1, 4, 4), **more)
    axes = [{"name": name, "type": "time" if name == "t" else "space"} for name in "tyx"]
    told = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.attrs.update(told if form == 2 else {"ome": told | {"version": "0.5"}})
    fields = find_plate(tmp_path / "in").fields
    work = Work(lambda item: {"sums": pd.DataFrame({"sum": [read_field(item).pixels.sum()]})}, files_of)

    def sums():
        for item in fields:
            do_one(item, tmp_path / "out", work)
        tables = [tmp_path / "out" / "fields" / item.name / "sums.csv" for item in fields]
        return [int(table.read_text().split()[1]) for table in tables], [table.stat().st_mtime_ns for table in tables]

    before, dates = sums()
    group["0"][1, 7, 7] = 30
    after, later = sums()
    assert (before, after) == ([64, 64], [64, 93])
    assert [one == other for one, other in zip(dates, later)] == [True, False]
