import numpy as np
import pytest

from cellular.data.formats.images import write_labels
from cellular.errors import InputError, MissingInputError, SettingsError
from cellular.track.series import find_label_images, group_series

NAME = "Timepoint_00{}_220518-ST_C05_s1"


def touch(folder, *names):
    for name in names:
        write_labels(folder / name, np.ones((3, 3), np.uint16))


def test_series_are_in_time_order_and_other_files_are_left_alone(tmp_path):
    touch(tmp_path, NAME.format(2) + "_masks.png", NAME.format(1) + "_masks.tif", NAME.format(1) + ".png")
    (tmp_path / "cells.csv").write_text("")
    series = group_series(find_label_images(tmp_path))
    assert list(series) == ["220518-ST_C05_s1"]
    assert [frame.timepoint for frame in series["220518-ST_C05_s1"]] == [1, 2]
    assert [frame.path.name for frame in series["220518-ST_C05_s1"]] == [
        NAME.format(1) + "_masks.tif",
        NAME.format(2) + "_masks.png",
    ]


def test_other_names_by_pattern(tmp_path):
    touch(tmp_path, "a_t010.tif", "a_t002.tif", "b_t1.tif")
    files = find_label_images(tmp_path)
    series = group_series(files, r"(?P<series>.+)_t(?P<timepoint>\d+)")
    assert {name: [f.timepoint for f in frames] for name, frames in series.items()} == {"a": [2, 10], "b": [1]}
    with pytest.raises(InputError, match="no timepoint in the name 'a_t002'"):
        group_series(files)
    with pytest.raises(SettingsError, match="timepoint"):
        group_series(files, "x")
    with pytest.raises(SettingsError, match="not a regular expression"):
        group_series(files, "(")


def test_doubtful_folders_are_refused(tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        find_label_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no label images"):
        find_label_images(tmp_path)
    touch(tmp_path, "a_masks.tif", "a_masks.png")
    with pytest.raises(InputError, match="Two label images for field a"):
        find_label_images(tmp_path)
