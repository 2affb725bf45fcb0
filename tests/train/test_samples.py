import numpy as np
import pytest

from cellular.errors import InputError
from cellular.train.samples import enough_cells, make_sample, with_diameters


def sample(name, cells, side):
    labels = np.zeros((40, 40), np.uint16)
    for number in range(cells):
        y, x = divmod(number, 4)
        labels[10 * y : 10 * y + side, 10 * x : 10 * x + side] = number + 1
    return make_sample(name, np.zeros((2, 40, 40), np.float32), labels)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("cellular.train.samples.cache_folder", lambda: tmp_path)


def test_fields_in_which_nobody_found_a_cell_are_trained_on(caplog):
    many, few, none = sample("many", 6, 8), sample("few", 2, 8), sample("none", 0, 8)
    assert [s.name for s in enough_cells([many, few, none], 5, "folder")] == ["many", "none"]
    assert "few (2)" in caplog.text
    assert "none" not in caplog.text
    with pytest.raises(InputError, match="no field has at least 5 cells"):
        enough_cells([few, none], 5, "folder")


def test_a_field_without_cells_has_the_others_scale():
    samples = with_diameters([sample("a", 6, 6), sample("b", 6, 8), sample("none", 0, 8)])
    # Circles of 36 and 64 px measure 6.77 and 9.03 px; the median of two is their mean.
    assert samples[2].diameter == pytest.approx(2 / np.sqrt(np.pi) * 7)
    assert [s.diameter for s in samples[:2]] == pytest.approx([2 / np.sqrt(np.pi) * side for side in (6, 8)])
