"""A table of cells goes with the outlines that it was measured on: those of a corrected run are the corrected ones."""

import json

import numpy as np
import pytest

from cellular.data.formats.images import read_labels
from cellular.errors import InputError
from cellular.files import read_csv
from cellular.jobs.analyse import analyse
from cellular.jobs.classify import train_crop_state
from cellular.jobs.corrections import FieldCorrections
from cellular.jobs.export import export
from cellular.jobs.measure import measure
from cellular.jobs.simulate import simulate
from cellular.jobs.track import track
from cellular.simulate.settings import SimulationSettings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    settings = SimulationSettings(fields=1, timepoints=2, size_px=128, diameter_px=30, cells_per_field=5)
    return simulate(tmp_path_factory.mktemp("sim") / "sim", settings)


def corrected_run(made, out, verb):
    """A run measured after a cell was deleted and another reshaped; the corrected field's name and label image."""

    def run(**how):
        if verb == "measure":
            return measure(made.images, made.truth, out, overlays=0, **how)
        return analyse(made.images, out, labels=made.truth, **how)

    run()
    path = sorted(made.truth.glob("*_labels.tif"))[0]
    name = path.name.removesuffix("_labels.tif")
    field = FieldCorrections(out / "corrections", name, read_labels(path))
    first, second = (int(cell) for cell in np.unique(field.labels)[1:3])
    field.do("delete", cells=[first])
    y, x = (int(axis.mean()) for axis in np.nonzero(field.labels == second))
    field.do("reshape", cell=second, polygon=[(x - 4, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 4, y + 4)])
    run(corrections=out / "corrections")
    return name, field.labels


@pytest.mark.parametrize("verb", ["measure", "analyse"])
def test_a_run_is_exported_with_the_outlines_that_its_tables_are_of(made, tmp_path, verb):
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    name, labels = corrected_run(made, tmp_path / "run", verb)
    told = export(tmp_path / "run", "ome-zarr", tmp_path / "out")
    assert told.fields == 1  # a store holds one timepoint
    assert name not in told.problems
    (store,) = told.written
    whole = zarr.open_group(store, mode="r")
    found = [np.squeeze(one[...]) for _, one in whole.members(max_depth=None) if isinstance(one, zarr.Array)]
    assert any(np.array_equal(one, labels) for one in found), "the corrected label image of the field"
    table = read_csv(tmp_path / "run" / "cells.csv").query("field == @name")
    assert table["area"].tolist() == np.bincount(labels.ravel())[table["label"]].tolist()


def test_numbers_are_not_written_beside_outlines_that_they_were_not_measured_on(made, tmp_path):
    name, labels = corrected_run(made, tmp_path / "run", "measure")
    cells = tmp_path / "run" / "cells.csv"
    told = export(made.truth, "geojson", tmp_path / "out", cells=cells)
    assert list(told.problems) == [name]
    assert "measured on other outlines" in told.problems[name]
    assert not (tmp_path / "out" / f"{name}.geojson").exists()
    told = export(tmp_path / "run" / "corrections", "geojson", tmp_path / "mended", cells=cells)
    assert told.problems == {}
    found = json.loads((tmp_path / "mended" / f"{name}.geojson").read_text())["features"]
    areas = sorted(one["properties"]["measurements"]["area"] for one in found)
    assert areas == sorted(np.bincount(labels.ravel())[1:][np.bincount(labels.ravel())[1:] > 0].tolist())


def test_states_of_other_outlines_are_not_followed_along_tracks(made, tmp_path):
    name, labels = corrected_run(made, tmp_path / "run", "measure")
    table = read_csv(tmp_path / "run" / "cells.csv")
    table.assign(probability_activated=np.linspace(0, 1, len(table))).to_csv(tmp_path / "told.csv", index=False)
    with pytest.raises(InputError, match=f"measured on other outlines than these, such as that of cell .* of {name}"):
        track(made.truth, tmp_path / "tracks", cells=tmp_path / "told.csv")
    assert not (tmp_path / "tracks" / "activation.csv").exists()
    how = {"cells": tmp_path / "told.csv", "corrections": tmp_path / "run" / "corrections"}
    found = track(made.truth, tmp_path / "mended", **how).tracks
    assert len(found) == len(table)
    assert (tmp_path / "mended" / "activation.csv").is_file()


def test_states_of_cells_that_were_deleted_since_are_not_followed_along_tracks(made, tmp_path):
    table = measure(made.images, made.truth, tmp_path / "run", overlays=0).cells
    table.assign(probability_activated=np.linspace(0, 1, len(table))).to_csv(tmp_path / "told.csv", index=False)
    path = sorted(made.truth.glob("*_labels.tif"))[0]
    name = path.name.removesuffix("_labels.tif")
    field = FieldCorrections(tmp_path / "corrections", name, read_labels(path))
    cell = int(np.unique(field.labels)[1])
    field.do("delete", cells=[cell])  # no other cell is another one
    with pytest.raises(InputError, match=f"such as that of cell {cell} of {name}"):
        track(made.truth, tmp_path / "tracks", cells=tmp_path / "told.csv", corrections=tmp_path / "corrections")


def test_a_network_does_not_learn_from_other_outlines(made, tmp_path):
    name, _ = corrected_run(made, tmp_path / "run", "measure")
    table = read_csv(tmp_path / "run" / "cells.csv")
    truth = table[["field", "label"]].assign(state=np.where(table.index % 2, "basal", "activated"))
    truth.to_csv(tmp_path / "truth.csv", index=False)
    how = {"images": made.images, "labels": made.truth, "truth": tmp_path / "truth.csv"}
    with pytest.raises(InputError, match=f"measured on other outlines .* of {name}"):
        train_crop_state(tmp_path / "run" / "cells.csv", tmp_path / "state", **how)
