"""Fields as their names and files say, and what is refused when it is read."""

import shutil

import numpy as np
import pytest
import tifffile

from cellular.autophagy.quality.saturation import saturated_pixels
from cellular.data.find import find_plate
from cellular.data.formats.images import write_image
from cellular.data.image import read_field
from cellular.errors import InputError


def imagej_file(path, pixels, axes):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes})


@pytest.mark.parametrize("channels", [("w1",), ("w1", "w2")])
def test_a_stack_in_a_file_named_as_one_channel_is_projected_as_it_is_told(tmp_path, channels):
    """Its first slice alone would look like a whole image."""
    pixels = {
        channel: np.random.default_rng(k).integers(0, 999, (3, 16, 16), np.uint16) for k, channel in enumerate(channels)
    }
    for channel in channels:
        imagej_file(tmp_path / f"P_A01_s1_{channel}.tif", pixels[channel], "ZYX")
    with pytest.raises(InputError, match=r"w1\.tif: P_A01_s1 is a z-stack of 3 slices; say --z max"):
        find_plate(tmp_path)
    for z, project in (("max", lambda p: p.max(axis=0)), ("sum", lambda p: p.sum(axis=0)), (2, lambda p: p[1])):
        image = read_field(find_plate(tmp_path, z=z).fields[0])
        for k, channel in enumerate(channels):
            np.testing.assert_array_equal(image.pixels[:, :, k], project(pixels[channel]))


def test_timepoints_in_files_named_as_one_channel_are_fields(tmp_path):
    """As ImageJ writes the channels of a film: C1-film.tif, C2-film.tif."""
    pixels = np.random.default_rng(0).integers(0, 999, (2, 3, 16, 16), np.uint16)
    for k in range(2):
        imagej_file(tmp_path / f"C{k + 1}-film.tif", pixels[k], "TYX")
    plate = find_plate(tmp_path)
    assert [(item.name, item.timepoint) for item in plate.fields] == [(f"film_t00{t}", t) for t in (1, 2, 3)]
    assert len({item.series for item in plate.fields}) == 1
    for t, item in enumerate(plate.fields):
        np.testing.assert_array_equal(read_field(item).pixels, np.moveaxis(pixels[:, t], 0, -1))


def test_one_slice_beside_stacks_of_another_channel(tmp_path):
    """Transmitted light is often taken at one height."""
    pixels = np.random.default_rng(0).integers(0, 999, (3, 16, 16), np.uint16)
    imagej_file(tmp_path / "A01_s1_w1.tif", pixels, "ZYX")
    imagej_file(tmp_path / "A01_s1_w2.tif", pixels[0], "YX")
    image = read_field(find_plate(tmp_path, z="max", channels=["EGFP=w1", "transmitted=w2"]).fields[0])
    np.testing.assert_array_equal(image.plane("EGFP"), pixels.max(axis=0))
    np.testing.assert_array_equal(image.plane("transmitted"), pixels[0])


def test_channels_of_unlike_length_and_files_unlike_the_first_are_refused(tmp_path):
    film = np.zeros((3, 16, 16), np.uint16)
    imagej_file(tmp_path / "time" / "C1-film.tif", film, "TYX")
    imagej_file(tmp_path / "time" / "C2-film.tif", film[:2], "TYX")
    with pytest.raises(InputError, match=r"C1-film\.tif: channels of film hold .* timepoints, 3 in C1, 2 in C2"):
        find_plate(tmp_path / "time")
    imagej_file(tmp_path / "unlike" / "A01_s1_w1.tif", film[0], "YX")
    imagej_file(tmp_path / "unlike" / "A02_s1_w1.tif", film, "ZYX")
    with pytest.raises(
        InputError, match=r"A02_s1_w1\.tif: by its name one channel, but it holds \{'Z': 3\}, and the first"
    ):
        read_field(find_plate(tmp_path / "unlike").fields[1])
    (tmp_path / "scenes").mkdir()
    with tifffile.TiffWriter(tmp_path / "scenes" / "A01_s1_w1.ome.tif", ome=True) as file:
        for _ in range(2):
            file.write(film[0])
    with pytest.raises(InputError, match=r"w1\.ome\.tif: by its name one channel, but it holds 2 images"):
        read_field(find_plate(tmp_path / "scenes").fields[0])


