"""Plate maps, long and drawn."""

import csv
import json
import math

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellular.data.fields import parse_field
from cellular.data.find import find_plate
from cellular.data.formats.images import write_image
from cellular.data.formats.suffixes import same_name
from cellular.data.plate import Plate
from cellular.data.platemap import cellular_map, cellular_treatment, read_plate_map
from cellular.data.wells import well_at
from cellular.errors import InputError, MissingInputError


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, name="map.csv", encoding="utf-8", **options):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return read_plate_map(path, **options)

    return write_and_read


def rows(found):
    return found.table.astype(object).where(found.table.notna(), None).values.tolist()


def test_long(read):
    found = read("plate,Well,Treatment,dose_nM,replicate,batch\nP1,a1,DMSO,,001,NA\nP1,A02,None,2.5,,x\n")
    assert list(found.table) == ["plate", "well", "treatment", "dose", "dose_unit", "replicate", "batch"]
    assert rows(found) == [["P1", "A01", "DMSO", None, "nM", "001", "NA"], ["P1", "A02", "None", 2.5, "nM", None, "x"]]
    assert found.columns == ("treatment", "dose", "dose_unit", "replicate", "batch")
    assert found.dose_unit == "nM"
    assert found.notes == ()


def test_a_long_map_of_numbers_is_not_drawn(read):
    """`dish,1,2` was taken for a line that counts columns, and the header for one that belongs to no plate."""
    found = read("field,treatment,sample\ndish,1,2\nother,1,2\n")
    assert list(found.table) == ["field", "treatment", "sample"]
    assert rows(found) == [["dish", "1", "2"], ["other", "1", "2"]]


DRAWN = "treatment,1,2\nA,DMSO,EBSS\nB,,None\n\ndose (uM)\n,1,2,\nA,0,\nB,,0.5\n"


def test_drawn(read):
    found = read(DRAWN)
    expected = [["A01", "DMSO", 0.0, "µM"], ["A02", "EBSS", None, "µM"], ["B02", "None", 0.5, "µM"]]
    assert list(found.table) == ["well", "treatment", "dose", "dose_unit"]
    assert rows(found) == expected


@pytest.mark.parametrize("words", ["Well", "Wells", "well id", "Plate", "row", "Plate\n", "Plate\nWell"])
def test_a_drawn_plate_with_well_in_its_corner_is_not_named_so(read, words):
    """What was drawn stood for the wells' own names, or for those of plates."""
    found = read(f"{words},1,2\nA,DMSO,EBSS\n")
    assert list(found.table) == ["well", "treatment"]
    assert rows(found) == [["A01", "DMSO"], ["A02", "EBSS"]]


def test_a_heading_names_a_drawn_plate_with_well_in_its_corner(read):
    found = read("dose\nWell,1,2\nA,0,10\n\ntreatment\nwell,1,2\nA,DMSO,EBSS\n")
    assert found.table["well"].tolist() == ["A01", "A02"]
    assert found.table["dose"].tolist() == [0, 10]
    assert found.table["treatment"].tolist() == ["DMSO", "EBSS"]


def test_a_name_alone_on_the_line_above(read):
    found = read("My plate\n\ntreatment\n,1,2\nA,x,y\nB,\n\nbatch\n,1,2\nA,,001\n")
    assert list(found.table) == ["well", "treatment", "batch"]
    assert rows(found) == [["A01", "x", None], ["A02", "y", "001"]]


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "cp1252")])
def test_separators_and_encodings(read, separator, encoding):
    found = read("well,treatment,dose (µM)\nA1,Zürich,1\n".replace(",", separator), encoding=encoding)
    assert rows(found) == [["A01", "Zürich", 1.0, "µM"]]


def test_excels_separator_line(read):
    assert rows(read("sep=;\nwell;treatment\nA1;DMSO, old\n")) == [["A01", "DMSO, old"]]


@pytest.mark.parametrize("size", [(8, 12), (16, 24), (32, 48)])
def test_drawn_plates_of_every_size(read, size):
    height, width = size
    wells = [[well_at(row, column) for column in range(1, width + 1)] for row in range(1, height + 1)]
    lines = [",".join(["", *map(str, range(1, width + 1))])]
    lines += [",".join([line[0][:-2], *(f"t{well}" for well in line)]) for line in wells]
    found = read("\n".join(lines))
    assert found.table["well"].tolist() == [well for line in wells for well in line]
    assert found.table["treatment"].tolist() == [f"t{well}" for line in wells for well in line]
    assert "taken for the treatment" in found.notes[0]


