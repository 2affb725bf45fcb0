"""What the live page tells of cells and wells is what was measured of them."""

import html
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("panel", reason="the page needs the extra view")

from cellular.jobs.queue import Queue
from cellular.jobs.view import open_run
from cellular.report.glue import NUMBER
from cellular.view.page import Desk, Page
from cellular.view.parts import as_is
from cellular.view.picture import compose, contrast, ramp


@pytest.fixture
def page(analysed, tmp_path):
    """A page on the run, whose corrections go elsewhere."""

    class Apart(type(open_run(analysed))):
        corrections = tmp_path / "corrections"

    run = open_run(analysed)
    return Page(Desk(Apart(**vars(run)), Queue(tmp_path / "jobs")))


def test_what_another_window_has_done_is_not_taken_back_unseen(page):
    """Undo took back the last stroke of all windows: a cell deleted in one came back as the other undid its drawing."""
    other = Page(page.desk)
    item = page.desk.run.plate.fields[0]
    for one in (page, other):
        one.open(item.name)
    cell = int(np.unique(page.desk.labels(item))[1])
    other.correct._do("draw", polygon=[(2, 2), (12, 2), (12, 12), (2, 12)])
    page.correct._guarded(lambda: page.correct._do("delete", cells=[cell]))
    assert "another window" in page.message.object
    page.correct._guarded(lambda: page.correct._do("delete", cells=[cell]))  # seen now
    assert page.message.object == "delete: saved"
    other.correct._guarded(other.correct._undo)
    assert "another window" in other.message.object
    assert cell not in page.desk.labels(item)
    assert cell not in other.field.cells.data["label"], "it is drawn anew"
    other.correct._guarded(other.correct._undo)
    assert cell in page.desk.labels(item)


def shown(page, label):
    """What the page tells of a cell, by column."""
    row = page.field.cells.data["label"].index(label)
    return {name: values[row] for name, values in page.field.cells.data.items()}


def test_a_reshaped_cell_has_no_numbers_of_its_former_outline(page):
    item = page.desk.run.plate.fields[0]
    page.open(item.name)
    labels = page.desk.labels(item)
    cell, other = (int(k) for k in np.unique(labels)[1:3])
    before = {label: shown(page, label) for label in (cell, other)}
    measured = page.desk.run.tables["cells"].query("field == @item.name").set_index("label")
    assert before[cell]["puncta_total"] == measured.loc[cell, "puncta_total"]
    y, x = (int(axis.mean()) for axis in np.nonzero(labels == cell))
    page.field.choose([cell])
    page.correct._do("reshape", cell=cell, polygon=[(x - 4, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 4, y + 4)])
    after = shown(page, cell)
    assert after["area"] == (page.desk.labels(item) == cell).sum() != before[cell]["area"]
    assert np.isnan(after["puncta_total"])
    assert np.isnan(after["circularity"])
    assert shown(page, other)["circularity"] == before[other]["circularity"]
    page.correct._undo()
    assert shown(page, cell)["puncta_total"] == before[cell]["puncta_total"]


def test_axes_tell_the_unit(page):
    page.open(page.desk.run.plate.fields[0].name)
    page.field.x_column.value, page.field.y_column.value = "area", "puncta_total"
    assert page.field.plot.xaxis[0].axis_label.text == "area (px²)"
    assert page.field.plot.yaxis[0].axis_label.text == "puncta total"
    page.plate.column.value = "area"
    assert page.plate.plot.yaxis[0].axis_label.text == "area (px²)"


def test_what_is_pointed_at_is_told_as_in_the_table(page):
    """2594.5 was 2.594e+3."""
    page.open(page.desk.run.plate.fields[0].name)
    hovers = [page.field.hover, *page.plate.map.hover, *page.plate.plot.hover]
    for hover, told in zip(hovers, ("@{area}", "@{value}", "@{y}")):
        assert f"{told}{{custom}}" in [how for _, how in hover.tooltips]
        assert NUMBER in hover.formatters[told].code


