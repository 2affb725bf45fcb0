"""What may be handed in through the page."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile

from cellular.errors import InputError
from cellular.jobs import upload
from cellular.jobs.upload import keep_upload

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()


def bomb(side):
    """A PNG of a few kB that claims side x side pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_an_image_is_kept_under_its_name(tmp_path):
    path = keep_upload("A01_s1_w1.png", PNG, tmp_path / "lot")
    assert path == tmp_path / "lot" / "A01_s1_w1.png"
    assert path.read_bytes() == PNG


@pytest.mark.parametrize(
    "name",
    ["../a.png", "a/b.png", "..\\a.png", "/etc/a.png", ".hidden.png", "a\n.png", "x" * 300 + ".png", "C:\\a.png"],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="no plain name"):
        keep_upload(name, PNG, tmp_path / "lot")
    assert list(tmp_path.rglob("*.png")) == []


@pytest.mark.parametrize("name", ["a.exe", "a.html", "a.png.svg", "a", "a_masks.png", "a.npy"])
def test_what_is_no_image_by_its_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no image by its name"):
        keep_upload(name, PNG, tmp_path)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", b"MZ not an image"),
        ("a.tif", b"II*\0" + b"\0" * 50),
        ("a.jpg", b"<svg/>"),
        ("a.png", b""),
        ("a.tif", PNG),
    ],
)
def test_what_is_no_image_by_its_bytes_is_refused_and_not_kept(tmp_path, name, data):
    with pytest.raises(InputError, match=name):
        keep_upload(name, data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_decompression_bombs_are_refused_by_what_they_claim(tmp_path):
    with pytest.raises(InputError, match="claims 2,500,000,000 pixels|cannot be read"):
        keep_upload("b.png", bomb(50_000), tmp_path)
    # as TIFF, 400 million pixels of nothing in tiles
    zeros = tmp_path / "made" / "z.tif"
    zeros.parent.mkdir()
    tiles = (np.zeros((2048, 2048), np.uint8) for _ in range(100))
    tifffile.imwrite(zeros, tiles, shape=(20480, 20480), dtype=np.uint8, compression="zlib", tile=(2048, 2048))
    assert zeros.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="claims 419,430,400 pixels"):
        keep_upload("z.tif", zeros.read_bytes(), tmp_path / "lot")
    assert not list((tmp_path / "lot").glob("*"))


def test_too_large_too_many_and_twice_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "MOST_BYTES", len(PNG) - 1)
    with pytest.raises(InputError, match="MiB"):
        keep_upload("a.png", PNG, tmp_path)
    monkeypatch.setattr(upload, "MOST_BYTES", 1000)
    monkeypatch.setattr(upload, "MOST_FILES", 2)
    keep_upload("a.png", PNG, tmp_path)
    with pytest.raises(InputError, match=r"A\.png is there already"):
        keep_upload("A.png", PNG, tmp_path)
    keep_upload("b.png", PNG, tmp_path)
    with pytest.raises(InputError, match="more than 2 files"):
        keep_upload("c.png", PNG, tmp_path)
