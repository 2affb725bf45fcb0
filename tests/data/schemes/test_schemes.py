"""What each maker's names say, and which scheme a folder has."""

import re
from pathlib import PurePosixPath as Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellular.data.channels import role_of
from cellular.data.grouping import name_fields
from cellular.data.schemes import SCHEMES, Parts, choose, pattern_scheme, read_names
from cellular.data.wells import well_at
from cellular.errors import InputError, SettingsError

GUID = "0F2E3D4C-0001-4BBB-8CCC-00008ADA3486"


def parts(scheme, path):
    found = SCHEMES[scheme].read(Path(path))
    return found and {key: value for key, value in vars(found).items() if value is not None}


NAMES = [
    (
        "cellular",
        "images/Timepoint_001_220518-ST_C03_s1_w2.TIF",
        "plate=ST well=C03 site=1 timepoint=1 channel=w2 date=220518 name=Timepoint_001_220518-ST_C03_s1 "
        "series=220518-ST_C03_s1",
    ),
    (
        "cellular",
        "Timepoint_012_20220518-ST_AF48_s1.png",
        "plate=ST well=AF48 site=1 timepoint=12 date=220518 name=Timepoint_012_20220518-ST_AF48_s1 "
        "series=220518-ST_AF48_s1",
    ),
    ("imagexpress", "Plate1_A01_s1_w1.TIF", "plate=Plate1 well=A01 site=1 channel=w1"),
    ("imagexpress", "Plate1_a1_s1_w1.TIF", "plate=Plate1 well=A01 site=1 channel=w1"),
    ("imagexpress", "Plate1_A01.ome.tif", "plate=Plate1 well=A01"),
    ("imagexpress", "A01_s1_w1.tif", "well=A01 site=1 channel=w1"),
    ("imagexpress", "day 1/P7/A01_w1.tif", "plate=P7 well=A01 channel=w1"),
    (
        "imagexpress",
        "my_plate_20240301_AF48_s12_w4.tif",
        "plate=my_plate_20240301 well=AF48 site=12 channel=w4 date=240301",
    ),
    ("imagexpress", "B2_A01_s1_w1_t3_z4.tif", "plate=B2 well=A01 site=1 timepoint=3 z=4 channel=w1"),
    (
        "imagexpress",
        f"2024-03-01/1/TimePoint_2/ZStep_3/Plate1_A01_s1_w1{GUID}.tif",
        "plate=Plate1 well=A01 site=1 timepoint=2 z=3 channel=w1 date=240301",
    ),
    (
        "phenix",
        "Plate1__2024-03-01T10_00_00-Measurement 1/Images/r01c02f03p04-ch5sk6fk1fl1.tiff",
        "plate=Plate1 well=A02 site=3 timepoint=6 z=4 channel=ch5 date=240301",
    ),
    ("phenix", "Images/r32c48f01p01-ch1t02.tiff", "well=AF48 site=1 timepoint=2 z=1 channel=ch1"),
    ("incell", "Plate1/A - 01(fld 1 wv DAPI - DAPI).tif", "plate=Plate1 well=A01 site=1 channel=DAPI - DAPI"),
    (
        "incell",
        "P_A - 1(fld 02 wv UV - DAPI z 3 time 2 - 2636ms).tif",
        "plate=P well=A01 site=2 timepoint=2 z=3 channel=UV - DAPI",
    ),
    ("incell", "B - 03(fld 1 wv TL-Brightfield - Cy3 wix 2).tif", "well=B03 site=1 channel=TL-Brightfield - Cy3"),
    ("incell", "B - 2( wv Blue - FITC).tif", "well=B02 channel=Blue - FITC"),
    ("incell", "Channel 1-12-A-12-00.tif", "well=A12 site=0 channel=Channel 1"),
    ("cellvoyager", "AP_1_A01_T0001F002L01A01Z03C04.png", "plate=AP_1 well=A01 site=2 timepoint=1 z=3 channel=C04"),
    ("scanr", "data/A1--W00001--P00002--Z00000--T00003--DAPI.tif", "well=A01 site=2 timepoint=3 z=0 channel=DAPI"),
    (
        "scanr",
        "--W00001--P00002--Z00000--T00000--DAPI.tif",
        "site=2 timepoint=0 z=0 channel=DAPI name=W00001_P00002 series=W00001_P00002",
    ),
    ("incucyte", "VID123_A1_1_01d02h03m.tif", "plate=VID123 well=A01 site=1 timepoint=1563"),
    ("incucyte", "exp_green_B12_2_00d00h00m.tif", "plate=exp well=B12 site=2 timepoint=0 channel=green"),
    ("incucyte", "VID1_A1_1_2000y01m02d_00h01m.tif", "plate=VID1 well=A01 site=1 timepoint=1441"),
    ("incucyte", "ScanData/0001/02/0001/0700/A1-2-Ph.tif", "plate=0700 well=A01 site=2 timepoint=1441 channel=Ph"),
    ("cellomics", "AS_09047_050428030001_O01f00d2.TIF", "plate=AS_09047_050428030001 well=O01 site=0 channel=d2"),
    ("cellomics", "020506plateruni3t001A01f01d2.TIF", "plate=020506platerun well=A01 site=1 timepoint=1 channel=d2"),
    ("evos", "scan_Plate_R_p02_0_B03f01d0.TIF", "plate=scan_Plate well=B03 site=1 timepoint=2 channel=d0"),
    ("evos", "scan_R_p2_z1_0_B03f01d0.tif", "plate=scan well=B03 site=1 timepoint=2 z=1 channel=d0"),
    ("gen5", "A1_01_1_2_GFP_001.tif", "well=A01 site=2 timepoint=1 channel=GFP"),
    (
        "gen5",
        "240301_P1/P24_02_2_9_Phase Contrast_012.tif",
        "plate=240301_P1 well=P24 site=9 timepoint=12 channel=Phase Contrast",
    ),
    (
        "gen5",
        "A1_-2_1_1_Tsf[Stitched[GFP 469,525]]_001.tif",
        "well=A01 site=1 timepoint=1 channel=Tsf[Stitched[GFP 469,525]]",
    ),
    (
        "gen5",
        "A1ROI1_02_1_1_Bright Field_High Contrast_003.tif",
        "well=A01 site=1 timepoint=3 channel=Bright Field_High Contrast",
    ),
    ("gen5", "A1_1Z4_DAPI_1_003_.tif", "well=A01 site=1 timepoint=3 z=4 channel=DAPI"),
    ("gen5", "B2_1_Bright Field_1_001_02.tif", "well=B02 site=1 timepoint=1 channel=Bright Field"),
    ("gen5", "H10_1_Stitched[AandB_Phase Contrast]_1_001_-1.tif", "well=H10 site=1 timepoint=1 channel=Phase Contrast"),
    (
        "keyence",
        "1_XY01_00002_Z003_CH1.tif",
        "site=2 z=3 channel=CH1 series=1_XY01_00002",
    ),
    (
        "keyence",
        "10X_T0004_XY01_00001_CH2.tif",
        "site=1 timepoint=4 channel=CH2 series=10X_XY01_00001",
    ),
    ("keyence", "Image_T0002_Z003_CH4.tif", "timepoint=2 z=3 channel=CH4 series=Image"),
    ("keyence", "Image_00004_CH4.tif", "site=4 channel=CH4 series=Image_00004"),
    ("keyence", "Image_XY07_CH4.tif", "channel=CH4 series=Image_XY07"),
    (
        "nikon",
        "Plate1_2000_WellM05_Point1_2000_M05_0001_ChannelDAPI_Seq2427.tiff",
        "plate=Plate1_2000 well=M05 site=1 channel=DAPI",
    ),
    ("nikon", "20201115_184113_906__WellA2_ChannelGFP,RFP_Seq0003.tif", "well=A02 site=3 date=201115"),
    ("nikon", "WellB02_PointB02_0004_ChannelGFP_Seq0031.tif", "well=B02 site=4 channel=GFP"),
    ("nikon", "seq0000xy01c2.tif", "site=1 channel=c2 series=seq0000xy01"),
    ("nikon", "nd799xy08t001c1.tif", "site=8 timepoint=1 channel=c1 series=nd799xy08"),
    ("nikon", "set1xy02c1.tif", "site=2 channel=c1 series=set1xy02"),
    ("nikon", "abc2xy02c1.tif", "site=2 channel=c1 series=abc2xy02"),
    ("nikon", "fuz2xy02c1z4.tif", "site=2 z=4 channel=c1 series=fuz2xy02"),
    ("nikon", "260430_t003xy02z04c1.tif", "site=2 timepoint=3 z=4 channel=c1 series=260430_xy02"),
    ("zen", "exp_s02t1c3_ORG.tif", "site=2 timepoint=1 channel=c3 series=exp_s02"),
    (
        "zen",
        "Snap-2138-Image Export-08_c1_ORG.tif",
        "channel=c1 series=Snap-2138-Image Export-08",
    ),
    ("zen", "exp_b0s1c0x0-64y0-64.tif", "site=1 channel=c0 series=exp_b0s1x0-64y0-64"),
    (
        "matrix",
        "exp--1/slide--S00/chamber--U08--V07/field--X01--Y02/"
        "image--L0000--S00--U08--V07--J13--E00--O00--X01--Y02--T0003--Z06--C01.ome.tif",
        "plate=exp--1 well=H09 timepoint=3 z=6 channel=C01 series=exp--1_H09_x01y02",
    ),
    (
        "squid",
        "run/3/D16_2_1_Fluorescence_638_nm_Ex.tiff",
        "plate=run well=D16 site=2 timepoint=3 z=1 channel=Fluorescence_638_nm_Ex",
    ),
    (
        "squid",
        "R0_2_0_Fluorescence_488_nm_Ex_-_single_band_0000.tiff",
        "site=2 z=0 channel=Fluorescence_488_nm_Ex_-_single_band_0000 series=R0_s2",
    ),
    (
        "squid",
        "20240301/A1_0_0_BF_LED_matrix_full.tiff",
        "well=A01 site=0 z=0 channel=BF_LED_matrix_full date=240301",
    ),
    (
        "squid",
        "240301/A1_0_0_Fluorescence_488_nm_Ex.tiff",
        "plate=240301 well=A01 site=0 z=0 channel=Fluorescence_488_nm_Ex",
    ),
    (
        "squid",
        "0/manual_2_0_Fluorescence_488_nm_Ex.tiff",
        "site=2 timepoint=0 z=0 channel=Fluorescence_488_nm_Ex series=manual_s2",
    ),
    (
        "micromanager",
        "exp_1/A3-Site_2/img_channel001_position008_time000000004_z003.tif",
        "plate=exp_1 well=A03 site=2 timepoint=4 z=3 channel=channel1",
    ),
    (
        "micromanager",
        "E01/img_channel000_position008_time000000000_z000.tif",
        "well=E01 site=8 timepoint=0 z=0 channel=channel0",
    ),
    (
        "micromanager",
        "exp_1/Default/img_channel000_position003_time000000002_z000.tif",
        "site=3 timepoint=2 z=0 channel=channel0 series=exp_1_position3",
    ),
    ("micromanager", "Pos3/img_000000002_GFP_000.tif", "timepoint=2 z=0 channel=GFP series=Pos3"),
    ("micromanager", "exp_1_MMStack_A1-Site_15.ome.tif", "plate=exp_1 well=A01 site=15"),
    (
        "imagexpress",
        "experiment/timepoint1/drug_t1_C05_s0_w0_z2.tif",
        "plate=drug well=C05 site=0 timepoint=1 z=2 channel=w0",
    ),
    ("imagexpress", "drug_t24_C05_s0_w0.tif", "plate=drug_t24 well=C05 site=0 channel=w0"),
    ("imagexpress", "TimePoint_24/drug_t24_C05_s0_w0.tif", "plate=drug_t24 well=C05 site=0 timepoint=24 channel=w0"),
    ("phenix", "001012-3-001001001.tif", "well=A12 site=3"),
    ("folders", "Plate1/A01/s1_DAPI.tif", "plate=Plate1 well=A01 site=1 channel=DAPI"),
    ("folders", "a1/3/LAMP1.tif", "well=A01 site=3 channel=LAMP1"),
    ("folders", "20240301/P1/A1/site 2/Texas Red.tif", "plate=P1 well=A01 site=2 channel=Texas Red date=240301"),
    ("folders", "A01/1.tif", "well=A01 site=1"),
    ("imagexpress", "A01/A01_s1_w1.tif", "well=A01 site=1 channel=w1"),
    ("phenix", "P/A01/r01c01f01p01-ch1sk1fk1fl1.tiff", "plate=P well=A01 site=1 timepoint=1 z=1 channel=ch1"),
    ("incell", "A01/A - 01(fld 1 wv DAPI - DAPI).tif", "well=A01 site=1 channel=DAPI - DAPI"),
    ("channels", "x_w1.tif", "channel=w1 name=x series=x"),
    ("channels", "x_t02_z3_ch00.tif", "timepoint=2 z=3 channel=ch00 name=x_t02 series=x"),
    ("channels", "x_z3_t02_ch00.tif", "timepoint=2 z=3 channel=ch00 name=x_t02 series=x"),
    ("channels", "img_Texas Red.tif", "channel=Texas Red name=img series=img"),
    ("channels", "x_control_GFP.tif", "channel=GFP name=x_control series=x_control"),
    ("channels", "C1-cells.tif", "channel=C1 name=cells series=cells"),
    ("channels", "01_POS002_D.TIF", "site=2 channel=D name=01_POS002 series=01_POS002"),
    ("channels", "Plate1_A01_s1_LAMP1.tif", "plate=Plate1 well=A01 site=1 channel=LAMP1"),
    ("channels", "Plate1_A01_s1_w1_DAPI.tif", "plate=Plate1 well=A01 site=1 channel=DAPI"),
    ("plain", "my cells.ome.tif", "name=my cells"),
    ("plain", "x_GFP_1.tif", "name=x_GFP_1"),
]


