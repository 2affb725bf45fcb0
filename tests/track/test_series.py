import numpy as np
import pytest

from cellular.data.find import find_label_fields
from cellular.data.formats.images import write_labels
from cellular.errors import InputError, MissingInputError, SettingsError
from cellular.track.series import group_series

NAME = "Timepoint_00{}_220518-ST_C05_s1"


def touch(folder, *names):
    for name in names:
        write_labels(folder / name, np.ones((3, 3), np.uint16))


def test_series_are_in_time_order_and_other_files_are_left_alone(tmp_path):
    touch(tmp_path, NAME.format(2) + "_masks.png", NAME.format(1) + "_masks.tif", NAME.format(1) + ".png")
    (tmp_path / "cells.csv").write_text("")
    series = group_series(find_label_fields(tmp_path).fields)
    assert list(series) == ["220518-ST_C05_s1"]
    frames = series["220518-ST_C05_s1"]
    assert [frame.timepoint for frame in frames] == [1, 2]
    assert [frame.labels.name for frame in frames] == [NAME.format(1) + "_masks.tif", NAME.format(2) + "_masks.png"]


def test_other_names_by_pattern(tmp_path):
    touch(tmp_path, "a_t010.tif", "a_t002.tif", "b_t1.tif")
    plate = find_label_fields(tmp_path, pattern=r"(?P<series>.+)_t(?P<timepoint>\d+)")
    series = group_series(plate.fields)
    assert {name: [f.timepoint for f in frames] for name, frames in series.items()} == {"a": [2, 10], "b": [1]}
    assert [f.name for f in series["a"]] == ["a_t002", "a_t010"]
    with pytest.raises(InputError, match="no timepoint in the name 'a_t002'"):
        group_series(find_label_fields(tmp_path, scheme="plain").fields)
    with pytest.raises(SettingsError, match="no regular expression"):
        find_label_fields(tmp_path, pattern="(")


def test_a_pattern_of_the_timepoint_alone_is_one_series(tmp_path):
    touch(tmp_path, "001_masks.tif", "002_masks.tif")
    series = group_series(find_label_fields(tmp_path, pattern=r"(?P<timepoint>\d+)").fields)
    assert [[f.name for f in frames] for frames in series.values()] == [["001", "002"]]


def test_doubtful_folders_are_refused(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        find_label_fields(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no label images"):
        find_label_fields(tmp_path)
    touch(tmp_path, "a_masks.tif", "a_masks.png")
    with pytest.raises(InputError, match="Two label images for field a"):
        find_label_fields(tmp_path)
