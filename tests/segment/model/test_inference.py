"""A network made ready for inference computes what the network does, in any precision and in parts of any number."""

import numpy as np
import pytest
import torch

from cellular.device import has_bfloat16, resolve_precision
from cellular.errors import SettingsError
from cellular.segment.model.inference import for_inference
from cellular.segment.model.network import CPnet, build_network
from cellular.segment.model.registry import load_model
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> CPnet:
    """A network whose normalisations do something, as after training."""
    torch.manual_seed(3)
    network = build_network(channels=3, width=8).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values, low, high in ((layer.running_mean, -1, 1), (layer.running_var, 0.2, 3)):
                values.uniform_(low, high)
            torch.nn.init.uniform_(layer.weight, -1.5, 1.5)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    return network


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_it_computes_what_the_network_does(network, images):
    with torch.no_grad():
        output, style = network(images)
    with torch.inference_mode():
        folded, its_style = for_inference(network)(images)
    torch.testing.assert_close(folded, output, atol=1e-4 * float(output.std()), rtol=0)
    torch.testing.assert_close(its_style, style, atol=1e-5, rtol=0)


def test_the_network_itself_is_left_as_it_is(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for_inference(network, torch.bfloat16)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_image_by_itself_gives_what_it_gives_among_others(network, images, dtype):
    ready = for_inference(network, dtype)
    with torch.inference_mode():
        together = ready(images)[0]
        alone = torch.cat([ready(image[None])[0] for image in images])
    bound = float(together.std()) * (1e-4 if dtype == torch.float32 else 0.1)
    torch.testing.assert_close(alone, together, atol=bound, rtol=0)


def test_bfloat16_of_a_trained_network_differs_by_its_rounding_alone():
    """Of 8 bits of mantissa: on average a hundredth of the output's spread."""
    network = load_model("starter").network
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact, rounded = (for_inference(network, dtype)(image)[0] for dtype in (torch.float32, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).abs().mean()) < 0.02 * float(exact.std())


def test_two_threads_give_the_bytes_of_one_in_bfloat16(network):
    ready, threads, found = for_inference(network, torch.bfloat16), torch.get_num_threads(), []
    ready, image = (x.to(memory_format=torch.channels_last) for x in (ready, torch.rand(1, 3, 160, 176)))
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            with torch.inference_mode():
                found.append(ready(image)[0].numpy())
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_auto_takes_what_the_processor_has(monkeypatch):
    monkeypatch.setattr("cellular.device.has_bfloat16", lambda device: device.type == "cpu")
    assert resolve_precision("auto", CPU) == "bfloat16"
    assert resolve_precision("auto", torch.device("cuda")) == "float32"  # not measured there
    monkeypatch.setattr("cellular.device.has_bfloat16", lambda device: False)
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"  # a run goes on as it was begun
    with pytest.raises(SettingsError, match="auto, float32 or bfloat16, got 'half'"):
        resolve_precision("half", CPU)
    with pytest.raises(SettingsError, match="got 'half'"):
        SegmentSettings(precision="half")


def test_what_is_to_equal_cellpose_is_in_single_precision(monkeypatch):
    monkeypatch.setattr("cellular.device.has_bfloat16", lambda device: True)
    segmenter = Segmenter(load_model("nuclei"), "cpu")
    assert SegmentSettings(tiling="cellpose").settled(segmenter).precision == "float32"
    assert SegmentSettings().settled(segmenter).precision == "bfloat16"
    assert segmenter.network("bfloat16").downsample.dtype == torch.bfloat16


@pytest.mark.skipif(not has_bfloat16(CPU), reason="this processor has no bfloat16 instructions")
def test_a_segmenter_takes_it_by_itself():
    segmenter = Segmenter(load_model("starter"), "cpu")
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    default, exact, asked = (segmenter.segment(image, 121, precision=p) for p in ("auto", "float32", "bfloat16"))
    np.testing.assert_array_equal(default.cell_probability, asked.cell_probability)
    assert np.abs(default.cell_probability - exact.cell_probability).max() > 0
