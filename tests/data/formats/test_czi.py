"""CZI files that ZEISS's own library writes."""

from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from cellular.data.find import find_plate
from cellular.data.formats.czi import _names, _well
from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.data.formats.images import read_image
from cellular.data.image import read_field
from cellular.errors import InputError

czi = pytest.importorskip("pylibCZIrw.czi", reason="needs cellular[czi]")
RNG = np.random.default_rng(0)


def write_czi(path, scenes, **more):
    """`scenes`: planes (T, C, Z, Y, X) each, of any size; they lie side by side, 7 px down."""
    with czi.create_czi(str(path)) as file:
        for scene, planes in enumerate(scenes):
            for t, c, z in np.ndindex(planes.shape[:3]):
                at = {"scene": scene, "location": (scene * 100, 7)} if len(scenes) > 1 else {}
                file.write(np.ascontiguousarray(planes[t, c, z][..., None]), plane={"C": c, "Z": z, "T": t}, **at)
        named = {0: "EGFP", 1: "mRFP"}
        file.write_metadata(channel_names=named, scale_x=5e-7, scale_y=5e-7, scale_z=1e-6, **more)


def some(*shape):
    return RNG.integers(1, 4000, shape, dtype=np.uint16)


def test_a_czi_with_channels_and_slices(tmp_path):
    path = tmp_path / "a.CZI"
    planes = some(1, 2, 3, 40, 50)
    write_czi(path, [planes])
    (info,) = describe_image(path)
    assert dict(info.sizes) == {"T": 1, "Z": 3, "C": 2, "Y": 40, "X": 50}
    assert (info.channels, info.white, info.name, info.well) == (("EGFP", "mRFP"), 65535, None, None)
    assert info.pixel_size_um == pytest.approx(0.5)
    np.testing.assert_array_equal(read_pixels(path, z=2), np.moveaxis(planes[0, :, 2], 0, -1))
    with pytest.raises(InputError, match="3 z plane"):
        read_image(path)


def test_every_scene_is_a_field(tmp_path):
    """Three scenes without names, of three sizes, at two timepoints: six fields, with their own pixels each."""
    scenes = [some(2, 2, 1, 40 + s, 50 - s) for s in range(3)]
    write_czi(tmp_path / "a.czi", scenes)
    assert [(info.sizes["Y"], info.sizes["X"]) for info in describe_image(tmp_path / "a.czi")] == [
        (40, 50), (41, 49), (42, 48),
    ]  # fmt: skip
    plate = find_plate(tmp_path)
    assert [item.name for item in plate.fields] == [f"a_scene{s}_t00{t}" for s in (1, 2, 3) for t in (1, 2)]
    for k, item in enumerate(plate.fields):
        image = read_field(item)
        assert image.roles == ("mRFP", "EGFP")
        np.testing.assert_array_equal(image.pixels, np.moveaxis(scenes[k // 2][k % 2, ::-1, 0], 0, -1))
    with pytest.raises(InputError, match="scene 3 was asked for, the file has 3"):
        read_pixels(tmp_path / "a.czi", scene=3)


def test_a_plane_that_the_file_lacks_is_an_error_and_a_dark_one_is_not(tmp_path):
    """Only the first channel has a second timepoint, as where an acquisition was stopped; its first is dark."""
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as file:
        for c, t, value in ((0, 0, 0), (0, 1, 5), (1, 0, 7)):
            file.write(np.full((4, 5, 1), value, np.uint16), plane={"C": c, "T": t, "Z": 0})
        file.write_metadata()
    assert read_pixels(path, t=0)[0, 0].tolist() == [0, 7]
    with pytest.raises(InputError, match="a.czi: image 0, T = 1, Z = 0 has no pixels of channel 2"):
        read_pixels(path, t=1)
    assert describe_image(path)[0].pixel_size_um is None


def test_tiles_of_a_scene_are_one_image(tmp_path):
    left, right = some(8, 10, 1), some(8, 10, 1)
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for tile, x in ((left, -3), (right, 7)):
            file.write(tile, plane={"C": 0, "T": 0, "Z": 0}, scene=0, location=(x, -2))
        file.write_metadata()
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.czi"), np.concatenate([left, right], axis=1))


def test_colours_are_red_green_blue(tmp_path):
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(np.broadcast_to(np.uint8([10, 20, 200]), (4, 5, 3)).copy())  # Bgr24: blue first
        file.write_metadata()
    (info,) = describe_image(tmp_path / "a.czi")
    assert (info.rgb, info.sizes["C"], info.dtype) == (True, 3, np.uint8)
    assert read_pixels(tmp_path / "a.czi")[0, 0].tolist() == [200, 20, 10]


def test_what_bioio_reads_of_a_scene_is_the_same(tmp_path):
    bioio = pytest.importorskip("bioio", reason="needs cellular[bioio]")
    pytest.importorskip("bioio_czi", reason="needs bioio-czi")
    write_czi(tmp_path / "a.czi", [some(2, 2, 2, 40, 50)])
    theirs = bioio.BioImage(tmp_path / "a.czi").get_image_data("YXC", T=1, Z=1)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.czi", t=1, z=1), theirs)


def test_names_and_wells_of_scenes():
    """As ZEN writes them of a plate; no library writes them, so this is text."""
    scenes = (
        '<Scene Index="0" Name="P1"><Shape Name="B2"/></Scene><Scene Index="1" Name="P2"><Shape Name="B2"/></Scene>'
        '<Scene Index="2" Name="B3"/><Scene Index="3" Name="B3"/><Scene Index="4" Name="slide"/>'
        '<Scene Index="5"><ArrayName>C4</ArrayName></Scene>'
    )
    path = ["Metadata", "Information", "Image", "Dimensions", "S", "Scenes"]
    opened, closed = "".join(f"<{tag}>" for tag in path), "".join(f"</{tag}>" for tag in path[::-1])
    told = fromstring(f"<ImageDocument>{opened}{scenes}{closed}</ImageDocument>")
    assert _names(told, [0, 1, 2, 3, 4, 5, 6]) == ["P1-B2", "P2-B2", "B3-3", "B3-4", "slide", "C4", None]
    assert [_well(told, number) for number in range(7)] == ["B02", "B02", "B03", "B03", None, "C04", None]


def test_a_damaged_file_is_named(tmp_path):
    write_czi(tmp_path / "a.czi", [some(1, 1, 1, 40, 50)])
    whole = (tmp_path / "a.czi").read_bytes()
    for content in (b"", b"not a czi", whole[: len(whole) // 2]):
        (tmp_path / "a.czi").write_bytes(content)
        with pytest.raises(InputError, match="a.czi"):
            read_pixels(tmp_path / "a.czi")


@pytest.mark.parametrize(
    ("kinds", "said"), [(("uint16", "uint8"), "uint16 pixels, a.czi uint8"), (("uint8", "uint8"), None)]
)
def test_colours_of_different_bits_in_one_file_are_refused(tmp_path, kinds, said):
    """Read as one type they looked alike, and their ratio was of 8 bits over 16."""
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for c, kind in enumerate(kinds):
            file.write(np.full((40, 50, 1), 200, kind), plane={"C": c, "Z": 0, "T": 0})
        file.write_metadata(channel_names={0: "EGFP", 1: "mRFP"})
    item = find_plate(tmp_path).fields[0]
    if said is None:
        assert read_field(item).pixels.dtype == np.uint8
    else:
        with pytest.raises(InputError, match=f"{said}.*cannot be compared; save both alike"):
            read_field(item)
