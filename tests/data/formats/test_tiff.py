"""The TIFF zoo: each variant written by its own tool, the right plane got another way."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellular.data.formats.image_file import describe_image, read_pixels
from cellular.data.formats.images import read_image, read_labels, write_image
from cellular.data.masks.mask_png import read_mask
from cellular.errors import InputError

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 4000, (40, 50), dtype=np.uint16)
BYTES = (PLANE >> 4).astype(np.uint8)
STACK = RNG.integers(0, 4000, (2, 3, 4, 40, 50), dtype=np.uint16)  # T, Z, C


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "lzw", "predictor": True, "byteorder": ">"},
        {"compression": "zstd"},
        {"compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"compression": "lzma"},
        {"compression": "packbits"},
        {"compression": "jpeg2000"},
        {"rowsperstrip": 7},
        {"tile": (16, 32)},
        {"imagej": True},
        {"ome": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_packings_of_one_plane(tmp_path, options, dtype):
    if dtype == np.float32 and options.get("compression") == "jpeg2000":
        pytest.skip("JPEG 2000 holds no floats")
    if dtype == np.int16 and (options.get("imagej") or options.get("compression") == "jpeg2000"):
        pytest.skip("not a type of this format")
    if dtype == np.float32 and options.get("predictor"):
        options = options | {"predictor": 3}
    plane = BYTES if dtype == np.uint8 else PLANE.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", plane, **options)
    for mapped in (False, True):
        found = read_pixels(tmp_path / "a.tif", mapped=mapped)
        assert found.shape == (40, 50, 1)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found[:, :, 0], tifffile.imread(tmp_path / "a.tif"))
    (info,) = describe_image(tmp_path / "a.tif")
    assert dict(info.sizes) == {"T": 1, "Z": 1, "C": 1, "Y": 40, "X": 50}
    assert not info.rgb
    assert info.white == {np.uint8: 255, np.uint16: 65535, np.int16: 32767, np.float32: None}[dtype]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.tif", {"imagej": True}),
        ("a.tif", {"imagej": True, "compression": "zlib"}),
        ("a.ome.tif", {"ome": True}),
        ("a.ome.tif", {"ome": True, "tile": (16, 16), "compression": "zlib"}),
        ("a.tif", {"photometric": "minisblack"}),
    ],
    ids=str,
)
def test_every_plane_of_a_hyperstack(tmp_path, name, options):
    tifffile.imwrite(tmp_path / name, STACK, metadata={"axes": "TZCYX"}, **options)
    (info,) = describe_image(tmp_path / name)
    assert dict(info.sizes) == {"T": 2, "Z": 3, "C": 4, "Y": 40, "X": 50}
    for t in range(2):
        for z in range(3):
            found = read_pixels(tmp_path / name, t=t, z=z)
            np.testing.assert_array_equal(found, np.moveaxis(STACK[t, z], 0, -1))
    with pytest.raises(InputError, match="Z = 3 was asked for, the image has 3"):
        read_pixels(tmp_path / name, z=3)


@pytest.mark.parametrize("order", ["TCZYX", "CTZYX", "ZCTYX", "CZTYX", "ZTCYX"])
def test_every_order_of_planes_of_an_ome_tiff(tmp_path, order):
    stored = STACK.transpose(["TZCYX".index(axis) for axis in order])
    tifffile.imwrite(tmp_path / "a.ome.tif", stored, metadata={"axes": order}, photometric="minisblack")
    found = read_pixels(tmp_path / "a.ome.tif", t=1, z=2)
    np.testing.assert_array_equal(found, np.moveaxis(STACK[1, 2], 0, -1))


@pytest.mark.parametrize(("axes", "axis"), [("ZYX", "Z"), ("TYX", "T")])
@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}])
def test_slices_and_frames_are_no_channels(tmp_path, axes, axis, options):
    tifffile.imwrite(tmp_path / "a.tif", STACK[0, :, 0], metadata={"axes": axes}, **options)
    (info,) = describe_image(tmp_path / "a.tif")
    assert (info.sizes[axis], info.sizes["C"]) == (3, 1)
    with pytest.raises(InputError, match="a z-stack or movie"):
        read_image(tmp_path / "a.tif")


def test_planes_without_named_axes_are_supposed_to_be_channels(tmp_path):
    for n, array in enumerate((STACK[0, 0], np.moveaxis(STACK[0, 0], 0, -1)[:, :, :2])):
        tifffile.imwrite(tmp_path / f"{n}.tif", array, photometric="minisblack")
        (info,) = describe_image(tmp_path / f"{n}.tif")
        assert info.undeclared
    np.testing.assert_array_equal(read_pixels(tmp_path / "0.tif"), np.moveaxis(STACK[0, 0], 0, -1))
    np.testing.assert_array_equal(read_pixels(tmp_path / "1.tif"), np.moveaxis(STACK[0, 0], 0, -1)[:, :, :2])
    tifffile.imwrite(tmp_path / "5.tif", np.zeros((5, 40, 50), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="5 planes along an axis that the file does not name"):
        describe_image(tmp_path / "5.tif")


def test_a_pyramid_is_one_image_and_two_images_are_two_scenes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pyramid.ome.tif", bigtiff=True) as file:
        file.write(PLANE, subifds=1, tile=(16, 16), compression="zstd")
        file.write(PLANE[::2, ::2], subfiletype=1, tile=(16, 16), compression="zstd")
    with tifffile.TiffWriter(tmp_path / "old.tif") as file:
        file.write(PLANE)
        file.write(PLANE[::2, ::2], subfiletype=1)
    with tifffile.TiffWriter(tmp_path / "two.ome.tif") as file:
        file.write(PLANE, metadata={"Name": "left"})
        file.write(BYTES[:20], metadata={"Name": "right"})
    for name in ("pyramid.ome.tif", "old.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), PLANE)
    assert [info.name for info in describe_image(tmp_path / "two.ome.tif")] == ["left", "right"]
    np.testing.assert_array_equal(read_pixels(tmp_path / "two.ome.tif", scene=1)[:, :, 0], BYTES[:20])
    with pytest.raises(InputError, match=r"has 2 image\(s\)"):
        read_image(tmp_path / "two.ome.tif")
    with pytest.raises(InputError, match="image 2 was asked for, the file has 2"):
        read_pixels(tmp_path / "two.ome.tif", scene=2)


def test_planar_colours_and_planar_channels(tmp_path):
    colours = RNG.integers(0, 255, (3, 40, 50), dtype=np.uint8)
    for name, options in (("rgb", {"photometric": "rgb"}), ("grey", {"photometric": "minisblack"})):
        tifffile.imwrite(tmp_path / f"{name}.tif", colours, planarconfig="separate", **options)
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", colours, planarconfig="separate", ome=True, **options)
        for path in (tmp_path / f"{name}.tif", tmp_path / f"{name}.ome.tif"):
            (info,) = describe_image(path)
            assert info.rgb == (name == "rgb")
            np.testing.assert_array_equal(read_pixels(path), np.moveaxis(colours, 0, -1))
    interleaved = np.ascontiguousarray(np.moveaxis(colours, 0, -1))
    tifffile.imwrite(tmp_path / "i.ome.tif", interleaved, photometric="rgb", ome=True)
    np.testing.assert_array_equal(read_pixels(tmp_path / "i.ome.tif"), interleaved)
    assert describe_image(tmp_path / "i.ome.tif")[0].rgb


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(tmp_path, orientation):
    from PIL import ImageOps

    picture = Image.fromarray(BYTES)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, BYTES, extratags=[(274, 3, 1, orientation, True)], metadata=None)
    exif = picture.getexif()
    exif[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_image(path), upright)
    (info,) = describe_image(path)
    assert (info.sizes["Y"], info.sizes["X"]) == upright.shape


def test_white_as_zero_is_turned_round_and_labels_are_not(tmp_path):
    tifffile.imwrite(tmp_path / "8.tif", 255 - BYTES, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "8.tif"), BYTES)
    np.testing.assert_array_equal(read_labels(tmp_path / "8.tif"), 255 - BYTES)
    tifffile.imwrite(tmp_path / "16.tif", 65535 - PLANE, photometric="miniswhite", compression="zlib")
    np.testing.assert_array_equal(read_image(tmp_path / "16.tif"), PLANE)
    tifffile.imwrite(tmp_path / "f.tif", PLANE.astype(np.float32), photometric="miniswhite")
    with pytest.raises(InputError, match="0 is white"):
        read_image(tmp_path / "f.tif")


def test_masks_of_black_and_white_are_of_what_is_white(tmp_path):
    """Pillow stores white as 0 where it is called so; tifffile calls 0 white and stores true as 1."""
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:9] = True
    Image.fromarray(mask).save(tmp_path / "pillow.tif", tiffinfo={262: 0})
    tifffile.imwrite(tmp_path / "tifffile.tif", mask)
    tifffile.imwrite(tmp_path / "by_tifffile.tif", mask, software="another")
    tifffile.imwrite(tmp_path / "ome.tif", mask, software="another", ome=True)
    for name in ("pillow.tif", "tifffile.tif", "by_tifffile.tif", "ome.tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.pages.first.photometric.name == "MINISWHITE"
        np.testing.assert_array_equal(read_labels(tmp_path / name), mask)
        cell = read_mask(tmp_path / name)
        assert cell.area == mask.sum()
        assert cell.box[:2] == (2, 3)


def test_palettes(tmp_path):
    index = np.array([[0, 1], [2, 255]], np.uint8)
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257  # the look-up table "Green": the indices are the light
    tifffile.imwrite(tmp_path / "green.tif", index, photometric="palette", colormap=green)
    np.testing.assert_array_equal(read_image(tmp_path / "green.tif"), index)
    picture = np.zeros((3, 256), np.uint16)
    picture[:, 1], picture[:, 255] = (65535, 0, 257), (257 * 7, 257 * 8, 257 * 9)
    tifffile.imwrite(tmp_path / "picture.tif", index, photometric="palette", colormap=picture)
    assert read_image(tmp_path / "picture.tif").tolist() == [[[0, 0, 0], [255, 0, 1]], [[0, 0, 0], [7, 8, 9]]]
    np.testing.assert_array_equal(read_labels(tmp_path / "picture.tif"), index)
    assert [describe_image(tmp_path / f"{name}.tif")[0].rgb for name in ("green", "picture")] == [False, True]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16", "I", "F"])
def test_what_pillow_writes(tmp_path, mode):
    light = Image.fromarray(BYTES).convert("RGBA" if mode == "RGBA" else "L")
    picture = Image.fromarray(PLANE) if mode == "I;16" else light.convert(mode)
    picture.save(tmp_path / "a.tif")
    colours = {"LA": "L", "RGBA": "RGB"}.get(mode, mode)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.asarray(picture.convert(colours)))
    assert describe_image(tmp_path / "a.tif")[0].rgb == (colours == "RGB")


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_inks_and_chroma_are_refused(tmp_path, mode):
    Image.new(mode, (30, 20)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a.tif: pixels are stored as"):
        read_image(tmp_path / "a.tif")


def test_unnamed_extra_samples_stay_and_alpha_goes(tmp_path):
    four = RNG.integers(0, 255, (40, 50, 4), dtype=np.uint8)
    write_image(tmp_path / "ours.tif", four)
    np.testing.assert_array_equal(read_image(tmp_path / "ours.tif"), four)
    for kind, kept in (("unassalpha", 3), ("assocalpha", 3), ("unspecified", 4)):
        tifffile.imwrite(tmp_path / "a.tif", four, photometric="rgb", extrasamples=[kind])
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), four[:, :, :kept])


def test_level_of_white(tmp_path):
    def white(name="a.tif"):
        return describe_image(tmp_path / name)[0].white

    tifffile.imwrite(tmp_path / "a.tif", PLANE, extratags=[(281, 3, 1, 4095, True)])
    assert white() == 4095
    tifffile.imwrite(tmp_path / "a.tif", PLANE, extratags=[(281, 3, 1, 3977, True)])  # the brightest in use
    assert white() == 65535
    tifffile.imwrite(tmp_path / "a.ome.tif", PLANE, metadata={"SignificantBits": 14})
    assert white("a.ome.tif") == 2**14 - 1


def test_twelve_bits_are_unpacked(tmp_path):
    # Two pixels in three bytes: 0xABC, 0x123. TIFF written by hand: nine tags, one strip.
    import struct

    tags = [(256, 4, 2), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1), (278, 4, 1)]
    tags += [(279, 4, 3)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(content.ljust(122, b"\0") + bytes([0xAB, 0xC1, 0x23]))
    assert read_image(tmp_path / "a.tif").tolist() == [[0xABC, 0x123]]
    assert describe_image(tmp_path / "a.tif")[0].white == 4095


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (20000, 20000), "resolutionunit": "centimeter"}, 0.5),
        ({"resolution": (50800, 50800), "resolutionunit": "inch"}, 0.5),
        ({"resolution": (300, 300), "resolutionunit": "inch"}, None),
        ({"resolution": (20000, 10000), "resolutionunit": "centimeter"}, None),
        ({"resolution": (2, 2), "imagej": True, "metadata": {"unit": "micron"}}, 0.5),
        ({"resolution": (2, 2), "imagej": True, "metadata": {"unit": "\\u00B5m"}}, 0.5),
        ({"resolution": (0.002, 0.002), "imagej": True, "metadata": {"unit": "nm"}}, 0.5),
        ({"resolution": (2, 2), "imagej": True, "metadata": {"unit": "pixel"}}, None),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}}, 0.5),
        ({"ome": True, "metadata": {"PhysicalSizeX": 5e-4, "PhysicalSizeXUnit": "mm"}}, 0.5),
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 1.0}}, None),
    ],
    ids=str,
)
def test_pixel_size_with_its_unit(tmp_path, options, expected):
    tifffile.imwrite(tmp_path / "a.tif", PLANE, **options)
    found = describe_image(tmp_path / "a.tif")[0].pixel_size_um
    assert found is None if expected is None else found == pytest.approx(expected)


def test_a_large_file_is_mapped_and_not_copied(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(STACK[0, 0], 0, -1), photometric="minisblack", planarconfig="contig"
    )
    tifffile.imwrite(tmp_path / "ij.tif", STACK, imagej=True, metadata={"axes": "TZCYX"})
    for name in ("a.tif", "ij.tif"):
        found = read_pixels(tmp_path / name, mapped=True)
        base = found
        while not isinstance(base, np.memmap) and base.base is not None:
            base = base.base
        assert isinstance(base, np.memmap)
        np.testing.assert_array_equal(found, np.moveaxis(STACK[0, 0], 0, -1))


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 8}, {"compression": "zlib"}, {"imagej": True}, {"ome": True}])
def test_a_cut_file_is_refused(tmp_path, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0, 0], photometric="minisblack", metadata={"axes": "CYX"}, **options)
    content = path.read_bytes()
    for cut in (len(content) - 3000, len(content) // 2, 100):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"a.tif"):
            read_image(path)


METASERIES = """<MetaData><PlaneInfo><prop id="spatial-calibration-state" type="bool" value="{state}"/>
<prop id="spatial-calibration-x" type="float" value="1"/><prop id="spatial-calibration-y" type="float" value="1"/>
<prop id="spatial-calibration-units" type="string" value="{unit}"/></PlaneInfo></MetaData>"""


@pytest.mark.parametrize(
    ("state", "unit", "size"), [("on", "um", 1.0), ("off", "um", None), ("on", "nm", 0.001), ("on", "pixel", None)]
)
def test_metamorphs_calibration_counts_while_it_is_on(tmp_path, state, unit, size):
    """Off, the length beside it stands for nothing: as other readers have it (MetaMorph, "Calibrate Distances")."""
    description = METASERIES.format(state=state, unit=unit)
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((8, 12), np.uint16), description=description, metadata=None, software="MetaSeries"
    )
    assert describe_image(tmp_path / "a.tif")[0].pixel_size_um == size


IMAGEJ = "ImageJ=1.53t\nimages=12\nchannels=2\nslices=6\nhyperstack=true\n"


@pytest.mark.parametrize("pages", [1, 2, 4, 13])
def test_a_stack_of_imagej_that_lost_or_gained_planes_is_refused(tmp_path, pages):
    """Up to four were taken for channels, and those beyond what ImageJ wrote down were passed over."""
    path = tmp_path / "a.tif"
    stack = RNG.integers(0, 4000, (pages, 8, 9), dtype=np.uint16)
    tifffile.imwrite(path, stack, description=IMAGEJ, metadata=None, photometric="minisblack")
    with pytest.raises(InputError, match=rf"a.tif: its {pages} pages.*images=12"):
        describe_image(path)


def metamorph(path, planes, heights, times, wavelengths):
    """A STK, byte by byte: the planes in one block, and MetaMorph's tags UIC1 to UIC3 of the only page."""
    count, (high, wide) = len(planes), planes[0].shape
    data = b"".join(plane.astype("<u2").tobytes() for plane in planes)
    page = 8 + len(data)
    behind = page + 2 + 12 * 12 + 4  # of the page's directory of twelve tags
    each = b"".join(struct.pack("<6I", round(z * 1000), 1000, 2459000, t, 2459000, t) for z, t in zip(heights, times))
    waves = b"".join(struct.pack("<2I", nm, 1) for nm in wavelengths)
    at_waves = behind + len(each)
    tags = [(256, 4, 1, wide), (257, 4, 1, high), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, high), (279, 4, 1, 2 * high * wide), (33628, 4, 2, at_waves + len(waves))]
    tags += [(33629, 5, count, behind), (33630, 5, count, at_waves)]
    listed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI", b"II", 42, page) + data + struct.pack("<H", len(tags)) + listed + bytes(4)
    path.write_bytes(head + each + waves + bytes(64))
    return path


