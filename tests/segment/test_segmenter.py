"""Segmenting images and files, with a hand-made network whose answer is known."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from skimage.measure import label

from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.data.formats.images import read_labels, write_image
from cellular.errors import InputError, MissingInputError, OutputExistsError, SettingsError, WeightsError
from cellular.jobs.segment import segment
from cellular.labels.diameter import median_diameter
from cellular.segment.flows.to_flows import labels_to_flows
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings


class TruthfulNetwork(torch.nn.Module):
    """Gives the true flows of bright squares on dark ground: what a perfect model would answer."""

    channels, nout, nbase = 2, 3, [2, 4, 8, 16, 32]

    def __init__(self, diam_labels: float):
        super().__init__()
        self.diam_mean = torch.nn.Parameter(torch.tensor([30.0]), requires_grad=False)
        self.diam_labels = torch.nn.Parameter(torch.tensor([diam_labels]), requires_grad=False)

    def forward(self, x):
        outputs = []
        for plane in x[:, 0].numpy():
            flows = labels_to_flows(label(plane > 0.5))
            outputs.append(np.concatenate([5 * flows, np.where(plane > 0.5, 6.0, -6.0)[None]]))
        return torch.from_numpy(np.stack(outputs).astype(np.float32)), torch.ones(len(x), 32)


@pytest.fixture
def model(tmp_path):
    """A loaded model of random weights whose network is swapped for the truthful one."""
    path = tmp_path / "model" / "random"
    save_model(path, build_network(width=4), ModelInfo(about="random"))
    loaded = load_model(path)
    object.__setattr__(loaded, "network", TruthfulNetwork(30.0))
    return loaded


def squares(side=26, shape=(160, 200), count=6):
    """Bright squares of `side` px; returns the image and the label image."""
    labels = np.zeros(shape, np.uint16)
    for k in range(count):
        y, x = 10 + 60 * (k // 3), 12 + 60 * (k % 3)
        labels[y : y + side, x : x + side] = k + 1
    return np.where(labels > 0, 200, 10).astype(np.uint8), labels


def test_segment_finds_every_square(model):
    image, truth = squares()
    result = Segmenter(model, "cpu").segment(image, diameter=30)
    np.testing.assert_array_equal(result.labels, truth)
    assert result.labels.dtype == np.uint16
    assert result.flows.shape == (2, *image.shape)
    assert result.scores.shape == (6,)
    assert (result.scores > 0.9).all()


@pytest.mark.parametrize("resample", [True, False])
def test_rescaled_image_keeps_its_shape_and_cells(model, resample):
    image, truth = squares(side=40, shape=(161, 203))
    result = Segmenter(model, "cpu").segment(image, diameter=45, resample=resample)
    assert result.labels.shape == result.cell_probability.shape == image.shape
    assert result.labels.max() == 6
    agreement = ((result.labels > 0) & (truth > 0)).sum() / ((result.labels > 0) | (truth > 0)).sum()
    assert agreement > 0.9


def test_diameter_of_training_labels_is_the_default(model):
    image, _ = squares()
    assert Segmenter(model, "cpu").segment(image).diameter == 30


def test_stock_model_measures_the_cells_first(model):
    object.__setattr__(model, "diameter", None)
    image, truth = squares(side=20)
    found = Segmenter(model, "cpu").segment(image).diameter
    assert found == pytest.approx(median_diameter(truth), rel=0.1)


def test_auto_measures_the_cells_though_the_model_knows_a_diameter(model):
    image, truth = squares(side=20)
    assert Segmenter(model, "cpu").segment(image).diameter == 30
    found = Segmenter(model, "cpu").segment(image, diameter="auto")
    assert found.diameter == pytest.approx(median_diameter(truth), rel=0.1)
    assert found.labels.max() == 6


def test_a_grey_image_fits_a_network_of_colour_images(model):
    model.network.channels = 3
    image, truth = squares()
    result = Segmenter(model, "cpu").segment(image, diameter=30, channels=(1, 2, 3))
    np.testing.assert_array_equal(result.labels, truth)


def test_scores_take_the_flow_errors_of_the_check(model, monkeypatch):
    calls = []
    monkeypatch.setattr("cellular.segment.scores.flow_error", lambda *_: calls.append(1) or np.zeros(6))
    image, _ = squares()
    Segmenter(model, "cpu").segment(image)
    assert not calls
    Segmenter(model, "cpu").segment(image, flow_threshold=0)
    assert calls, "without the check they have to be computed"


def disks(shape):
    """Bright discs of various radii on ground that darkens to the right, and their label image."""
    random = np.random.default_rng(4)
    rows, columns = (np.arange(30, length - 30, 50) for length in shape)
    y, x = np.ogrid[-24:25, -24:25]
    inside = np.zeros(shape, bool)
    for cy, cx in np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2):
        dy, dx, radius = *random.integers(-6, 7, 2), random.integers(8, 16)
        inside[cy - 24 : cy + 25, cx - 24 : cx + 25] |= (y - dy) ** 2 + (x - dx) ** 2 <= radius**2
    ground = np.linspace(60, 0, shape[1]).astype(np.uint8)
    image = np.where(inside, 250, 0).astype(np.uint8)
    np.maximum(image, ground, out=image)
    return image, label(inside).astype(np.uint16)


@pytest.mark.parametrize(
    ("shape", "window"), [((700, 900), 256), pytest.param((4096, 4096), 1500, marks=pytest.mark.long)]
)
def test_windows_give_what_one_piece_gives(model, shape, window):
    image, truth = disks(shape)
    segmenter = Segmenter(model, "cpu")
    whole = segmenter.segment(image, diameter=30, window=max(shape))
    result = segmenter.segment(image, diameter=30, window=window)
    np.testing.assert_array_equal(result.labels, truth)
    np.testing.assert_array_equal(result.labels, whole.labels)
    np.testing.assert_allclose(result.scores, whole.scores, atol=0.01)
    assert whole.flows.shape == (2, *shape)
    assert result.flows is None
    assert result.labels.dtype == np.uint16


def test_a_large_file_is_mapped(model, tmp_path, monkeypatch):
    monkeypatch.setattr("cellular.data.image.MAPPED_BYTES", 1000)
    image, truth = disks((300, 400))
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "plain.tif", image)
    tifffile.imwrite(tmp_path / "in" / "packed.tif", image, compression="zlib")
    opened = []
    original = Segmenter.segment
    monkeypatch.setattr(
        Segmenter, "segment", lambda self, im, **kw: opened.append(type(im)) or original(self, im, **kw)
    )
    settings = SegmentSettings(diameter=30.0, window=200)
    result = segment(find_plate([tmp_path / "in"]), tmp_path / "out", Segmenter(model, "cpu"), settings)
    assert opened == [np.ndarray, np.memmap]
    for path in result.labels.values():
        np.testing.assert_array_equal(read_labels(path), truth)


def test_empty_image_has_no_cells(model):
    result = Segmenter(model, "cpu").segment(np.zeros((50, 60), np.uint8))
    assert result.labels.max() == 0
    assert result.scores.shape == (0,)


def test_settings_are_checked(model):
    segmenter = Segmenter(model, "cpu")
    with pytest.raises(SettingsError, match=r"takes 2 channel\(s\), 3 were given"):
        segmenter.segment(np.zeros((5, 5, 3)), channels=(1, 2, 3))
    with pytest.raises(SettingsError, match="diameter is in pixels"):
        segmenter.segment(np.ones((5, 5)), diameter=0)
    with pytest.raises(SettingsError, match="or auto, got large"):
        segmenter.segment(np.ones((5, 5)), diameter="large")
    with pytest.raises(SettingsError, match="window is a side"):
        segmenter.segment(np.ones((5, 5)), window=0)


def test_what_is_not_a_model_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="No model 'cyto9'"):
        Segmenter.from_pretrained("cyto9")
    with pytest.raises(MissingInputError, match="is a folder"):
        Segmenter.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["m.safetensors", "m"])
def test_model_information_travels_with_the_file(tmp_path, name):
    info = ModelInfo(channels=(1, 2, 0), score={"intercept": 0.5}, about="three channels")
    save_model(tmp_path / name, build_network(3, 4), info)
    model = load_model(tmp_path / name)
    assert model.info == info
    assert model.score_model.intercept == 0.5
    assert model.diameter == 30


def test_a_model_file_that_has_lost_its_information_is_named(tmp_path, caplog):
    save_model(tmp_path / "m", build_network(2, 4), ModelInfo(channels=(1, 2)))
    assert load_model(tmp_path / "m").info.channels == (1, 2)
    assert not caplog.text
    (tmp_path / "m").rename(tmp_path / "moved")
    assert load_model(tmp_path / "moved").info.channels == (0, 0)
    assert "no moved.json beside it says which channels it was trained on" in caplog.text


@pytest.mark.parametrize("name", ["m.safetensors", "m"])
def test_labels_by_other_thresholds_of_the_same_weights_are_not_kept(tmp_path, name):
    """As where a model was calibrated a second time under the same name."""
    write_image(tmp_path / "a.png", squares()[0])
    network = build_network(2, 4)
    save_model(tmp_path / name, network, ModelInfo(cellprob_threshold=0.0))
    segment(tmp_path / "a.png", tmp_path / "out", tmp_path / name, SegmentSettings(diameter=30.0), device="cpu")
    save_model(tmp_path / name, network, ModelInfo(cellprob_threshold=2.0))
    with pytest.raises(OutputExistsError, match="begun with other settings"):
        segment(tmp_path / "a.png", tmp_path / "out", tmp_path / name, SegmentSettings(diameter=30.0), device="cpu")


def test_files_bad_one_reported_and_resumed(model, tmp_path):
    image, truth = squares()
    folder = tmp_path / "in put"
    write_image(folder / "good ü.png", image)
    write_image(folder / "sixteen.tif", image.astype(np.uint16) * 250)
    (folder / "broken.png").write_bytes(b"not a png")
    images = find_plate([folder])
    out = tmp_path / "out"
    segmenter = Segmenter(model, "cpu")
    result = segment(images, out, segmenter, SegmentSettings(diameter=30.0))
    assert set(result.labels) == {"good ü", "sixteen"}
    assert "broken.png" in result.problems["broken"]
    np.testing.assert_array_equal(read_labels(out / "good ü_masks.tif"), truth)
    first = result.cells.iloc[0]
    assert (first["image"], first["label"], first["area_px"]) == ("good ü", 1, 26 * 26)
    assert tuple(first[["y0", "x0", "y1", "x1"]]) == (10, 12, 36, 38)

    (out / "sixteen_masks.tif").unlink()
    before = (out / "good ü_masks.tif").stat().st_mtime_ns
    again = segment(images, out, segmenter, SegmentSettings(diameter=30.0))
    assert set(again.labels) == {"good ü", "sixteen"}
    assert (out / "good ü_masks.tif").stat().st_mtime_ns == before, "what is there is kept"
    assert len(again.cells) == 12
    with pytest.raises(OutputExistsError, match="other settings"):
        segment(images, out, segmenter, SegmentSettings(diameter=31.0))


def test_sources_are_checked(model, tmp_path):
    with pytest.raises(MissingInputError, match=r"nowhere\.png"):
        find_plate([tmp_path / "nowhere.png"])
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "x.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="both be called x"):
        find_plate([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(OutputExistsError, match="in use"):
        segment(find_plate([tmp_path / "a"]), tmp_path / "b", Segmenter(model, "cpu"))


def test_command_reports_bad_file_and_exit_code(tmp_path, capsys):
    save_model(tmp_path / "model", build_network(width=2), ModelInfo())
    write_image(tmp_path / "in" / "x.tif", np.random.default_rng(0).random((40, 50, 2), np.float32))
    (tmp_path / "in" / "y.jpg").write_bytes(b"")
    out = tmp_path / "out"
    code = main(["segment", str(tmp_path / "in"), "--model", str(tmp_path / "model"), "--out", str(out)])
    assert code == 1
    assert "passed over y" in capsys.readouterr().out
    assert read_labels(out / "x_masks.tif").shape == (40, 50)
    assert json.loads((out / "segment.json").read_text())["settings"]["tiling"] == "whole"
    assert main(["segment", str(tmp_path / "in"), "--model", str(tmp_path / "gone"), "--out", str(out)]) == 2
    assert "No model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"diameter": -5.0}, "diameter"),
        ({"window": 0}, "window"),
        ({"tiling": "nine"}, "tiling"),
        ({"niter": -1}, "niter"),
    ],
)
def test_impossible_settings_never_claim_a_folder(values, message):
    with pytest.raises(SettingsError, match=message):
        SegmentSettings(**values)


def test_an_image_that_changed_is_segmented_again(model, tmp_path):
    """Another image under the same name must not get the old one's cells."""
    folder, out, segmenter = tmp_path / "in", tmp_path / "out", Segmenter(model, "cpu")
    settings = SegmentSettings(diameter=30.0)
    write_image(folder / "a.png", squares(count=6)[0])
    write_image(folder / "b.png", squares(count=3)[0])
    assert len(segment(find_plate([folder]), out, segmenter, settings).cells) == 9
    write_image(folder / "a.png", squares(count=2)[0])
    kept = (out / "b_masks.tif").stat().st_mtime_ns
    result = segment(find_plate([folder / "a.png"]), out, segmenter, settings)
    assert len(result.cells) == 2
    assert read_labels(out / "a_masks.tif").max() == 2
    assert (out / "b_masks.tif").stat().st_mtime_ns == kept
    assert len(pd.read_csv(out / "cells.csv")) == 5, "the rows of what was segmented earlier stay"


def test_settings_that_failed_do_not_block_the_folder(model, tmp_path):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "two.tif", np.zeros((2, 30, 40), np.uint16), photometric="minisblack")
    images, segmenter = find_plate([tmp_path / "in"]), Segmenter(model, "cpu")
    failed = segment(images, tmp_path / "out", segmenter, SegmentSettings(diameter=30.0, channels=(3, 1)))
    assert "2 channel(s)" in failed.problems["two"]
    done = segment(images, tmp_path / "out", segmenter, SegmentSettings(diameter=30.0, channels=(2, 1)))
    assert not done.problems


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(SettingsError, match="flow_threshold is a finite number, got nan"):
        SegmentSettings(flow_threshold=float("nan"))
