"""What the page shows of units and wells is what the tables say of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import tifffile
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, MultiSelect

from cellular.autophagy.quality.drift import measure_drift
from cellular.data.plate import FieldFiles, Plate, Source
from cellular.jobs import explore as module
from cellular.jobs.explore import explore
from cellular.report import linked
from cellular.report.explorer import explorer, unit_means, well_table
from cellular.report.style import PALETTE, treatment_colours


def plate(folder):
    """Well A01 of plate P on two days, of plate Q on one: three wells, two of one name and plate."""
    labels = np.zeros((40, 40), np.uint16)
    labels[4:16, 4:16], labels[20:36, 20:36] = 1, 2
    items = []
    for name, place, date in (("P1", "P", "240301"), ("P2", "P", "240308"), ("Q1", "Q", "240308")):
        image, cells = folder / f"{name}.tif", folder / f"{name}_masks.tif"
        tifffile.imwrite(image, np.where(labels > 0, 500, 100).astype(np.uint16))
        tifffile.imwrite(cells, labels)
        item = FieldFiles(name, (Source("EGFP", "", "EGFP", ((image, 0),)),), labels=cells)
        items.append(replace(item, plate=place, well="A01", site=1, date=date))
    return Plate(folder, "plain", tuple(items))


def explored(folder, samples=None, **more):
    cells = pd.DataFrame({"field": np.repeat(["P1", "P2", "Q1"], 2), "label": [1, 2] * 3, "y": 9.0, "x": 9.0})
    cells = cells.assign(plate=list("PPPPQQ"), well="A01", treatment="DMSO", replicate=list("aabbbb"))
    cells = cells.assign(area=[1.0, 3, 11, 13, 101, 103])
    if samples:
        cells = cells.assign(well=None, sample=cells["field"].map(samples))
    how = {"treatment": "treatment", "unit": "well", "first": ("area",)} | more
    return explore(plate(folder), {"cells": cells}, drawn_map=None, tracks=None, **how).told


def test_wells_of_one_name_on_several_plates_and_days_are_not_pooled(tmp_path):
    told = explored(tmp_path)
    assert dict(zip(told.wells["plate"], told.wells["area"])) == {"P 240301": 2, "P 240308": 12, "Q": 102}
    assert told.means["area"].tolist() == [2, 12, 102]


def test_samples_of_one_name_on_several_days_are_not_pooled(tmp_path, recwarn):
    """Dishes had no means on the page; and of more than a hundred columns pandas warned in the terminal."""
    cells = pd.DataFrame({"field": np.repeat(["P1", "P2", "Q1"], 2), "label": [1, 2] * 3, "y": 9.0, "x": 9.0})
    # as analyse joins tables of images of no plate: without a column that holds nothing
    cells = cells.assign(treatment="DMSO", sample="dish 1", area=[1.0, 3, 11, 13, 101, 103])
    columns = dict(cells.items()) | {f"m{number}": cells["area"] + number for number in range(101)}
    cells = pd.DataFrame(columns, copy=False)  # a block a column, as tables of Parquet are
    days = {"P1": "a", "P2": "b", "Q1": "b"}
    items = tuple(replace(item, plate=None, well=None) for item in plate(tmp_path).fields)
    told = explore(
        replace(plate(tmp_path), fields=items), {"cells": cells}, unit="sample", first=("area",), replicates=days
    ).told
    assert told.means[["sample", "area"]].to_numpy().tolist() == [["a: dish 1", 2], ["b: dish 1", 57]]
    assert told.wells is None
    assert not [one for one in recwarn if one.category is pd.errors.PerformanceWarning]


def test_means_are_of_all_cells_however_few_the_page_can_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "choose_rows", lambda cells, shown: linked.choose_rows(cells, shown[:1], most=2))
    told = explored(tmp_path, unit="replicate")
    assert len(told.cells) == 2
    assert told.means["area"].tolist() == [2, 57]  # b: images of 12 and 102
    assert len(told.wells) == 3


def test_units_are_the_replicates_of_the_comparison_whatever_a_column_says(tmp_path):
    told = explored(tmp_path, unit="replicate", replicates={"P1": "240301", "P2": "240308", "Q1": "240308"})
    assert told.means[["replicate", "area"]].to_numpy().tolist() == [["240301", 2], ["240308", 57]]
    told = explored(tmp_path, unit="replicate", replicates={"P1": "1", "P2": "2", "Q1": "3"})
    assert told.means["area"].tolist() == [2, 12, 102]


def test_units_of_images_without_wells_are_samples_within_their_replicate(tmp_path):
    told = explored(tmp_path, samples={"P1": "dish 1", "P2": "dish 1", "Q1": None})
    assert told.means[["sample", "area"]].to_numpy().tolist() == [["a: dish 1", 2], ["b: dish 1", 12]]
    replicates = {"P1": "n1", "P2": "n1", "Q1": "n2"}
    told = explored(tmp_path, samples={"P1": "dish 1", "P2": "dish 1", "Q1": "dish 2"}, replicates=replicates)
    assert told.means[["sample", "area"]].to_numpy().tolist() == [["n1: dish 1", 7], ["n2: dish 2", 102]]
    assert explored(tmp_path, samples={"P1": "d", "P2": "d", "Q1": "d"}, unit="replicate").means["area"].tolist() == [
        2,
        57,
    ]


def test_plates_of_one_name_on_two_days_drift_each_for_itself():
    """Both fall to a half in four hours; taken together they would seem to hold still."""
    rows = [("P", "A01", 1, t, date, s) for date, start in (("240301", 100), ("240308", 10)) for t, s in _fall(start)]
    table = pd.DataFrame(rows, columns=["plate", "well", "site", "timepoint", "date", "signal__EGFP"])
    table = table.assign(background__EGFP=1.0, power_slope__EGFP=-2.0)
    drift = measure_drift(table).query("measure == 'signal'").set_index("plate")["change"]
    np.testing.assert_allclose(drift.loc[["P 240301", "P 240308"]], -0.5)
    # one plate over two days: a series
    days = table[table["date"] == "240301"].assign(date=["240301", "240301", "240302", "240302"])
    assert measure_drift(days).query("measure == 'signal'")["plate"].tolist() == ["P"]


def _fall(start):
    return [(t, start * (1 - t / 6)) for t in range(4)]


def test_means_are_without_the_fields_left_out_of_the_comparison_and_cells_are_not(tmp_path):
    told = explored(tmp_path, unit="replicate", left_out=["P2"])
    assert told.means[["replicate", "area"]].to_numpy().tolist() == [["a", 2], ["b", 102]]
    assert told.wells[["plate", "area"]].to_numpy().tolist() == [["P 240301", 2], ["Q", 102]]
    assert len(told.cells) == 6


def test_a_well_that_holds_several_arms_has_no_mean(tmp_path):
    """States of cells as treatments: the mean of the arm that came last stood in the map as the well's."""
    cells = pd.DataFrame({"plate": "P", "well": ["A01", "A01", "A02", "A02"], "field": ["a", "a", "b", "b"]})
    cells = cells.assign(treatment=["basal", "activated", "basal", "basal"], area=[1.0, 5, 2, 4])
    wells = well_table(cells, ["area"])
    assert wells["well"].tolist() == ["A01", "A02"]
    assert wells["treatment"].tolist() == ["activated / basal", "basal"]
    np.testing.assert_equal(wells["area"].to_numpy(), [np.nan, 3])


