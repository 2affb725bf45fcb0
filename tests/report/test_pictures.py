import base64

import cv2
import numpy as np
import pandas as pd
import pytest
from bokeh.models.annotations import ColorBar

from cellular.data.image import FieldImage
from cellular.report.choice import choose_fields
from cellular.report.linked import choose_rows, plate_figures
from cellular.report.outlines import display_image, middles_of, outlines_of
from cellular.report.pictures import channel_colours, channel_pictures, size_choice
from cellular.report.plate import plate_figure


def decoded(picture):
    media, data = picture.url.split(",", 1)
    assert media == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_channel_keeps_every_pixel_and_its_levels():
    plane = np.repeat(np.linspace(100, 1100, 64), 64).reshape(64, 64)
    image = FieldImage.of(np.dstack([plane, plane]).astype(np.uint16), ("mRFP", "EGFP"))
    first = channel_pictures(image, 1e6)[0]
    grey = decoded(first)
    assert grey.shape == (64, 64)
    levels = first.low + grey / 255.0 * (first.high - first.low)
    assert np.abs(levels - plane).max() < 40
    assert (first.dark, first.bright) == pytest.approx((110, 1097), abs=10)


def test_a_pixel_that_is_no_number_is_black_and_leaves_the_others_as_they_are():
    """One NaN, as registration leaves at borders, and black, white and every pixel were none."""
    plane = np.repeat(np.linspace(0.1, 1.1, 64), 64).reshape(64, 64, 1).astype(np.float32)
    whole = channel_pictures(FieldImage.of(plane, ("DNA",)), 1e6)[0]
    plane[0, :3, 0] = np.nan, np.inf, -np.inf
    image = FieldImage.of(plane, ("DNA",))
    assert channel_pictures(image, 1e6)[0] == whole
    shown = display_image(image.pixels)
    assert shown[0, :3].max() == 0
    assert shown[63].min() == 255