@pytest.mark.parametrize(("scheme", "path", "expected"), NAMES, ids=[path for _, path, _ in NAMES])
def test_what_a_name_says(scheme, path, expected):
    said = dict(pair.split("=") for pair in re.split(r" (?=\w+=)", expected))
    assert parts(scheme, path) == {k: int(v) if k in ("site", "timepoint", "z") else v for k, v in said.items()}


@pytest.mark.parametrize(("scheme", "path"), [(scheme, path) for scheme, path, _ in NAMES])
def test_each_is_found_by_itself(scheme, path):
    assert choose([Path(path)]).name == scheme


REFUSED = [
    (["A1_GFP_1.tif", "A1_RFP_1.tif"], "two channels, RFP the second"),
    (["P1/GFP/1.tif", "x_DAPI_a_1.tif", "x_BF_a_1.tif"], "two channels, BF the second"),
    (["x_GFP_1.tif", "x_RFP_1.tif", "x_control_1.tif"], "two channels, RFP the second"),
    (["A1_GFP_1.tif", "A1_Cy5_1.tif"], "two channels, Cy5 the second"),
    (["A1_green_1.tif", "A1_red_1.tif"], "two channels, red the second"),
    (["A1_488_1.tif", "A1_561_1.tif"], "two channels, 561 the second"),
    (["A1_ch1_1.tif", "A1_ch2_1.tif"], "two channels, ch2 the second"),
    (["overnight001c1.tif", "overnight001c2.tif"], "two channels, c2 the second"),
    (["e_XY1T1C1.tif", "e_XY1T1C2.tif"], "two channels, C2 the second"),
    (["m1s2c1.tif", "m1s2c2.tif"], "two channels, c2 the second"),
    (["W0001F0001T0001Z001C1.tif", "W0001F0001T0001Z001C2.tif"], "two channels, C2 the second"),
    (["x_c01_t0001_z0001.tif", "x_c02_t0001_z0001.tif"], "two channels, c02 the second"),
    (["x_t1_c1_z1.tif", "x_t1_c2_z1.tif"], "two channels, c2 the second"),
    (["x_w525_t1.tif", "x_w617_t1.tif"], "two channels, w617 the second"),
    (["x_488nm_1.tif", "x_561nm_1.tif"], "two channels, 561nm the second"),
    (["A1_1_G.tif", "A1_1_R.tif"], "two channels, R the second"),
]


