"""What the starter learns from: crops of the images it may see, and of no others."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

RECIPE = Path(__file__).parents[2] / "recipes" / "starter"


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPE))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(RECIPE) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


FIELDS = [f"Timepoint_00{t}_220518-ST_{site}" for t in (1, 2) for site in ("C05_s1", "I04_s2", "I06_s1", "K07_s3")]


def test_no_training_of_a_fold_sees_its_wells():
    from gpu import held_fields, planned, sources

    held = held_fields(FIELDS)
    assert sorted(field for fold in held for field in fold) == FIELDS
    entries = [("fields", Path(f"{field}.jpg")) for field in FIELDS] + [
        ("nuclei", Path("n.png")),
        ("simulated", Path("s.jpg")),
    ]
    jobs = planned(["strong24"], [18.0], FIELDS)
    assert [job.name for job in jobs] == [*(f"strong24_fold{k}" for k in range(4)), "strong24_43", "nuclei18"]
    for k, job in enumerate(jobs[:4]):
        wells = {FIELDS[i].split("_")[3] for i in sources(job, entries)[0].images}
        assert wells
        assert wells.isdisjoint(field.split("_")[3] for field in held[k])
        assert len(sources(job, entries)[0].images) == len(FIELDS) - len(held[k])


def test_further_seeds_are_models_of_their_own():
    from gpu import planned

    jobs = planned(["close24"], [], FIELDS, (0, 2), folds_only=True)
    assert [job.name for job in jobs] == [f"{name}_fold{k}" for name in ("close24", "close24-2") for k in range(4)]
    assert [job.seed for job in jobs] == [0] * 4 + [2] * 4
    assert [job.held for job in jobs[:4]] == [job.held for job in jobs[4:]]


def image(value: float, side: int = 64):
    """A square of `value` in every plane, with one cell whose flows point to its middle."""
    from planes import packed

    labels = np.zeros((side, side), np.uint16)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    labels[y**2 + (x / 2) ** 2 < (side / 6) ** 2] = 1  # wider than high
    return packed(np.full((5, side, side), value, np.float32), labels, side / 3)


def test_crops_are_of_the_images_named_in_their_shares_and_views():
    from atlas import ALL, REPORTER, Atlas, Crops, Cut, Source

    atlas = Atlas([image(1.0), image(20.0), image(400.0)], torch.device("cpu"))
    sources = [Source([0], 0.75, {ALL: 1.0}), Source([2], 0.25, {REPORTER: 1.0})]
    crops = Crops(atlas, sources, Cut(512, 8, 64 / 3), seed=3)
    seen, target = crops.batch()
    middle = seen[:, 0].mean((1, 2))
    large = middle > 100
    assert (middle[~large] < 2).all()  # the image of 20 is never drawn
    assert abs(float(large.float().mean()) - 0.25) < 0.08
    assert (seen[large, 2] == 0).all()
    assert (seen[~large, 2] != 0).any()
    assert target.shape == (512, 4, 8, 8)


@pytest.mark.parametrize("strong", [False, True])
def test_flows_turn_with_their_crop(strong):
    from atlas import ALL, Atlas, Crops, Cut, Source

    atlas = Atlas([image(1.0, 96)], torch.device("cpu"))
    crops = Crops(atlas, [Source([0], 1.0, {ALL: 1.0})], Cut(16, 96, 32.0, strong), seed=1)
    _, target = crops.batch()
    checked = 0
    for flow_y, flow_x, cell, _ in target.numpy():
        y, x = np.nonzero(cell)
        if min(y.min(), x.min()) == 0 or max(y.max(), x.max()) == 95:
            continue  # cut off
        towards = np.stack([y.mean() - y, x.mean() - x])
        along = (towards * [flow_y[y, x], flow_x[y, x]]).sum(0) / np.maximum(np.hypot(*towards), 1e-6)
        length = np.hypot(flow_y[y, x], flow_x[y, x])
        # A wide cell's flows do not go straight to its middle, and none goes away from it.
        assert np.median(along) > 0.8
        assert np.quantile(along, 0.02) > -0.1
        assert np.median(length) == pytest.approx(1, abs=0.02)
        checked += 1
    assert checked >= 8


def test_contacts_and_small_cells_weigh_more():
    from planes import close_weights

    labels = np.zeros((80, 80), np.uint16)
    labels[10:30, 10:30], labels[10:30, 32:52], labels[60:70, 60:70] = 1, 2, 3
    weight = close_weights(labels, 32.0)
    assert weight[20, 31] == 3  # the gap between two cells
    assert weight[20, 29] == 3
    assert weight[20, 12] == 1
    assert weight[65, 65] == 2
    assert weight[50, 10] == 1
    assert (close_weights(np.zeros((8, 8), np.uint16), 20.0) == 1).all()


def test_a_model_is_saved_at_the_scale_it_was_trained_at(tmp_path):
    from atlas import Atlas
    from gpu import Job, Recipe, Training

    from cellular.segment.model.registry import load_model

    atlas = Atlas([image(1.0)], torch.device("cpu"))
    job = Job("nuclei18", Recipe(width=4), scale=18.0, nuclei=True)
    training = Training(job, atlas, [("nuclei", Path("n.png"))], batch=2, side=32)
    for progress in (0.0, 0.5):
        training.round(progress)
    training.save(tmp_path)
    network = load_model(tmp_path / "nuclei18.safetensors").network
    assert float(network.diam_mean) == 18.0
    assert float(network.diam_labels) == pytest.approx(64 / 3, abs=0.01)
