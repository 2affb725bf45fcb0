import numpy as np
import pytest
import torch
from discs import make_folder

from cellular.errors import InputError
from cellular.segment.model.registry import ModelInfo
from cellular.train.feed import Feed
from cellular.train.samples import enough_cells, load_samples, make_sample, memory_of, with_diameters
from cellular.train.settings import TrainSettings


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


def test_what_goes_beyond_the_memory_is_on_disk_and_trains_the_same(tmp_path):
    folder = make_folder(tmp_path / "train", 3)
    every, some, none = (load_samples(folder, ModelInfo(), None, "read", m) for m in (None, 300_000, 0))
    image, cells = 2 * 120 * 140 * 4, 120 * 140  # two float32 channels and the cells, bytes
    assert [memory_of(s) for s in (every, some, none)] == [3 * (image + cells), image + 3 * cells, 3 * cells]
    for a, b, c in zip(every, some, none):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.image, c.image)
    settings = TrainSettings(model_type="scratch", width=4, crop_size=64, batch_size=2, seed=3, device="cpu")
    batches = [list(Feed(s, settings, 30.0, torch.device("cpu")).epoch(0)) for s in (every, none)]
    for (image, target), (mapped, its) in zip(*batches):
        assert torch.equal(image, mapped)
        assert torch.equal(target, its)