@pytest.mark.parametrize(("names", "said"), REFUSED)
def test_channels_that_no_scheme_reads_are_no_fields(names, said):
    """Each file was a field of its own: twice the cells, half of them red."""
    with pytest.raises(InputError, match=said):
        choose([Path(name) for name in names])
    assert choose([Path(name) for name in names], "plain").name == "plain"


@pytest.mark.parametrize(
    "names",
    [
        ["x_GFP_1.tif", "x_GFP_2.tif"],
        ["clone_c1_rep1.tif", "clone_c2_rep1.tif"],
        ["GFP_line_1.tif", "RFP_line_2.tif"],
        ["a/x_GFP_1.tif", "b/x_RFP_1.tif"],
        ["x_GFP_1.tif", "x_control_1.tif"],
        ["x_green_1.tif", "x_red_1.tif", "x_white_1.tif"],
        ["A1_488_1.tif", "A1_489_1.tif", "A1_561_1.tif"],
        ["m1c1_a.tif", "m2c1_a.tif"],
        ["row_B_1.tif", "row_C_1.tif", "row_G_1.tif"],
        ["x_w1_a.tif", "x_w2_a.tif"],
    ],
)
def test_words_of_channels_in_other_names_are_no_channels(names):
    assert choose([Path(name) for name in names]).name == "plain"


