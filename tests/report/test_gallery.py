"""Cells of a gallery: which, where they are cut, and what is drawn."""

import numpy as np
import pandas as pd

from cellular.data.image import FieldImage
from cellular.report.gallery import SORTS, brightness, choose_cells, cut_cell, strip
from cellular.report.outlines import colour_image, display_image


def table(values, border=()):
    n = len(values)
    return pd.DataFrame(
        {"field": "f", "label": range(1, n + 1), "count": values, "touches_border": [k in border for k in range(n)]}
    )


def test_median_extreme_and_random_cells_each_once():
    cells = table([5, 0, 100, 7, 6, 50, 2, 9, 8, 90, 1], border=(2,))
    # whole cells, in order: 0 1 2 5 6 7 8 9 50 90, whose median is 6.5
    chosen = choose_cells(cells, "count")
    by_sort = chosen.groupby("sort")["count"].apply(list).to_dict()
    assert sorted(by_sort["median"]) == [6, 7]
    assert by_sort["lowest"] == [0, 1]
    assert by_sort["highest"] == [90, 50]
    assert set(by_sort["random"]) <= {2, 5, 8, 9}
    assert len(by_sort["random"]) == SORTS["random"]
    assert chosen["label"].is_unique
    assert choose_cells(cells, "count")["label"].tolist() == chosen["label"].tolist()


def test_few_cells_and_none():
    assert choose_cells(table([3.0, np.nan]), "count")["label"].tolist() == [1]
    assert len(choose_cells(table([3], border=(0,)), "count")) == 0


def test_a_cut_at_the_border_moves_inwards():
    labels = np.zeros((20, 30), np.uint16)
    labels[0:4, 26:30], labels[0:4, 22:25] = 3, 2
    nuclei = np.where(labels > 0, 9, 0)
    puncta = pd.DataFrame({"label": [3, 2], "y": [1.0, 1.0], "x": [28.0, 23.0], "sigma": [1.0, 1.0], "kind": "yellow"})
    pixels = np.arange(20 * 30 * 3).reshape(20, 30, 3)
    cut = cut_cell(pixels, labels, 3, 10, puncta, nuclei)
    assert (cut.y0, cut.x0) == (0, 20)
    assert cut.pixels.tolist() == pixels[0:10, 20:30].tolist()
    assert np.count_nonzero(cut.cell) == np.count_nonzero(cut.nuclei) == 16
    assert cut.puncta["x"].tolist() == [28]


def test_one_brightness_for_all_and_outlines_only_below():
    labels = np.zeros((10, 10), np.uint16)
    labels[2:8, 2:8] = 1
    none = pd.DataFrame({"label": [], "y": [], "x": [], "sigma": []})
    dark, bright = (cut_cell(np.full((10, 10, 3), v, float), labels, 1, 10, none, None) for v in (0, 200))
    image = strip([dark, bright], ["a", "b"], brightness([dark, bright]))
    half = (image.shape[0] - 18) // 2
    assert np.unique(image[18 : 18 + 150, :150]).tolist() == [0]
    assert np.unique(image[18 : 18 + 150, 154:304]).tolist() == [255]
    assert np.unique(image[18 + half : 18 + half + 150, :150]).tolist() == [0, 255]


def test_dim_channels_of_8_bit_are_stretched_in_their_own_colours():
    """DNA at 10 of 255 and a marker at 40, each on half of the field: blue and red, not as the file orders them."""
    pixels = np.zeros((20, 20, 2), np.uint8)
    pixels[:10, :, 0], pixels[:, :10, 1] = 10, 40
    shown = display_image(colour_image(FieldImage.of(pixels, ("DNA", "marker:actin"))))
    assert shown[5, 15].tolist() == [0, 0, 255]
    assert shown[15, 5].tolist() == [255, 0, 0]
