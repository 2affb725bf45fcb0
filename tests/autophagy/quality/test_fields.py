"""What is measured of one plane, by hand-made arrays."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from cellular.autophagy.measure.unmix import clear_of_cells
from cellular.autophagy.quality.background import find_background, mode
from cellular.autophagy.quality.field import measure_quality
from cellular.autophagy.quality.focus import power_slope, sharpness
from cellular.autophagy.quality.levels import quantile
from cellular.autophagy.quality.saturation import saturated_share
from cellular.autophagy.quality.signal import debris_share, signal
from cellular.data.image import FieldImage
from cellular.errors import InputError


def test_power_slope_is_cellprofilers():
    y, x = np.mgrid[:64, :80]
    plane = (y * 7 + x * 13) % 17 + np.where((y - 30) ** 2 + (x - 40) ** 2 < 100, 50.0, 0)
    # centrosome 1.3.4, radial_power_spectrum.rps, and scipy.linalg.lstsq of the logarithms, as MeasureImageQuality does
    assert power_slope(plane) == pytest.approx(-2.595575859799947, rel=1e-10)


def test_power_slope_of_a_single_bright_pixel_counts_the_frequencies_of_each_ring():
    plane = np.zeros((32, 32))
    plane[3, 5] = 1
    # its power is the same everywhere; rings 2 and 3 hold, four times each, (0,1) (1,0) (1,1), and (0,2) (2,0) (1,2)
    # (2,1) (2,2)
    assert power_slope(plane) == pytest.approx(np.log(20 / 12) / np.log(3 / 2))


@pytest.mark.parametrize("plane", [np.full((64, 64), 7), np.eye(31)])
def test_without_structure_or_rings_there_is_no_slope(plane):
    assert np.isnan(power_slope(plane))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_focus_of_whole_numbers_is_that_of_the_same_in_double_precision(dtype, rng):
    plane = ndi.gaussian_filter(rng.normal(size=(256, 200)), 2)
    plane = np.rint(np.iinfo(dtype).max * (plane - plane.min()) / np.ptp(plane)).astype(dtype)
    assert power_slope(plane) == pytest.approx(power_slope(plane.astype(float)), rel=1e-5)
    assert sharpness(plane) == pytest.approx(sharpness(plane.astype(float)), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_quantiles_are_numpys(dtype, rng):
    for size in (1, 2, 3, 50, 999):
        pixels = rng.gamma(2, 30, size).clip(0, 255).astype(dtype)
        for share in (0, 0.05, 0.5, 0.99, 1):
            assert quantile(pixels, share) == pytest.approx(np.quantile(pixels.astype(float), share), rel=1e-12)
    tile = rng.integers(0, 256, (40, 60)).astype(dtype)[10:30, 5:50]
    assert quantile(tile, 0.3) == pytest.approx(np.quantile(tile.astype(float), 0.3), rel=1e-12)


def test_sharpness_by_hand():
    plane = np.tile([1, 1, -1, -1], (8, 2))
    # down: C(1) = C(2) = 1; across: seven pairs 1 px apart sum to 1, all six 2 px apart are -1
    assert sharpness(plane) == pytest.approx(1 - ((1 - 1) / 2) / ((1 + 1 / 7) / 2))
    assert np.isnan(sharpness(np.zeros((8, 8))))


def test_sharpness_tells_blur_and_not_noise(rng):
    # the autocovariance of blurred noise is exp(-k² / 4 sigma²)
    blurred = ndi.gaussian_filter(rng.normal(size=(512, 512)), 2, mode="wrap")
    expected = 1 - np.exp(-3 / 16)
    assert sharpness(blurred) == pytest.approx(expected, rel=0.05)
    assert sharpness(blurred + rng.normal(0, blurred.std(), blurred.shape)) == pytest.approx(expected, rel=0.1)


def test_the_mode_is_in_the_middle_of_its_ties():
    assert mode(np.array([1, 5, 5.1, 5.2, 9])) == pytest.approx(5.05)
    assert mode(np.repeat([3.0, 4, 5, 9], [2, 9, 2, 3])) == 4


def test_background_is_found_beside_cells(rng):
    plane = rng.normal(260, 12, (256, 256))
    plane[:, :128] += 400 * (rng.random((256, 128)) < 0.7)
    found = find_background(plane)
    assert found.level == pytest.approx(260, abs=4)
    assert found.noise == pytest.approx(12, rel=0.15)
    assert found.range < 12


def test_background_range_of_a_slope():
    plane = np.broadcast_to(100 + np.linspace(-10, 10, 800), (80, 800))
    # the middles of the outermost of eight tiles are 7/8 of the width apart
    assert find_background(plane).range == pytest.approx(20 * 7 / 8, rel=0.01)


def test_signal_and_saturation():
    assert signal(np.arange(101.0).reshape(1, 101), 10) == pytest.approx(89)
    image = FieldImage.of(np.array([[4095, 4095, 7, 9]], np.uint16), ("mRFP",))
    assert saturated_share(image, 0) == 0.5
    assert saturated_share(FieldImage.of(np.array([[4000, 4000, 7, 9]], np.uint16)), 0) == 0


@pytest.mark.parametrize(
    ("dtype", "top"),
    [
        (np.uint16, 65520),  # 12 bits, shifted to the upper ones of 16
        (np.uint16, 1023),
        (np.uint32, 65535),
        (np.float32, 65535),  # counts, saved as floats
        (np.float32, 4095),
        (np.float32, 1),  # fractions of the type's top, or cut off there
    ],
)
def test_saturation_shows_in_wider_types_and_in_floats(dtype, top):
    image = FieldImage.of((top * np.array([[1, 1, 1, 0.5, 0.4, 0.3]])).astype(dtype), ("mRFP",))
    assert saturated_share(image, 0) == 0.5


def test_pixels_that_are_no_numbers_do_not_hide_saturation():
    plane = np.array([[1, 1, 1, np.nan, 0.4, 0.3]], np.float32)
    assert saturated_share(FieldImage.of(plane, ("mRFP",)), 0) == 0.5
    assert saturated_share(FieldImage.of(plane * np.nan, ("mRFP",)), 0) == 0


@pytest.mark.parametrize("divided", [True, False])
def test_the_brightest_pixels_of_dim_images_are_not_saturated(divided):
    """Two were where counts, divided by their largest, had it twice; and one of 1023 among more bits."""
    light = np.random.default_rng(0).poisson(30, (40, 64, 64)).astype(np.float32)
    twice = [image for image in light if np.count_nonzero(image == image.max()) == 2]
    assert len(twice) >= 5
    for image in twice:
        plane = image / image.max() if divided else (image + (1023 - image.max())).astype(np.uint16)
        assert saturated_share(FieldImage.of(plane, ("mRFP",)), 0) == 0


@pytest.mark.parametrize("plane", [[1, 0.9, 0.9, 0.3], [4094.5, 4094.5, 3, 4]])
def test_floats_are_not_saturated_where_nothing_tells_of_a_top(plane):
    """A single 1 is what the brightest pixel is divided by itself, whatever the camera did."""
    assert saturated_share(FieldImage.of(np.array([plane], np.float32), ("mRFP",)), 0) == 0


def test_debris_is_what_shines_off_the_cells():
    labels, plane = np.zeros((100, 100), np.uint16), np.zeros((100, 100))
    labels[:10, :10] = 1
    plane[labels > 0] = 50
    plane[60:70, 60:70] = 90
    plane[30, 30] = 90
    # the single pixel is none; nor are the 22 x 22 px of the cell and its halo of 12 px ground to look at
    assert debris_share(plane, labels > 0, clear_of_cells(labels)) == pytest.approx(100 / (100 * 100 - 22 * 22))
    assert np.isnan(debris_share(plane, labels < 0, labels == 0))


def test_a_row_a_field_with_every_channel(rng):
    image = FieldImage.of(rng.integers(0, 99, (64, 64, 2)).astype(np.uint16), ("mRFP", None))
    tables = measure_quality(image, "one", None, {"plate": "P1", "well": "A01"})
    row = tables["quality"].iloc[0]
    assert (row["field"], row["plate"], row["cells"]) == ("one", "P1", None)
    assert {"power_slope__mRFP", "power_slope__2", "debris__2"} <= set(row.index)
    assert len(tables["light"]) == 2 * 64
    with pytest.raises(InputError, match="NaN"):
        measure_quality(FieldImage.of(np.full((64, 64), np.nan, np.float32)), "one")
    with pytest.raises(InputError, match="32 px"):
        measure_quality(FieldImage.of(np.zeros((8, 64), np.uint8)), "one")


def test_outlines_lie_on_light_of_half_floats_and_beside_a_plane_of_one_value(rng):
    labels = np.zeros((96, 96), np.uint16)
    for number in range(1, 6):
        labels[16 * number - 4 : 16 * number + 6, 80 - 12 * number : 92 - 12 * number] = number
    light = 100 + 500 * (labels > 0) + rng.normal(0, 5, labels.shape)
    planes = np.stack([light, np.full(labels.shape, 100.1)], axis=-1)
    for dtype in (np.float16, np.float32, np.float64):
        found = measure_quality(FieldImage.of(planes.astype(dtype), ("mRFP", "EGFP")), "f", labels)
        assert found["quality"]["outline_agreement"].iloc[0] == pytest.approx(1, abs=1e-6)