def test_a_plate_without_a_value_has_no_scale_of_another_column(page):
    page.plate.column.value = "area"
    assert page.plate.scale.visible
    page.plate.fields = page.plate.fields.assign(nothing=np.nan)
    page.plate.column.options = [*page.plate.column.options, "nothing"]
    page.plate.column.value = "nothing"
    assert not page.plate.scale.visible
    page.plate.column.value = "area"
    assert page.plate.scale.visible


def test_wells_with_and_without_an_inhibitor_are_drawn_apart(analysed, tmp_path):
    run = open_run(analysed)
    fields = [replace(item, plate="P", well=f"A0{k}") for k, item in enumerate(run.plate.fields, 1)]
    given = pd.DataFrame({"plate": "P", "well": ["A01", "A02", "A03"], "treatment": "DMSO", "replicate": list("123")})
    plain = replace(run.plate, fields=tuple(fields), wells=given)
    assert "condition" not in Page(Desk(replace(run, plate=plain), Queue(tmp_path / "jobs"))).plate.groups
    blocked = replace(plain, wells=given.assign(inhibitor=["none", "BafA1", "none"]))
    pane = Page(Desk(replace(run, plate=blocked), Queue(tmp_path / "jobs"))).plate
    assert pane.by.value == "condition"
    assert pane.groups_shown.factors == ["DMSO, BafA1", "DMSO, none"]
    doses = replace(plain, wells=given.assign(dose=[1000.0, 10.0, 250.0], dose_unit="nM"))
    pane = Page(Desk(replace(run, plate=doses), Queue(tmp_path / "jobs"))).plate
    assert pane.groups_shown.factors == ["DMSO, 10 nM", "DMSO, 250 nM", "DMSO, 1000 nM"]
    # by what the run was told: its replicates are no condition, its treatments and inhibitor whatever they are called
    called = {"treatment": "drug", "replicate": "day", "inhibitor": "block"}
    own = replace(blocked, wells=blocked.wells.rename(columns=called))
    record = {**run.record, "stats": run.record["stats"] | called}
    pane = Page(Desk(replace(run, plate=own, record=record), Queue(tmp_path / "jobs"))).plate
    assert pane.groups_shown.factors == ["DMSO, BafA1", "DMSO, none"]


def test_groups_keep_their_colours_and_none_is_what_was_given(analysed, tmp_path):
    """Wells of which the map says nothing stood with those without inhibitor, as none; "Only" changed the colours."""
    run = open_run(analysed)
    fields = [replace(item, plate="P", well=f"A0{k}") for k, item in enumerate(run.plate.fields, 1)]
    given = pd.DataFrame({"plate": "P", "well": ["A01", "A02", "A03"], "inhibitor": ["none", "BafA1", None]})
    plate = replace(run.plate, fields=tuple(fields), wells=given.assign(treatment=["fed", "drug", "fed"]))
    pane = Page(Desk(replace(run, plate=plate), Queue(tmp_path / "jobs"))).plate
    pane.by.value = "inhibitor"
    assert sorted(pane.groups_shown.factors) == ["(not told)", "BafA1", "none"]
    colours = dict(zip((group for group, _ in pane.dots.data["x"]), pane.dots.data["colour"]))
    pane.only.value = ["none"]
    assert set(pane.dots.data["colour"]) == {colours["none"]}


def test_what_is_infinite_is_in_no_mean_and_small_numbers_keep_their_digits(page):
    """A well with one such cell had none; of circularities of 0.00000123 the tables told 0."""
    pane, cells = page.plate, page.desk.run.tables["cells"]
    field = cells["field"].iloc[0]
    mean = cells.loc[cells["field"] == field, "area"].iloc[1:].mean()
    cells["area"] = cells["area"].astype(float)
    cells.loc[cells.index[0], "area"] = np.inf
    cells["circularity"] = cells["circularity"] * 1e-6
    pane.column.value = "circularity"
    pane.column.value = "area"
    assert pane.table.value.set_index("field")["value"][field] == pytest.approx(mean)
    assert np.isfinite(pane.wells.data["value"]).all()
    page.open(field)
    told = page.field.table
    assert told.value["circularity"].dropna().between(1e-8, 1e-5).all()
    assert told.formatters["circularity"].template == f"<%= ({NUMBER})(value) %>"
    assert "value" in pane.table.formatters


