import logging

import cv2
import numpy as np
import pytest

from cellular.data.formats.images import read_labels
from cellular.errors import InputError, MissingInputError, OutputError
from cellular.jobs import published


def write(path, box=None, shape=(5, 6)):
    image = np.zeros((*shape, 3), np.uint8)
    if box:
        y0, x0, y1, x1 = box
        image[y0:y1, x0:x1] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def test_the_seven_names_are_public():
    assert sorted(published.__all__) == [
        "combine_masks",
        "copy_corresponding_files",
        "create_directory",
        "load_mask_images",
        "process_masks",
        "setup_logging",
        "split_data",
    ]


def test_setup_logging_shows_information(monkeypatch):
    seen = {}
    monkeypatch.setattr(logging, "basicConfig", lambda **options: seen.update(options))
    published.setup_logging()
    assert seen["level"] == logging.INFO


def test_load_mask_images_in_natural_order_naming_the_unreadable(tmp_path, caplog):
    write(tmp_path / "c_10.png", (0, 0, 1, 1))
    write(tmp_path / "c_2.png", (0, 0, 2, 3))
    (tmp_path / "c_3.png").write_bytes(b"no")
    masks = published.load_mask_images(tmp_path)
    assert [np.count_nonzero(mask) for mask in masks] == [6, 1]
    assert masks[0].dtype == np.uint8
    assert "c_3.png" in caplog.text


def test_combine_masks_numbers_them_and_the_last_wins():
    first, second = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    first[:, :2], second[0, 1:] = 9, 255
    labels = published.combine_masks([first, second])
    assert labels.tolist() == [[1, 2, 2], [1, 1, 0]]
    assert labels.dtype == np.uint16
    with pytest.raises(InputError, match="at least one"):
        published.combine_masks([])
    with pytest.raises(InputError, match="cannot be painted"):
        published.combine_masks([first, second.T])


def test_copy_corresponding_files_matches_the_exact_field(tmp_path):
    for name in ("x_s1.jpg", "x_s1_w1.TIF", "x_s10.jpg", "x_s1_masks.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    copies = published.copy_corresponding_files(tmp_path / "in", tmp_path / "out", "x_s1")
    assert [path.name for path in copies] == ["x_s1.jpg", "x_s1_w1.TIF"]
    assert (tmp_path / "out" / "x_s1_w1.TIF").read_text() == "x_s1_w1.TIF"
    with pytest.raises(MissingInputError, match="nowhere"):
        published.copy_corresponding_files(tmp_path / "nowhere", tmp_path / "out", "x")


def test_create_directory(tmp_path):
    for _ in range(2):
        published.create_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        published.create_directory(tmp_path / "file" / "a")


def test_split_data(tmp_path):
    for name in ("ST_C05_s1", "ST_I06_s1", "ST_C03_s1", "ST_C05_s10", "ST_C05_s2"):
        (tmp_path / name).mkdir()
    assert published.split_data(str(tmp_path), "ST_I06", "ST_C03") == {
        "train": [str(tmp_path / name) for name in ("ST_C05_s1", "ST_C05_s2", "ST_C05_s10")],
        "valid": [str(tmp_path / "ST_I06_s1")],
        "test": [str(tmp_path / "ST_C03_s1")],
    }


def test_process_masks_puts_every_class_into_all(tmp_path):
    for field in ("ST_C05_s1", "ST_I06_s1", "ST_C03_s1"):
        write(tmp_path / "in" / f"{field}.png")
        write(tmp_path / "in" / "masks" / field / "fed" / "1.png", (0, 0, 2, 2))
        write(tmp_path / "in" / "masks" / field / "unfed" / "1.png", (3, 3, 5, 5))
    result = published.process_masks(tmp_path / "in", "", "masks", tmp_path / "out", "ST_I06", "ST_C03", "png")
    assert result.problems == ()
    labels = read_labels(tmp_path / "out" / "all" / "train" / "ST_C05_s1_masks.png")
    assert np.unique(labels).tolist() == [0, 1, 2]  # the published script kept the last class alone
