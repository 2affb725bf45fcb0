import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.data.formats.images import read_image, read_labels
from cellular.data.formats.picture import ENDS, read_picture
from cellular.data.masks.mask_png import read_mask
from cellular.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (40, 50), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".PNG"])
def test_pictures_are_upright(tmp_path, orientation, suffix):
    picture = Image.fromarray(np.kron(COLOUR[:4, :5], np.ones((16, 16, 1), np.uint8)))
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    picture.save(path, exif=exif, quality=100, subsampling=0)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.abs(read_image(path).astype(int) - upright).max() <= 3  # two JPEG decoders
    (info,) = describe_image(path)
    assert (info.sizes["Y"], info.sizes["X"], info.rgb) == (*upright.shape[:2], True)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16"])
def test_png_of_every_kind(tmp_path, mode):
    picture = Image.fromarray(GREY.astype(np.uint16) * 250) if mode == "I;16" else Image.fromarray(COLOUR).convert(mode)
    picture.save(tmp_path / "a.png")
    plain = picture.convert({"LA": "L", "RGBA": "RGB"}.get(mode, mode))
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.png"), np.asarray(plain).astype(read_image(tmp_path / "a.png").dtype)
    )
    (info,) = describe_image(tmp_path / "a.png")
    assert info.white == {"1": 1, "I;16": 65535}.get(mode, 255)
    assert info.dtype == read_pixels(tmp_path / "a.png").dtype


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_are_colours_of_pictures_and_numbers_of_labels(tmp_path, bits):
    index = np.array([[0, 1], [1, 0]], np.uint8) if bits == 1 else np.array([[0, 1], [2, 3]], np.uint8)
    picture = Image.fromarray(index, "P")
    colours = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [7, 8, 9]]
    picture.putpalette(np.ravel(colours[: 2**bits]).tolist())
    picture.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), index)
    if bits > 1:
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array(colours)[index])


def test_jpeg_labels_inks_and_cut_files_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(GREY).save(path)
    with pytest.raises(InputError, match="JPEG changes the numbers"):
        read_labels(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a.jpg cannot be read as an image: it is truncated"):
        read_image(path)
    Image.new("CMYK", (30, 20)).save(path)
    with pytest.raises(InputError, match="a JPEG of 4 samples"):
        read_image(path)


@pytest.mark.parametrize("kind", ["bool", "float64", "int32", "uint64"])
def test_label_images_of_odd_types(tmp_path, kind):
    import tifffile

    labels = np.zeros((8, 9), kind)
    labels[2:4, 3:6] = 1
    tifffile.imwrite(tmp_path / "a_masks.TIF", labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "a_masks.TIF"), labels.astype(int))
    cell = read_mask(tmp_path / "a_masks.TIF")
    np.testing.assert_array_equal(cell.full(), labels.astype(bool))
    if kind != "bool":
        labels[0, 0] = {"float64": 0.5, "int32": -1, "uint64": 2**40}[kind]
        tifffile.imwrite(tmp_path / "a_masks.TIF", labels)
        with pytest.raises(InputError, match=r"fractions|labels are 0|does not fit 32 bits"):
            read_labels(tmp_path / "a_masks.TIF")


LARGE = RNG.integers(0, 255, (400, 500, 3), dtype=np.uint8)  # more than is read of a file to describe it


def large(path, **how):
    Image.fromarray(LARGE).save(path, **how)
    assert path.stat().st_size > 2 * ENDS
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_of_a_large_picture_the_ends_are_read_to_describe_it(tmp_path, monkeypatch, name):
    path = large(tmp_path / name, quality=95, dpi=(25400, 25400))
    _, whole = read_picture(path)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("the whole picture was read"))
    (info,) = describe_image(path)
    assert (info.sizes["Y"], info.sizes["X"], info.rgb, info.pixel_size_um) == (400, 500, True, pytest.approx(1.0))
    assert info == whole


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_large_pictures_that_are_cut_off_or_have_a_hole_are_refused(tmp_path, name):
    path = large(tmp_path / name, quality=95)
    content = path.read_bytes()
    for cut in (len(content) - 1, len(content) // 2, 2 * ENDS + 1):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=f"{name} cannot be read as an image"):
            describe_image(path)
    path.write_bytes(content + b"\0\0")  # some cameras fill up their files
    assert describe_image(path)[0].sizes["X"] == 500
    if name == "a.png":
        path.write_bytes(content[: 2 * ENDS] + content[-ENDS:])
        assert describe_image(path)[0].sizes["X"] == 500
        with pytest.raises(InputError, match=r"a.png cannot be read as an image"):
            read_pixels(path)


def test_how_a_large_picture_lies_is_found_wherever_it_is_said(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = large(tmp_path / "a.jpg", quality=95, exif=exif.tobytes(), comment=b"\xff\xd9" * 30_000)
    assert [describe_image(path)[0].sizes[axis] for axis in "YX"] == [500, 400]
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + block
    content = large(tmp_path / "a.png").read_bytes()
    late = struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(content[:-12] + late + content[-12:])
    assert [describe_image(tmp_path / "a.png")[0].sizes[axis] for axis in "YX"] == [500, 400]
    assert read_pixels(tmp_path / "a.png").shape == (500, 400, 3)