def test_row_and_column(read):
    assert rows(read("row,col,treatment\nA,3,x\n")) == [["A03", "x"]]


def test_rows_shuffled_onto_c_and_i_to_n_keep_what_the_map_gives(read):
    found = read("well,treatment\nC03,EBSS\nI01,DMSO\n")
    assert rows(found) == [["C03", "EBSS"], ["I01", "DMSO"]]


@pytest.mark.parametrize(
    ("cells", "numbers", "unit"),
    [
        (["10 nM", "1 µM", "0"], [10, 1000, 0], "nM"),
        (["10nM", "2.5uM", ""], [10, 2500, math.nan], "nM"),
        (["0,5 mM", "1e-3 mM"], [0.5, 0.001], "mM"),
        (["1 mg/L", "2 ug/mL"], [1, 2], "µg/ml"),
        (["1", "2"], [1, 2], None),
        (["5 %", "10 %"], [5, 10], "%"),
    ],
)
def test_doses(read, cells, numbers, unit):
    found = read("well;dose\n" + "\n".join(f"A{n};{cell}" for n, cell in enumerate(cells, 1)))
    assert found.dose_unit == unit
    assert found.table["dose"].tolist() == pytest.approx(numbers, nan_ok=True)
    assert bool(found.notes) == (cells[0] in ("10 nM", "10nM", "0,5 mM", "1"))


def test_unit_of_the_column_wins_and_cells_are_turned_into_it(read):
    found = read("well,dose_nM\nA1,1 uM\nA2,7\n")
    assert found.table["dose"].tolist() == [1000.0, 7.0]
    assert "turned into nM" in found.notes[0]


def test_a_concentration_is_a_dose_however_it_is_shortened(read):
    for name in ("Conc. (nM)", "conc_nM", "Concentration [nM]"):
        found = read(f"well,{name}\nA1,7\n")
        assert (found.table["dose"].tolist(), found.dose_unit) == ([7.0], "nM")


def test_a_column_that_only_begins_with_dose_is_text(read):
    assert rows(read("well,dose_group\nA1,003\n")) == [["A01", "003"]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("well,treatment\n", "names no well"),
        ("name,treatment\nx,y\n", "no column 'well'"),
        ("well,treatment\nA1,x\nA01,x\n", "A01 stands in lines 2 and 3"),
        ("plate,well,t\nP,A1,x\nP,a01,x\n", "A01 of P stands in lines 2 and 3"),
        ("plate,well,t\n,A1,x\n", "line 2: no plate"),
        ("well,t\nA49,x\n", "line 2: 'A49' is no well"),
        ("well,dose\nA1,0,5\n", "line 2: 3 values for 2 columns"),
        ("well,t,T\nA1,x,y\n", "two columns"),
        ("well,t,\nA1,x,y\n", "3 values for 2"),
        ("well,,t\nA1,x,y\n", "column 2 has no name"),
        ("well,Area\nA1,5\n", "hide what is measured"),
        ("well,field\nA1,5\n", "tell wells, or fields"),
        ("field,treatment\n,x\n", "line 2: '' is no field"),
        ("field,treatment\na,x\na,y\n", "a stands in lines 2 and 3"),
        ("well;dose\nA1;1,000\n", "thousand"),
        ("well,dose\nA1,NA\n", "no number"),
        ("well,dose\nA1,-1\n", "negative"),
        ("well,dose\nA1,1 nM\nA2,1 ng/ml\n", "not of one kind"),
        ("well,dose\nA1,1 nM\nA2,5\n", "has no unit"),
        ("well,dose_nM,conc_uM\nA1,1,2\n", "2 columns of doses"),
        (",1,2\nA,x,y\n\n,1,2\nA,x,y\n", "second plate drawn has no name"),
        ("drug,1,2\nA,x\n\ndrug,1,2\nA,x\n", "drawn twice"),
        ("drug,1,2\nA,x,y,z\n", "3 values for 2"),
        ("drug,1,2\nA,x\nA,y\n", "row A stands twice"),
        ("drug,1,2\nA,x\nlegend,y\n", "no row letter"),
    ],
)
def test_maps_that_are_refused(read, text, says):
    with pytest.raises(InputError, match=says):
        read(text, reserved=("area",))


