"""Time goes by the timepoint, not by the place in the list: one cell at x = 4, 5, (6 lost,) 7, 8."""

import numpy as np
import pandas as pd
import pytest

from cellular.cli.main import main
from cellular.data.formats.images import write_labels
from cellular.files import read_csv, read_json, write_csv
from cellular.track.link import TrackSettings, link
from cellular.track.series import step_of
from cellular.track.summary import summarise

IMAGES = [np.pad(np.ones((10, 10), np.uint16), ((10, 10), (x, 20 - x))) for x in (4, 5, 7, 8)]
TIMES = [0, 1, 3, 4]


def test_steps():
    assert step_of([[0, 1, 3]]) == 1
    assert step_of([[10, 20, 40], [10, 40]]) == 10, "lost in one series, and in all"
    assert step_of([[0, 10], [5, 15]]) == 10, "series that begin at different times"
    assert step_of([[7]]) == 1


def test_a_lost_timepoint_counts_as_a_gap_and_its_two_sides_are_no_step():
    no_gap, one_gap = TrackSettings(max_gap=0), TrackSettings(max_gap=1)
    assert link(IMAGES, no_gap, times=TIMES)["track"].tolist() == [1, 1, 2, 2]
    tracks = link(IMAGES, one_gap, times=TIMES)
    assert tracks["track"].tolist() == [1, 1, 1, 1]
    found = summarise(tracks, IMAGES, one_gap, TIMES)
    assert (found["bridged_gaps"], found["median_step_px"]) == (1, 1)
    assert found["median_overlap"] == pytest.approx(90 / 110), "of steps of 1 px, not of the 2 px over the gap"
    assert found["reversed_agreement"] == 1
    assert summarise(tracks, IMAGES, one_gap)["bridged_gaps"] == 0, "without times the images are consecutive"


def test_a_track_may_bridge_several_gaps():
    """They were counted as one: as tracks with a gap, under the name of gaps."""
    seen, missed = IMAGES[0], np.zeros_like(IMAGES[0])
    images, settings = [seen, missed, seen, missed, seen, seen], TrackSettings(max_gap=1)
    tracks = link(images, settings)
    assert tracks["track"].tolist() == [1] * 4
    assert summarise(tracks, images, settings)["bridged_gaps"] == 2
    one = summarise(link([seen, seen, seen], settings, times=[0, 2, 4]), [seen, seen, seen], settings, [0, 2, 4])
    assert one["bridged_gaps"] == 2


@pytest.mark.parametrize("step", [1, 10])
def test_the_command(tmp_path, step):
    """Series b has all five timepoints; a lost its third. Every cell is activated from the fourth on."""
    rows = []
    for series, places in (("a", TIMES), ("b", range(5))):
        for place in places:
            name = f"{series}_t{place * step + 1}"
            write_labels(tmp_path / "labels" / f"{name}_masks.tif", np.roll(IMAGES[0], place, axis=1))
            rows.append({"field": name, "label": 1, "probability_activated": float(place >= 3)})
    write_csv(tmp_path / "cells.csv", pd.DataFrame(rows))
    pattern = r"(?P<series>[ab])_t(?P<timepoint>\d+)"
    command = ["track", str(tmp_path / "labels"), "--out", str(tmp_path / "out"), "--pattern", pattern]
    command += ["--cells", str(tmp_path / "cells.csv"), "--export", "ctc", "napari"]
    assert main(command) == 0
    summary = read_csv(tmp_path / "out" / "summary.csv").set_index("series")
    assert summary["bridged_gaps"].to_dict() == {"a": 1, "b": 0}
    steps = read_csv(tmp_path / "out" / "transitions.csv").set_index(["from", "to"])["steps"]
    # a: 0-1 basal, 3-4 activated; b: 0-1-2 basal, 2-3 switches, 3-4 activated
    assert steps["basal"].tolist() == pytest.approx([3, 1], abs=1e-3)
    assert steps["activated"].tolist() == pytest.approx([0, 2], abs=1e-3)
    tracks = read_csv(tmp_path / "out" / "tracks.csv")
    assert tracks[tracks["series"] == "a"]["timepoint"].tolist() == [place * step + 1 for place in TIMES]
    # other programs count the images that there are: mask000 to mask003, one track from 0 to 3
    ctc = tmp_path / "out" / "exports" / "ctc" / "a"
    assert (ctc / "res_track.txt").read_text().split() == ["1", "0", "3", "0"]
    assert len(list(ctc.glob("mask*.tif"))) == 4
    assert read_csv(tmp_path / "out" / "exports" / "napari" / "a" / "tracks.csv")["T"].tolist() == [0, 1, 2, 3]
    assert read_json(tmp_path / "out" / "track.json")["labels"] == str(tmp_path / "labels")


@pytest.mark.parametrize(
    ("names", "pattern", "gaps"), [("Timepoint_00{}_220518-ST_C05_s1", None, 1), ("a_{}h", "h", 0)]
)
def test_one_gap_is_a_lost_timepoint_where_names_count_images(tmp_path, names, pattern, gaps):
    """Images 1 and 3 have lost the second; of hours, which --pattern reads, nothing is lost."""
    for time, image in zip((1, 3), IMAGES):
        write_labels(tmp_path / "labels" / f"{names.format(time)}_masks.tif", image)
    how = ["--pattern", r"(?P<series>a)_(?P<timepoint>\d+)h"] if pattern else []
    assert main(["track", str(tmp_path / "labels"), "--out", str(tmp_path / "out"), *how]) == 0
    assert read_csv(tmp_path / "out" / "summary.csv")["bridged_gaps"].tolist() == [gaps]