def test_puncta_of_markers_are_drawn_and_a_cell_of_two_parts_is_found(page):
    """Where no reporter was measured the layer was empty; between two parts the picture went to nowhere."""
    run, item = page.desk.run, page.desk.run.plate.fields[0]
    spots = pd.DataFrame({"field": [item.name], "x": [5.0], "y": [7.0], "channel": "LAMP1"})
    tables = {name: table for name, table in run.tables.items() if name != "puncta"}
    page.desk.run = replace(run, tables=tables | {"marker_puncta": spots})
    page.open(item.name)
    assert (page.field.puncta.data["x"], page.field.puncta.data["y"]) == ([5.5], [7.5])
    data = page.field.cells.data
    data["xs"][0], data["ys"][0] = np.r_[data["xs"][0], np.nan, 900.0], np.r_[data["ys"][0], np.nan, 900.0]
    page.field._look(2000, 2000, 100)
    page.field.choose([data["label"][0]])
    assert page.field.x_range.start < np.nanmean(data["xs"][0]) < page.field.x_range.end


def test_what_is_infinite_takes_no_colour():
    """It took those of all others, which were the lowest."""
    assert ramp(pd.Series([0.0, 1, np.inf, 2, np.nan]), ["a", "b", "c"]) == ["a", "b", "#999999", "c", "#999999"]


@pytest.mark.parametrize("low", [-2e-4, 1e-4])
def test_a_slider_of_contrast_has_many_steps(page, low):
    """They were of 0.1, more than images of fractions have of light: none could be moved."""
    page.open(page.desk.run.plate.fields[0].name)
    page.field.ranges = [(low, 3e-4)]
    page.field._show_channels(["EGFP"])
    slider = page.field.channels[0][1]
    assert slider.value == (low, 3e-4)
    assert (slider.end - slider.start) / slider.step == pytest.approx(1000)


ODD = ("<b>DMSO</b> & co", "*x* _y_ `z`", "<img src=x onerror=alert(1)>")


def test_names_are_words_to_the_page_whatever_they_hold(analysed, tmp_path):
    """A plate map's `<img onerror=...>` was a script of the page, and its `*x*` stood there as x."""
    run = open_run(analysed)
    fields = [replace(item, plate="P", well=f"A0{k}") for k, item in enumerate(run.plate.fields, 1)]
    given = pd.DataFrame({"plate": "P", "well": ["A01", "A02", "A03"], "treatment": ODD})
    plate = replace(run.plate, fields=tuple(fields), wells=given)
    page = Page(Desk(replace(run, plate=plate), Queue(tmp_path / "jobs")))
    for item, treatment in zip(fields, ODD):
        page.open(item.name)
        assert f"treatment {html.escape(treatment)}" in drawn(page.title)
        page.tell(treatment)
        assert drawn(page.message) == f"<p>{html.escape(treatment)}</p>\n"
    only = page.plate.only
    assert set(only.values) == set(ODD)
    assert not [words for words in only.labels if "<" in words]
    only.value = [ODD[2]]
    assert page.plate.table.value["field"].tolist() == [fields[2].name]


def drawn(pane):
    """What the browser is sent."""
    return html.unescape(pane.get_root().text)


def test_plates_of_one_name_on_two_days_are_two_on_the_map(analysed, tmp_path):
    run = open_run(analysed)
    first, second, third = run.plate.fields
    fields = [replace(item, plate="P", well="C05", site=1) for item in (first, second, third)]
    fields = [replace(item, date=date) for item, date in zip(fields, ("240301", "240308", "240308"))]
    fields[2] = replace(fields[2], well="C06")
    plate = replace(run.plate, fields=tuple(fields))
    assert plate.summary()[0].startswith("plate: 3 fields, 3 wells, 2 plates (P 240301, P 240308)")
    pane = Page(Desk(replace(run, plate=plate), Queue(tmp_path / "jobs"))).plate
    pane.column.value = "area"
    area = run.tables["cells"].groupby("field")["area"].mean()
    told = {}
    for name in pane.plate.options:
        pane.plate.value = name
        told |= {(name, well): value for well, value in zip(pane.wells.data["well"], pane.wells.data["value"])}
    assert told == pytest.approx(
        {
            ("P 240301", "C05"): area[first.name],
            ("P 240308", "C05"): area[second.name],
            ("P 240308", "C06"): area[third.name],
        }
    )
    pane.show_choice(first.name, [])
    assert pane.plate.value == "P 240301"


