"""Windows over large images: cells across seams come out whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as connected

from cellular.errors import InputError, SettingsError
from cellular.segment.image.stitch import segment_by_windows, windows


def blobs(seed: int, shape: tuple[int, int], count: int, diameter: int) -> np.ndarray:
    """Foreground (Y, X) bool of `count` ellipses, at most `diameter` px across, none touching another."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, bool)
    for _ in range(count):
        (cy, cx), (ry, rx) = random.uniform(0, 1, 2) * shape, random.uniform(2, diameter / 2, 2)
        distance = np.hypot((y - cy) / ry, (x - cx) / rx)
        if not image[(np.abs(y - cy) <= ry + 2) & (np.abs(x - cx) <= rx + 2)].any():
            image |= distance <= 1
    return image


def segmenter(image: np.ndarray):
    """A deterministic local segmenter: connected components, numbered by the window."""
    return lambda y0, y1, x0, x1: connected(image[y0:y1, x0:x1], connectivity=2)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 500), width=st.integers(1, 500), size=st.integers(2, 200), part=st.floats(0, 0.5))
def test_cores_part_the_image(height, width, size, part):
    overlap = int(size * part)
    covered = np.zeros((height, width), int)
    for window in windows((height, width), size, overlap):
        covered[window.core_y0 : window.core_y1, window.core_x0 : window.core_x1] += 1
        assert 0 <= window.y0 <= window.core_y0 < window.core_y1 <= window.y1 <= height
        assert 0 <= window.x0 <= window.core_x0 < window.core_x1 <= window.x1 <= width
        assert max(window.y1 - window.y0, window.x1 - window.x0) <= size
        for near, core, far in ((window.y0, window.core_y0, 0), (window.x0, window.core_x0, 0)):
            assert core == far or core - near >= overlap // 2
    assert (covered == 1).all()


def test_neighbours_share_the_overlap():
    spans = sorted({(w.y0, w.y1) for w in windows((1000, 300), 300, 60)})
    assert len(spans) == 4
    assert all(stop - start >= 60 for (_, stop), (start, _) in pairwise(spans))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), height=st.integers(30, 260), width=st.integers(30, 260), size=st.integers(90, 150))
def test_windows_equal_the_whole(seed, height, width, size):
    image = blobs(seed, (height, width), 60, 20)
    whole = connected(image, connectivity=2)
    np.testing.assert_array_equal(segment_by_windows(segmenter(image), image.shape, size, 40), whole)


def test_a_cell_on_four_windows_is_one():
    image = np.zeros((100, 100), bool)
    image[45:56, 44:57] = True
    labels = segment_by_windows(segmenter(image), image.shape, 60, 22)
    np.testing.assert_array_equal(labels, image)


def test_a_cell_seen_at_both_sides_of_the_seam_is_taken_once():
    def segment(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        image = np.zeros((20, 100), np.uint16)
        image[5:15, 41:61] = 1  # mean column 50.5: its own
        if x0 == 0:
            image[5:15, 59:61] = 0  # mean column 49.5: its own too
        return image[y0:y1, x0:x1]

    labels = segment_by_windows(segment, (20, 100), 66, 32)
    assert labels.max() == 1
    assert (labels > 0).sum() == 180


def test_a_cell_placed_by_each_window_in_the_other_is_kept():
    def segment(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        image = np.zeros((20, 100), np.uint16)
        if x0 == 0:
            image[5:15, 42:61] = 1  # mean column 51: the later window's
        else:
            image[5:15, 40:59] = 1  # mean column 49: the earlier window's
        return image[y0:y1, x0:x1]

    labels = segment_by_windows(segment, (20, 100), 66, 32)
    assert labels.max() == 1
    assert (labels > 0).sum() == 190


def test_different_cells_that_overlap_part_at_the_earlier_one():
    def segment(y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        image = np.zeros((10, 100), np.uint16)
        if x0 == 0:
            image[:, 36:50] = 1
        else:
            image[:, 46:66] = 1
        return image[y0:y1, x0:x1]

    labels = segment_by_windows(segment, (10, 100), 70, 35)
    np.testing.assert_array_equal(labels[0], np.repeat([0, 1, 2, 0], [36, 14, 16, 34]))


def test_a_memory_map_is_written_in_place(tmp_path):
    image = blobs(3, (200, 150), 30, 20)
    out = np.memmap(tmp_path / "labels.raw", np.uint32, "w+", shape=image.shape)
    assert segment_by_windows(segmenter(image), image.shape, 100, 40, out) is out
    np.testing.assert_array_equal(np.fromfile(tmp_path / "labels.raw", np.uint32).reshape(image.shape), out)
    assert out.max() > 5


def test_what_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="overlap"):
        windows((100, 100), 50, 26)
    with pytest.raises(SettingsError, match="uint16"):
        segment_by_windows(lambda *_: None, (4, 4), 4, 0, np.zeros((4, 4), np.uint16))
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        segment_by_windows(lambda *_: np.zeros((2, 2), int), (4, 4), 4, 0)