@pytest.mark.parametrize(
    ("pattern", "told", "channels"),
    [
        ("A1_0{}_1_1_GFP_001.tif", "12", ["GFP (step 01.1)", "GFP (step 02.1)"]),
        ("A1_01_{}_1_GFP_001.tif", "12", ["GFP (step 01.1)", "GFP (step 01.2)"]),
        ("P_R_p00_{}_A01f00d0.TIF", "01", ["d0 (pass 0)", "d0 (pass 1)"]),
        ("image--L0000--S00--U00--V00--J0{}--X00--Y00--T0000--Z00--C00.tif", "78", ["C00 (job 07)", "C00 (job 08)"]),
    ],
)
def test_a_channel_that_a_protocol_reads_twice_is_two_channels(pattern, told, channels):
    """They were refused as two files for one thing; other channels keep their names."""
    paths = [Path(pattern.format(one)) for one in told]
    other = Path(pattern.format(told[0]).replace("GFP", "DAPI").replace("d0", "d1").replace("C00", "C01"))
    scheme = choose([*paths, other])
    parts = read_names([*paths, other], scheme).parts
    assert [parts[path].channel for path in paths] == channels
    assert parts[other].channel in ("DAPI", "d1", "C01")
    assert read_names([paths[1], other], scheme).parts[paths[1]].channel in ("GFP", "d0", "C00")
    roles = {role_of(channel) for channel in channels}
    assert roles == ({"EGFP"} if "GFP" in channels[0] else {None})


