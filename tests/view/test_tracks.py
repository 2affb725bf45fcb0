"""Tracks in the live page: whose path is drawn, in what colour, and how one comes to the next timepoint."""

import pandas as pd
import param
import pytest

pytest.importorskip("panel", reason="the page needs the extra view")

from cellular.data.plate import FieldFiles
from cellular.jobs.analyse import analyse
from cellular.jobs.queue import Queue
from cellular.jobs.simulate import simulate
from cellular.jobs.view import open_run
from cellular.simulate.settings import SimulationSettings
from cellular.view.page import Desk, Page
from cellular.view.tracks import NO_TRACK, colour_of, paths, with_tracks

TRACKS = pd.DataFrame(
    {
        "series": ["p", "p", "p", "q"],
        "field": ["p_t2", "p_t1", "p_t2", "q_t1"],
        "timepoint": [2, 1, 2, 1],
        "label": [7, 3, 8, 1],
        "track": [1, 1, 2, 1],
        "x": [20.0, 10.0, 40.0, 90.0],
        "y": [21.0, 11.0, 41.0, 91.0],
    }
)


def test_the_whole_path_is_drawn_of_the_tracks_that_are_seen():
    first = FieldFiles("p_t1", (), series="p", timepoint=1)
    assert paths(TRACKS, first) == {"xs": [[10.5, 20.5]], "ys": [[11.5, 21.5]], "colour": [colour_of(1)]}
    assert len(paths(TRACKS, FieldFiles("p_t2", (), series="p"))["xs"]) == 2
    assert paths(None, first) == {"xs": [], "ys": [], "colour": []}


def test_a_cell_drawn_since_is_on_no_track():
    told = with_tracks(pd.DataFrame({"label": [8, 99]}), TRACKS, "p_t2")
    assert [colour_of(track) for track in told["track"]] == [colour_of(2), NO_TRACK]
    assert colour_of(1) != colour_of(2)


def test_the_page_goes_from_timepoint_to_timepoint(tmp_path):
    small = SimulationSettings(fields=1, timepoints=2, size_px=96, diameter_px=24, cells_per_field=5)
    made = simulate(tmp_path / "sim", small)
    analyse(made.images, tmp_path / "run", labels=made.truth)
    run = open_run(tmp_path / "run")
    names = [item.name for item in run.plate.fields]
    page = Page(Desk(run, Queue(tmp_path / "jobs")))
    page.open(names[0])
    assert (page.time.visible, page.time.start, page.time.end, page.time.value) == (True, 1, 2, 1)
    with param.edit_constant(page.time):
        page.time.value_throttled = 2
    assert (page.field.item.name, page.time.value) == (names[1], 2)
    page.field.colour_by.value = "track"
    tracks = run.tables["tracks"].query("field == @names[1]").set_index("label")["track"]
    assert page.field.cells.data["edge"] == [colour_of(tracks[label]) for label in page.field.cells.data["label"]]
    assert len(page.field.paths.data["xs"]) == tracks.nunique()