@pytest.mark.parametrize(
    ("heights", "times", "wavelengths", "axis"),
    [
        ((1, 1, 1), (0, 100, 200), (525, 525, 525), "Z"),
        ((0, 1, 1), (0, 100, 200), (525, 525, 525), "Z"),
        ((0, 1, 1), (0, 0, 0), (525, 525, 525), "Z"),
        ((0, 0, 0), (0, 100, 200), (525, 525, 525), "T"),
        ((0, 0, 0), (0, 100, 200), (450, 525, 605), "C"),
    ],
)
def test_planes_of_a_metamorph_stack_are_what_its_tags_say(tmp_path, heights, times, wavelengths, axis):
    """Slices of which the first lies at 0, and wavelengths one after another, passed for timepoints."""
    planes = [PLANE + n for n in range(3)]
    path = metamorph(tmp_path / "a.stk", planes, heights, times, wavelengths)
    (info,) = describe_image(path)
    assert {name: info.sizes[name] for name in "TZC"} == {"T": 1, "Z": 1, "C": 1} | {axis: 3}
    assert not info.undeclared
    for n, plane in enumerate(planes):
        found = read_pixels(path)[..., n] if axis == "C" else read_pixels(path, **{axis.lower(): n})[..., 0]
        np.testing.assert_array_equal(found, plane)


def test_a_metamorph_stack_of_wavelengths_and_slices_is_refused(tmp_path):
    path = metamorph(tmp_path / "a.stk", [PLANE] * 4, (0, 0, 1, 1), (0, 1, 2, 3), (525, 605, 525, 605))
    with pytest.raises(InputError, match=r"a.stk: 4 planes of 2 wavelengths"):
        describe_image(path)
    (info,) = describe_image(metamorph(tmp_path / "b.stk", [PLANE], (0,), (0,), (525,)))
    assert {name: info.sizes[name] for name in "TZC"} == {"T": 1, "Z": 1, "C": 1}
