"""What the makers' files beside the images say."""

from pathlib import PurePosixPath

import numpy as np
import pytest

from cellular.data.find import find_plate
from cellular.data.formats.images import write_image
from cellular.data.schemes import SCHEMES, Beside
from cellular.errors import InputError

INDEX = """<?xml version="1.0" encoding="utf-8"?>
<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><Images>
<Image Version="1"><URL>r01c01f01p01-ch1sk1fk1fl1.tiff</URL><ChannelID>1</ChannelID><ChannelName>{name}</ChannelName>
<ImageResolutionX Unit="m">{size}</ImageResolutionX></Image>
<Image Version="1"><URL>r01c01f01p01-ch2sk1fk1fl1.tiff</URL><ChannelID>2</ChannelID><ChannelName>EGFP</ChannelName>
<ImageResolutionX Unit="m">{size}</ImageResolutionX></Image></Images></EvaluationInputData>"""
# Harmony 6 keeps channels apart from images.
MAPS = """<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV6"><Maps><Map><Entry ChannelID="1">
<ChannelName>EGFP</ChannelName><ImageResolutionX Unit="m">3.25E-07</ImageResolutionX></Entry></Map></Maps>
<Images><Image><URL>r01c01f01p01-ch1sk1fk1fl1.tiff</URL><ChannelID>1</ChannelID></Image></Images></EvaluationInputData>"""
FIRST = "Images/r01c01f01p01-ch1sk1fk1fl1.tiff"


def look(folder, scheme, files, images):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return SCHEMES[scheme].beside(folder, [PurePosixPath(image) for image in images])


def test_phenix_index(tmp_path):
    index = INDEX.format(name="HOECHST 33342", size="3.25E-07")
    found = look(tmp_path, "phenix", {"Images/Index.idx.xml": index}, [FIRST, FIRST.replace("ch1", "ch2")])
    assert found == Beside({"ch1": "HOECHST 33342", "ch2": "EGFP"}, 0.325, ())


def test_phenix_maps(tmp_path):
    assert look(tmp_path, "phenix", {"Images/Index.xml": MAPS}, [FIRST]) == Beside({"ch1": "EGFP"}, 0.325, ())


def test_phenix_files_that_are_not_there(tmp_path):
    index = INDEX.format(name="DAPI", size="3.25E-07")
    (note,) = look(tmp_path, "phenix", {"Images/Index.idx.xml": index}, [FIRST]).notes
    assert note == "Images/Index.idx.xml lists 1 file not in this folder, first r01c01f01p01-ch2sk1fk1fl1.tiff"


def test_a_channel_with_two_names_has_none(tmp_path):
    files = {
        "P1/Index.xml": INDEX.format(name="DAPI", size="3.25E-07"),
        "P2/Index.xml": INDEX.format(name="mCherry", size="6.5E-07"),
    }
    names = [f"{plate}/r01c01f01p01-ch{n}sk1fk1fl1.tiff" for plate in ("P1", "P2") for n in (1, 2)]
    found = look(tmp_path, "phenix", files, names)
    assert (found.channels, found.pixel_size_um) == ({"ch2": "EGFP"}, None)
    assert "ch1 is 'DAPI' in P1/Index.xml and 'mCherry' in P2/Index.xml" in found.notes[0]
    assert "0.325 to 0.65" in found.notes[1]


@pytest.mark.parametrize("size", ["x", "0", "-1E-07", "NaN", "INF"])
def test_a_size_that_is_no_length_is_refused(tmp_path, size):
    with pytest.raises(InputError, match=r"Index\.xml gives"):
        look(tmp_path, "phenix", {"Images/Index.xml": INDEX.format(name="DAPI", size=size)}, [FIRST])


def test_a_cut_index_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Index\.xml is not readable XML"):
        look(tmp_path, "phenix", {"Images/Index.xml": MAPS[:200]}, [FIRST])


HTD = '"HTSInfoFile", Version 1.0\n"NWavelengths", 3\n'
HTD += '"WaveName1", "DAPI"\n"WaveName2", "1. GREEN, penta"\n"WaveName3", ""\n'


@pytest.mark.parametrize(
    "image", ["P_A01_s1_w1.TIF", "TimePoint_1/P_A01_s1_w1.tif", "TimePoint_1/ZStep_1/P_A01_s1_w1.tif"]
)
def test_htd_names_the_waves(tmp_path, image):
    found = look(tmp_path, "imagexpress", {"P.HTD": HTD + '"PixelSizeUM", 0.65\n"EndFile"\n'}, [image])
    assert found == Beside({"w1": "DAPI", "w2": "1. GREEN, penta"}, 0.65, ())


def test_cellvoyager_settings(tmp_path):
    files = {
        "s.mes": '<bts:M xmlns:bts="u"><bts:Channel bts:Ch="1" bts:Target="Hoechst" bts:Fluorophore="" />'
        '<bts:Channel bts:Ch="2" bts:Target="" bts:Fluorophore="EGFP" />'
        '<bts:Channel bts:Ch="3" bts:Target="" /></bts:M>',
        "MeasurementDetail.mrf": '<bts:D xmlns:bts="u"><bts:MeasurementChannel bts:Ch="1" '
        'bts:HorizontalPixelDimension="0.1625" /></bts:D>',
        "MeasurementData.mlf": '<bts:D xmlns:bts="u">'
        '<bts:MeasurementRecord bts:Type="IMG">a.tif</bts:MeasurementRecord>'
        '<bts:MeasurementRecord bts:Type="ERR">sensor</bts:MeasurementRecord></bts:D>',
    }
    found = look(tmp_path, "cellvoyager", files, ["P_A01_T0001F001L01A01Z01C01.tif"])
    assert (found.channels, found.pixel_size_um) == ({"C01": "Hoechst", "C02": "EGFP"}, 0.1625)
    assert found.notes == ("MeasurementData.mlf lists 1 file not in this folder, first a.tif",)


def test_incell_pixel_size(tmp_path):
    xdce = (
        '<ImageStack><ObjectiveCalibration magnification="20.0" pixel_height="0.325" pixel_width="0.325"/></ImageStack>'
    )
    found = look(tmp_path, "incell", {"P/P.xdce": xdce}, ["P/A - 01(fld 1 wv DAPI - DAPI).tif"])
    assert found == Beside({}, 0.325, ())


@pytest.mark.parametrize(("um", "said"), [(0.325, False), (0.3251, False), (None, False), (0.65, True)])
def test_a_pixel_size_that_the_image_has_otherwise_is_said(tmp_path, um, said):
    index = INDEX.format(name="DAPI", size="3.25E-07")
    images = tmp_path / "P" / "Images"
    images.mkdir(parents=True)
    (images / "Index.idx.xml").write_text(index, encoding="utf-8")
    for n in (1, 2):
        write_image(images / f"r01c01f01p01-ch{n}sk1fk1fl1.tiff", np.zeros((8, 12), np.uint16), um)
    plate = find_plate(tmp_path)
    assert plate.fields[0].pixel_size_um == 0.325
    assert any("a pixel is 0.65 um, files beside the images 0.325 um" in note for note in plate.notes) == said
