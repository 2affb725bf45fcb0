"""Figures and sections of flux, doses and plate say what their tables say."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings
from cellular.autophagy.compare.effects import compare
from cellular.jobs.assay import assess, write_assay
from cellular.report.assay import add_assay, course_figure, dose_figure, flux_figure
from cellular.report.comparison import Figures, add_to_page
from cellular.report.html import Page
from cellular.report.plate import heatmap
from cellular.report.style import PALETTE

SETTINGS = StatsSettings(control="DMSO", replicate="batch", time="hours", features=("puncta_yellow",))


@pytest.fixture(scope="module")
def assay():
    """Three replicates of two treatments; the pool grows by 2 and 5 puncta an hour after the block."""
    rng, rows = np.random.default_rng(0), []
    for batch in "abc":
        for row, (treatment, slope) in zip("AB", {"DMSO": 2, "EBSS": 5}.items()):
            for column, inhibitor in enumerate(("none", "Baf"), 1):
                for timepoint, hours in enumerate((0, 1, 2, 4), 1):
                    mean = 5 + slope * hours * (inhibitor == "Baf")
                    given = {"treatment": treatment, "inhibitor": inhibitor, "batch": batch, "hours": hours}
                    place = {"plate": batch, "well": f"{row}{column:02d}", "timepoint": timepoint}
                    field = f"{batch}{row}{column}t{timepoint}"
                    rows += [{"field": field, **place, **given, "puncta_yellow": rng.poisson(mean)} for _ in range(40)]
    result = compare(pd.DataFrame(rows), SETTINGS)
    return assess(result, SETTINGS, ["puncta_yellow"])


def test_flux_and_course_draw_the_estimates(assay):
    figure = flux_figure(assay.flux, "puncta_yellow", "Baf")
    names = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    drawn = [bar.lines[0].get_ydata()[0] for bar in figure.axes[1].containers]
    told = assay.flux.table.query("timepoint == 'all' and quantity == 'flux' and measure == 'difference of rates'")
    assert dict(zip(names, drawn)) == pytest.approx(told.set_index("treatment")["estimate"].to_dict())
    figure = course_figure(assay.flux, "puncta_yellow", "Baf")
    slopes = assay.flux.turnover.query("quantity == 'J'").set_index("treatment")["estimate"]
    assert slopes["EBSS"] == pytest.approx(5, abs=0.5)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{name}: J = {slopes[name]:.3g}" for name in ("DMSO", "EBSS")
    ]
    plt.close("all")


def test_replicates_and_treatments_look_the_same_in_all_panels_and_figures(assay):
    """A replicate that a treatment lacks gave its colour to the next one there."""
    courses = assay.flux.courses.query("treatment != 'DMSO' or replicate != 'a'")
    figure = course_figure(replace(assay.flux, courses=courses), "puncta_yellow", "Baf")
    seen = [{line.get_color() for line in axes.lines if line.get_linestyle() == "None"} for axes in figure.axes]
    assert seen == [set(PALETTE[1:3]), set(PALETTE[:3])]
    bars = flux_figure(assay.flux, "puncta_yellow", "Baf", ["A", "DMSO", "EBSS"]).axes[1].containers
    assert [bar.lines[0].get_color() for bar in bars] == list(PALETTE[1:3])
    points = pd.DataFrame({"dose": [1.0, 10], "replicate": "b", "mean": [1.0, 2]})
    curve = pd.Series({"feature": "x", "treatment": "drug", "unit": "nM", "ec50": np.nan})
    assert dose_figure(curve, points, ["a", "b"]).axes[0].lines[0].get_color() == PALETTE[1]
    plt.close("all")


def test_the_page_tells_flux_turnover_and_plate(assay, tmp_path):
    page = add_assay(Page("t"), write_assay(assay, tmp_path)).render()
    wells = "that of a plate of 6 wells"  # A01 to B02
    for text in (
        ">Flux</h2>",
        "transition time",
        "difference of fluxes",
        ">Wells on the plate</h2>",
        wells,
        "no arm lies in",
    ):
        assert text in page
    assert ">Doses</h2>" not in page
    assert "How much edge" not in page  # there is no such table
    assert (tmp_path / "turnover.csv").is_file()
    assert not (tmp_path / "doses.csv").exists()


def test_wells_of_which_cells_are_of_several_arms_have_no_mean():
    """Treatments that are states of cells: the mean of a whole well was told as that of its first cell's state."""
    cells = pd.DataFrame({"field": [f"{d}{w}" for d in "abc" for w in range(1, 6) for _ in range(4)]})
    cells["well"], cells["plate"] = "A0" + cells["field"].str[1], cells["field"].str[0]
    cells["state"] = ["basal", "activated"] * 30
    cells.loc[cells["well"] < "A05", "light"] = np.arange(48.0)
    cells.loc[cells["well"] == "A05", ["state", "light"]] = ["basal", 1.0]
    settings = StatsSettings(treatment="state", control="basal", replicate="plate")
    found = assess(compare(cells, settings), settings, ["light"])
    assert len(found.wells) == len(found.places) == 0
    assert found.notes[0].startswith("12 well(s) hold cells of several arms, such as a/A01")