def test_loops_of_matrix_screener_are_times():
    name = "image--L000{}--S00--U00--V00--J08--X00--Y00--T000{}--Z00--C00.tif"
    paths = [Path(name.format(*numbers)) for numbers in ((0, 0), (1, 0), (2, 0))]
    assert [found.timepoint for found in read_names(paths, choose(paths)).parts.values()] == [0, 1, 2]


def said_beside(scheme, names):
    return SCHEMES[scheme].beside(Path("plate"), [Path(name) for name in names])


def test_names_that_do_not_say_enough_are_refused():
    with pytest.raises(InputError, match="Seq numbers images of several channels"):
        said_beside("nikon", ["WellA01_ChannelGFP_Seq0001.tif", "WellA01_ChannelRFP_Seq0002.tif"])
    said_beside("nikon", ["WellA01_ChannelGFP_Seq0001.tif", "WellA01_ChannelRFP_Seq0001.tif"])
    with pytest.raises(InputError, match="is what stands before xy a time"):
        said_beside("nikon", ["set1xy01c1.tif", "set2xy01c1.tif"])
    said_beside("nikon", ["e_t1xy01c1.tif", "e_t2xy01c1.tif", "set1xy01c1.tif", "bit2xy01c1.tif"])
    with pytest.raises(InputError, match=r"R0, R1 ... are regions"):
        said_beside("squid", [f"R{k}_0_0_Fluorescence_488_nm_Ex.tiff" for k in (0, 1)])
    said_beside("squid", [f"R{k}_0_0_Fluorescence_488_nm_Ex.tiff" for k in (1, 2)])
    with pytest.raises(InputError, match=r"A1_-1_1_1_Tsf\[GFP\]_001.tif was made of images such as A1_01_1_1_GFP_001"):
        said_beside("gen5", ["A1_01_1_1_GFP_001.tif", "A1_-1_1_1_Tsf[GFP]_001.tif"])


@pytest.mark.parametrize(
    ("first", "second", "series"),
    [
        ("e_T0001_XY01_00001_CH1.tif", "e_T0002_XY01_00001_CH1.tif", "e_XY01_00001"),
        ("e_t001xy02c1.tif", "e_t002xy02c1.tif", "e_xy02"),
        ("exp_s2t1c1_ORG.tif", "exp_s2t2c1_ORG.tif", "exp_s2"),
        ("Pos0/img_000000001_GFP_000.tif", "Pos0/img_000000002_GFP_000.tif", "Pos0"),
        ("1/spot_0_0_BF_LED_matrix_full.tif", "2/spot_0_0_BF_LED_matrix_full.tif", "spot_s0"),
    ],
)
def test_fields_of_one_place_are_called_alike_whoever_wrote_them(first, second, series):
    """The place stands before the timepoint: tables of cells without a plate are told apart by it."""
    paths = [Path(first), Path(second)]
    fields = name_fields(read_names(paths, choose(paths)).parts).values()
    assert [(item.name, item.series) for item in fields] == [(f"{series}_t001", series), (f"{series}_t002", series)]
    (alone,) = name_fields(read_names(paths[:1], choose(paths[:1])).parts).values()
    assert (alone.name, alone.series, alone.timepoint) == (series, series, None)


@pytest.mark.parametrize(
    ("scheme", "tiles", "whole"),
    [
        ("keyence", ["e_XY01_00001_CH1.tif", "e_XY01_00002_CH1.tif"], "e_XY01_CH1.tif"),
        ("zen", ["exp_s1m01c1_ORG.tif", "exp_s1m02c1_ORG.tif"], "exp_s1c1_ORG.tif"),
        ("zen", ["exp_c1m01_ORG.tif", "exp_c1m02_ORG.tif"], "exp_c1_ORG.tif"),
        ("zen", ["exp_s1c0x0-64y0-64.tif", "exp_s1c0x64-64y0-64.tif"], "exp_s1c0.tif"),
    ],
)
def test_what_was_stitched_does_not_lie_beside_its_tiles(scheme, tiles, whole):
    """Each cell was there twice."""
    with pytest.raises(InputError, match=f"{whole} seems to be stitched of images such as {tiles[0][:-5]}"):
        said_beside(scheme, [*tiles, whole])
    said_beside(scheme, tiles)
    said_beside(scheme, [tiles[0], whole.replace("1", "2", 1).replace("exp_", "other_")])


