"""Cells cut out, a network that learns from their pictures, what it looks at, and its file."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import field_image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cellular.autophagy.state.crop_file import load_crop_model, save_crop_model
from cellular.autophagy.state.crop_model import Calibration, CropModel, CropSettings, network_inputs, predict_crops
from cellular.autophagy.state.crop_train import _augment, _calibrate, _chances, train
from cellular.autophagy.state.crops import Crops, cut_crops, join_crops
from cellular.autophagy.state.explain import evenly_lit, explain_crops, integrated_gradients
from cellular.autophagy.state.network import CropNetwork
from cellular.autophagy.state.words import ACTIVATED, BASAL, UNIDENTIFIED
from cellular.errors import CellularError, InputError, MissingInputError, SettingsError

QUICK = {"side_px": 16, "size": 16, "width": 4, "epochs": 12, "cells_per_epoch": 256, "batch": 32, "device": "cpu"}


@pytest.fixture(scope="module")
def dotted():
    """320 round cells in four wells; the activated have three bright dots in mRFP. Every tenth is Unidentified."""
    rng = np.random.default_rng(3)
    n, yx = 320, np.mgrid[:16, :16] - 7.5
    inside = (np.hypot(*yx) < 6).astype(np.float32)
    activated = rng.random(n) < 0.5
    pixels = rng.normal(20, 4, (n, 2, 16, 16)).astype(np.float32)
    for cell in np.flatnonzero(activated):
        for y, x in rng.integers(4, 11, (3, 2)):
            pixels[cell, 0, y : y + 2, x : x + 2] += 120
    pixels = np.concatenate([pixels * inside, np.broadcast_to(inside, (n, 1, 16, 16))], axis=1)
    cells = pd.DataFrame({"field": "f", "label": np.arange(1, n + 1)})
    truth = np.where(activated, ACTIVATED, BASAL).astype(object)
    truth[::10] = UNIDENTIFIED
    table = cells.assign(truth=truth, well=np.repeat(list("ABCD"), n // 4))
    return Crops(pixels.astype(np.float32), cells, ("mRFP", "EGFP"), "raw"), table


@pytest.fixture(scope="module")
def trained(dotted):
    return train(*dotted, CropSettings(**QUICK))


def test_a_cell_is_cut_out_alone():
    labels = np.zeros((40, 60), np.uint16)
    labels[0:6, 2:10], labels[10:18, 20:28], labels[12:18, 28:36] = 2, 5, 6
    image = np.full((40, 60, 3), 100, np.uint16)
    image[labels == 5] = (130, 150, 90)
    image[labels == 6] = (900, 900, 900)
    crops = cut_crops(field_image(image), labels, "f", channels=("mRFP", "EGFP", "transmitted"), side_px=20, size=10)
    assert crops.cells["label"].tolist() == [2, 5, 6]
    assert crops.pixels.shape == (3, 4, 10, 10)
    # less the background of 100; the neighbour's 900 are not seen
    np.testing.assert_array_equal(np.unique(crops.pixels[1, 0]), [0, 30])
    np.testing.assert_array_equal(np.unique(crops.pixels[1, 1]), [0, 50])
    np.testing.assert_array_equal(np.unique(crops.pixels[1, 2]), [-10, 0])
    # the box's middle is the crop's, and each crop pixel covers two by two
    assert crops.pixels[1, 3].sum() == 16
    # at the image's edge what lies outside is empty
    assert crops.pixels[0, 3].sum() == 12


def test_crops_need_their_channels_and_one_kind_of_image():
    labels = np.zeros((30, 30), np.uint16)
    labels[5:15, 5:15] = 1
    two = np.full((30, 30, 2), 50, np.uint16)
    with pytest.raises(InputError, match="no channel transmitted"):
        cut_crops(field_image(two), labels, "f", channels=("transmitted",))
    composite = cut_crops(field_image(np.full((30, 30, 3), 50, np.uint8)), labels, "g", side_px=16, size=16)
    with pytest.raises(InputError, match="composite and raw"):
        join_crops([cut_crops(field_image(two), labels, "f", side_px=16, size=16), composite])


@pytest.mark.parametrize(
    ("dtype", "brightest"), [(np.uint16, 65535), (np.uint32, 300_000), (np.float32, 1e-4), (np.float32, 3e8)]
)
@pytest.mark.parametrize("brightness", ["kept", "relative"])
def test_any_unit_of_brightness_shows_the_network_the_same(dtype, brightest, brightness):
    # a saturated pixel, the sum of a stack, fractions of the camera's range
    labels = np.zeros((30, 30), np.uint16)
    labels[5:15, 5:15], labels[18:28, 18:28] = 1, 2
    image = np.zeros((30, 30, 2), dtype)
    image[5:15, 5:15] = image.dtype.type(brightest)
    image[8:12, 8:12] = image.dtype.type(brightest / 2)
    image[18:28, 18:28] = image.dtype.type(brightest / 4)
    crops = cut_crops(field_image(image), labels, "f", side_px=16, size=16)
    assert crops.pixels[0, 0].max() == pytest.approx(brightest)
    settings = CropSettings(side_px=16, size=16, brightness=brightness)
    seen = network_inputs(crops, np.arange(2), np.full(2, brightest), settings)[:, 0].numpy()
    own = 4 if brightness == "relative" else 1
    np.testing.assert_allclose(seen[0, 3:13, 3:13].mean(), (84 + 16 / 2) / 100, rtol=1e-3)
    np.testing.assert_allclose(seen[1, 3:13, 3:13], own / 4, rtol=1e-3)


def test_unseen_wells_are_told_apart(trained):
    model, result = trained
    assert result.balanced_accuracy > 0.9
    assert result.importance["feature"][0] == "mRFP"
    assert set(result.left_out["left_out"]) == set("ABCD")
    assert result.confusion.to_numpy().sum() == 288
    assert result.confusion_all.loc[UNIDENTIFIED].sum() == 32
    assert result.brier < 0.12
    assert model.states == [BASAL, ACTIVATED]


def test_the_same_seed_trains_the_same_network(dotted):
    short = CropSettings(**{**QUICK, "epochs": 1})
    first, second = (train(*dotted, short)[0].network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unidentified_as_a_class(dotted):
    crops, table = dotted
    pixels = crops.pixels.copy()
    odd = (table["truth"] == UNIDENTIFIED).to_numpy()
    pixels[odd, 1] *= 6
    settings = CropSettings(**QUICK, unidentified="class")
    model, result = train(Crops(pixels, crops.cells, crops.channels, crops.source), table, settings)
    assert result.confusion.shape == (3, 3)
    assert result.confusion.loc[UNIDENTIFIED, UNIDENTIFIED] > 20
    assert len(model.calibration.bias) == 3


def test_attributions_add_up_and_lie_on_the_dots(dotted, trained):
    (crops, table), (model, _) = dotted, trained
    rows = np.flatnonzero(table["truth"] == ACTIVATED)[:20]
    found = integrated_gradients(model, crops, rows, steps=128)
    inputs = network_inputs(crops, rows, np.array(model.scale), model.settings)
    with torch.no_grad():
        logits = (model.network(inputs) - model.network(evenly_lit(inputs, model.usual))).numpy()
    expected = model.calibration.slope * (logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), expected, rtol=0.02, atol=0.02)
    dots = crops.pixels[rows, 0] > 80
    assert np.abs(found[:, 0][dots]).mean() > 5 * np.abs(found[:, 0][~dots]).mean()
    told = explain_crops(model, crops)
    assert len(told) == 2 * len(crops)
    means = told.pivot(index="label", columns="feature", values="value")
    assert means["EGFP"].mean() == pytest.approx(20, abs=1)


def test_a_model_comes_back_the_same(dotted, trained, tmp_path):
    (crops, _), (model, _) = dotted, trained
    loaded = load_crop_model(save_crop_model(tmp_path / "model.safetensors", model), "cpu")
    assert loaded.settings == model.settings
    told = predict_crops(loaded, crops)
    pd.testing.assert_frame_equal(told, predict_crops(model, crops))
    assert told["probability_activated"].between(0, 1).all()
    with pytest.raises(InputError, match="trained on raw images, these are composite"):
        predict_crops(loaded, Crops(crops.pixels, crops.cells, crops.channels, "composite"))


def test_strange_files_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(MissingInputError, match="No such model"):
        load_crop_model(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="not a model"):
        load_crop_model(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="not a model"):
        load_crop_model(path)
    save_file({"a": torch.zeros(2)}, path, {"cellular": json.dumps({"format": "cellular-crops-1", "settings": {}})})
    with pytest.raises(InputError, match="not a crop model"):
        load_crop_model(path)


def test_relative_brightness_shows_the_pattern_alone(dotted):
    crops, _ = dotted
    dim = Crops(crops.pixels * np.array([0.25, 0.25, 1], np.float32)[:, None, None], crops.cells, ("a", "b"), "raw")
    settings = CropSettings(**QUICK, brightness="relative")
    rows, scale = np.arange(8), np.ones(2)
    same = network_inputs(crops, rows, scale, settings), network_inputs(dim, rows, scale, settings)
    torch.testing.assert_close(*same, rtol=0.01, atol=0.01)
    assert same[0].amax() <= 1


def test_augmentation_keeps_the_cell_and_its_outline_together(dotted):
    crops, _ = dotted
    inputs = network_inputs(crops, np.arange(16), np.ones(2), CropSettings(**QUICK))
    turned = _augment(inputs.clone(), torch.Generator().manual_seed(0))
    assert turned.shape == inputs.shape
    outside = turned[:, -1] == 0
    assert outside.any()
    assert (turned[:, 0][outside] == 0).all()
    area = turned[:, -1].sum(dim=(1, 2)) / inputs[:, -1].sum(dim=(1, 2))
    assert ((area > 0.75) & (area < 1.3)).all()


def test_states_and_wells_are_drawn_equally_often():
    truth, wells = np.array([0, 0, 0, 0, 1]), np.array(["A", "A", "A", "B", "A"])
    chance = _chances(truth, wells)
    np.testing.assert_allclose(chance / chance.sum(), [1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 2])


def test_calibration_finds_what_made_the_labels():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 20_000)
    truth = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(int)
    found = _calibrate(np.column_stack([np.zeros_like(odds), 3 * odds + 1.5]), truth)
    assert found.slope == pytest.approx(1 / 3, abs=0.02)
    assert found.bias[1] == pytest.approx(-0.5, abs=0.08)
    assert _calibrate(np.zeros((4, 2)), np.ones(4, int)) == Calibration(1.0, (0.0, 0.0))


def test_what_cannot_be_learned_is_said(dotted):
    crops, table = dotted
    with pytest.raises(InputError, match="No crop of cell 999 of f"):
        train(crops, table.assign(label=np.where(table["label"] == 7, 999, table["label"])), CropSettings(**QUICK))
    with pytest.raises(SettingsError, match="channels"):
        CropSettings(channels=("blue",))
    with pytest.raises(SettingsError, match="brightness"):
        CropSettings(brightness="some")
    with pytest.raises(SettingsError, match="size"):
        CropSettings(side_px=40, size=80)


def test_a_cell_without_light_has_a_call():
    network = CropNetwork(3, 2, 4).eval()
    model = CropModel(network, CropSettings(**QUICK), (1.0, 1.0), (0.5, 0.5), Calibration(1.0, (0.0, 0.0)), "raw")
    empty = Crops(np.zeros((1, 3, 16, 16), np.float32), pd.DataFrame({"field": ["f"], "label": [1]}), ("a", "b"), "raw")
    assert np.isfinite(predict_crops(model, empty)["probability_activated"][0])


def test_mutated_files_raise_only_our_errors(trained, tmp_path):
    """Seeded: words of the header changed for others, bytes flipped and cut."""
    whole = save_crop_model(tmp_path / "whole.safetensors", trained[0])
    weights, rng = load_file(whole), np.random.default_rng(5)
    with safe_open(whole, "pt") as file:
        about = json.loads(file.metadata()["cellular"])
    odd = [None, "many", -1, 10**9, 1e400, [], {}, [1], ["mRFP"], True]
    places = [(about, name) for name in about] + [(about["settings"], name) for name in about["settings"]]
    refused = 0
    for place, name in places:
        kept = place[name]
        for value in odd:
            place[name] = value
            save_file(weights, tmp_path / "m.safetensors", {"cellular": json.dumps(about)})
            try:
                load_crop_model(tmp_path / "m.safetensors", "cpu")
            except CellularError:
                refused += 1
        place[name] = kept
    content = whole.read_bytes()
    for _ in range(100):
        mutated = bytearray(content)
        for where in rng.integers(0, 3000, 3):
            mutated[where] = rng.integers(256)
        (tmp_path / "m.safetensors").write_bytes(mutated)
        with contextlib.suppress(CellularError):
            load_crop_model(tmp_path / "m.safetensors", "cpu")
    assert refused > 150
