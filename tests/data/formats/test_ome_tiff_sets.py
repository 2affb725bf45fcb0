"""OME-TIFFs of several files: each gives its own planes, and what is nowhere is an error."""

import numpy as np
import pytest
import tifffile

from cellular.data.find import find_plate
from cellular.data.formats.image_file import describe_image, files_behind, read_pixels
from cellular.data.formats.images import read_image
from cellular.data.image import read_field
from cellular.errors import InputError

UUIDS = [f"urn:uuid:{str(k) * 8}-{str(k) * 4}-{str(k) * 4}-{str(k) * 4}-{str(k) * 12}" for k in (1, 2, 3)]


def plane(value):
    return np.full((8, 9), value, np.uint16)


def write(folder, name, pages, text):
    with tifffile.TiffWriter(folder / name, ome=False) as file:
        for n, page in enumerate(pages):
            options = {"description": text} if n == 0 else {}
            file.write(page, metadata=None, photometric="minisblack", **options)
    return folder / name


def xml(blocks, sizes, uuid="", names=(), order="XYZCT"):
    sizes = " ".join(f'Size{axis}="{n}"' for axis, n in sizes.items())
    channels = "".join(f'<Channel ID="C:{n}" Name="{name}"/>' for n, name in enumerate(names))
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {uuid}><Image ID="I:0">'
        f'<Pixels ID="P:0" DimensionOrder="{order}" Type="uint16" SizeX="9" SizeY="8" {sizes}>{channels}{blocks}'
        "</Pixels></Image></OME>"
    )


def block(n, name, **first):
    first = " ".join(f'{key}="{value}"' for key, value in first.items())
    return f'<TiffData {first} IFD="0" PlaneCount="1"><UUID FileName="{name}">{UUIDS[n]}</UUID></TiffData>'


@pytest.mark.parametrize("kept", [(0, 1), (0,), (1,)])
def test_a_file_for_each_timepoint_whether_or_not_the_others_are_there(tmp_path, kept):
    blocks = "".join(block(t, f"T{t}.ome.tif", FirstT=t) for t in (0, 1))
    for t in kept:
        text = xml(blocks, {"Z": 1, "C": 1, "T": 2}, f'UUID="{UUIDS[t]}"')
        path = write(tmp_path, f"T{t}.ome.tif", [plane(100 + t)], text)
        (info,) = describe_image(path)
        assert (info.sizes["T"], info.times) == (1, (t,))
        assert (read_image(path) == 100 + t).all()


def test_a_file_for_each_channel_has_that_channels_name(tmp_path):
    blocks = "".join(block(c, f"C{c}.ome.tif", FirstC=c) for c in (0, 1))
    for c in (0, 1):
        text = xml(blocks, {"Z": 1, "C": 2, "T": 1}, f'UUID="{UUIDS[c]}"', ("EGFP", "mRFP"))
        path = write(tmp_path, f"C{c}.ome.tif", [plane(c)], text)
        assert describe_image(path)[0].channels == (("EGFP", "mRFP")[c],)


def test_a_renamed_file_of_its_own_is_still_itself(tmp_path):
    text = xml(block(0, "first name.ome.tif", FirstT=0), {"Z": 1, "C": 1, "T": 1})
    assert (read_image(write(tmp_path, "second.ome.tif", [plane(5)], text)) == 5).all()


def test_without_uuids_the_file_names_tell(tmp_path):
    blocks = "".join(
        f'<TiffData FirstT="{t}" PlaneCount="1"><UUID FileName="t{t}.ome.tif"/></TiffData>' for t in (0, 1)
    )
    path = write(tmp_path, "t1.ome.tif", [plane(7)], xml(blocks, {"Z": 1, "C": 1, "T": 2}))
    assert describe_image(path)[0].times == (1,)
    other = write(tmp_path, "elsewhere.ome.tif", [plane(7)], xml(blocks, {"Z": 1, "C": 1, "T": 2}))
    with pytest.raises(InputError, match=r"elsewhere.ome.tif: its OME-XML lists no plane of this file; was it renamed"):
        describe_image(other)


def test_planes_that_are_nowhere_are_errors_and_the_others_are_read(tmp_path):
    text = xml("<TiffData/>", {"Z": 1, "C": 1, "T": 3})
    path = write(tmp_path, "a.ome.tif", [plane(0), plane(1)], text)
    assert (read_pixels(path, t=1) == 1).all()
    with pytest.raises(InputError, match="a.ome.tif: the plane at T = 2, Z = 0, C = 0 is nowhere"):
        read_pixels(path, t=2)


def test_pages_in_an_order_of_their_own(tmp_path):
    places = [(1, 0), (0, 1), (1, 1), (0, 0)]  # t, c of each page
    blocks = "".join(f'<TiffData FirstT="{t}" FirstC="{c}" IFD="{n}"/>' for n, (t, c) in enumerate(places))
    path = write(tmp_path, "a.ome.tif", map(plane, range(4)), xml(blocks, {"Z": 1, "C": 2, "T": 2}))
    assert [read_pixels(path, t=t)[0, 0].tolist() for t in (0, 1)] == [[3, 1], [0, 2]]
    assert [read_pixels(path, t=t, mapped=True)[0, 0].tolist() for t in (0, 1)] == [[3, 1], [0, 2]]


