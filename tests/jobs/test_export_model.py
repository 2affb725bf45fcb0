import zipfile

import numpy as np
import pytest
import torch

from cellular.data.find import find_plate
from cellular.data.formats.images import write_image
from cellular.errors import SettingsError
from cellular.jobs.export import export
from cellular.jobs.export_model import example_input, export_bioimageio, export_onnx, normalise
from cellular.segment.image.normalize import to_network_input
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small network with weights that make its output depend on every layer."""
    torch.manual_seed(0)
    network = build_network(2, 4).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, network, ModelInfo(channels=(2, 0), about="A small model"))
    return path


def test_the_packages_normalisation_is_ours(model, tmp_path):
    raw = example_input(load_model(model))
    assert raw.shape == (1, 2, 256, 256)
    assert not raw[0, 1].any()
    expected = to_network_input(np.moveaxis(raw[0], 0, -1), (1, 2))
    np.testing.assert_allclose(normalise(raw)[0], expected, atol=1e-5)


def test_a_test_image_is_brought_to_the_networks_scale(model, tmp_path):
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (100, 90, 3), np.uint8))
    assert example_input(load_model(model), tmp_path / "a.png").shape == (1, 2, 96, 88)
    write_image(tmp_path / "b.png", np.zeros((20, 90, 3), np.uint8))
    with pytest.raises(SettingsError, match=r"b.png is too small"):
        example_input(load_model(model), tmp_path / "b.png")


def test_a_package_needs_an_author(model, tmp_path):
    pytest.importorskip("bioimageio.spec", reason="needs cellular[bioimageio]")
    with pytest.raises(SettingsError, match="--author"):
        export_bioimageio(model, tmp_path / "a.zip", author=None)


@pytest.mark.long
def test_onnxruntime_agrees(model, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs cellular[onnx]")
    session = runtime.InferenceSession(export_onnx(model, tmp_path / "net").read_bytes())
    image = torch.rand(3, 2, 72, 136)
    with torch.inference_mode():
        expected = load_model(model).network(image)[0].numpy()
    assert np.abs(session.run(None, {"image": image.numpy()})[0] - expected).max() < 1e-3


@pytest.mark.long
def test_bioimageio_core_passes_the_package(model, tmp_path):
    core = pytest.importorskip("bioimageio.core", reason="needs cellular[bioimageio]")
    path = export_bioimageio(model, tmp_path / "package", author="A. Tester")
    summary = core.test_description(path)
    assert summary.status == "passed", summary.display()
    description = core.load_model_description(path)
    assert description.license == "BSD-3-Clause"
    assert len(description.cite) == 2
    with zipfile.ZipFile(path) as archive:
        members = {"cover.png", "README.md", "test_input.npy", "test_output.npy", "weights.onnx"}
        assert members <= set(archive.namelist())


@pytest.mark.parametrize("to", ["onnx", "coco"])
def test_a_plate_is_no_model_and_no_label_image(to, tmp_path):
    write_image(tmp_path / "plate" / "A01_s1_w1.tif", np.zeros((8, 8), np.uint16))
    with pytest.raises(SettingsError, match="A plate of images is exported to ome-zarr"):
        export(find_plate(tmp_path / "plate"), to, tmp_path / "out")
    assert not (tmp_path / "out").exists()
