"""Pictures of an evaluation show what was matched, missed and made up, where it is."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cellular.data.formats.images import read_image, read_labels, write_image, write_labels
from cellular.data.image import load_labels, read_field
from cellular.jobs.evaluate import evaluate
from cellular.jobs.evaluation_pictures import draw_before_after, draw_evaluation
from cellular.report.evaluation import field_picture
from cellular.report.evaluation_page import calibration_figure, cell_crop
from cellular.report.outlines import LONGEST, MATCHED, MISSED, SMALLEST, SPURIOUS, display_image, outline_overlay
from cellular.report.style import PALETTE

SIZE = 700  # wider than the narrowest legend: a picture's width is the field's
FOUND, LOST, INVENTED = np.s_[100:200, 100:200], np.s_[300:400, 300:400], np.s_[500:600, 500:600]


def scene(folder, invented=True):
    """Two true cells, one of them predicted, and one prediction without truth; grey 60 everywhere."""
    truth, prediction = np.zeros((SIZE, SIZE), np.uint16), np.zeros((SIZE, SIZE), np.uint16)
    truth[FOUND], truth[LOST] = 1, 2
    prediction[FOUND] = 3
    if invented:
        prediction[INVENTED] = 4
    write_image(folder / "test" / "f.png", np.full((SIZE, SIZE), 60, np.uint8))
    write_labels(folder / "test" / "f_masks.png", truth)
    write_labels(folder / "labels" / "f_masks.tif", prediction)
    return evaluate(folder / "test", folder / "out", labels_dir=folder / "labels")


def of_colour(picture, colour):
    """Box (y0, y1, x0, x1) of the pixels of a colour below the legend; None without any."""
    body = picture[-SIZE:]
    y, x = np.nonzero((body == colour).all(axis=-1))
    return (y.min(), y.max(), x.min(), x.max()) if len(y) else None


def test_each_kind_of_cell_is_outlined_in_its_colour_where_it_lies(tmp_path):
    result = scene(tmp_path)
    item = result.items[0]
    prediction = read_labels(result.labels["f"])
    picture = field_picture(read_field(item).array(), load_labels(item), prediction, result.fields[0])
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (SIZE, 3)
    assert of_colour(picture, MATCHED) == (100, 199, 100, 199)
    assert of_colour(picture, MISSED) == (300, 399, 300, 399)
    assert of_colour(picture, SPURIOUS) == (500, 599, 500, 599)
    # Outlines, not filled cells: the image shows inside.
    assert (picture[-SIZE:][FOUND][10:-10, 10:-10] == 60).all()
    legend = picture[:-SIZE].reshape(-1, 3)
    for colour in (MATCHED, MISSED, SPURIOUS):
        assert (legend == colour).all(axis=1).sum() > 50


def test_files_are_written_with_the_legend(tmp_path):
    result = scene(tmp_path)
    draw_evaluation(result)
    figures = tmp_path / "out" / "figures"
    assert sorted(p.name for p in figures.iterdir()) == ["f.jpg", "precision_recall.csv", "precision_recall.svg"]
    written = read_image(figures / "f.jpg").astype(int)
    assert written.shape[0] > SIZE
    # JPEG blurs colours; near enough is still far from the others.
    for colour, (y, x) in ((MATCHED, (100, 150)), (MISSED, (300, 350)), (SPURIOUS, (500, 550))):
        edge = written[-SIZE:][y - 2 : y + 3, x]
        assert np.abs(edge - colour).sum(axis=1).min() < 150, colour
    # one of two true boxes is found, and one of two predictions is right; equal scores keep their order
    curve = pd.read_csv(figures / "precision_recall.csv")
    assert curve.query("iou == 0.5")[["recall", "precision"]].values.tolist() == [[0.5, 1], [0.5, 0.5]]
    assert "AP 0.505" in (figures / "precision_recall.svg").read_text()


def test_cells_that_touch_have_an_outline_between_them_whatever_their_ids():
    """As single floats the ids of a database were one number: two cells were drawn as one."""
    few = np.zeros((700, 700), np.uint16)
    few[100:200, 100:300], few[100:200, 300:500] = 1, 2
    large = np.where(few > 0, few.astype(np.uint32) + 3_000_000_000, 0).astype(np.uint32)
    drawn = [outline_overlay(np.zeros((700, 700), np.uint8), [(labels, MATCHED)]) for labels in (few, large)]
    assert (drawn[0][150, 299:301] == MATCHED).all()
    np.testing.assert_array_equal(*drawn)
    row = {"field": "f", "label": 1, "verdict": "missed", "iou": 0.0, "area": 20_000, "y": 150, "x": 200}
    crops = [cell_crop(np.zeros((700, 700), np.uint8), labels, few * 0, row) for labels in (few, large)]
    np.testing.assert_array_equal(*crops)


def test_colours_are_far_apart():
    colours = np.array([MATCHED, MISSED, SPURIOUS], float)
    gaps = np.abs(colours[:, None] - colours[None]).sum(axis=-1)
    assert gaps[~np.eye(3, dtype=bool)].min() > 80


def test_before_and_after_take_the_field_that_gained(tmp_path):
    before, after = scene(tmp_path / "a"), scene(tmp_path / "b", invented=False)
    path = draw_before_after(before, after, tmp_path / "both.png")
    picture = read_image(path)
    left, right = picture[:, :SIZE], picture[:, -SIZE:]
    assert picture.shape[1] == 2 * SIZE + 16
    assert of_colour(left, SPURIOUS) == (500, 599, 500, 599)
    assert of_colour(right, SPURIOUS) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_any_image_can_be_shown(dtype, channels):
    shape = (20, 30) if channels is None else (20, 30, channels)
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    shown = display_image(image)
    assert shown.shape == (20, 30, 3)
    assert shown.dtype == np.uint8
    assert shown.max() > 150


def test_large_images_are_shrunk_and_keep_their_outlines():
    labels = np.zeros((3000, 2000), np.uint16)
    labels[1000:2000, 500:1500] = 1
    picture = outline_overlay(np.zeros((3000, 2000), np.uint8), [(labels, MATCHED)])
    assert picture.shape == (LONGEST, LONGEST * 2 // 3, 3)
    y, x = np.nonzero((picture == MATCHED).all(axis=-1))
    assert (y.min(), y.max(), x.min(), x.max()) == (500, 999, 250, 749)


def test_small_images_are_enlarged_with_their_cells():
    labels = np.zeros((100, 50), np.uint16)
    labels[20:40, 10:30] = 1
    picture = outline_overlay(np.zeros((100, 50), np.uint8), [(labels, MATCHED)])
    assert picture.shape == (SMALLEST, SMALLEST // 2, 3)
    y, x = np.nonzero((picture == MATCHED).all(axis=-1))
    assert (y.min(), y.max(), x.min(), x.max()) == (140, 279, 70, 209)


def test_a_model_looks_the_same_whichever_of_them_predicts_something():
    data = pd.DataFrame({"model": "second", "of": "cells", "score": [0.2, 0.8], "share_correct": [0.1, 0.9]})
    axes = calibration_figure(data, ["first", "second"]).axes[0]
    assert {line.get_label(): line.get_color() for line in axes.lines}["second: cells"] == PALETTE[1]
    plt.close("all")