def test_what_is_infinite_is_in_no_mean():
    """Of a well with one such cell in the fields there was no mean on the page, and one in wells.csv."""
    cells = pd.DataFrame({"plate": "P", "well": "A01", "field": ["a", "a", "b"], "treatment": "fed"})
    cells = cells.assign(ratio=[1.0, np.inf, 3.0])
    assert well_table(cells, ["ratio"])["ratio"].tolist() == [2]
    assert unit_means(cells, ["ratio"], "well")["ratio"].tolist() == [2]


def test_treatments_look_in_the_map_as_in_the_comparisons_figures(tmp_path):
    """Of the first treatment the page holds no cell: the map gave its colour to the second."""
    told = explored(tmp_path, treatments=["AMPK", "DMSO"])
    cells = told.cells.assign(first=np.arange(6.0), second=np.arange(6.0))
    dots = explorer(replace(told, cells=cells)).select_one({"name": "table"}).source.data
    assert set(dots["map_colour"]) == {treatment_colours(["AMPK", "DMSO"])["DMSO"]}
    assert set(dots["map_marker"]) == {linked.MARKERS[1]}
    cells["treatment"] = ["DMSO, 1 nM", "DMSO, 2 nM", "AMPK, 1 nM"] * 2
    dots = explorer(replace(told, cells=cells.assign(first=0.0, second=0.0))).select_one({"name": "table"}).source.data
    assert dots["map_colour"] == [PALETTE[1], PALETTE[1], PALETTE[0]] * 2
    assert len(set(zip(dots["map_colour"], dots["map_marker"]))) == 3