def test_one_plane_named_as_one_channel_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "P_A01_s1_w1.tif", np.full((16, 16), 7, np.uint16))
    image = read_field(find_plate(tmp_path, channels=["EGFP=w1"]).fields[0])
    assert (image.pixels.shape, image.roles, image.pixels.max()) == ((16, 16, 1), ("EGFP",), 7)


def test_a_folder_that_is_named_like_an_image_is_none(tmp_path):
    write_image(tmp_path / "A01.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "A02.tif").mkdir()
    assert [item.name for item in find_plate(tmp_path).fields] == ["A01"]


def two_channels(path, names, levels):
    planes = np.stack([np.full((9, 12), level, np.uint16) for level in levels])
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path, planes, ome=True, photometric="minisblack", metadata=metadata)


def light_of(plate):
    images = [read_field(item) for item in plate.fields]
    return [{role: int(image.plane(role).max()) for role in image.roles if role} for image in images]


def test_files_whose_channels_are_in_another_order_keep_their_light(tmp_path):
    """The names of one file's channels stood for all files': red was green in the others."""
    two_channels(tmp_path / "A01.ome.tif", ["EGFP", "mRFP"], [100, 500])
    two_channels(tmp_path / "A02.ome.tif", ["mRFP", "EGFP"], [500, 100])
    plate = find_plate(tmp_path)
    assert light_of(plate) == [{"mRFP": 500, "EGFP": 100}] * 2
    assert {source.called for source in plate.channels} == {"1 (EGFP)", "2 (mRFP)", "1 (mRFP)", "2 (EGFP)"}


def test_a_name_stands_for_a_channel_wherever_it_is(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["488", "561"], [100, 500])
    two_channels(tmp_path / "A02.ome.tif", ["561", "488"], [500, 100])
    plate = find_plate(tmp_path, channels=["EGFP=488", "mRFP=561"])
    assert light_of(plate) == [{"mRFP": 500, "EGFP": 100}] * 2
    with pytest.raises(InputError, match="channel 1 is 488 in some files, 561 in others; say its name"):
        find_plate(tmp_path, channels=["EGFP=1", "mRFP=2"])


def test_a_file_without_names_has_no_roles_by_the_others(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["EGFP", "mRFP"], [100, 500])
    tifffile.imwrite(tmp_path / "A02.tif", np.zeros((2, 9, 12), np.uint16), imagej=True, metadata={"axes": "CYX"})
    assert light_of(find_plate(tmp_path)) == [{"mRFP": 500, "EGFP": 100}, {}]
    # By number all files are meant: none of them says otherwise.
    assert light_of(find_plate(tmp_path, channels=["EGFP=1", "mRFP=2"]))[1] == {"mRFP": 0, "EGFP": 0}


def test_two_channels_of_one_role_in_a_file_have_none(tmp_path):
    two_channels(tmp_path / "A01.ome.tif", ["GFP", "EGFP"], [100, 500])
    plate = find_plate(tmp_path)
    assert light_of(plate) == [{}]
    assert "channels 1 and 2 could both be EGFP" in plate.notes[0]


def stack(folder, slices):
    """Files of one field, by the end of their names; each of one level."""
    for end, level in slices.items():
        tifffile.imwrite(folder / f"P_A01_s1_{end}.tif", np.full((9, 12), level))


def summed(folder, z="sum"):
    return read_field(find_plate(folder, z=z, channels=["EGFP=w1"]).fields[0])


def test_metaxpress_keeps_projections_in_zstep_0(tmp_path):
    for n, level in enumerate((9, 4, 5)):
        folder = tmp_path / "TimePoint_1" / f"ZStep_{n}"
        folder.mkdir(parents=True)
        tifffile.imwrite(folder / "P_A01_s1_w1.tif", np.full((9, 12), level, np.uint16))
    with pytest.raises(InputError, match=r"ZStep_0.P_A01_s1_w1\.tif: it is no slice by its name"):
        summed(tmp_path)
    assert [summed(tmp_path, z=n).pixels.max() for n in (1, 2)] == [4, 5]