def test_pictures_of_several_channels_are_left_out():
    names = ["P_R_p00_0_A01f00d0.TIF", "P_D_p00_0_A01f00d0.TIF", "P_M_p00_0_A01f00d0.TIF"]
    reading = read_names([Path(name) for name in names], choose([Path(name) for name in names]))
    assert [path.name for path in reading.extra] == names[1:]
    names = ["1_XY01_00001_CH1.tif", "1_XY01_00001_CH2.tif", "1_XY01_00001_Overlay.tif"]
    reading = read_names([Path(name) for name in names], choose([Path(name) for name in names]))
    assert [path.name for path in reading.extra] == names[2:]


def test_pictures_that_are_left_out_are_not_taken_for_another_makers():
    """They were ArrayScan's, of plates P_D_p00_0 and P_D_p01_0."""
    names = ["P_D_p00_0_A01f00d0.TIF", "P_D_p01_0_A01f00d0.TIF"]
    with pytest.raises(InputError, match="are images as displayed by their names, which evos leaves out"):
        choose([Path(name) for name in names])
    assert choose([Path("SC_DAPI.tif")]).name == "channels"
    assert choose([Path("x_thumb.tif")]).name == "plain"


def test_fields_that_would_be_called_by_slices_are_said():
    names = [f"exp--Z0{z}--C0{c}.tif" for z in (0, 1) for c in (0, 1)]
    (note,) = said_beside("channels", names).notes
    assert "exp--Z00, each a field of its own" in note
    assert not said_beside("channels", names[:2]).notes


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_examples_are_read(scheme):
    assert SCHEMES[scheme].read(Path(SCHEMES[scheme].example)) is not None


@pytest.mark.parametrize(
    "path",
    [
        "x_w1.tif",
        "x_s1.tif",
        "x_t01.tif",
        "x_T01.tif",
        "x_z3.tif",
        "x_a1.tif",
        "s1_w1.tif",
        "P_A49_s1.tif",
        "P_A01_s1_s2.tif",
    ],
)
def test_a_token_is_not_a_well(path):
    assert SCHEMES["imagexpress"].read(Path(path)) is None


@pytest.mark.parametrize(
    "path",
    [
        "s1/DAPI.tif",
        "t01/DAPI.tif",
        "A01/exp 1 run 2.tif",
        "A01/img001.tif",
        "A01/A01.tif",
        "A01/image.tif",
        "A01/s1/s2_DAPI.tif",
        "DAPI.tif",
    ],
)
def test_a_folder_that_names_no_well_or_a_file_that_says_more(path):
    assert SCHEMES["folders"].read(Path(path)) is None