def test_a_missing_map(tmp_path):
    with pytest.raises(MissingInputError, match=r"none\.csv"):
        read_plate_map(tmp_path / "none.csv")


def test_values_that_differ_by_capitals_are_said(read):
    assert "'DMSO' and 'dmso'" in read("well,treatment\nA1,DMSO\nA2,dmso\n").notes[0]


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


def test_workbook_long(tmp_path):
    path = workbook(
        tmp_path / "m.xlsx", Sheet1=[["well", "replicate", "dose_nM"], ["A1", 240301, 2.5], ["A2", 1, None]]
    )
    book = openpyxl.load_workbook(path)
    book["Sheet1"]["B3"].number_format = "000"
    book.save(path)
    found = read_plate_map(path)
    assert rows(found) == [["A01", "240301", 2.5, "nM"], ["A02", "001", None, "nM"]]


def test_workbook_with_a_sheet_a_column(tmp_path):
    block = [["", 1, 2], ["A", "x", 5]]
    found = read_plate_map(workbook(tmp_path / "m.xlsx", treatment=block, replicate=block, empty=[]))
    assert rows(found) == [["A01", "x", "x"], ["A02", "5", "5"]]


def test_workbook_that_cannot_be_meant(tmp_path):
    long = [["well", "t"], ["A1", "x"]]
    with pytest.raises(InputError, match="sheets one, two"):
        read_plate_map(workbook(tmp_path / "m.xlsx", one=long, two=long))
    with pytest.raises(InputError, match="formula without its result"):
        read_plate_map(workbook(tmp_path / "n.xlsx", one=[["well", "t"], ["A1", "=1+1"]]))


def test_match_names_what_is_in_one_alone(read):
    found = read("plate,well,treatment,dose\nP1,A1,x,1\nP2,A1,y,2\n")
    table, without_entry, without_well = found.match([("P1", "A02"), ("P1", "A01"), ("P1", "A01")])
    assert table.astype(object).where(table.notna(), None).values.tolist() == [
        ["P1", "A02", None, None, None],
        ["P1", "A01", "x", 1.0, None],
    ]
    assert without_entry == (("P1", "A02"),)
    assert without_well == (("P2", "A01"),)


def test_a_map_without_plates_holds_for_all(read):
    table, without_entry, without_well = read("well,t\nA1,x\nB1,y\n").match([("P1", "A01"), ("P2", "A01")])
    assert table.values.tolist() == [["P1", "A01", "x"], ["P2", "A01", "x"]]
    assert without_entry == ()
    assert without_well == ((None, "B01"),)


def test_fields_are_told_by_their_names_by_files_by_series_and_by_patterns(read):
    found = read("field,treatment,dose_nM\nctrl_01,DMSO,\nbaf_1.tif,baf,100\nfilm,EBSS,\nctrl_*,other,\nlost,x,\n")
    fields = [(name, name, ()) for name in ("baf_1", "ctrl_01", "CTRL_02")]
    fields += [("film_t001", "film", ()), ("new", "new", ())]
    table, without_entry, without_field = found.match_fields(fields)
    assert table[["field", "treatment"]].values.tolist() == [
        ["baf_1", "baf"],
        ["ctrl_01", "DMSO"],
        ["CTRL_02", "other" if same_name("CTRL") == same_name("ctrl") else None],
        ["film_t001", "EBSS"],
        ["new", None],
    ]
    assert table["dose"].tolist() == pytest.approx([100, *[np.nan] * 4], nan_ok=True)
    assert (None, "new") in without_entry
    assert (None, "lost") in without_field
    with pytest.raises(InputError, match=r"'a\*' and '\*b' are both of ab"):
        read("field,treatment\na*,x\n*b,y\n").match_fields([("ab", "ab", ())])


