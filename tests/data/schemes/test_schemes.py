"""What each maker's names say, and which scheme a folder has."""

import re
from pathlib import PurePosixPath as Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    ("cellomics", "AS_09047_050428030001_O01f00d2.TIF", "plate=AS_09047_050428030001 well=O01 site=0 channel=d2"),
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
    "named": "Plate1_{well}_s{site}_DAPI.tif",
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
        assert {(p.plate, p.timepoint, p.z, p.name) for p in read.parts.values()} == {("Plate1", None, None, None)}
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
