"""Spots with known places, sizes and contrasts."""

import numpy as np
import pandas as pd
import pytest
from pictures import field_image

from cellular.autophagy.measure.counts import count_puncta, red_only_fraction, red_spots
from cellular.autophagy.measure.puncta import find_puncta
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.unmix import unmix
from cellular.errors import SettingsError
from cellular.labels.regions import Regions

SIZE = 160


def field(rng, spots, base=(1000.0, 1000.0), noise=20.0):
    """Raw channels (mRFP, EGFP) with Gaussians (y, x, sigma, red, green) in one round cell with a soft edge."""
    yy, xx = np.mgrid[:SIZE, :SIZE]
    radius = np.hypot(yy - SIZE / 2, xx - SIZE / 2)
    labels = np.where(radius < 72, 3, 0).astype(np.uint16)
    cell = 1 / (1 + np.exp((radius - 64) / 3))
    planes = []
    for c in (0, 1):
        plane = rng.normal(300, noise, labels.shape) + base[c] * cell
        for y, x, sigma, *heights in spots:
            plane += heights[c] * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * sigma**2))
        planes.append(plane)
    return np.rint(np.stack(planes, axis=-1)).clip(0, 65535).astype(np.uint16), labels


def find(image, labels, settings=None, **options):
    return find_puncta(unmix(field_image(image), labels), labels, settings, **options)


SPOTS = [(50.3, 60.7, 2.0, 2000, 1900), (90.5, 50.25, 3.0, 1500, 0), (70.0, 100.4, 2.5, 0, 1800)]


def test_place_size_contrast_and_kind(rng):
    found = find(*field(rng, SPOTS)).sort_values("x", ignore_index=True)
    assert found["kind"].tolist() == ["red_only", "yellow", "green_only"]
    truth = pd.DataFrame(SPOTS, columns=["y", "x", "sigma", "red", "green"]).sort_values("x", ignore_index=True)
    assert np.abs(found[["y", "x"]] - truth[["y", "x"]]).to_numpy().max() < 0.15
    assert found["sigma"].to_numpy() == pytest.approx(truth["sigma"].to_numpy(), rel=0.12)
    assert found["contrast__mRFP"].to_numpy() == pytest.approx(truth["red"].to_numpy(), rel=0.15, abs=80)
    assert found["contrast__EGFP"].to_numpy() == pytest.approx(truth["green"].to_numpy(), rel=0.15, abs=80)
    assert found["background__mRFP"].to_numpy() == pytest.approx(1000, rel=0.1)
    assert set(found["label"]) == {3}


def test_nothing_in_noise_or_outside_cells(rng):
    assert find(*field(rng, [])).empty
    assert find(*field(rng, [(3, 80, 2, 3000, 3000)])).empty


def test_edges_and_fibres_are_no_spots(rng):
    image, labels = field(rng, [])
    image[78:82, :, 0] += 1500  # a fibre through the cell
    image[:, 110:] += 4000  # the straight edge of something bright
    found = find(image, labels)
    assert found[found["x"] < 105].empty
    assert found[found["y"] > 90].empty


def test_wide_saturation_hides_spots_but_a_saturated_spot_stays(rng):
    image, labels = field(rng, [(50, 60, 3, 90000, 90000), (100, 100, 2, 3000, 3000)])
    image[85:, 85:] = 65535
    found = find(image, labels)
    assert len(found) == 1
    assert found[["y", "x"]].to_numpy()[0] == pytest.approx([50, 60], abs=0.3)


def test_a_dim_spot_among_bright_ones_is_seen_on_a_second_look(rng):
    bright = [(y, x, 2.6, 6000, 5000) for y in range(44, 124, 14) for x in range(44, 124, 14)]
    image, labels = field(rng, [*bright, (79, 79, 2.0, 1600, 1450)])
    assert len(find(image, labels, PunctaSettings(second_look=0))) == len(bright)
    twice = find(image, labels)
    assert len(twice) == len(bright) + 1
    dim = twice.iloc[np.hypot(twice["y"] - 79, twice["x"] - 79).argmin()]
    assert [dim["y"], dim["x"]] == pytest.approx([79, 79], abs=0.2)
    assert dim["kind"] == "yellow"