def test_a_file_tells_of_the_field_that_it_is_of(tmp_path):
    for name in ("x_GFP", "x_DAPI", "y_GFP", "y_DAPI"):
        write_image(tmp_path / "images" / f"{name}.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "map.csv").write_text("field,treatment\nx_GFP.tif,DMSO\ny_DAPI,baf\n")
    table = find_plate(tmp_path / "images", plate_map=tmp_path / "map.csv").table()
    assert table[["field", "treatment"]].values.tolist() == [["x", "DMSO"], ["y", "baf"]]


def test_a_row_for_each_file_of_a_field_says_what_one_would(read):
    """As a listing of the folder has them; it was refused, and what differs still is."""
    fields = [("x", "x", ("x_GFP", "x_RFP")), ("y", "y", ("y_GFP", "y_RFP"))]
    text = "field,treatment,dose_nM\nx_GFP.tif,DMSO,\nx_RFP.tif,DMSO,\ny_GFP.tif,baf,10\ny_RFP.tif,baf,{}\n"
    table, without_entry, without_field = read(text.format(10)).match_fields(fields)
    assert table[["field", "treatment"]].values.tolist() == [["x", "DMSO"], ["y", "baf"]]
    assert (without_entry, without_field) == ((), ())
    with pytest.raises(InputError, match=r"'y_GFP.tif' and 'y_RFP.tif' are both of y and differ; keep one"):
        read(text.format(20)).match_fields(fields)


def test_a_file_does_not_tell_of_another_field_that_its_name_begins_with(read):
    """Week 1 of a mouse, and the mouse before: what the first was given was that of both."""
    table, without_entry, _ = read("field,treatment\nm_w1.tif,baf\n").match_fields(
        [("m", "m", ()), ("m_w1", "m_w1", ())]
    )
    assert table["treatment"].tolist() == [None, "baf"]
    assert without_entry == ((None, "m"),)


def test_a_file_of_two_places_is_no_entry(tmp_path):
    for folder in ("Pos0", "Pos1"):
        write_image(tmp_path / "images" / folder / "img_000000000_GFP_000.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "map.csv").write_text("field,treatment\nimg_000000000_GFP_000.tif,DMSO\n")
    with pytest.raises(InputError, match=r"'img_000000000_GFP_000.tif' is a file of Pos0 and one of Pos1; name these"):
        find_plate(tmp_path / "images", plate_map=tmp_path / "map.csv")


def test_a_file_of_several_series_is_told_of_by_what_their_names_begin_with(read):
    fields = [(f"slide_{place}", f"slide_{place}", ("slide",)) for place in ("pos1", "pos2")]
    with pytest.raises(InputError, match=r"name these, or all of them by 'slide_\*'$"):
        read("field,treatment\nslide.czi,DMSO\n").match_fields(fields)
    table = read("field,treatment\nslide_*,DMSO\n").match_fields(fields).table
    assert table["treatment"].tolist() == ["DMSO", "DMSO"]


def test_images_of_no_plate_are_told_of_by_field(tmp_path):
    for name in ("ctrl_01", "ctrl_02", "baf_01"):
        write_image(tmp_path / "images" / f"{name}.tif", np.zeros((8, 8), np.uint16))
    (tmp_path / "map.csv").write_text("Field,treatment,sample\nctrl_01.tif,DMSO,1\nctrl_02.tif,DMSO,2\n")
    plate = find_plate(tmp_path / "images", plate_map=tmp_path / "map.csv")
    assert plate.map_columns == ("treatment", "sample")
    assert plate.summary()[0] == "plate: 3 fields of no plate; names as plain"
    assert plate.table()[["field", "treatment", "sample"]].values.tolist() == [
        ["baf_01", None, None],
        ["ctrl_01", "DMSO", "1"],
        ["ctrl_02", "DMSO", "2"],
    ]
    assert "1 fields are not in the plate map, first baf_01" in plate.notes
    again = Plate.from_dict(json.loads(json.dumps(plate.as_dict())))
    pd.testing.assert_frame_equal(again.table(), plate.table())
    (tmp_path / "map.csv").write_text("well,treatment\nA01,DMSO\n")
    with pytest.raises(InputError, match="give a map with a column 'field' in place of 'well'"):
        find_plate(tmp_path / "images", plate_map=tmp_path / "map.csv")


def test_a_map_is_called_by_its_file_for_cellulars_names_too(tmp_path):
    """Read before, it passed for `the map given`, and of CELLULAR's names for the one that ships with the package."""
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "Timepoint_001_220518-ST_C03_s1_w1.TIF", np.ones((8, 8), np.uint16))
    (tmp_path / "map.csv").write_text("well,treatment\nC03,EBSS\n")
    plate = find_plate(tmp_path / "images", plate_map=read_plate_map(tmp_path / "map.csv"))
    assert plate.map_file == str(tmp_path / "map.csv")
    assert find_plate(tmp_path / "images").map_file == "CELLULAR's own map"


def test_cellulars_own_map():
    treatments = dict(cellular_map().table[["well", "treatment"]].itertuples(index=False))
    assert {well[0] for well, treatment in treatments.items() if treatment == "fed"} == {"C"}
    assert {well[0] for well, treatment in treatments.items() if treatment == "starved"} == set("IJKLMN")
    assert len(treatments) == 7 * 24
    assert cellular_treatment(parse_field("Timepoint_001_220518-ST_C03_s1").well) == "fed"
    assert cellular_treatment("D03") is None
    assert cellular_treatment(parse_field("P_C03_s1").well) is None


word = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(1, 32), st.integers(1, 48)), word, min_size=1, max_size=8),
    st.sampled_from(",;\t"),
)
def test_long_and_drawn_say_the_same(tmp_path_factory, given_wells, separator):
    folder = tmp_path_factory.mktemp("maps")
    wells = {well_at(*place): text for place, text in given_wells.items()}
    with open(folder / "long.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows([("well", "drug"), *wells.items()])
    with open(folder / "drawn.csv", "w", newline="", encoding="utf-8") as file:
        drawn = csv.writer(file, delimiter=separator)
        drawn.writerow(["drug", *range(1, 49)])
        for row in range(1, 33):
            drawn.writerow([well_at(row, 1)[:-2], *(given_wells.get((row, column), "") for column in range(1, 49))])
    for name in ("long.csv", "drawn.csv"):
        table = read_plate_map(folder / name).table
        assert dict(table.itertuples(index=False)) == wells


def test_a_merged_cell_says_the_same_of_all_its_wells(tmp_path):
    """A workbook keeps what it says in its first cell alone: the others were wells without a treatment."""
    path = workbook(
        tmp_path / "m.xlsx",
        long=[["well", "treatment", "lot"], ["A1", "DMSO", "x"], ["A2", None, None], ["A3", "EBSS", None]],
    )
    book = openpyxl.load_workbook(path)
    book["long"].merge_cells("B2:B3")
    book["long"].merge_cells("C2:C4")
    book.save(path)
    assert read_plate_map(path).table["treatment"].tolist() == ["DMSO", "DMSO", "EBSS"]
    assert read_plate_map(path).table["lot"].tolist() == ["x"] * 3
    drawn = [["treatment"], [None, 1, 2, 3], ["A", "DMSO", None, "EBSS"], ["B", None, None, None]]
    path = workbook(tmp_path / "drawn.xlsx", drawn=drawn)
    book = openpyxl.load_workbook(path)
    book["drawn"].merge_cells("A1:D1")  # a heading over all of the plate stays one
    book["drawn"].merge_cells("B3:C4")
    book.save(path)
    given = dict(read_plate_map(path).table[["well", "treatment"]].itertuples(index=False))
    assert given == {"A01": "DMSO", "A02": "DMSO", "A03": "EBSS", "B01": "DMSO", "B02": "DMSO"}


def test_doses_of_a_workbook_are_what_its_cells_show(tmp_path):
    """A cell that shows 10% holds 0.1, and one that shows 100 nM holds 100."""
    path = workbook(tmp_path / "m.xlsx", percent=[["well", "dose (%)"], ["A1", 0.1], ["A2", 0.025], ["A3", 3]])
    book = openpyxl.load_workbook(path)
    book["percent"]["B2"].number_format, book["percent"]["B3"].number_format = "0%", "0.0%"
    book.save(path)
    assert read_plate_map(path).table["dose"].tolist() == [10, 2.5, 3]
    path = workbook(tmp_path / "n.xlsx", units=[["well", "dose_uM"], ["A1", 100], ["A2", 0.5]])
    book = openpyxl.load_workbook(path)
    book["units"]["B2"].number_format = '0" nM"'
    book.save(path)
    assert read_plate_map(path).table["dose"].tolist() == [0.1, 0.5]
