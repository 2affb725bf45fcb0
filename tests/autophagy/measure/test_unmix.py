"""The two reporter channels, out of raw planes and out of composites."""

import numpy as np
import pytest
from pictures import field_image

from cellular.autophagy.measure.unmix import clear_of_cells, transmitted_shares, unmix
from cellular.data.image import FieldImage
from cellular.errors import InputError


def scene(rng, share=(1.0, 0.8)):
    """A composite of known parts: an 80 px cell of 30 mRFP and 50 EGFP on a medium of 10 and 20."""
    labels = np.zeros((200, 200), np.uint16)
    labels[60:140, 60:140] = 1
    transmitted = rng.normal(60, 6, labels.shape)
    parts = [10 + 30.0 * (labels > 0), 20 + 50.0 * (labels > 0)]
    planes = [part + s * transmitted for part, s in zip(parts, share)]
    composite = np.clip(np.rint(np.stack([*planes, transmitted], axis=-1)), 0, 255).astype(np.uint8)
    return composite, labels


def test_the_transmitted_light_is_found_and_taken_off(rng):
    image, labels = scene(rng)
    channels = unmix(field_image(image), labels)
    assert channels.source == "composite"
    assert channels.transmitted_share == pytest.approx((1.0, 0.8), abs=0.02)
    assert channels.background == pytest.approx((10, 20), abs=1.5)
    inside = labels > 0
    assert channels.mrfp[inside].mean() - channels.background[0] == pytest.approx(30, abs=1)
    assert channels.egfp[inside].mean() - channels.background[1] == pytest.approx(50, abs=1)
    # the cell's mRFP and EGFP are flat; with the transmitted light in, they vary by its 6 and 4.8 grey levels
    assert max(channels.mrfp[inside].std(), channels.egfp[inside].std()) < 0.5
    assert image[..., 0][inside].std() > 5


def test_raw_channels_are_left_as_they_are(rng):
    raw = rng.integers(500, 600, (50, 60, 3)).astype(np.uint16)
    labels = np.zeros((50, 60), np.uint16)
    labels[10:20, 10:20] = 1
    channels = unmix(field_image(raw), labels)
    assert channels.source == "raw"
    assert channels.transmitted_share == (0, 0)
    np.testing.assert_array_equal(channels.mrfp, raw[..., 0])
    np.testing.assert_array_equal(channels.egfp, raw[..., 1])
    assert not channels.saturated.any()


def test_saturated_pixels_are_told(rng):
    raw = rng.integers(500, 600, (50, 60, 2)).astype(np.uint16)
    raw[3, 4, 0] = 65535
    raw[5, 6, 1] = 4095  # not the maximum of its plane's type, but a 12-bit camera's top
    saturated = unmix(field_image(raw), np.zeros((50, 60), np.uint16)).saturated
    assert np.argwhere(saturated).tolist() == [[0, 3, 4], [1, 5, 6]]


def test_share_of_a_flat_lamp_is_nought():
    flat = np.full((40, 40), 50, np.float32)
    assert transmitted_shares([flat], flat, np.ones((40, 40), bool)) == (0,)


@pytest.mark.parametrize("free", [40, 12])
def test_the_background_of_a_crowded_field_is_that_of_what_little_is_free(rng, free):
    """Of all pixels it was the cells' own light, and each of them measured about 0."""
    labels = np.ones((200, 300), np.uint16)
    labels[5 : 5 + free, 7 : 7 + free] = 0
    light = (
        rng.poisson(np.where(labels > 0, np.reshape([2000, 1000], (2, 1, 1)), 100)).transpose(1, 2, 0).astype(np.uint16)
    )
    found = unmix(FieldImage.of(light, ("mRFP", "EGFP")), labels)
    assert found.background == pytest.approx((100, 100), abs=3)


def test_a_field_full_of_cells_has_no_background(rng):
    image, _ = scene(rng)
    full = np.ones(image.shape[:2], np.uint16)
    full[:9, :9] = 0
    with pytest.raises(InputError, match="81 of 40000 pixels are off the cells"):
        unmix(field_image(image), full)


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 1)])
def test_one_channel_is_refused(shape):
    with pytest.raises(InputError, match="no channel EGFP"):
        unmix(field_image(np.zeros(shape, np.uint8)), np.zeros((20, 20), np.uint16))


def test_labels_of_another_size_are_refused():
    with pytest.raises(InputError, match="differ in size"):
        unmix(field_image(np.zeros((20, 20, 3), np.uint8)), np.zeros((20, 21), np.uint16))


def test_a_background_of_one_level_has_the_noise_of_rounding():
    image = FieldImage.of(np.full((40, 40, 1), 3, np.uint8), ("EGFP",))
    found = unmix(image, np.zeros((40, 40), np.uint16), ())
    assert found.background == (3,)
    # of a uniform error one level wide
    assert found.noise == pytest.approx((np.sqrt(1 / 12),))


def test_other_cells_are_no_ground_unless_they_leave_none():
    labels, others = np.zeros((100, 100), np.uint16), np.zeros((100, 100), bool)
    labels[20:30, 20:30], others[60:70, 60:70] = 1, True
    clear = clear_of_cells(labels, others)
    assert not clear[50:80, 50:80].any()
    assert clear.sum() == 100 * 100 - 2 * 34**2  # 12 px off the one and the other
    np.testing.assert_array_equal(clear_of_cells(labels, np.ones_like(others)), clear_of_cells(labels))


def test_other_cells_are_no_ground_where_cells_leave_narrow_gaps():
    rows, columns = np.indices((240, 240)) // 40
    gaps = np.logical_or(*(np.indices((240, 240)) % 40 < 3))
    labels = np.where(gaps, 0, rows * 6 + columns + 1).astype(np.uint16)
    deleted = labels % 5 == 1
    np.testing.assert_array_equal(clear_of_cells(np.where(deleted, 0, labels), deleted), clear_of_cells(labels))
    np.testing.assert_array_equal(clear_of_cells(labels), gaps)
