"""Channels that lie beside each other, by planes that were moved on purpose."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from cellular.autophagy.quality.alignment import align, reporter_pair
from cellular.autophagy.quality.field import measure_quality
from cellular.data.image import FieldImage
from cellular.data.plate import ROLE_ORDER
from cellular.simulate import SimulationSettings, simulate_field


@pytest.fixture(scope="module")
def field():
    return simulate_field(SimulationSettings(size_px=640, diameter_px=60))


def test_a_shift_is_found_to_a_fraction_of_a_pixel(field):
    egfp, mrfp = (plane.astype(np.float32) for plane in field.channels[:2])
    at_rest = np.array(align(mrfp, egfp)[:2])
    assert np.abs(at_rest).max() < 0.6
    for moved in [(3, -5), (0.5, 2.25), (-40, 31)]:
        down, right, agreement, _ = align(mrfp, ndi.shift(egfp, moved, mode="wrap"))
        np.testing.assert_allclose(np.array([down, right]) - at_rest, moved, atol=0.5)
        assert agreement > 0.8


def test_the_first_moved_is_the_second_moved_back_and_brightness_does_not_count(field):
    egfp, mrfp = field.channels[:2]
    down, right, agreement, at_rest = align(mrfp, np.roll(egfp, (6, -9), (0, 1)))
    back = align(np.roll(egfp, (6, -9), (0, 1)), mrfp)
    np.testing.assert_allclose(back, (-down, -right, agreement, at_rest), atol=1e-3)
    brighter = align(mrfp, 3.0 * np.roll(egfp, (6, -9), (0, 1)) + 500)
    np.testing.assert_allclose(brighter, (down, right, agreement, at_rest), atol=1e-3)


def test_fields_of_other_cells_and_planes_of_nothing_do_not_agree(field):
    other = simulate_field(SimulationSettings(size_px=640, diameter_px=60, seed=7))
    assert align(field.channels[1], other.channels[0])[2] < 0.5
    assert align(field.channels[1], np.full((640, 640), 9, np.uint16)) == (0.0, 0.0, 0.0, 0.0)


def test_a_large_field_is_judged_smaller_in_its_own_pixels(rng):
    plane = ndi.gaussian_filter(rng.normal(size=(1100, 900)), 12)
    down, right, agreement, at_rest = align(plane, np.roll(plane, (9, -21), (0, 1)))
    assert (down, right) == pytest.approx((9, -21), abs=0.5)
    assert agreement > 0.9 > at_rest


def test_a_strip_is_judged_too(rng):
    strip = rng.normal(size=(32, 20_000)).astype(np.float32)
    assert align(strip, strip).agreement == pytest.approx(1)


def test_only_channels_of_one_reporter_are_compared(field):
    egfp, mrfp, transmitted = field.channels
    both = FieldImage.of(np.stack([mrfp, egfp, transmitted], axis=-1), ROLE_ORDER[:3])
    row = measure_quality(both, "f")["quality"].iloc[0]
    assert (row["channel_shift_y"], row["channel_shift_x"], row["channel_agreement"]) == align(mrfp, egfp)[:3]
    one = FieldImage.of(np.stack([mrfp, transmitted], axis=-1), (ROLE_ORDER[0], ROLE_ORDER[2]))
    assert "channel_agreement" not in measure_quality(one, "f")["quality"]
    assert reporter_pair(["DNA", "Keima_acid", "Keima_neutral"]) == ("Keima_acid", "Keima_neutral")
    assert reporter_pair(["mRFP", "DNA"]) is None


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        (lambda labels: labels, True),
        (lambda labels: labels[::-1], False),
        (lambda labels: labels.T, False),
        (lambda labels: np.roll(labels, (30, 60), (0, 1)), False),
        (lambda labels: np.roll(labels, (2, -3), (0, 1)), True),
    ],
)
def test_outlines_of_another_field_turned_or_moved_do_not_lie_on_the_light(field, changed, fits):
    egfp, mrfp, transmitted = field.channels
    image = FieldImage.of(np.stack([mrfp, egfp, transmitted], axis=-1), ROLE_ORDER[:3])
    agreement = measure_quality(image, "f", changed(field.labels()))["quality"]["outline_agreement"][0]
    assert agreement > 0.8 if fits else agreement < 0.4
    assert np.isnan(measure_quality(image, "f", np.zeros_like(field.labels()))["quality"]["outline_agreement"][0])
