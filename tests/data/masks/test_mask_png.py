import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellular.data.masks.mask_png import read_mask
from cellular.errors import CellularError, InputError, MissingInputError
from cellular.labels.cells import crop_mask

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BYTES = {0: 1, 2: 3, 4: 2, 6: 4}  # per pixel, by colour type
COLOURS = {0: 1, 2: 3, 4: 1, 6: 3}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(raw, width, height, colour=0, depth=8):
    """A PNG whose filtered rows are `raw`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def paeth(left, up, corner):
    estimate = left + up - corner
    return min((abs(estimate - left), 0, left), (abs(estimate - up), 1, up), (abs(estimate - corner), 2, corner))[2]


def encode(image, filters, colour):
    """The plain, slow PNG encoder of the specification, with the row filters one asks for."""
    height, width, pixel = image.shape
    above, raw = [0] * (width * pixel), bytearray()
    for row, kind in zip(image.reshape(height, -1).tolist(), filters):
        raw.append(kind)
        for i, value in enumerate(row):
            left, corner = (row[i - pixel], above[i - pixel]) if i >= pixel else (0, 0)
            guess = [0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner)][kind]
            raw.append((value - guess) % 256)
        above = row
    return png(bytes(raw), width, height, colour)


@pytest.fixture
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    yield folder
    shutil.rmtree(folder)


def read(folder, data, **options):
    path = folder / "mask.png"
    path.write_bytes(data)
    return read_mask(path, **options)


def test_hand_made_mask(folder):
    # 3 rows of 4 grey pixels: filter 0 black; filter 1 "0 5 5 0" as differences 0 5 0 -5; filter 2 repeats it.
    cell = read(folder, png(bytes([0, 0, 0, 0, 0, 1, 0, 5, 0, 251, 2, 0, 0, 0, 0]), 4, 3))
    assert cell.shape == (3, 4)
    assert cell.box == (1, 1, 3, 3)
    assert cell.area == 4
    assert cell.full().astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]


def test_colour_that_greys_to_zero_is_still_the_cell(folder):
    image = np.zeros((4, 5, 3), np.uint8)
    image[2, 3] = (1, 0, 0)  # OpenCV's grey of this blue is 0: the published way loses the pixel
    cv2.imwrite(str(folder / "mask.png"), image)
    assert cv2.imread(str(folder / "mask.png"), cv2.IMREAD_GRAYSCALE).max() == 0
    assert read_mask(folder / "mask.png").box == (2, 3, 3, 4)


def test_alpha_means_nothing(folder):
    image = np.zeros((4, 5, 4), np.uint8)
    image[..., 3] = 255
    image[1, 2, 0] = 7
    assert read(folder, encode(image, [1] * 4, 6)).box == (1, 2, 2, 3)


def test_empty_mask(folder):
    cell = read(folder, png(bytes(5 * 3), 4, 3))
    assert (cell.area, cell.box, cell.shape) == (0, (0, 0, 0, 0), (3, 4))


def test_one_pixel(folder):
    assert read(folder, png(bytes([0, 9]), 1, 1)).full().tolist() == [[True]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_filter_and_colour_type_is_exact(folder, data):
    colour = data.draw(st.sampled_from(sorted(BYTES)))
    height, width = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 23)))
    filters = data.draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = rng.integers(0, 256, (height, width, BYTES[colour]), np.uint8)
    image[rng.random((height, width)) < data.draw(st.sampled_from([0.3, 0.9, 1.0]))] = 0
    if colour in (4, 6):
        image[..., -1] = data.draw(st.sampled_from([0, 255]))
    cell = read(folder, encode(image, filters, colour))
    truth = image[..., : COLOURS[colour]].any(axis=2)
    assert np.array_equal(cell.full(), truth)
    assert cell.box == crop_mask(truth).box


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_agrees_with_opencv_on_files_opencv_wrote(tmp_path, kind, channels, suffix):
    mask = np.zeros((60, 70, channels), kind)
    cv2.ellipse(mask, (30, 40), (20, 9), 30, 0, 360, [255] * channels, -1)
    path = tmp_path / f"mask{suffix}"
    cv2.imwrite(str(path), mask)
    assert np.array_equal(read_mask(path).full(), mask[..., 0] > 0)


def test_outside_the_fast_path_palette_and_one_bit(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    mask = np.zeros((9, 13), np.uint8)
    mask[2:5, 3:9] = 1
    one_bit, palette = Image.fromarray(mask * 255).convert("1"), Image.fromarray(mask, "P")
    palette.putpalette([0, 0, 0, 10, 200, 30])
    for number, image in enumerate((one_bit, palette)):
        path = tmp_path / f"{number}.png"
        image.save(path)
        assert read_mask(path).box == (2, 3, 5, 9)


def good(height=32, width=32):
    mask = np.zeros((height, width, 3), np.uint8)
    mask[5:20, 8:19] = (10, 200, 30)
    return cv2.imencode(".png", mask)[1].tobytes()


def test_size_is_checked_before_anything_is_unpacked(folder):
    with pytest.raises(InputError, match=r"mask.png is 32 x 32 px but its field is 64 x 64 px"):
        read(folder, good(), shape=(64, 64))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"hello, I am not an image", "cannot be read"),
        (SIGNATURE, "truncated"),
        (good()[:-20], "truncated"),
        (good()[:60], "truncated"),
        (good().replace(b"IDAT", b"IDAU"), "CRC"),
        (SIGNATURE + chunk(b"IEND", b""), "header"),
        (png(b"", 4, 3), "0 of 15 bytes"),
        (png(bytes(15), 4, 4), "15 of 20 bytes"),
        (png(bytes(25), 4, 4), "cannot be unpacked"),
        (png(bytes([9] * 15), 4, 3), "row filter"),
        (png(bytes(9), 100_000, 100_000), "more than its data can hold"),
        (png(bytes(9), 0, 4), "more than its data can hold"),
    ],
)
def test_damage_is_named(folder, data, message):
    with pytest.raises(InputError, match=message) as caught:
        read(folder, data)
    assert "mask.png" in str(caught.value)


def test_truncated_pixels_outside_the_fast_path(folder):
    """Chunks all right, pixel stream cut short: OpenCV would hand back half an image."""
    header = struct.pack(">IIBBBBB", 64, 64, 16, 0, 0, 0, 0)
    stream = zlib.compress(np.random.default_rng(0).bytes(64 * 129))[:2000]
    with pytest.raises(InputError, match="truncated"):
        read(folder, SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b""))


def test_missing_file(tmp_path):
    with pytest.raises(MissingInputError, match="gone.png"):
        read_mask(tmp_path / "gone.png")


def mutations(count, seed):
    rng = np.random.default_rng(seed)
    original = np.frombuffer(good(), np.uint8)
    for _ in range(count):
        data = original.copy()
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(data.size)] = rng.integers(256)
        if rng.random() < 0.3:
            data = data[: rng.integers(data.size)]
        yield data.tobytes()


def check_mutations(folder, count, seed):
    refused = 0
    for data in mutations(count, seed):
        try:
            read(folder, data)
        except CellularError:
            refused += 1
    assert refused > 0.9 * count  # nearly every flipped byte lies under a checksum


def test_mutated_files_raise_only_our_errors(folder):
    check_mutations(folder, 300, seed=0)


def test_headers_that_lie_raise_only_our_errors(folder):
    """Any size, depth, colour type and interlacing, under a right checksum."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        height, width = rng.integers(0, 70, 2).tolist() if rng.random() < 0.8 else rng.integers(0, 2**31, 2).tolist()
        kinds = rng.choice([1, 2, 4, 8, 16, 3]), rng.integers(0, 8), 0, 0, rng.integers(0, 2)
        header = struct.pack(">IIBBBBB", width, height, *kinds)
        try:
            read(folder, good().replace(good()[12:33], (chunk(b"IHDR", header))[4:]))
        except CellularError:
            refused += 1
    assert refused > 250


@pytest.mark.long
def test_many_mutated_files_raise_only_our_errors(folder):
    check_mutations(folder, 10_000, seed=1)