def test_a_treatment_of_which_the_page_can_hold_no_cell_has_its_means(tmp_path):
    told = explored(tmp_path)
    cells = told.cells.assign(treatment=["DMSO"] * 4 + ["rapamycin"] * 2)
    means, kept = unit_means(cells, ["area"], "plate"), cells[cells["treatment"] == "rapamycin"].reset_index(drop=True)
    document = explorer(replace(told, cells=kept, means=means, wells=None, unit="plate"))
    large = document.select_one({"name": "superplot"}).renderers[1].data_source.data
    dots = document.select_one({"name": "table"}).source.data
    at = dict(zip(zip(large["treatment"], large["unit"]), np.round(large["place"])))
    assert at == {("DMSO", "P 240301"): 0, ("DMSO", "P 240308"): 0, ("rapamycin", "Q"): 1}
    np.testing.assert_allclose(dots["place"], 1, atol=0.3)


def test_dishes_and_plates_can_be_looked_at_alone():
    """By treatment and well alone, cells of one day, dish or plate could not be picked out, nor seen in the table."""
    cells = ColumnDataSource(
        {
            "field": list("abcd"),
            "treatment": ["fed"] * 4,
            "sample": ["1: dish 10", "1: dish 2", "2: dish 2", ""],
            "plate": ["10", "2", "1", "1"],
            "well": [""] * 4,
            "area": np.arange(4.0),
        }
    )
    passing = BooleanFilter()
    offered = {
        one.name: one.options for one in linked.filters(cells, ["area"], passing) if isinstance(one, MultiSelect)
    }
    assert offered == {"by_sample": ["1: dish 2", "1: dish 10", "2: dish 2"], "by_plate": ["1", "2", "10"]}
    table = linked.cell_table(cells, ["area"], CDSView(filter=passing))
    assert [column.field for column in table.columns] == ["field", "treatment", "sample", "plate", "area"]


def test_days_and_dishes_can_be_picked_whatever_the_units_are(tmp_path):
    """They were offered where they were the units alone; and numbers were taken for a measurement, not for names."""
    told = explored(tmp_path, samples={"P1": 1.0, "P2": 2.0, "Q1": 2.0}, unit="replicate")  # as tables are read
    assert told.features == ["area"]
    assert set(explored(tmp_path, samples={"P1": 1.0, "P2": 2.0, "Q1": 2.0}).means["sample"]) == {"a: 1", "b: 2"}
    cells = linked.cell_source(told.cells, told.features, {}, [], unit=told.unit)
    offered = {
        one.name: one.options
        for one in linked.filters(cells, told.features, BooleanFilter())
        if isinstance(one, MultiSelect)
    }
    assert offered["by_replicate"] == ["a", "b"]
    assert offered["by_sample"] == ["1", "2"]
    assert explored(tmp_path, unit="well").unit == "plate and well"
    of_wells = linked.cell_source(explored(tmp_path).cells, ["area"], {}, [], unit="plate and well")
    assert of_wells.data["replicate"] == list("aabbbb")


def test_many_conditions_and_long_names_leave_room_to_the_plots():
    """Names of 60 letters pressed the plots flat, and a legend of forty entries stood in place of the map."""
    names = [f"compound {k} at a long name that ends in {k}" for k in range(40)]
    columns = {"first": np.arange(40.0), "second": np.arange(40.0), "area": np.arange(40.0), "well": ["A01"] * 40}
    source = ColumnDataSource({"treatment": names, "field": names, "label": np.ones(40), **columns})
    view = CDSView(filter=BooleanFilter())
    means = pd.DataFrame({"treatment": names, "well": "A01", "area": 1.0})
    figure, _ = linked.superplot_figure(source, means, "area", view)
    words = [label.text for label in figure.xaxis[0].major_label_overrides.values()]
    assert len(set(words)) == 40, "each has a name of its own"
    assert max(map(len, words)) <= 26
    assert figure.width >= 40 * 24
    drawn = linked.map_figure(source, view, names=("1", "2"))
    assert not drawn.legend
    assert ("treatment", "@treatment") in drawn.hover[0].tooltips
