"""The parts of a simulation, on tiny arrays with answers worked out by hand."""

import zlib
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from cellular.data.masks.mask_png import read_mask
from cellular.data.masks.write_mask import _pack, write_mask
from cellular.simulate.field import SimulatedCell, SimulatedField, field_name
from cellular.simulate.optics import Canvas, composite_of
from cellular.simulate.population import ANGLES, Cell
from cellular.simulate.puncta import Puncta
from cellular.simulate.shapes import outlines, shape_on
from cellular.simulate.tables import cell_rows, track_rows


def disc(y, x, radius, track=1):
    return Cell(track, 0, y, x, radius, "flat", np.ones(ANGLES), 50.0, 1.0, False, 0)


def test_composite_adds_transmitted_light_to_all_channels_and_saturates():
    grey = np.array([[[100.0, 0.0, 10.0]], [[50.0, 300.0, 10.0]], [[60.0, 60.0, 0.0]]])  # EGFP, mRFP, transmitted
    channels = (200 + 40 * grey).astype(np.uint16)
    np.testing.assert_array_equal(composite_of(channels)[0], [[110, 160, 60], [255, 60, 60], [10, 10, 0]])


def test_puncta_are_drawn_at_their_subpixel_place_and_brightness():
    canvas = Canvas(64, 1.0, "fed", np.random.default_rng(0))
    one = np.array([20.25]), np.array([30.6]), np.array([2.0]), np.array([80.0]), np.array([4.0])
    canvas.add_puncta(Puncta(np.array(["red_only"]), *one))
    red, green = canvas.spots
    rows, columns = np.mgrid[:64, :64]
    assert (red * rows).sum() / red.sum() == pytest.approx(20.25, abs=0.01)
    assert (red * columns).sum() / red.sum() == pytest.approx(30.6, abs=0.01)
    assert red.sum() == pytest.approx(80 * 2 * np.pi * 2.0**2, rel=0.002)
    assert red[20, 31] == pytest.approx(80 * np.exp(-(0.25**2 + 0.4**2) / 8), rel=1e-4)
    np.testing.assert_allclose(green, red / 20, rtol=1e-4, atol=1e-6)


def test_camera_counts_have_offset_gain_and_photon_noise():
    canvas = Canvas(256, 1.0, "fed", np.random.default_rng(1))
    counts = canvas._expose(np.full((256, 256), 50.0, np.float32)).astype(float)
    assert counts.mean() == pytest.approx(200 + 40 * 50, rel=0.005)
    assert counts.std() == pytest.approx(2 * np.sqrt(50 * 20 + 3**2), rel=0.03)
    assert (canvas._expose(np.full((8, 8), 5000.0, np.float32)) == 65535).all()


def test_disc_has_its_area_and_is_cut_by_the_field():
    whole = shape_on(disc(30, 30, 10.0), np.full(ANGLES, 10.0), 64)
    assert whole.mask.sum() == pytest.approx(np.pi * 100, rel=0.02)
    half = shape_on(disc(-0.5, 30, 10.0), np.full(ANGLES, 10.0), 64)
    assert half.box[0] == 0
    assert half.mask.sum() == pytest.approx(np.pi * 50, rel=0.03)
    assert shape_on(disc(-30, 30, 10.0), np.full(ANGLES, 10.0), 64) is None


def test_pressing_discs_share_the_line_between_them_and_others_overlap():
    cells = [disc(30, 20, 12.0, 1), disc(30, 36, 12.0, 2)]  # 16 px apart: the border is 8 px from each centre
    pressed = outlines(cells, np.ones((2, 2), bool))
    assert pressed[0, 0] == pytest.approx(8)
    assert pressed[1, ANGLES // 2] == pytest.approx(8)
    assert pressed[0, ANGLES // 2] == pytest.approx(12)
    free = outlines(cells, np.zeros((2, 2), bool))
    np.testing.assert_allclose(free, 12)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (5, 3, 9, 11), (30, 38, 37, 41), (0, 0, 37, 41), (36, 0, 37, 41)])
def test_mask_file_reads_back_anywhere_in_the_field(tmp_path, box):
    y0, x0, y1, x1 = box
    mask = np.random.default_rng(0).random((y1 - y0, x1 - x0)) < 0.6
    mask[0, 0] = True
    write_mask(tmp_path / "cell.png", box, mask, (37, 41), (200, 90, 61))
    expected = np.zeros((37, 41, 3), np.uint8)
    expected[y0:y1, x0:x1][mask] = (200, 90, 61)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "cell.png"), -1)[:, :, ::-1], expected)
    back = read_mask(tmp_path / "cell.png", (37, 41))
    found = np.zeros((37, 41), bool)
    found[back.y : back.y + back.pixels.shape[0], back.x : back.x + back.pixels.shape[1]] = back.pixels
    np.testing.assert_array_equal(found, expected.any(axis=2))


@pytest.mark.parametrize(("above", "below"), [(0, 0), (1, 0), (0, 1), (1500, 548), (2047, 1)])
def test_packed_pieces_are_one_valid_zlib_stream(above, below):
    middle = bytes(range(256)) * 3
    assert zlib.decompress(_pack(above, middle, below, 100)) == bytes(100 * above) + middle + bytes(100 * below)


def test_big_black_field_packs_small(tmp_path):
    write_mask(tmp_path / "cell.png", (900, 900, 1000, 1000), np.ones((100, 100), bool), (2048, 2048), (200, 90, 61))
    assert (tmp_path / "cell.png").stat().st_size < 20_000
    assert cv2.imread(str(tmp_path / "cell.png")).any(axis=2).sum() == 100 * 100


def test_a_cell_that_is_covered_wholly_is_in_no_true_track():
    """Tracks are scored on the label image, where it is not."""

    def cell(label, side):
        mask = np.ones((side, side), bool)
        return SimulatedCell(label, label, 0, "fed", False, (0, 0, side, side), mask, 1.0, 1.0, 50.0)

    cells = cell(1, 3), cell(2, 4), replace(cell(3, 2), box=(6, 6, 8, 8))
    field = SimulatedField(field_name(0, 1), "fed", np.zeros((3, 8, 8), np.uint16), cells, pd.DataFrame())
    assert [row["cell"] for row in track_rows(field)] == [2, 3] == np.unique(field.labels())[1:].tolist()
    assert [row["label"] for row in cell_rows(field)] == [1, 2, 3]