def test_dishes_of_one_name_on_two_days_are_two_as_in_the_report(analysed, tmp_path):
    """ "dish 1" of both days stood as one; the table of fields had empty columns for wells and plates."""
    run = open_run(analysed)
    names = [item.name for item in run.plate.fields]
    given = pd.DataFrame({"field": names, "treatment": "DMSO", "sample": ["dish 1", "dish 1", "dish 2"]})
    dishes = [replace(item, plate=None, well=None, site=None, date=None) for item in run.plate.fields]

    def pane_of(fields, told):
        plate = replace(run.plate, fields=tuple(fields), wells=told)
        pane = Page(Desk(replace(run, plate=plate), Queue(tmp_path / "jobs"))).plate
        pane.by.value = "sample"
        return pane

    pane = pane_of(dishes, given.assign(replicate=["a", "b", "b"]))
    assert pane.groups_shown.factors == ["a: dish 1", "b: dish 1", "b: dish 2"]
    assert {"well", "plate"}.isdisjoint(pane.table.value)
    assert pane.table.value["sample"].tolist() == ["a: dish 1", "b: dish 1", "b: dish 2"]
    days = [replace(item, date=date) for item, date in zip(dishes, ("240301", "240308", "240308"))]
    assert pane_of(days, given).groups_shown.factors == ["240301: dish 1", "240308: dish 1", "240308: dish 2"]
    assert pane_of(dishes, given).groups_shown.factors == ["dish 1", "dish 2"]


def test_an_image_with_pixels_that_are_no_numbers_is_drawn():
    """One NaN, as registration leaves at the border, and the whole field was black."""
    plane = np.array([[np.nan, np.inf, 1.0, 3.0]], np.float32)
    assert contrast(plane) == pytest.approx((1.02, 2.99))
    assert [hex(pixel) for pixel in compose([plane], [(1, 3)], [(255, 0, 0)])[0]] == [
        "0xff000000",
        "0xff0000ff",
        "0xff000000",
        "0xff0000ff",
    ]
    assert contrast(np.full((2, 2), np.nan)) == (0, 1)


def test_a_stroke_on_the_field_before_is_not_done_in_this_one(page):
    """Drawn while the next field was being opened, it became a cell of that one, at the place of this."""
    first, second = page.desk.run.plate.fields[:2]
    page.open(first.name)
    mark = page.field.tools["pen"].default_overrides["field"]
    corner = {"xs": [[2.0, 12.0, 12.0]], "ys": [[2.0, 2.0, 12.0]]}
    page.correct.mode.value = "Draw a cell"
    page.open(second.name)
    page.field.pen.data = {**corner, "field": [mark]}
    assert (
        page.message.object
        == f"that was drawn on {as_is(first.name)}, before {as_is(second.name)} was shown; do it again"
    )
    assert page.desk.run.corrected() is None
    assert not page.field.pen.data["xs"]
    page.field.pen.data = {**corner, "field": [page.field.tools["pen"].default_overrides["field"]]}
    assert page.desk.run.corrected().fields == (second.name,)