@pytest.mark.parametrize("slice", ["w1_z0", "w1_z1"])
def test_a_projection_beside_its_slices_is_none_of_them(slice, tmp_path):
    """It was summed with them, or took the place of the one called 0."""
    stack(tmp_path, {"w1": np.uint16(9), slice: np.uint16(4), "w1_z2": np.uint16(5)})
    with pytest.raises(InputError, match=f"it is no slice by its name, and .*{slice}"):
        find_plate(tmp_path, z="sum")
    assert summed(tmp_path, z=2).pixels.max() == 5


def test_the_one_slice_that_is_left_is_not_another(tmp_path):
    stack(tmp_path, {"w1_z1": np.uint16(4)})
    for z in (1, 2):
        tifffile.imwrite(tmp_path / f"P_A02_s1_w1_z{z}.tif", np.full((9, 12), z, np.uint16))
    with pytest.raises(InputError, match="P_A01_s1 has no slice 2; it has 1"):
        find_plate(tmp_path, z=2)
    assert find_plate(tmp_path, z=1).fields[0].images == (tmp_path / "P_A01_s1_w1_z1.tif",)


def test_a_sum_keeps_the_sign_and_does_not_wrap(tmp_path):
    stack(tmp_path, {"w1_z1": np.int16(-5), "w1_z2": np.int16(2)})
    assert summed(tmp_path).pixels.max() == -3
    stack(tmp_path, {"w1_z1": np.uint32(2**31), "w1_z2": np.uint32(2**31 - 1)})
    assert summed(tmp_path).pixels.max() == 2**32 - 1
    stack(tmp_path, {"w1_z2": np.uint32(2**31)})
    with pytest.raises(InputError, match="sum of 2 slices does not fit 32 bits"):
        summed(tmp_path)


def test_a_sum_knows_what_is_saturated_in_a_slice(tmp_path):
    stack(tmp_path, {"w1_z1": np.uint16(7), "w1_z2": np.uint16(7)})
    bright = np.full((9, 12), 7, np.uint16)
    bright[2, 3:7] = 65535
    tifffile.imwrite(tmp_path / "P_A01_s1_w1_z2.tif", bright)
    image = summed(tmp_path)
    assert image.pixels.max() == 65542
    assert np.argwhere(saturated_pixels(image, 0)).tolist() == [[2, 3], [2, 4], [2, 5], [2, 6]]


def test_slices_of_different_numbers_are_no_stack(tmp_path):
    stack(tmp_path, {"w1_z1": np.uint8(4), "w1_z2": np.uint16(5)})
    with pytest.raises(InputError, match="slices are uint16 and uint8; save all alike"):
        summed(tmp_path)


def test_sums_of_8_and_of_16_bits_are_not_alike(tmp_path):
    """Both are of 32 bits."""
    stack(tmp_path, {"w1_z1": np.uint8(4), "w1_z2": np.uint8(5), "w2_z1": np.uint16(4), "w2_z2": np.uint16(5)})
    with pytest.raises(InputError, match="uint8 pixels, .* uint16: the levels of EGFP and mRFP cannot be compared"):
        read_field(find_plate(tmp_path, z="sum", channels=["EGFP=w1", "mRFP=w2"]).fields[0])


@pytest.mark.parametrize(("other", "refused"), [(0.3251, False), (0.65, True)])
def test_channels_whose_pixels_are_of_two_sizes(other, refused, tmp_path):
    for n, um in ((1, 0.325), (2, other)):
        write_image(tmp_path / f"P_A01_s1_w{n}.tif", np.zeros((9, 12), np.uint16), um)
    item = find_plate(tmp_path, channels=["EGFP=w1", "mRFP=w2"]).fields[0]
    if refused:
        with pytest.raises(InputError, match=r"differ in pixel size: \[0\.3\d+, 0\.6\d+\] um"):
            read_field(item)
    else:
        assert read_field(item).pixel_size_um == pytest.approx(0.325, rel=1e-3)