def test_colours_of_8_bits_are_shown_as_they_are():
    image = FieldImage.of(np.full((8, 8, 3), 60, np.uint8), kind="picture")
    assert channel_colours(image) == {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    one = channel_pictures(image, 1e6)[0]
    assert (one.low, one.high, one.dark, one.bright) == (0, 255, 0, 255)


def test_a_picture_that_is_too_large_loses_quality_and_then_size_and_the_page_says_so():
    noise = np.random.default_rng(0).integers(0, 60_000, (256, 256, 1)).astype(np.uint16)
    image = FieldImage.of(noise, ("mRFP",))
    whole = channel_pictures(image, 1e9)[0]
    small = channel_pictures(image, 12_000)[0]
    assert decoded(whole).shape == (256, 256)
    assert (whole.quality, whole.halved) == (60, 0)
    assert len(small.url) - len("data:image/jpeg;base64,") <= 12_000
    assert decoded(small).shape == (256 >> small.halved,) * 2
    assert "every pixel" in size_choice([whole])
    assert "halved 1 time(s)" in size_choice([small])


def test_outlines_run_through_border_pixels_and_parts_are_set_apart():
    labels = np.zeros((12, 12), np.uint16)
    labels[2:5, 3:7] = 1
    labels[8:10, 8:10], labels[8:10, 2:4] = 3, 3
    found = outlines_of(labels)
    assert set(found) == {1, 3}
    # pixels 3 to 6 and 2 to 4 have their centres at 3.5 to 6.5 and 2.5 to 4.5
    assert sorted(zip(*found[1])) == [(3.5, 2.5), (3.5, 4.5), (6.5, 2.5), (6.5, 4.5)]
    assert sum(np.isnan(found[3][0])) == 1


def test_the_middle_of_a_cell_is_a_pixel_of_it():
    labels = np.zeros((12, 12), np.uint16)
    labels[2:5, 3:8] = 7
    labels[6:12, 0:6] = 2
    labels[6:11, 1:6] = 0  # a corner of the image: its centroid is in none of its pixels
    labels[8, 8:10], labels[8, 11] = 9, 9  # in pieces
    x, y = middles_of(labels).values()
    assert labels[y.astype(int), x.astype(int)].tolist() == [2, 7, 9]
    assert (x[1], y[1]) == (5.5, 3.5)
    assert [len(axis) for axis in middles_of(np.zeros((3, 3), np.uint16)).values()] == [0, 0]


def test_a_fair_choice_has_every_treatment_the_worst_and_the_median_and_is_the_same_each_time():
    table = pd.DataFrame(
        {
            "position": [f"p{k:02d}" for k in range(20)],
            "treatment": ["drug"] * 4 + ["fed"] * 16,
            "flagged": [False] * 19 + [True],
            "sharpness": np.arange(20.0),
        }
    )
    choice = choose_fields(table, most=6)
    told = list(choice.why.items())
    assert len(told) == 6
    # by sharpness: of drug p02 is the middle, of fed without the flagged p11, of all of these p09
    assert told[0] == ("p02", "of usual quality among drug")
    assert told[1] == ("p11", "of usual quality among fed")
    assert told[2] == ("p19", "the worst quality")
    assert told[3] == ("p09", "the median quality")
    assert [why for _, why in told[4:]] == ["drawn at random"] * 2
    assert choose_fields(table, most=6) == choice
    assert "6 of 20 positions" in choice.words
    assert "seed 0" in choice.words


def test_a_page_keeps_all_cells_of_the_fields_it_shows():
    cells = pd.DataFrame({"field": ["a"] * 5 + ["b"] * 95, "label": range(100)})
    kept = choose_rows(cells, ["a"], most=20)
    assert len(kept) == 20
    assert (kept["field"] == "a").sum() == 5
    assert choose_rows(cells, ["a"], most=100) is cells


@pytest.mark.parametrize(("values", "scale"), [([np.nan, np.nan], (0, 1)), ([np.nan, 3.0], (2.85, 3.15))])
@pytest.mark.filterwarnings("error")
def test_a_plate_without_a_value_is_drawn_without_a_warning(values, scale):
    wells = pd.DataFrame({"plate": ["P", "P"], "well": ["A01", "A02"], "share": values})
    _, mapper, figures, _ = plate_figures(wells, "share")
    assert (mapper.low, mapper.high) == pytest.approx(scale)
    assert len(figures) == 1


def test_means_of_one_number_have_one_colour():
    """0.1 of three cells and of seven differ in their last digit: they were the ends of a scale."""
    cells = pd.DataFrame({"well": ["A01"] * 3 + ["A02"] * 7, "share": 0.1})
    means = cells.groupby("well", as_index=False)["share"].mean()
    assert means["share"].nunique() == 2
    _, mapper, _, _ = plate_figures(means.assign(plate="P"), "share")
    assert (mapper.low, mapper.high) == pytest.approx((0.095, 0.105))


def test_a_plate_that_is_saved_alone_says_what_its_colours_are():
    """Nothing in the picture told the measurement, and the last plate alone had a scale."""
    long = "colocalisation_manders_mRFP_in_LAMP1"
    wells = pd.DataFrame({"plate": ["P", "Q"], "well": ["A01", "A01"], "area": [3.0, 4.0], long: 1.0})
    _, mapper, figures, _ = plate_figures(wells, "area")
    assert figures[0].width > 40 + 6.5 * len(long), "px; on a plate of six wells it was cut off"
    assert [one.xaxis.axis_label.text for one in figures] == ["area (px²)"] * 2
    assert [one.select_one(ColorBar).color_mapper for one in figures] == [mapper] * 2


def test_a_plate_of_more_entries_than_colours_says_why_it_is_grey():
    fields = pd.DataFrame(
        {"plate": "P", "well": [f"A{k:02d}" for k in range(1, 13)], "drug": [f"d{k}" for k in range(12)]}
    )
    said = plate_figure(fields, ["drug"]).get_supxlabel()
    assert said.startswith("drug has 12 entries, more than colours can tell apart")
    assert plate_figure(fields.assign(drug="DMSO"), ["drug"]).get_supxlabel() == ""