LAYOUTS = {
    "imagexpress": "Plate1_{well}_s{site}_w1.TIF",
    "imagexpress tree": "2024-03-01/1/TimePoint_1/Plate1_{well}_s{site}_w1" + GUID + ".tif",
    "phenix": "Plate1__2024-03-01T10_00_00-Measurement 1/Images/"
    "r{row:02d}c{column:02d}f{site:02d}p01-ch1sk1fk1fl1.tiff",
    "incell": "Plate1/{letters} - {column:02d}(fld {site} wv DAPI - DAPI).tif",
    "ometiff": "Plate1_{well}_s{site}.ome.tif",
    "tree": "Plate1/{well}/s{site}_DAPI.tif",
    "cellvoyager": "Plate1_{well}_T0001F{site:03d}L01A01Z01C01.tif",
    "scanr": "Plate1/{well}--W00001--P{site:05d}--Z00000--T00000--DAPI.tif",
    "incucyte": "Plate1_{well}_{site}_00d00h00m.tif",
    "incucyte archive": "2401/15/1430/0700/{letters}{column}-{site}-C1.tif",
    "named": "Plate1_{well}_s{site}_DAPI.tif",
    "evos": "Plate1_R_p00_0_{well}f{site:02d}d0.TIF",
    "cellomics kinetic": "Plate1i3t001{well}f{site:02d}d0.TIF",
    "gen5": "Plate1/{letters}{column}_01_1_{site}_DAPI_001.tif",
    "gen5 by site": "Plate1/{well}_{site}Z0_DAPI_1_001_.tif",
    "nikon": "Plate1_Well{well}_Point{well}_{site:04d}_ChannelDAPI_Seq0007.tif",
    "squid": "Plate1/0/{letters}{column}_{site}_0_Fluorescence_405_nm_Ex.tiff",
    "micromanager": "Plate1/{letters}{column}-Site_{site}/img_channel000_position000_time000000000_z000.tif",
    "micromanager stacks": "Plate1_MMStack_{letters}{column}-Site_{site}.ome.tif",
    "columbus": "Plate1/{row:03d}{column:03d}-{site}-001001001.tif",
    "hcs.ai": "run/timepoint0/Plate1_t0_{well}_s{site}_w0_z0.tif",
}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 32), st.integers(1, 48), st.integers(1, 12)), min_size=1, max_size=5, unique=True)
)
def test_the_same_wells_have_the_same_parts_in_every_layout(places):
    expected = [(well_at(row, column), site) for row, column, site in places]
    for layout in LAYOUTS.values():
        paths = [
            Path(layout.format(well=well, letters=well[:-2], row=row, column=column, site=site))
            for (row, column, _), (well, site) in zip(places, expected)
        ]
        if any(well[:-2] in "STWZ" for well, _ in expected) and "{well}/" in layout:
            continue  # a folder S01 may be a site
        read = read_names(paths, choose(paths))
        assert [(p.well, p.site) for p in read.parts.values()] == expected
        plate = "0700" if layout == LAYOUTS["incucyte archive"] else "Plate1"
        assert {(p.plate, p.timepoint, p.z, p.name) for p in read.parts.values()} == {(plate, None, None, None)}
        assert {p.date for p in read.parts.values()} <= {None, "240301"}


def test_times_and_planes_stay_where_there_are_several():
    paths = [Path(f"P_A01_T000{t}F001L01A01Z0{z}C01.tif") for t in (1, 2) for z in (1, 2)]
    read = read_names(paths, choose(paths)).parts.values()
    assert [(p.timepoint, p.z) for p in read] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_minutes_become_numbers_in_the_series():
    paths = [Path(f"V_A1_1_00d{hour:02d}h30m.tif") for hour in (4, 0, 8)]
    assert [p.timepoint for p in read_names(paths, choose(paths)).parts.values()] == [2, 1, 3]


@pytest.mark.parametrize(
    "path", [f"P_A01_s1_w1_thumb{GUID}.tif", "P_A01_s1_w1_thumb.TIF", "thumbs/x.tif", "._P_A01_s1_w1.tif"]
)
def test_thumbnails_are_left_out_and_counted(path):
    paths = [Path("P_A01_s1_w1.tif"), Path(path)]
    read = read_names(paths, choose(paths))
    assert (list(read.parts), read.extra, read.unread) == ([paths[0]], (paths[1],), ())


def test_dark_images_of_the_cellvoyager_are_left_out():
    paths = [Path("P_A01_T0001F001L01A01Z01C01.tif"), Path("DC_sCMOS_1_CAM1.tif"), Path("SC_BP445-45_40x_CAM1.tif")]
    assert len(read_names(paths, choose(paths)).extra) == 2


def test_two_readings_are_shown_and_refused():
    with pytest.raises(InputError, match=r"x_C1\.tif") as caught:
        choose([Path("x_C1.tif"), Path("x_C2.tif")])
    for words in ("imagexpress (plate x, well C01)", "channels (channel C1, name x)", "--scheme channels", "--pattern"):
        assert words in str(caught.value)
    assert choose([Path("x_C1.tif"), Path("x_A1.tif")]).name == "imagexpress"


def test_odd_files_are_named():
    paths = [Path("P_A01_s1_w1.tif"), Path("P_A01_s1_w2.tif"), Path("notes.tif")]
    with pytest.raises(InputError, match=r"2 of 3 files are named as imagexpress does.*not notes\.tif") as caught:
        choose(paths)
    assert "--scheme imagexpress leaves it out" in str(caught.value)
    scheme = choose(paths, scheme="imagexpress")
    assert read_names(paths, scheme).unread == (Path("notes.tif"),)
    assert len(read_names(paths, choose(paths, scheme="plain")).parts) == 3


def test_names_without_a_maker_are_fields():
    scheme = choose([Path("one.tif"), Path("two.tif")])
    assert (scheme.name, scheme.read(Path("sub/one.tif"))) == ("plain", Parts(name="one"))