def test_each_channel_is_saturated_at_its_own_level(tmp_path):
    """A stain saved as fractions made all channels so, and fractions have no level of white."""
    planes = {"w1": np.full((9, 12), 7, np.uint16), "w2": np.full((9, 12), 0.5, np.float32)}
    planes["w1"][4, 5] = 1023
    tifffile.imwrite(tmp_path / "P_A01_s1_w1.tif", planes["w1"], extratags=[(281, 3, 1, 1023, True)])
    tifffile.imwrite(tmp_path / "P_A01_s1_w2.tif", planes["w2"])
    image = read_field(find_plate(tmp_path, channels=["EGFP=w1", "DNA=w2"]).fields[0])
    assert np.argwhere(saturated_pixels(image, 0)).tolist() == [[4, 5]]
    assert not saturated_pixels(image, 1).any()


def test_linked_and_deep_folders_are_looked_through_and_a_folder_once(tmp_path):
    """A plate behind a link, and whatever lay six folders down, was left out without a word."""
    deep = "lab/2024-03-01/17/data/raw/more"
    for place in (f"in/{deep}/P1_A01_s1_w1.tif", "elsewhere/A01_s1_w1.tif"):
        write_image(tmp_path / place, np.zeros((8, 9), np.uint16))
    (tmp_path / "in" / "P2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "lab" / "up").symlink_to(tmp_path / "in")
    assert [item.name for item in find_plate(tmp_path / "in").fields] == ["P1_A01_s1", "P2_A01_s1"]


@pytest.mark.parametrize(("stray", "below", "said"), [
    ("overview.png", "P1/A01_s1_w1.tif", True),
    ("P_A01_s1_w1.tif", "P_A02_s1_w1.tif", True),
    ("P_A01_s1_w1.tif", "run/overlays/A01.jpg", False),
])  # fmt: skip
def test_images_in_folders_beside_an_image_are_counted(stray, below, said, tmp_path):
    """One picture above a plate's folders, and the plate was that picture."""
    below = below if "/" in below else f"more/{below}"
    for place in (stray, below):
        write_image(tmp_path / place, np.zeros((8, 9), np.uint8))
    plate = find_plate(tmp_path)
    assert len(plate) == 1
    assert [f"first {below}" in note for note in plate.notes] == [True] * said


def test_slices_are_slices_whichever_of_time_and_height_is_named_first(tmp_path):
    """Slices of ``_z0_t0`` were fields of their own, and --z changed nothing."""
    for z in (0, 1):
        for t in (0, 1):
            tifffile.imwrite(tmp_path / f"x_z{z}_t{t}_ch00.tif", np.full((8, 9), 10 * t + z, np.uint16))
    found = [(item.name, item.series, item.timepoint) for item in find_plate(tmp_path, z="max").fields]
    assert found == [("x_t0", "x", 0), ("x_t1", "x", 1)]
    assert [read_field(item).pixels.max() for item in find_plate(tmp_path, z="sum").fields] == [1, 21]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("x_GFP_z1", "x_GFP_z2"), "names such as x_GFP_z1, each a field"),
        (("x-Z01", "y-Z01"), None),
        (("fuzz1", "fuzz2"), None),
    ],
)
def test_names_that_may_be_of_slices_are_told(names, said, tmp_path):
    for name in names:
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((8, 9), np.uint16))
    told = [note for note in find_plate(tmp_path).notes if "field of its own" in note]
    assert [note[: len(said or "")] for note in told] == ([said] if said else [])


def test_a_projection_of_nothing_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "P_A01_s1_w1.tif", np.zeros((8, 9), np.uint16))
    (note,) = find_plate(tmp_path, z="sum").notes
    assert note == "z-stacks are to be projected (--z sum), and none is here, by names or files"
    tifffile.imwrite(
        tmp_path / "P_A01_s1_w1.tif", np.zeros((2, 8, 9), np.uint16), metadata={"axes": "ZYX"}, imagej=True
    )
    assert find_plate(tmp_path / "P_A01_s1_w1.tif", scheme="plain", z="sum").notes == ()