def test_a_cell_is_marked_on_its_page_of_a_sorted_table(page):
    """Of a table sorted by a number the page of the order before came, and on it another field was marked."""
    page.open(page.desk.run.plate.fields[0].name)
    table = page.field.table
    table.page_size = 8
    labels = table.value["label"].tolist()
    assert len(labels) > 8
    table.sorters = [{"field": "label", "dir": "desc"}]
    for place, cell in enumerate(reversed(labels)):
        page.field.choose([cell])
        assert (table.page, table.selection) == (place // 8 + 1, [labels.index(cell)])
    fields = page.plate.table
    fields.sorters = [{"field": "value", "dir": "desc"}]
    fields.value = pd.DataFrame({"field": [f"f{k}" for k in range(9)], "value": range(9)})
    page.plate.fields = pd.DataFrame({"field": fields.value["field"], "plate": "", "well": None})
    page.plate.show_choice("f8", [])
    assert (fields.page, fields.selection) == (1, [8])


def test_a_table_that_is_sorted_by_a_column_goes_on_without_it(page):
    """Told a state, the last column makes room for its own: an error came, and from then on rows chose no cell."""
    page.open(page.desk.run.plate.fields[0].name)
    table = page.field.table
    last = table.value.columns[-1]
    table.sorters = [{"field": last, "dir": "asc"}, {"field": "label", "dir": "desc"}]
    page.correct._do("state", cells=[1], state="activated")
    assert last not in table.value
    assert table.sorters == [{"field": "label", "dir": "desc"}]
    table.selection = [1]
    assert page.field.chosen() == [int(table.value["label"][1])]


def test_a_well_is_not_compared_as_one_with_that_of_another_plate(analysed, tmp_path):
    """A01 of two plates, of other treatments, stood as one group called A01."""
    run = open_run(analysed)
    places = (("P1", "A01"), ("P2", "A01"), ("P2", "A02"))
    fields = [replace(item, plate=plate, well=well) for item, (plate, well) in zip(run.plate.fields, places)]
    pane = Page(Desk(replace(run, plate=replace(run.plate, fields=tuple(fields))), Queue(tmp_path / "jobs"))).plate
    pane.by.value = "well"
    assert pane.groups_shown.factors == ["P1 A01", "P2 A01", "P2 A02"]
    assert dict(zip(pane.dots.data["field"], pane.dots.data["group"])) == {
        item.name: " ".join(place) for item, place in zip(fields, places)
    }
    pane.only.value = ["P2 A01"]
    assert set(pane.dots.data["field"]) == set(pane.table.value["field"]) == {fields[1].name}
    fields = [replace(item, plate="P1") for item in fields]
    pane = Page(Desk(replace(run, plate=replace(run.plate, fields=tuple(fields))), Queue(tmp_path / "jobs"))).plate
    pane.by.value = "well"
    assert pane.groups_shown.factors == ["A01", "A02"]


def test_one_value_is_in_the_middle_of_its_scale(analysed, tmp_path):
    """Of one well the scale was 1e-9 wide, and told one number five times."""
    run = open_run(analysed)
    fields = tuple(replace(item, plate="P", well="A01") for item in run.plate.fields)
    pane = Page(Desk(replace(run, plate=replace(run.plate, fields=fields)), Queue(tmp_path / "jobs"))).plate
    pane.column.value = "area"
    [value] = pane.wells.data["value"]
    assert (pane.mapper.low, pane.mapper.high) == pytest.approx((0.95 * value, 1.05 * value))


def test_zooming_ends_before_numbers_do(page):
    """A hundred turns of the wheel, and the field's place was NaN: no button but *Fit* did anything."""
    page.open(page.desk.run.plate.fields[0].name)
    field = page.field
    for factor, height in ((0.5, 4), (2.0, 8 * 256)):
        for _ in range(40):
            field.zoom(factor)
        assert field.y_range.start - field.y_range.end == pytest.approx(height)
        assert field.x_range.end - field.x_range.start == pytest.approx(height)
    for axis in (field.x_range, field.y_range):  # the browser's wheel goes by these
        assert (axis.min_interval, axis.max_interval) == (4, 8 * 256)


def test_it_is_said_which_fields_are_drawn_as_before_their_correction(page):
    """A cell that was deleted stayed in the mean of its well and among the dots, without a word."""
    item = page.desk.run.plate.fields[0]
    page.open(item.name)
    assert page.plate.note.object == ""
    page.correct._do("delete", cells=page.field.cells.data["label"][:1])
    page.plate.refresh()
    assert as_is(f"here as they were before: {item.name}.") in page.plate.note.object
    page.correct._undo()
    assert page.plate.note.object == ""