def test_a_time_series_is_not_guessed_but_the_flag_is_named(tmp_path):
    paths = [Path(f"Embryo_000{n}.tif") for n in range(5)]
    scheme = choose(paths)
    (note,) = scheme.beside(tmp_path, paths).notes
    assert (scheme.name, "--pattern" in note) == ("plain", True)
    series = choose(paths, pattern=r"(?P<series>.+)_(?P<timepoint>\d+)").read(paths[3])
    assert (series.name, series.series, series.timepoint) == ("Embryo_t0003", "Embryo", 3)


def test_pattern():
    scheme = pattern_scheme(r"(?P<date>[^/]+)/(?P<well>\w\d)-(?P<channel>[^-]+)(?:-(?P<site>\d+))?")
    assert scheme.read(Path("2024-03-01/a1-GFP-2.tif")) == Parts(None, "A01", 2, channel="GFP", date="240301")
    assert scheme.read(Path("2024-03-01/a1-GFP.tif")).site is None
    assert scheme.read(Path("a1-GFP.tif")) is None
    assert pattern_scheme(r"(?P<well>\w\d)\.tif").read(Path("x/A1.tif")).well == "A01"
    inside = pattern_scheme(r"(?P<series>(?P<plate>\w+)/.+)_t(?P<timepoint>\d)").read(Path("x/x1_t2.tif"))
    assert (inside.plate, inside.name, inside.series) == ("x", "x_x1_t2", "x_x1")
    beside = pattern_scheme(r"(?P<plate>.+)/(?P<series>.+)_t(?P<timepoint>\d)").read(Path("a/x/x1_t2.tif"))
    assert (beside.plate, beside.name, beside.series) == ("a_x", "a_x_x1_t2", "a_x_x1")


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "no regular expression"),
        ("(?P<wel>.+)", "did you mean well"),
        ("(.+)", "tells no fields apart"),
        ("(?P<plate>.+)", "tells no fields apart"),
        ("(?P<well>.+)", "wells are A01 to AF48"),
        ("(?P<well>A1)(?P<site>x)", "whole number"),
        ("(?P<well>A1)(?P<date>x)", "dates are YYMMDD"),
        ("(?P<well>B1)", "reads none of 1 files"),
    ],
)
def test_patterns_that_are_refused(pattern, says):
    with pytest.raises((InputError, SettingsError), match=says):
        choose([Path("A1x.tif")], pattern=pattern)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scheme": "imagexpres"}, "did you mean imagexpress"),
        ({"scheme": "phenix"}, "reads none of 1 files"),
        ({"scheme": "plain", "pattern": "(?P<well>.+)"}, "give one of them"),
    ],
)
def test_schemes_that_are_refused(options, says):
    with pytest.raises((InputError, SettingsError), match=says):
        choose([Path("A1x.tif")], **options)


def test_roles_are_fixed_by_cellulars_names_alone():
    assert {name for name, scheme in SCHEMES.items() if scheme.roles} == {"cellular"}
    assert SCHEMES["cellular"].roles == {"w1": "EGFP", "w2": "mRFP", "w3": "transmitted"}


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).filter(lambda s: s.strip(".")))
def test_no_name_breaks_a_scheme(name):
    for scheme in SCHEMES.values():
        found = scheme.read(Path(name))
        assert found is None or found.well is None or len(found.well) in (3, 4)
        assert scheme.is_extra(Path(name)) in (True, False)


@pytest.mark.parametrize(
    ("scans", "numbers"),
    [
        (["00d00h00m", "00d02h00m", "00d06h00m", "00d08h00m"], [1, 2, 4, 5]),
        (["00d00h00m", "00d02h01m", "00d04h00m", "00d08h02m"], [1, 2, 3, 5]),
        (["2024y03m01d_22h00m", "2024y03m02d_00h00m", "2024y03m02d_04h00m", "2024y03m02d_06h00m"], [1, 2, 4, 5]),
        (["00d00h00m", "00d02h00m", "00d05h00m"], [1, 2, 3]),
        (["00d00h00m"], [None]),
    ],
    ids=["lost", "drift", "clock", "no step", "one"],
)
def test_a_lost_scan_of_an_incucyte_leaves_out_its_number(scans, numbers):
    paths = [Path(f"VID1_A1_1_{scan}.tif") for scan in scans]
    reading = read_names(paths, choose(paths))
    assert [reading.parts[path].timepoint for path in paths] == numbers


def test_channels_are_compared_without_case_and_letters_without_their_form():
    paths = [Path(name) for name in ("caf\u00e9_W1.tif", "cafe\u0301_w2.tif", "b_w1.tif", "b_W2.tif")]
    parts = read_names(paths, choose(paths)).parts
    assert {parts[path].channel for path in paths} == {"W1", "w2"}
    assert {parts[path].name for path in paths} == {"caf\u00e9", "b"}