def lay(folder, *names):
    for number, name in enumerate(names, 1):
        write_image(folder / f"{name}.tif", np.full((8, 9), number, np.uint16))


def test_steps_beside_a_channel_in_a_wells_folder_are_no_part_of_its_name(tmp_path):
    """``t0_GFP`` and ``t1_GFP``, and ``GFP_z0`` and ``GFP_z1``, were channels of one field."""
    lay(tmp_path, *(f"A01/s1_z{z}_t{t}_GFP" for z in (0, 1) for t in (0, 1)), "B02/RFP_z3", "B02/RFP_z4")
    found = {item.name: [s.token for s in item.sources] for item in find_plate(tmp_path, z="max").fields}
    assert found == {"A01_s1_t000": ["GFP"], "A01_s1_t001": ["GFP"], "B02": ["RFP"]}
    assert [read_field(item).pixels.max() for item in find_plate(tmp_path, z="max").fields] == [3, 4, 6]


def test_images_of_two_places_in_a_wells_folder_are_no_channels_of_one(tmp_path):
    """Of img1 and img2 the latter was left out with --channels EGFP=img1_GFP; unlike roles of both were one field."""
    lay(tmp_path, *(f"A01/img{n}_{name}" for n in (1, 2) for name in ("GFP", "RFP")))
    with pytest.raises(InputError, match=r"img1_GFP.tif and img2_GFP.tif lie in one well's folder"):
        find_plate(tmp_path)
    fields = find_plate(tmp_path, pattern=r"(?P<well>[^/]+)/\D*(?P<site>\d+)_(?P<channel>[^_]+)").fields
    assert [(item.name, item.roles) for item in fields] == [(f"A01_s{n}", ("mRFP", "EGFP")) for n in (1, 2)]
    lay(tmp_path / "red", "A01/far_red", "A01/Texas_Red")
    assert len(find_plate(tmp_path / "red").fields[0].sources) == 2


def test_folders_that_are_called_as_channels_are_no_plates(tmp_path):
    """Every place was two fields, one a colour."""
    lay(tmp_path, *(f"{channel}/A01_s{site}" for channel in ("EGFP", "mRFP") for site in (1, 2)))
    with pytest.raises(InputError, match=r"EGFP and mRFP seem to be channels"):
        find_plate(tmp_path)
    fields = find_plate(tmp_path, pattern=r"(?P<channel>[^/]+)/(?P<well>[^_]+)_s(?P<site>\d+)").fields
    assert [(item.name, item.roles) for item in fields] == [(f"A01_s{n}", ("mRFP", "EGFP")) for n in (1, 2)]
    lay(tmp_path / "lines", "GFP/A01_s1", "RFP/B01_s1")  # other places: two plates, as of two cell lines
    assert len(find_plate(tmp_path / "lines")) == 2


def test_results_inside_a_plates_folder_are_no_part_of_it(tmp_path):
    for day in ("d1", "d2"):
        (tmp_path / "plate" / day).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "plate" / day / "a_GFP.tif", np.zeros((40, 40), np.uint16))
    before = find_plate(tmp_path / "plate")
    results = tmp_path / "plate" / "d1" / "out"
    for name in ("overlays/a.jpg", "gallery/01_a.png", "labels/a_masks.tif", "flat_field/EGFP.tif"):
        (results / name).parent.mkdir(parents=True)
        write_image(results / name, np.zeros((40, 40, 3), np.uint8))
    for name in ("plate.json", "analyse.json"):
        (results / name).write_text("{}")
    assert find_plate(tmp_path / "plate") == before
    # nor are images beside them said to be passed over
    shutil.move(results, tmp_path / "plate" / "d2" / "out")
    assert not any("not read" in note for note in find_plate(tmp_path / "plate" / "d2").notes)
    # without their records they are files like others
    (tmp_path / "plate" / "d2" / "out" / "plate.json").unlink()
    (note,) = [note for note in find_plate(tmp_path / "plate" / "d2").notes if "not read" in note]
    assert "1 image(s) in folders below" in note
    assert "out/flat_field/EGFP.tif" in note