def test_the_page_of_images_of_no_plate_tells_of_samples(tmp_path):
    """It told of wells and of a plate a day; dishes that are numbered anew in each arm passed for one of several."""
    fields = [f"{day}{arm}{dish}" for day in "abc" for arm in "ceCE" for dish in "12" for _ in range(3)]
    cells = pd.DataFrame({"field": fields, "replicate": [name[0] for name in fields], "plate": "2024"})
    cells["treatment"] = ["EBSS" if name[1] in "eE" else "DMSO" for name in fields]
    cells["inhibitor"] = ["BafA1" if name[1] in "CE" else "none" for name in fields]
    cells["sample"] = [f"dish {name[1:]}" for name in fields]
    cells["puncta_yellow"] = np.random.default_rng(0).poisson(9, len(cells))
    page = _compared(cells)
    assert "samples</th>" in page
    for word in ("plates</th>", "positions</th>", "wells", "Wells", ">well<"):
        assert word not in page, word
    page = _compared(cells.assign(sample="dish " + cells["field"].str[-1]))
    assert "6 sample(s) hold cells of several arms, such as a: dish 1: it is taken for one dish" in page


def _compared(cells):
    settings = StatsSettings(control="DMSO", replicate="replicate", min_replicates=4)
    result, page = compare(cells, settings), Page("x")
    assay = assess(result, settings, ["puncta_yellow"])
    result = replace(result, notes=(*result.notes, *assay.notes))
    add_to_page(page, result, Figures({}, None, {}, None, assay))
    return page.render().split("</style>")[-1]


def test_doses_are_numbers_on_a_logarithmic_axis_with_zero_apart():
    curve = {"feature": "x", "treatment": "drug", "unit": "nM", "zero": 1, "plateau": 9, "ec50": 12, "slope": 1}
    curve = pd.Series({**curve, "ec50_low": 8.0, "ec50_high": 20.0})
    doses = [0, 2, 10, 100, 1000]
    points = pd.DataFrame({"dose": doses * 2, "replicate": ["a"] * 5 + ["b"] * 5, "mean": range(10)})
    axes = dose_figure(curve, points.astype({"dose": float})).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "2", "10", "100", "1000"]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "drug (nM)")
    refused = curve.mask(curve.index.isin(["zero", "plateau", "ec50", "slope", "ec50_low"]))
    assert "no curve" in dose_figure(refused, points.astype({"dose": float})).axes[0].get_title()
    plt.close("all")


@pytest.mark.parametrize(("well", "shape"), [("B03", (2, 3)), ("AF48", (32, 48))])
def test_heatmap_shows_every_well_of_its_plates(well, shape):
    row = shape[0] if well != "B03" else 2
    table = {"plate": ["P1", "P2", "P3", "P4"], "well": well, "row": row, "column": int(well[-2:])}
    figure = heatmap(pd.DataFrame({**table, "feature": "x", "value": [1.0, 2, 3, 4]}), "x")
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert [image.shape for image in images[:4]] == [shape] * 4
    assert [float(image[-1, -1]) for image in images[:4]] == [1, 2, 3, 4]
    plt.close("all")
