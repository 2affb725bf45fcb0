"""The network, its weights and its tiling are Cellpose's: compared with what cellpose 3.1.1.3 computed (fixture)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cellular.errors import InputError, MissingInputError, WeightsError
from cellular.segment.image.normalize import intensity_ranges, to_network_input
from cellular.segment.image.tiles import run_network
from cellular.segment.model.network import CPnet, build_network
from cellular.segment.model.weights import load_network, save_network
from cellular.segment.segmenter import _resize

FIXTURE = Path(__file__).parents[1] / "fixtures" / "cellpose_network.npz"


@pytest.fixture(scope="module")
def cellpose():
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def cellpose_file(cellpose, tmp_path_factory):
    """The file Cellpose would have saved."""
    path = tmp_path_factory.mktemp("model") / "cellpose_model"
    torch.save({k[6:]: torch.from_numpy(v) for k, v in cellpose.items() if k.startswith("state.")}, path)
    return path


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(1).integers(0, 255, (300, 420, 3)).astype(np.uint8)


def test_output_and_style_are_cellposes(cellpose, cellpose_file):
    network = load_network(cellpose_file)
    with torch.inference_mode():
        output, style = network(torch.from_numpy(cellpose["x"]))
    np.testing.assert_allclose(output.numpy(), cellpose["y"], atol=1e-5)
    np.testing.assert_allclose(style.numpy(), cellpose["style"], atol=1e-5)


def test_pipeline_with_cellpose_tiling_is_cellposes(cellpose, cellpose_file, noise):
    network = load_network(cellpose_file)
    planes = to_network_input(noise, (0, 0))
    np.testing.assert_allclose(planes[:, ::17], cellpose["normalized"], atol=1e-6)
    scale = 30 / float(cellpose["diameter"])
    small = _resize(planes, tuple(int(side * scale) for side in noise.shape[:2]))
    output, style = run_network(network, small, tiling="cellpose")
    np.testing.assert_allclose(_resize(output, noise.shape[:2])[:, ::17], cellpose["tiled"], atol=1e-5)
    np.testing.assert_allclose(style, cellpose["tiled_style"], atol=1e-5)


def test_whole_image_differs_from_tiles_only_by_seams_and_style(cellpose_file, noise):
    network = load_network(cellpose_file)
    planes = to_network_input(noise, (0, 0))
    whole, _ = run_network(network, planes)
    tiled, _ = run_network(network, planes, tiling="cellpose")
    assert 0 < np.abs(whole - tiled).max() < 0.2 * np.abs(whole).max()


def test_saved_file_has_cellposes_names_and_values(cellpose, cellpose_file, tmp_path):
    network = load_network(cellpose_file)
    save_network(tmp_path / "ours", network)
    state = torch.load(tmp_path / "ours", weights_only=True)
    names = {key[6:] for key in cellpose if key.startswith("state.")}
    assert set(state) == names
    for name in names:
        np.testing.assert_array_equal(state[name].numpy(), cellpose[f"state.{name}"])


def test_full_width_has_cellposes_number_of_parameters():
    # Counted in cellpose 3.1.1.3's own CPnet([2, 32, 64, 128, 256], 3, 3).
    assert sum(p.numel() for n, p in build_network().named_parameters() if not n.startswith("diam_")) == 6_600_843


def test_width_sets_every_level():
    network = build_network(channels=3, width=8)
    assert network.nbase == [3, 8, 16, 32, 64]
    output, style = network(torch.zeros(1, 3, 16, 24) + torch.rand(1, 3, 16, 24))
    assert output.shape == (1, 3, 16, 24)
    assert style.shape == (1, 64)
    assert float((style.detach() ** 2).sum()) == pytest.approx(1, abs=1e-5)


def test_half_precision_safetensors_round_trip(tmp_path):
    network = build_network(width=4)
    network.diam_labels.data[:] = 121.37
    save_network(tmp_path / "m.safetensors", network, half=True)
    loaded = load_network(tmp_path / "m.safetensors")
    assert float(loaded.diam_labels) == pytest.approx(121.37)
    for a, b in zip(network.state_dict().values(), loaded.state_dict().values()):
        torch.testing.assert_close(a.float(), b.float(), atol=1e-3, rtol=1e-3)


def test_cellpose_1_files_have_no_diameters(tmp_path):
    state = {k: v for k, v in build_network(width=4).state_dict().items() if not k.startswith("diam_")}
    torch.save(state, tmp_path / "old")
    assert float(load_network(tmp_path / "old").diam_mean) == 30


class _Malice:
    def __reduce__(self):
        return (print, ("code in a pickle was run",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"", "is empty"),
        (b"\x80\x04garbage", "not a plain Cellpose state dict"),
    ],
)
def test_files_that_are_not_weights_are_named(tmp_path, content, message):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_network(tmp_path / "model")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"W2": torch.zeros(2)}, "Cellpose-SAM"),
        ({"layer.weight": torch.zeros(2)}, "not a Cellpose 1-3 model"),
        ([1, 2], "not a state dict"),
    ],
)
def test_other_models_are_refused(tmp_path, state, message):
    torch.save(state, tmp_path / "model")
    with pytest.raises(WeightsError, match=message):
        load_network(tmp_path / "model")


def test_code_in_a_pickle_is_not_run(tmp_path, capsys):
    torch.save({"a": _Malice()}, tmp_path / "model")
    with pytest.raises(WeightsError, match="never run"):
        load_network(tmp_path / "model")
    assert "was run" not in capsys.readouterr().out


def test_incomplete_diverged_and_missing_weights(tmp_path):
    network = build_network(width=4)
    state = network.state_dict()
    del state["output.2.bias"]
    torch.save(state, tmp_path / "short")
    with pytest.raises(WeightsError, match=r"missing \['output.2.bias'\]"):
        load_network(tmp_path / "short")
    network.output[2].bias.data[0] = float("nan")
    save_network(tmp_path / "nan", network)
    with pytest.raises(WeightsError, match="not finite"):
        load_network(tmp_path / "nan")
    with pytest.raises(MissingInputError, match="No such model file"):
        load_network(tmp_path / "nowhere")


def test_channels_of_the_input():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0], image[0, 0, 1], image[..., 2] = 7, 200, np.arange(20).reshape(4, 5)
    planes = to_network_input(image, (3, 0))
    assert planes.shape == (2, 4, 5)
    # 1st and 99th percentiles of 0..19 are 0.19 and 18.81.
    np.testing.assert_allclose(planes[0], (np.arange(20).reshape(4, 5) - 0.19) / 18.62, rtol=1e-5)
    assert not planes[1].any()
    assert not to_network_input(image, (1,)).any(), "a constant channel becomes zero"
    np.testing.assert_allclose(to_network_input(image, (3,), invert=True)[0], 1 - planes[0], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_pixel_that_is_no_number_is_refused(bad):
    image = np.random.default_rng(0).random((50, 60, 2), np.float32)
    image[20, 30, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        to_network_input(image, (2,))
    assert np.isfinite(to_network_input(image, (1,))).all()


def test_histogram_percentiles_equal_numpys():
    rng = np.random.default_rng(3)
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        image = rng.integers(0, top, (37, 53)).astype(dtype)
        np.testing.assert_allclose(
            to_network_input(image, (0,)), to_network_input(image.astype(np.float32), (0,)), rtol=1e-4, atol=1e-6
        )


def test_a_grey_image_is_taken_for_every_channel():
    image = np.arange(20, dtype=np.uint16).reshape(4, 5)
    for grey in (image, image[:, :, None]):
        planes = to_network_input(grey, (1, 2, 3))
        for plane in planes:
            np.testing.assert_array_equal(plane, to_network_input(image, (0,))[0])
    assert not to_network_input(image, (1, 0))[1].any(), "an empty channel stays empty"


def test_a_part_is_scaled_like_the_whole():
    image = np.random.default_rng(0).integers(0, 60000, (40, 30, 3)).astype(np.uint16)
    ranges = intensity_ranges(image, (0, 0, 2))
    assert ranges[1] is None
    part = to_network_input(image[5:20, 7:], (0, 0, 2), ranges=ranges)
    np.testing.assert_array_equal(part, to_network_input(image, (0, 0, 2))[:, 5:20, 7:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ranges_counted_in_bands_are_those_of_the_mean(dtype, monkeypatch):
    monkeypatch.setattr("cellular.segment.image.normalize.BAND", 100)
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (41, 30, 3)).astype(dtype)
    np.testing.assert_allclose(intensity_ranges(image, (0,))[0], np.percentile(image.mean(2), (1, 99)), rtol=1e-9)


def test_bad_images_are_refused():
    with pytest.raises(InputError, match="has 3 channel"):
        to_network_input(np.zeros((4, 4, 3)), (1, 4))
    with pytest.raises(InputError, match="shape"):
        to_network_input(np.zeros((4, 4, 3, 2)))
    with pytest.raises(InputError, match="NaN"):
        to_network_input(np.full((4, 4), np.nan))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (17, 300), (230, 225)])
@pytest.mark.parametrize("tiling", ["whole", "cellpose"])
def test_any_shape_gives_its_own_shape(shape, tiling):
    image = np.random.default_rng(0).random((2, *shape), np.float32)
    output, style = run_network(build_network(width=2).eval(), image, tiling=tiling)
    assert output.shape == (3, *shape)
    assert np.isfinite(output).all()
    assert style.shape == (16,)


def test_augmented_output_turns_with_the_image():
    network = CPnet([1, 2, 4, 8, 16]).eval()
    image = np.random.default_rng(0).random((1, 32, 48), np.float32)
    upright, _ = run_network(network, image, augment=True)
    mirrored, _ = run_network(network, image[:, :, ::-1].copy(), augment=True)
    turned_back = mirrored[:, :, ::-1] * np.array([1, -1, 1])[:, None, None]
    np.testing.assert_allclose(upright, turned_back, atol=1e-5)