def test_wells_of_two_dates_are_told_apart_by_their_folders(tmp_path):
    for day in ("2024-03-01", "2024-03-08"):
        for channel in ("gfp", "rfp"):
            write_image(tmp_path / day / f"B07_{channel}.tif", np.zeros((8, 8), np.uint16))
    rest = r"/(?P<well>[^_]+)_(?P<channel>.+)"
    for pattern in (None, "(?P<date>[^/]+)" + rest):
        with pytest.raises(InputError, match=r"both be called B07; .* their folders as plates: '\(\?P<plate>"):
            find_plate(tmp_path, pattern=pattern)
    plate = find_plate(tmp_path, pattern="(?P<plate>(?P<date>[^/]+))" + rest)
    assert [(item.name, item.date) for item in plate.fields] == [
        ("2024-03-01_B07", "240301"),
        ("2024-03-08_B07", "240308"),
    ]


@pytest.mark.parametrize(
    ("names", "said", "pattern"),
    [
        (("ctrl_01.tif",), r"part of the name: '\(\?P<series>\(\?P<date>", "(?P<series>(?P<date>[^/]+)/.+)"),
        (("C1-ctrl_01.tif", "C2-ctrl_01.tif"), "plates", r"(?P<plate>(?P<date>[^/]+))/(?P<channel>C\d)-(?P<series>.+)"),
    ],
)
def test_dishes_of_two_days_are_told_apart_by_their_folders(tmp_path, names, said, pattern):
    """The pattern that was asked for was refused by the same words, whatever it read of the folder."""
    for day in ("2024-03-01", "2024-03-08"):
        for name in names:
            write_image(tmp_path / day / name, np.zeros((8, 8), np.uint16))
    with pytest.raises(InputError, match=f"both be called ctrl_01; .*{said}"):
        find_plate(tmp_path)
    fields = find_plate(tmp_path, pattern=pattern).fields
    assert [(item.name, item.series, item.date, len(item.images)) for item in fields] == [
        ("2024-03-01_ctrl_01", "2024-03-01_ctrl_01", "240301", len(names)),
        ("2024-03-08_ctrl_01", "2024-03-08_ctrl_01", "240308", len(names)),
    ]


def test_copies_beside_their_originals_are_left_out_and_others_stay(tmp_path):
    """Cells of a copy counted twice; `x (1).tif` of other pixels is an image of its own."""
    for number, name in enumerate(("x.tif", "y.ome.tif", "x (1).tif")):
        tifffile.imwrite(tmp_path / name, np.full((8, 8), number, np.uint16))
    for name in (
        "x (2).tif",
        "x(3).tif",
        "x - Copy.tif",
        "x - Kopie (2).tif",
        "x copy 2.tif",
        "Copy of x.tif",
        "z.tif",
    ):
        shutil.copy(tmp_path / "x.tif", tmp_path / name)
    shutil.copy(tmp_path / "x.tif", tmp_path / "z.tif")
    for name in ("y.ome - Copy.tif", "y (1).ome.tif"):
        shutil.copy(tmp_path / "y.ome.tif", tmp_path / name)
    found = find_plate(tmp_path)
    assert [item.name for item in found.fields] == ["x", "x (1)", "y", "z"]
    assert found.notes[0] == "8 copies of other files left out, first Copy of x.tif of x.tif"


def test_channels_of_one_name_in_folders_that_are_no_channels_are_said(tmp_path):
    """Images of one reporter of one experiment, and of another of the next, became a field of both."""
    for folders in (("exp1", "exp2"), ("GFP", "mRFP")):
        for folder, channel in zip(folders, ("GFP", "mRFP")):
            write_image(tmp_path / folders[0] / "all" / folder / f"ctrl_{channel}.tif", np.ones((8, 8), np.uint16))
        found = find_plate(tmp_path / folders[0])
        assert [item.name for item in found.fields] == ["ctrl"]
        said = [note for note in found.notes if "taken from the folders all/exp1 and all/exp2" in note]
        assert len(said) == (folders[0] == "exp1")
