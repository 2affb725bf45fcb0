import cv2
import numpy as np
import pytest
import tifffile

from cellular.data.formats.image_file import describe_image
from cellular.data.formats.images import read_image, read_labels, write_image, write_labels
from cellular.errors import CellularError, InputError, MissingExtraError, MissingInputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60000, (40, 50), dtype=np.uint16)
COLOUR = RNG.integers(0, 255, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".tif", ".TIF", ".png"])
def test_what_is_written_is_read(tmp_path, suffix):
    for image in (GREY, COLOUR):
        write_image(tmp_path / f"a{suffix}", image)
        np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), image)


def test_jpeg_is_read_as_rgb(tmp_path):
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 250
    write_image(tmp_path / "a.jpg", red)
    assert (np.abs(read_image(tmp_path / "a.jpg").astype(int) - red) < 8).all()


def test_alpha_is_dropped(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([COLOUR[..., ::-1], np.full((40, 50), 7, np.uint8)]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), COLOUR)


def test_ome_tiff_with_pixel_size_and_channel_names(tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm", "Channel": {"Name": ["EGFP", "mRFP"]}}
    tifffile.imwrite(path, np.stack([GREY, GREY // 2]), metadata=metadata)
    np.testing.assert_array_equal(read_image(path), np.dstack([GREY, GREY // 2]))
    (found,) = describe_image(path)
    assert found.pixel_size_um == pytest.approx(0.65)
    assert found.channels == ("EGFP", "mRFP")


def test_imagej_stack_with_pixel_size_and_labels(tmp_path):
    path = tmp_path / "a.tif"
    metadata = {"axes": "CYX", "unit": "um", "Labels": ["green", "red"]}
    tifffile.imwrite(path, np.stack([GREY, GREY // 2]), imagej=True, resolution=(4, 4), metadata=metadata)
    np.testing.assert_array_equal(read_image(path), np.dstack([GREY, GREY // 2]))
    assert describe_image(path)[0].pixel_size_um == pytest.approx(0.25)
    assert describe_image(path)[0].channels == ("green", "red")


def test_files_that_say_nothing_have_no_metadata(tmp_path):
    write_image(tmp_path / "a.tif", GREY)
    write_image(tmp_path / "a.png", GREY)
    for name in ("a.tif", "a.png"):
        assert describe_image(tmp_path / name)[0].pixel_size_um is None
        assert not any(describe_image(tmp_path / name)[0].channels)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_written_by_ome_zarr(tmp_path, version):
    zarr = pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")
    form = pytest.importorskip("ome_zarr.format").format_from_version(version)
    from ome_zarr.writer import write_image as write_ome_zarr

    path = tmp_path / "a.ome.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=form.zarr_format)
    data = np.stack([GREY, GREY // 3])[None, :, None]
    scale = {"t": 1.0, "c": 1.0, "z": 1.0, "y": 0.5, "x": 0.5}
    units = {"y": "micrometer", "x": "micrometer"}
    write_ome_zarr(data, group, axes="tczyx", fmt=form, scale_factors=[2], scale=scale, axes_units=units)
    np.testing.assert_array_equal(read_image(path), np.dstack([GREY, GREY // 3]))
    assert describe_image(path)[0].pixel_size_um == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("of_first", "of_all", "side"),
    [
        ([1.0, 0.25, 0.25], [1.0, 2.0, 2.0], 0.5),
        ([1.0, 1.0, 1.0], None, 1.0),
        (None, [1.0, 0.5, 0.5], 0.5),
        (None, None, None),
        ([0.5, 0.5], None, None),
    ],
)
def test_a_zarr_without_a_scale_has_no_pixel_size(of_first, of_all, side, tmp_path):
    """A unit alone made pixels of 1 um."""
    zarr = pytest.importorskip("zarr", minversion="3", reason="needs cellular[zarr]")

    def scaled(by):
        return {} if by is None else {"coordinateTransformations": [{"type": "scale", "scale": by}]}

    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=np.stack([GREY, GREY]))
    space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    multiscale = {"axes": [{"name": "c", "type": "channel"}, *space], "datasets": [{"path": "0", **scaled(of_first)}]}
    group.attrs["multiscales"] = [multiscale | scaled(of_all)]
    assert describe_image(tmp_path / "a.zarr")[0].pixel_size_um == side


def test_a_zarr_folder_without_ome_metadata_is_named(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zattrs").write_text("{}")
    with pytest.raises(InputError, match=r"a.zarr is a Zarr group without OME-Zarr"):
        read_image(tmp_path / "a.zarr")


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bioio", None)
    (tmp_path / "a.nd2").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"pip install 'cellular\[bioio\]'"):
        read_image(tmp_path / "a.nd2")


def test_stacks_are_refused_with_the_reason(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40, 50), np.uint8))
    with pytest.raises(InputError, match="z-stack or movie"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_empty_cut_and_foreign_files_are_named(tmp_path, suffix):
    path = tmp_path / f"a b ü{suffix}"
    write_image(path, COLOUR)
    whole = path.read_bytes()
    for content in (b"", b"\x00", whole[:20], whole[: len(whole) // 2], b"<html></html>"):
        path.write_bytes(content)
        if suffix == ".jpg" and content == whole[: len(whole) // 2]:
            continue  # a cut JPEG decodes to its first half
        with pytest.raises(InputError, match=f"a b ü{suffix}"):
            read_image(path)
    with pytest.raises(MissingInputError, match="No such image"):
        read_image(tmp_path / f"none{suffix}")


def test_a_tiff_that_claims_terabytes_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tag = file.pages[0].tags[name]
            size = {3: 2, 4: 4}[tag.dtype]
            content[tag.valueoffset : tag.valueoffset + size] = (0xFFFFFF & (256**size - 1)).to_bytes(size, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="claims"):
        read_image(path)


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, COLOUR)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_image(path)


def test_one_pixel_is_an_image(tmp_path):
    write_image(tmp_path / "a.png", np.full((1, 1), 9, np.uint8))
    assert read_image(tmp_path / "a.png").tolist() == [[9]]


def test_labels_widen_and_never_wrap(tmp_path):
    few, many = np.array([[0, 65535]]), np.array([[0, 65536]])
    assert write_labels(tmp_path / "a.png", few).suffix == ".png"
    assert read_labels(tmp_path / "a.png").dtype == np.uint16
    path = write_labels(tmp_path / "b.tif", many)
    np.testing.assert_array_equal(read_labels(path), many)
    with pytest.raises(CellularError):
        read_labels(write_image(tmp_path / "c.png", COLOUR))


def test_labels_of_64_bit_floats_are_their_own_numbers(tmp_path):
    """As 32-bit floats 16,777,216 and 16,777,217 are one label, and 100,000.001 a whole number."""
    high = np.array([[0, 2**24, 2**24 + 1]], float)
    tifffile.imwrite(tmp_path / "a.tif", high)
    assert read_labels(tmp_path / "a.tif").tolist() == [[0, 2**24, 2**24 + 1]]
    for wrong in (100_000.001, np.inf, np.nan):
        tifffile.imwrite(tmp_path / "b.tif", np.array([[0, wrong]]))
        with pytest.raises(InputError, match="whole numbers"):
            read_labels(tmp_path / "b.tif")


def test_names_of_255_characters_with_spaces_and_unicode(tmp_path):
    for name in ("x" * 251 + ".tif", "ein Feld ü 細胞.png"):
        write_image(tmp_path / name, GREY)
        np.testing.assert_array_equal(read_image(tmp_path / name), GREY)


def test_a_label_image_carries_the_pixel_size(tmp_path):
    path = write_labels(tmp_path / "a_masks.tif", np.eye(4, dtype=np.uint16), 0.325)
    assert describe_image(path)[0].pixel_size_um == pytest.approx(0.325, rel=1e-5)
    assert describe_image(write_labels(tmp_path / "b_masks.tif", np.eye(4, dtype=np.uint16)))[0].pixel_size_um is None
