"""Intensities against hand-made cells and scikit-image's colocalisation."""

import numpy as np
import pytest
from skimage.measure import manders_coloc_coeff, pearson_corr_coeff

from cellular.autophagy.measure.intensity import (
    MANDERS_THRESHOLD,
    light_means,
    measure_colocalisation,
    measure_intensity,
    measure_ratio,
)
from cellular.autophagy.measure.unmix import Channels
from cellular.labels.regions import Regions

LABELS = np.array([[0, 1, 1, 0], [2, 1, 1, 0], [2, 2, 0, 0]], np.uint16)


def channels(red, green, background=(10.0, 20.0), noise=(1.0, 1.0), saturated=None):
    red, green = np.asarray(red, np.float32), np.asarray(green, np.float32)
    saturated = np.zeros((2, *red.shape), bool) if saturated is None else saturated
    return Channels(("mRFP", "EGFP"), (red, green), saturated, "raw", (0.0, 0.0), background, noise, (True, True))


def test_sums_means_and_quantiles_by_hand():
    red = np.array([[0, 11, 12, 0], [30, 13, 18, 0], [40, 50, 0, 0]])
    saturated = np.zeros((2, 3, 4), bool)
    saturated[0, 0, 1] = True
    got = measure_intensity(channels(red, red + 10, saturated=saturated), Regions.of(LABELS))
    assert got["integrated__mRFP"].tolist() == [1 + 2 + 3 + 8, 20 + 30 + 40]
    assert got["mean__mRFP"].tolist() == [3.5, 30]
    assert got["median__mRFP"].tolist() == [2.5, 30]
    assert got["mean__EGFP"].tolist() == [3.5, 30]
    assert got["deviation__mRFP"].tolist() == pytest.approx([np.std([1, 2, 3, 8]), np.std([20, 30, 40])])
    assert got["saturated__mRFP"].tolist() == [0.25, 0]
    assert got["saturated"].tolist() == [True, False]


def test_many_pixels_as_numpy_has_them(rng):
    labels = rng.integers(0, 4, (60, 50)).astype(np.uint16)
    red = rng.gamma(2, 100, labels.shape).astype(np.float32)
    got = measure_intensity(channels(red, red), Regions.of(labels))
    for k in (1, 2, 3):
        own = red[labels == k].astype(float) - 10
        expected = {"median": np.median(own), "upper": np.quantile(own, 0.99), "deviation": own.std()}
        expected |= {"mean": own.mean(), "integrated": own.sum()}
        for name, value in expected.items():
            assert got[f"{name}__mRFP"][k - 1] == pytest.approx(value, rel=1e-12), name


def test_log2_ratio_and_when_there_is_none():
    red = np.where(LABELS == 1, 10 + 8, 10)
    green = np.where(LABELS == 1, 20 + 2, 20)
    both = channels(red, green)
    ratio = measure_ratio(both, light_means(both, Regions.of(LABELS)))["log2_ratio"]
    assert ratio[0] == 2
    assert np.isnan(ratio[1])


def test_colocalisation_as_in_scikit_image(rng):
    labels = np.ones((30, 30), np.uint16)
    red = rng.gamma(2, 50, labels.shape)
    green = 0.5 * red + rng.gamma(2, 20, labels.shape)
    got = measure_colocalisation(channels(red, green, background=(0.0, 0.0)), Regions.of(labels))
    red, green = red.astype(np.float32), green.astype(np.float32)
    assert got["pearson"][0] == pytest.approx(pearson_corr_coeff(red, green)[0], abs=1e-5)
    bright = [plane > MANDERS_THRESHOLD * plane.max() for plane in (red, green)]
    assert got["manders_m1"][0] == pytest.approx(manders_coloc_coeff(red, bright[1]), abs=1e-5)
    assert got["manders_m2"][0] == pytest.approx(manders_coloc_coeff(green, bright[0]), abs=1e-5)


def test_a_dark_flat_cell_has_no_correlation():
    got = measure_colocalisation(channels(np.full((3, 4), 10), np.full((3, 4), 20)), Regions.of(LABELS))
    assert all(np.isnan(values).all() for values in got.values())


def test_a_channel_that_is_constant_in_a_cell_has_no_correlation_whatever_rounding_leaves():
    labels, plane = np.ones((1, 997), np.uint16), np.full((1, 997), 0.1)
    other = np.linspace(0, 1, 997)[None]
    for red, green in ((plane, plane), (plane, other), (other, plane)):
        assert np.isnan(measure_colocalisation(channels(red, green, (0.05, 0.05)), Regions.of(labels))["pearson"]).all()


def test_regions_of_an_empty_image():
    regions = Regions.of(np.zeros((4, 4), np.uint16))
    got = measure_intensity(channels(np.zeros((4, 4)), np.zeros((4, 4))), regions)
    assert all(values.size == 0 for values in got.values())
