"""mito-QC and mt-Keima on arrays by hand."""

import numpy as np
import pytest
from skimage.measure import label

from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.measure.mitophagy import _patches, mito_qc, mt_keima
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.unmix import Channels, unmix
from cellular.data.image import FieldImage
from cellular.labels.regions import Regions


def channels(background=0.0, noise=1.0, **planes):
    pixels = tuple(np.asarray(plane, np.float32) for plane in planes.values())
    saturated = np.zeros((2, *pixels[0].shape), bool)
    return Channels(tuple(planes), pixels, saturated, "raw", (0.0,) * 2, (background,) * 2, (noise,) * 2, (True,) * 2)


def test_red_without_green_is_a_mitolysosome():
    labels = np.zeros((12, 12), np.uint16)
    labels[:, :6], labels[:, 6:] = 1, 2
    network = np.full((12, 12), 10.0)
    network[1:11, 1:5] = 100  # red and green alike
    red, green = network.copy(), network.copy()
    red[4:7, 8:11] = 100  # red alone: a 3 x 3 patch, whose corners the median takes off
    got = mito_qc(channels(mRFP=red, EGFP=green), Regions.of(labels))
    assert got["mitolysosomes"].tolist() == [0, 1]
    assert got["mitolysosome_area"].tolist() == [0, 5]
    assert got["mitolysosome_share"].tolist() == [0, 5 / 72]


def test_patches_are_counted_as_scikit_image_does(rng):
    mask = rng.random((40, 40)) < 0.25
    labels = np.ones(mask.shape, np.uint16)
    assert _patches(mask, Regions.of(labels)).tolist() == [label(mask, connectivity=2).max()]


def test_keima_by_hand():
    labels = np.array([[1, 1, 1, 1], [2, 2, 2, 0]], np.uint16)
    acid = np.array([[110, 130, 104, 100], [100, 101, 100, 500]])
    neutral = np.array([[110, 110, 104, 101], [101, 100, 99, 100]])
    # over the background of 100, seen above 3 * sqrt(2) = 4.24: (10, 10), (30, 10), (4, 4); nothing in cell 2
    light = channels(100.0, **{"Keima_acid": acid, "Keima_neutral": neutral})
    got = mt_keima(light, Regions.of(labels), 2.0)
    assert got["mitochondria_area"].tolist() == [3, 0]
    assert got["acid_area"].tolist() == [1, 0]
    assert got["acid_share"][0] == pytest.approx(1 / 3)
    assert got["keima_ratio"][0] == pytest.approx(44 / 24)
    assert np.isnan(got["acid_share"][1])


def test_the_reporter_chooses_the_rule_and_tells_no_puncta(rng):
    pixels = rng.normal(300, 5, (64, 64, 2)).round().astype(np.uint16)
    labels = np.zeros((64, 64), np.uint16)
    labels[10:50, 10:50] = 1
    puncta = PunctaSettings(1.4, 4.0)
    tables = measure_field(
        FieldImage.of(pixels, ("mRFP", "EGFP")), labels, "f", MeasureSettings(None, puncta, "mito-qc")
    )
    assert "mitolysosomes" in tables["cells"]
    assert "puncta" not in tables
    roles = ("marker:Keima-acid", "marker:Keima-neutral")
    settings = MeasureSettings(None, puncta, "mt-keima", keima_ratio=1.5)
    tables = measure_field(FieldImage.of(pixels, roles), labels, "f", settings)
    assert {"acid_share", "mean__Keima_acid"} <= set(tables["cells"])
    assert "marker_puncta" not in tables


def test_fractions_are_levels_of_the_16_bit_that_imagej_makes_of_them():
    labels = np.zeros((24, 24), np.uint16)
    labels[3:21, 3:21] = 1
    red = np.full((24, 24), 1000)
    red[4:20, 4:10] = red[6:12, 14:20] = 9000
    green = np.full((24, 24), 500)
    green[4:20, 4:10] = 60000
    green[23, 20:] = 0
    wide = 65535 * (green / 60000)  # what ImageJ makes of it: its range on 16 bit
    expected = mito_qc(channels(mRFP=red, EGFP=wide), Regions.of(labels))
    assert expected["mitolysosome_area"].tolist() == [36 - 4]  # the corners go by the median
    for unit in (1 / 60000, 1e6):
        image = FieldImage.of((np.stack([red, green], axis=-1) * unit).astype(np.float32), ("mRFP", "EGFP"))
        found = mito_qc(unmix(image, labels), Regions.of(labels))
        assert {name: values.tolist() for name, values in found.items()} == {
            name: values.tolist() for name, values in expected.items()
        }