def test_a_companion_file_describes(tmp_path):
    blocks = "".join(block(t, f"T{t}.ome.tif", FirstT=t) for t in (0, 1))
    (tmp_path / "set.companion.ome").write_text(xml(blocks, {"Z": 1, "C": 1, "T": 2}, f'UUID="{UUIDS[2]}"', ("EGFP",)))
    text = (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{UUIDS[1]}">'
        f'<BinaryOnly MetadataFile="set.companion.ome" UUID="{UUIDS[2]}"/></OME>'
    )
    path = write(tmp_path, "T1.ome.tif", [plane(4)], text)
    (info,) = describe_image(path)
    assert (info.channels, info.times) == (("EGFP",), (1,))
    # where it is another, a run that goes on reads the field anew
    assert files_behind(path) == [path, tmp_path / "set.companion.ome"]
    (tmp_path / "set.companion.ome").unlink()
    assert files_behind(path) == [path]
    assert (read_image(path) == 4).all()


@pytest.mark.parametrize("sizes", [{"Z": 1, "C": 1, "T": 10**9}, {"Z": 0, "C": 1, "T": 1}])
def test_impossible_numbers_of_planes_are_refused(tmp_path, sizes):
    path = write(tmp_path, "a.ome.tif", [plane(0)], xml("<TiffData/>", sizes))
    with pytest.raises(InputError, match=r"a.ome.tif.*claims"):
        describe_image(path)


def test_xml_that_defines_entities_is_refused(tmp_path):
    text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><OME><Image/></OME>'
    with pytest.raises(InputError, match="entities"):
        describe_image(write(tmp_path, "a.ome.tif", [plane(0)], text))


def test_timepoints_of_a_later_part_of_a_series_keep_their_numbers(tmp_path):
    """The second file's began at 1 again, as if its cells had been seen as early as the first one's."""
    blocks = "".join(block(n, f"part{n}.ome.tif", FirstT=2 * n).replace('Count="1"', 'Count="2"') for n in (0, 1))
    for n in (0, 1):
        text = xml(blocks, {"Z": 1, "C": 1, "T": 4}, f'UUID="{UUIDS[n]}"', ("EGFP",))
        write(tmp_path, f"part{n}.ome.tif", [plane(2 * n), plane(2 * n + 1)], text)
    found = [(item.name, item.timepoint, int(read_field(item).pixels.max())) for item in find_plate(tmp_path).fields]
    assert found == [("part0_t001", 1, 0), ("part0_t002", 2, 1), ("part1_t003", 3, 2), ("part1_t004", 4, 3)]


def test_a_last_part_of_one_timepoint_has_its_number(tmp_path):
    """Cameras' files of 4 GB end anywhere: the only timepoint of the last one had none."""
    counts = (2, 1)
    blocks = "".join(
        block(n, f"part{n}.ome.tif", FirstT=2 * n).replace('Count="1"', f'Count="{count}"')
        for n, count in enumerate(counts)
    )
    for n, count in enumerate(counts):
        text = xml(blocks, {"Z": 1, "C": 1, "T": 3}, f'UUID="{UUIDS[n]}"', ("EGFP",))
        write(tmp_path, f"part{n}.ome.tif", [plane(2 * n + k) for k in range(count)], text)
    found = [(item.name, item.timepoint, int(read_field(item).pixels.max())) for item in find_plate(tmp_path).fields]
    assert found == [("part0_t001", 1, 0), ("part0_t002", 2, 1), ("part1_t003", 3, 2)]


def test_timepoints_that_alternate_between_files_keep_their_numbers(tmp_path):
    """Two cameras in turn: the second timepoint of the first file is the third of the series."""

    def at(n, ifd):
        return block(n, f"cam{n}.ome.tif", FirstT=2 * ifd + n).replace('IFD="0"', f'IFD="{ifd}"')

    blocks = "".join(at(n, ifd) for n in (0, 1) for ifd in (0, 1))
    for n in (0, 1):
        text = xml(blocks, {"Z": 1, "C": 1, "T": 4}, f'UUID="{UUIDS[n]}"', ("EGFP",))
        write(tmp_path, f"cam{n}.ome.tif", [plane(n), plane(2 + n)], text)
    found = [(item.name, item.timepoint, int(read_field(item).pixels.max())) for item in find_plate(tmp_path).fields]
    assert found == [("cam0_t001", 1, 0), ("cam0_t003", 3, 2), ("cam1_t002", 2, 1), ("cam1_t004", 4, 3)]


def test_a_stack_that_goes_on_in_another_file_is_refused(tmp_path):
    """Each file's slices were projected by themselves, to two fields of the same cells."""
    blocks = "".join(block(n, f"part{n}.ome.tif", FirstZ=2 * n).replace('Count="1"', 'Count="2"') for n in (0, 1))
    for n in (0, 1):
        text = xml(blocks, {"Z": 4, "C": 1, "T": 1}, f'UUID="{UUIDS[n]}"', ("EGFP",))
        write(tmp_path, f"part{n}.ome.tif", [plane(2 * n), plane(2 * n + 1)], text)
    with pytest.raises(InputError, match=r"part0.*2 more slices"):
        find_plate(tmp_path, z="max")


def test_pages_that_the_description_does_not_know_are_not_left_out(tmp_path):
    """As of files that were joined page by page: the later file's were passed over."""
    text = xml("<TiffData/>", {"Z": 2, "C": 1, "T": 1})
    path = write(tmp_path, "a.ome.tif", [plane(n) for n in range(4)], text)
    with pytest.raises(InputError, match=r"a.ome.tif.*lists 2 pages.*2 more"):
        describe_image(path)
    smaller = [plane(0), plane(1), plane(2)[:4, :4]]
    assert describe_image(write(tmp_path, "b.ome.tif", smaller, text))[0].sizes["Z"] == 2
