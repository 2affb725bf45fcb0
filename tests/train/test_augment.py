"""Random crops: Cellpose's distribution, the same on CPU and device, flows turned with the cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cellular.segment.flows.to_flows import labels_to_flows
from cellular.train import TrainSettings
from cellular.train.augment import Crop, crop_on_cpu, crops_on_device, draw_crop
from cellular.train.feed import Feed, stacked
from cellular.train.loss import flow_loss
from cellular.train.samples import make_sample
from cellular.train.schedule import learning_rates

with np.load(Path(__file__).parent / "fixtures" / "cellpose_training.npz") as file:
    CELLPOSE = dict(file)
SHAPE, CROP, DIAMETER = (300, 400), 64, 45.0
SETTINGS = TrainSettings(crop_size=CROP, batch_size=2)
UNCHANGED = np.ones(2, np.float32), np.zeros(2, np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.uint16)
    for k in range(12):
        cy, cx = 45 + 100 * (k // 4), 50 + 100 * (k % 4)
        labels[((y - cy) / 40) ** 2 + ((x - cx) / 30) ** 2 < 1] = k + 1
    ignore = (labels == 3).astype(np.uint8)
    return make_sample("f", rng.random((2, *SHAPE), np.float32), labels, ignore)


def our_views(draws):
    rng, rows = np.random.default_rng(1), []
    for _ in range(draws):
        crop = draw_crop((2, *SHAPE), DIAMETER, 30.0, SETTINGS, rng)
        turn, shift = crop.matrix[:, :2], crop.matrix[:, 2]
        scale = np.sqrt(np.linalg.det(turn))
        x, y = np.linalg.solve(turn, np.full(2, (CROP - 1) / 2) - shift)
        rows.append([crop.flip, crop.angle, scale, SHAPE[1] - 1 - x if crop.flip else x, y])
    return np.array(rows)


def test_same_distribution_as_cellpose():
    """Moments of flip, angle, scale and centre, to within five standard errors of both samples' sizes."""
    theirs = CELLPOSE["views"].astype(float)
    ours = our_views(len(theirs))
    # Theirs leaves out views whose centre touches the empty border; so must ours.
    inside = (ours[:, 3] > 1) & (ours[:, 3] < SHAPE[1] - 2) & (ours[:, 4] > 1) & (ours[:, 4] < SHAPE[0] - 2)
    ours = ours[inside]
    assert len(ours) > 2000
    for column in range(5):
        a, b = ours[:, column], theirs[:, column]
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 5 * error
        assert a.std() == pytest.approx(b.std(), rel=0.07)
    for turns in (np.cos, np.sin):
        assert abs(turns(ours[:, 1]).mean() - turns(theirs[:, 1]).mean()) < 5 * np.sqrt(1 / len(ours))


def test_loss_is_cellposes():
    labels = torch.from_numpy(CELLPOSE["labels"])
    target = torch.cat([labels[:, 1:], labels[:, :1], torch.ones_like(labels[:, :1])], dim=1)
    assert float(flow_loss(torch.from_numpy(CELLPOSE["output"]), target)) == pytest.approx(
        float(CELLPOSE["loss"]), 1e-5
    )


@pytest.mark.parametrize("epochs", [5, 50, 150, 500])
def test_learning_rates_are_cellposes(epochs):
    np.testing.assert_allclose(learning_rates(TrainSettings(n_epochs=epochs)), CELLPOSE[f"rates_{epochs}"])


def test_cosine_rises_and_falls():
    rates = learning_rates(TrainSettings(n_epochs=100, schedule="cosine", learning_rate=1.0))
    assert rates.argmax() in range(3, 8)
    assert rates[-1] < 1e-3
    assert (np.diff(rates[10:]) < 0).all()


def test_device_makes_the_crops_of_the_cpu(sample):
    low = replace(
        sample, **{part: getattr(sample, part)[..., :200, :] for part in ("image", "flows", "cell", "ignore")}
    )
    samples, rng = [sample, low] * 5, np.random.default_rng(2)
    settings = TrainSettings(crop_size=CROP, jitter=0.2)
    crops = [draw_crop(one.image.shape, DIAMETER, 30.0, settings, rng) for one in samples]
    batch = crops_on_device([torch.from_numpy(stacked(one)) for one in samples], crops, CROP)
    for one, crop, other_image, other_target in zip(samples, crops, *(part.numpy() for part in batch)):
        image, target = crop_on_cpu(one, crop, CROP)
        # OpenCV rounds source positions to 1/32 px, so single pixels of noise may differ by a few percent.
        assert np.abs(image - other_image)[:, 2:-2, 2:-2].mean() < 0.02
        assert np.abs(target[:2] - other_target[:2]).mean() < 0.02
        assert (target[2:] != other_target[2:]).mean() < 0.01


def test_unturned_crop_is_the_field_itself(sample):
    crop = Crop(np.array([[1.0, 0, -20], [0, 1.0, -30]]), 0.0, False, *UNCHANGED)
    image, target = crop_on_cpu(sample, crop, CROP)
    np.testing.assert_allclose(image, sample.image[:, 30:94, 20:84], atol=1e-6)
    np.testing.assert_allclose(target[:2], sample.flows[:, 30:94, 20:84], atol=1e-6)
    np.testing.assert_array_equal(target[3], 1 - sample.ignore[30:94, 20:84])


def test_flows_turn_with_the_cells(sample):
    """Flows of a turned, flipped, scaled label image point the way the warped flows do."""
    import cv2

    from cellular.train.augment import _unflipped

    labels = np.zeros(SHAPE, np.uint16)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels[((y - 150) / 60) ** 2 + ((x - 200) / 40) ** 2 < 1] = 1
    one = make_sample("one", np.zeros((1, *SHAPE)), labels)
    for flip in (False, True):
        turn = 0.5 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
        crop = Crop(np.column_stack([turn, 64 - turn @ [200, 150]]), 1.0, flip, *UNCHANGED)
        _, target = crop_on_cpu(one, crop, 128)
        turned = cv2.warpAffine(labels, _unflipped(crop, SHAPE[1]), (128, 128), flags=cv2.INTER_NEAREST)
        cell = (turned > 0) & (target[2] > 0)
        assert cell.sum() > 1000
        cosine = (labels_to_flows(turned) * target[:2]).sum(axis=0)[cell]
        assert np.median(cosine) > 0.95


def test_feed_repeats_itself_and_no_one_else(sample):
    feed = Feed([sample] * 5, SETTINGS, 30.0, torch.device("cpu"))
    first, again, other = (list(feed.epoch(n)) for n in (0, 0, 1))
    assert [len(image) for image, _ in first] == [2, 2, 1]
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again))
    assert not torch.equal(first[0][0], other[0][0])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(feed.validation(), feed.validation()))


def test_flows_are_computed_once(tmp_path, monkeypatch):
    import cellular.train.samples as module

    labels = np.ones((9, 9), np.uint16)
    first = module.cached_flows(labels)
    monkeypatch.setattr(module, "labels_to_flows", None)
    np.testing.assert_array_equal(first, module.cached_flows(labels))