def test_further_looks_find_what_a_crowd_hides():
    """140 spots in the middle of a cell, 4.5 px apart at least."""
    rng, places = np.random.default_rng(1), []
    while len(places) < 140:
        at = rng.uniform(35, 125, 2)
        if np.hypot(*(at - 80)) < 50 and all(np.hypot(*(at - other)) > 4.5 for other in places):
            places.append(at)
    image, labels = field(rng, [(*at, rng.uniform(1.4, 2.0), *(2 * [rng.uniform(1000, 3000)])) for at in places])
    hits = {}
    for looks in (1, 3):
        found = find(image, labels, PunctaSettings(min_sigma=0.75, max_sigma=2.5, looks=looks))
        near = np.hypot(*(found[["y", "x"]].to_numpy()[None] - np.array(places)[:, None]).transpose(2, 0, 1)) < 2.25
        hits[looks] = near.any(axis=1).sum()
        assert near.any(axis=0).all(), "nothing is made up"
    assert 130 < hits[1] < hits[3]


def test_nothing_is_made_up_where_spots_were_taken_away(rng):
    spots = [(y, x, 2.6, 3000, 2500) for y in range(44, 124, 14) for x in range(44, 124, 14)]
    found = find(*field(rng, spots))
    assert len(found) == len(spots)


def test_micrometres_are_pixels_times_their_size(rng):
    image, labels = field(rng, SPOTS)
    micrometres = PunctaSettings(min_sigma=0.7, max_sigma=2.8, unit="um")
    pd.testing.assert_frame_equal(find(image, labels, micrometres, pixel_size_um=0.5), find(image, labels))
    with pytest.raises(SettingsError, match="pixel_size"):
        find(image, labels, micrometres)


@pytest.mark.parametrize(
    "bad",
    [{"unit": "nm"}, {"min_sigma": 3, "max_sigma": 2}, {"scales": 2}, {"snr": 0}, {"second_look": 0.5}, {"looks": 0}],
)
def test_settings_out_of_range(bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        PunctaSettings(**bad)


def test_counts_by_hand():
    labels = np.zeros((10, 10), np.uint16)
    labels[:5], labels[5:] = 2, 9
    kinds = ["yellow", "red_only", "red_only", "green_only"]
    puncta = pd.DataFrame({"label": [2] * 4, "kind": kinds, "area": [5.0] * 4, "sigma": [1.0, 2.0, 3.0, 2.0]})
    puncta = puncta.assign(contrast__mRFP=[4.0] * 4, contrast__EGFP=[0.0, 1.0, 2.0, 1.0])
    got = count_puncta(puncta, Regions.of(labels))
    assert got["puncta_total"].tolist() == [4, 0]
    assert [got[f"puncta_{kind}"].tolist() for kind in ("yellow", "red_only", "green_only")] == [[1, 0], [2, 0], [1, 0]]
    assert got["puncta_area_fraction"].tolist() == [20 / 50, 0]
    assert got["puncta_density"].tolist() == [80, 0]
    assert got["puncta_mean_sigma"][0] == 2
    assert np.isnan(got["puncta_mean_sigma"][1])
    assert got["red_only_fraction"][0] == 2.5 / 4
    assert np.isnan(got["red_only_fraction"][1])


def test_red_only_fraction_is_drawn_to_a_half_by_few_puncta():
    assert red_only_fraction(np.array([1, 100]), np.array([0, 0])).tolist() == [0.75, 100.5 / 101]


def test_red_spots_by_hand():
    cells = pd.DataFrame({"field": ["a", "a", "b"]})
    puncta = pd.DataFrame(
        {"field": ["a"] * 3, "kind": ["yellow", "red_only", "green_only"], "area": [10.0, 20.0, 99.0]}
    )
    got = red_spots(cells, puncta)
    assert got["spots"].tolist() == [2, 0]
    assert got["spots_per_cell"].tolist() == [1, 0]
    assert got["mean_area"][0] == 15
    assert np.isnan(got["mean_area"][1])


def test_channels_a_pixel_beside_each_other_make_no_puncta(rng):
    yellow = [(y, x) for y in range(45, 120, 15) for x in range(45, 120, 15)]
    image, labels = field(rng, [(y, x, 1.6, 2000, 0) for y, x in yellow])
    green, _ = field(rng, [(y, x + 1.2, 1.6, 0, 1900) for y, x in yellow])
    image[..., 1] = green[..., 1]
    found = find(image, labels, PunctaSettings(min_sigma=1.4, max_sigma=5.6))
    assert found["kind"].value_counts().to_dict() == {"yellow": 25}
