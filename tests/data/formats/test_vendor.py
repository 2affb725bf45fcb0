"""Makers' own formats: what bioio's plug-ins may answer."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from cellular.data.formats import vendor
from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def library():
    """Read when it is needed: at collection each process would wait for it."""
    pytest.importorskip("bioio", reason="needs cellular[bioio]")


def test_every_scene_has_its_name(tmp_path):
    path = tmp_path / "a.ome.tiff"
    planes = RNG.integers(0, 4000, (2, 40, 50), dtype=np.uint16)
    with tifffile.TiffWriter(path) as file:
        for name, plane in zip(("left", "right"), planes):
            file.write(plane, metadata={"Name": name})
    infos = vendor.describe_vendor(path)
    assert [info.name for info in infos] == ["Image:0", "Image:1"]  # bioio-ome-tiff names scenes by their ids
    for scene, plane in enumerate(planes):
        np.testing.assert_array_equal(vendor.read_vendor(path, scene, 0, 0)[0][:, :, 0], plane)


def test_bioio_of_an_ome_tiff_agrees_with_our_reader(tmp_path):
    path = tmp_path / "a.ome.tiff"
    stack = RNG.integers(0, 4000, (2, 3, 2, 40, 50), dtype=np.uint16)
    metadata = {"axes": "TZCYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["EGFP", "mRFP"]}}
    tifffile.imwrite(path, stack, metadata=metadata, photometric="minisblack")
    pixels, info = vendor.read_vendor(path, 0, 1, 2)
    np.testing.assert_array_equal(pixels, read_pixels(path, t=1, z=2))
    (ours,) = describe_image(path)
    assert (info.sizes, info.channels, info.pixel_size_um) == (ours.sizes, ours.channels, ours.pixel_size_um)


def fake(monkeypatch, **more):
    dims = SimpleNamespace(order="TCZYX", shape=(1, 1, 1, 4, 5), T=1, C=1, Z=1, Y=4, X=5)
    image = SimpleNamespace(
        scenes=("one",), set_scene=lambda scene: None, current_scene="one", dims=dims, channel_names=None,
        physical_pixel_sizes=SimpleNamespace(X=None, Y=None), dtype=np.uint8,
        get_image_data=lambda axes, **at: np.zeros((4, 5, 4 if axes == "YXS" else 1), np.uint8),
    )  # fmt: skip
    vars(image).update(more)
    monkeypatch.setattr(vendor, "_open", lambda path: image)
    return vendor.read_vendor("a.lif", 0, 0, 0)


def test_a_plug_in_that_knows_nothing_and_one_with_alpha(monkeypatch):
    pixels, info = fake(monkeypatch)
    assert (info.channels, info.pixel_size_um, info.rgb, pixels.shape) == (("",), None, False, (4, 5, 1))
    dims = SimpleNamespace(order="TCZYXS", shape=(1, 1, 1, 4, 5, 4), T=1, C=1, Z=1, Y=4, X=5, S=4)
    pixels, info = fake(monkeypatch, dims=dims)
    assert (info.sizes["C"], info.rgb, pixels.shape) == (3, True, (4, 5, 3))


def test_axes_of_tiles_are_refused(monkeypatch):
    dims = SimpleNamespace(order="MTCZYX", shape=(9, 1, 1, 1, 4, 5), T=1, C=1, Z=1, Y=4, X=5)
    with pytest.raises(InputError, match=r"a.lif: it has \{'M': 9\}"):
        fake(monkeypatch, dims=dims)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.nd2").write_bytes(b"not an nd2")
    with pytest.raises(InputError, match=r"a.nd2 cannot be read by bioio.*plug-in"):
        read_pixels(tmp_path / "a.nd2")
