"""`cellular stats` from a table of cells to the page."""

import json

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings
from cellular.cli.main import main
from cellular.jobs.stats import compare_tables
from cellular.tables import from_frame, write_table


def measured(dates, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for date in dates:
        for well, treated in (("C03", 0), ("C05", 0), ("I04", 1), ("I06", 1)):
            for t in (1, 2):
                rows.append(
                    pd.DataFrame(
                        {
                            "field": f"Timepoint_00{t}_{date}-ST_{well}_s1",
                            "label": np.arange(1, 31),
                            "log2_ratio": rng.normal(treated + rng.normal(0, 0.1), 1, 30),
                            "puncta_red_only": rng.poisson(2 + 3 * treated, 30),
                            "red_only_fraction": rng.beta(2 + treated, 2, 30),
                        }
                    )
                )
    return pd.concat(rows, ignore_index=True)


def test_one_date_is_described_and_its_p_values_refused(tmp_path, capsys):
    measured([220518]).to_csv(tmp_path / "cells.csv", index=False)
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "no p-value: 1 biological replicate (220518)" in printed
    assert "technical replicates" in printed
    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert effects["p_value"].isna().all()
    assert effects.loc[effects["feature"] == "log2_ratio", "ci_low"].notna().all()
    page = (tmp_path / "out" / "stats.html").read_text(encoding="utf-8")
    assert "No p-value" in page
    assert "counts at one time are not flux" in page
    assert json.loads((tmp_path / "out" / "stats.json").read_text())["control"] == "fed"
    for name in ("log2_ratio", "red_only_fraction", "over_time", "map_pca", "effects"):
        assert (tmp_path / "out" / "figures" / f"{name}.svg").stat().st_size > 5000


def test_a_medium_that_tells_the_treatments_apart_is_said(tmp_path, capsys):
    cells = measured([220518])
    cells.to_csv(tmp_path / "cells.csv", index=False)
    fields = cells["field"].drop_duplicates()
    starved = fields.str.contains("_I").to_numpy()
    levels = {"background__EGFP": np.where(starved, 3.0, 10.0), "background__mRFP": np.arange(len(fields)) % 3}
    pd.DataFrame({"field": fields, **levels}).to_csv(tmp_path / "images.csv", index=False)
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--map", "pca"]) == 0
    printed = capsys.readouterr().out
    assert "EGFP off the cells is 3 to 3 in starved wells, 10 to 10 in fed ones" in printed
    assert "mRFP off the cells" not in printed
    assert "The medium tells starved from fed" in (tmp_path / "out" / "stats.html").read_text(encoding="utf-8")
    # what describes an image is no measurement of its cells
    assert not pd.read_csv(tmp_path / "out" / "effects.csv")["feature"].str.contains("background").any()


def test_three_dates_are_tested(tmp_path, capsys):
    measured([220518, 220519, 220520]).to_csv(tmp_path / "cells.csv", index=False)
    options = ["--features", "log2_ratio", "puncta_red_only"]
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), *options]) == 0
    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    first = effects[effects["timepoint"] == "all"].set_index("feature")
    assert (first["p_value"] < 0.05).all()
    assert (first["q_value"] >= first["p_value"]).all()
    assert first.loc["puncta_red_only", "estimate"] == pytest.approx(2.5, rel=0.2)
    assert "no p-value" not in capsys.readouterr().out


def test_the_replicates_of_a_map_are_taken_before_dates(tmp_path, capsys):
    cells = measured([220518, 220519, 220520, 220521])
    cells["replicate"] = cells["field"].str.extract(r"_(2205..)-")[0].map(lambda date: "12"[date > "220519"])
    cells.to_csv(tmp_path / "cells.csv", index=False)
    options = ["--features", "log2_ratio", "--min_replicates", "2", "--map", "pca"]
    taken = {}
    for name in ("", "replicate", "date"):
        more = ["--replicate", name] if name else []
        assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / f"out{name}"), *options, *more]) == 0
        taken[name] = pd.read_csv(tmp_path / f"out{name}" / "effects.csv")
        assert ("are those of the column 'replicate'" in capsys.readouterr().out) == (name == "")
    pd.testing.assert_frame_equal(taken[""], taken["replicate"])
    assert [table["replicates_treated"][0] for table in taken.values()] == [2, 2, 4]


def test_flags_of_other_fields_are_refused(tmp_path, capsys):
    measured([220518]).to_csv(tmp_path / "cells.csv", index=False)
    pd.DataFrame({"field": ["other"], "flagged": [True], "reasons": "dark"}).to_csv(
        tmp_path / "quality.csv", index=False
    )
    told = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--features", "log2_ratio"]
    assert main([*told, "--exclude", "flagged"]) == 2
    assert "The table of quality knows no field of the cells" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_of_images_that_says_otherwise_is_not_passed_over(tmp_path, capsys):
    cells = measured([220518, 220519, 220520])
    fed = cells["field"].str.contains("_C")
    cells["treatment"], cells["dose"] = np.where(fed, "fed", "starved"), np.where(fed, 0, 10)
    images = (
        cells[["field", "treatment", "dose"]].drop_duplicates().assign(dose=lambda rows: rows["dose"].astype(float))
    )
    cells.to_csv(tmp_path / "cells.csv", index=False)
    images.to_csv(tmp_path / "images.csv", index=False)
    told = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--features", "log2_ratio"]
    assert main(told) == 0
    images.loc[images.index[0], "treatment"] = "starved"
    images.to_csv(tmp_path / "images.csv", index=False)
    assert main(told) == 2
    assert "is 'fed' in the table of cells and 'starved' in that of images" in capsys.readouterr().err
    cells.drop(columns="treatment").to_csv(tmp_path / "cells.csv", index=False)
    assert main(told) == 0
    assert pd.read_csv(tmp_path / "out" / "units.csv")["images"].tolist() == [11, 13]


def test_the_page_calls_intervals_by_their_level(tmp_path):
    cells = measured([220518, 220519, 220520])
    cells["dose"] = np.where(cells["field"].str.contains("_C"), 0.0, 1.0 + cells["label"] % 4)
    for level, told, other in ((0.95, "95 % interval", "90 % interval"), (0.9, "90 % interval", "95 % interval")):
        compare_tables(cells, tmp_path / told, StatsSettings(level=level, features=("log2_ratio",)), maps=())
        page = (tmp_path / told / "stats.html").read_text()
        assert f">{told}</th>" in page
        assert f"ec50, {told}" in page
        assert other not in page


def test_other_plates_bring_their_own_columns(tmp_path, capsys):
    """Names outside the grammar, wells, treatments and batches from images.csv beside the cells."""
    cells = measured([220518, 220519, 220520]).drop(columns="puncta_red_only")
    names = cells["field"].unique()
    new = {name: f"img{i}" for i, name in enumerate(names)}
    pd.DataFrame(
        {
            "field": [new[n] for n in names],
            "drug": ["none" if "_C" in n else "baf" for n in names],
            "well": [n[-6:-3] for n in names],
            "plate": [n[14:20] for n in names],
            "timepoint": [int(n[12]) for n in names],
        }
    ).to_csv(tmp_path / "images.csv", index=False)
    cells.replace({"field": new}).to_csv(tmp_path / "cells.csv", index=False)
    base = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--treatment", "drug"]
    assert main([*base, "--control", "none"]) == 0
    assert "24 image(s) show no date" in capsys.readouterr().out, "plates of no known date are not replicates unasked"
    assert main([*base, "--control", "none", "--replicate", "plate"]) == 0
    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert effects["p_value"].notna().all()
    assert effects["replicates_control"].eq(3).all()


def test_errors_name_what_is_wrong(tmp_path, capsys):
    measured([220518]).to_csv(tmp_path / "cells.csv", index=False)
    base = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]
    for wrong, message in (
        (["--control", "dmso"], "there are: fed, starved"),
        (["--replicate", "label"], "pieces of one well are not replicates"),
        (["--features", "colour"], "colour"),
        (["--images", str(tmp_path / "no.csv")], "no.csv"),
    ):
        assert main([*base, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_doses_and_groups_of_any_name(tmp_path, capsys):
    """Doses are groups in the order of their size; None and NA are groups; a formula that is none is drawn as it is."""
    cells = measured([220518, 220519, 220520])
    images = pd.DataFrame({"field": cells["field"].unique()})
    well = images["field"].str[-6:-3]
    images["dose"] = well.map({"C03": 0, "C05": 2, "I04": 10, "I06": 10})
    images["drug"] = well.map({"C03": "None", "C05": "NA", "I04": "$\\frac{", "I06": "null"})
    images["$\\frac{"] = 1
    cells.to_csv(tmp_path / "cells.csv", index=False)
    images.to_csv(tmp_path / "images.csv", index=False)
    base = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]
    assert main([*base, "--treatment", "dose", "--control", "0"]) == 0
    units = pd.read_csv(tmp_path / "out" / "units.csv")
    assert units["treatment"].tolist() == [0, 2, 10]
    assert "Treatment '10' pools wells of different drug ($\\frac{, null)" in capsys.readouterr().out
    assert main([*base, "--treatment", "drug", "--control", "None"]) == 0
    units = pd.read_csv(tmp_path / "out" / "units.csv", keep_default_na=False)
    assert sorted(units["treatment"]) == ["$\\frac{", "NA", "None", "null"]


def test_tables_of_another_kind_are_refused_before_anything_is_written(tmp_path, capsys):
    measured([220518]).to_csv(tmp_path / "cells.csv", index=False)
    (tmp_path / "images.csv").write_text("field,timepoint\nTimepoint_001_220518-ST_C03_s1,late\n")
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "Timepoints are whole numbers; the table of images has 'late'" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("field,label,area\n")
    assert main(["stats", str(tmp_path / "empty.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "has no rows" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_flux_doses_and_plate_reach_tables_and_page(tmp_path, capsys):
    """A plate with inhibitor, doses and controls: each gets its table, its pictures and its section."""
    rng = np.random.default_rng(0)
    arms = [
        ("DMSO", "none", None, 6),
        ("DMSO", "BafA1", None, 20),
        ("EBSS", "none", None, 8),
        ("EBSS", "BafA1", None, 36),
    ]
    arms += [("drug", "none", dose, 6 + 14 * dose / (dose + 30)) for dose in (3, 10, 30, 100, 1000, 3000)]
    rows = []
    for batch in ("d1", "d2", "d3", "d4"):
        for column, (treatment, inhibitor, dose, mean) in enumerate(arms, 1):
            for row in "AB":
                given = {
                    "plate": batch,
                    "well": f"{row}{column:02d}",
                    "treatment": treatment,
                    "batch": batch,
                    "dose": dose,
                }
                given |= {"inhibitor": inhibitor, "dose_unit": "nM", "field": f"{batch}{row}{column}"}
                given["control"] = (
                    {"EBSS": "positive", "DMSO": "negative"}.get(treatment) if inhibitor == "none" else None
                )
                rows += [{**given, "label": i, "puncta_yellow": rng.poisson(mean)} for i in range(25)]
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    out = tmp_path / "out"
    options = ["--control", "DMSO", "--replicate", "batch", "--b_score"]
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert "never pooled" in printed
    flux = pd.read_csv(out / "flux.csv").set_index(["quantity", "measure", "treatment"])["estimate"]
    assert flux["flux", "difference of rates", "EBSS"] == pytest.approx(28, abs=2)
    assert flux["difference of fluxes", "difference of differences of rates", "EBSS"] == pytest.approx(14, abs=3)
    curve = pd.read_csv(out / "doses.csv").iloc[0]
    assert curve["ec50_low"] < 30 < curve["ec50_high"]
    assert curve["unit"] == "nM"
    wells = pd.read_csv(out / "wells.csv")
    assert {"over_control", "minus_control", "b_score"} <= set(wells)
    assert pd.read_csv(out / "assay_quality.csv")["positives"].eq(2).all()
    assert set(pd.read_csv(out / "place_effects.csv")["effect"]) == {"edge", "row", "column"}
    page = (out / "stats.html").read_text(encoding="utf-8")
    for heading in ("Flux", "Doses", "Wells on the plate"):
        assert f">{heading}</h2>" in page
    for name in ("flux_puncta_yellow_BafA1", "dose_puncta_yellow_drug", "plate_puncta_yellow"):
        assert (out / "figures" / f"{name}.svg").stat().st_size > 5000


def test_one_treatment_and_a_slash_in_a_name_reach_tables_and_page(tmp_path, capsys):
    """EBSS alone, with and without the inhibitor, three batches; one field is left out."""
    rng, rows = np.random.default_rng(0), []
    for batch in ("d1", "d2", "d3"):
        for column, inhibitor, mean in (("01", "none", 8), ("02", "BafA1", 36)):
            given = {"plate": batch, "treatment": "EBSS", "batch": batch, "inhibitor": inhibitor}
            for row in "AB":
                given |= {"well": row + column, "field": f"{batch}{row}{column}"}
                counts = rng.poisson(mean, 20)
                rows += [{**given, "label": i, "puncta_yellow": n, "red/green": n + 0.5} for i, n in enumerate(counts)]
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    out = tmp_path / "out"
    options = ["--replicate", "batch", "--features", "red/green", "puncta_yellow", "--exclude", "d1A01"]
    options += ["--heatmaps", "red/green"]
    assert main(["stats", str(tmp_path / "cells.csv"), "--out", str(out), *options]) == 0
    said = capsys.readouterr().out
    assert "its flux stands alone" in said
    assert "fields with cells 12 before, 11 after; cells 240 before, 220 after; wells 12 before, 11 after" in said
    flux = pd.read_csv(out / "flux.csv").query("measure == 'difference of rates'").iloc[0]
    assert flux["estimate"] == pytest.approx(28, abs=3)
    assert flux["p_value"] < 0.05
    assert flux[["images", "images_before", "cells", "cells_before"]].tolist() == [11, 12, 220, 240]
    ledger = pd.read_csv(out / "exclusions.csv").iloc[0]
    assert ledger[["field", "well", "inhibitor", "cells"]].tolist() == ["d1A01", "A01", "none", 20]
    assert (out / "figures" / "plate_red_green.svg").is_file()
    assert "11 of 12" in (out / "stats.html").read_text(encoding="utf-8")


def test_an_unclear_inhibitor_or_factor_writes_nothing(tmp_path, capsys):
    cells = measured([220518, 220519, 220520])
    cells["inhibitor"] = np.where(cells["field"].str.contains("C03|I04"), "x", "y")
    cells.to_csv(tmp_path / "cells.csv", index=False)
    base = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]
    for wrong, message in (
        ([], "name one with --no_inhibitor"),
        (["--no_inhibitor", "x", "--factor", "puncta_red_only"], "it does not say what was given"),
        (["--inhibitor", "puncta_red_only"], "it does not say what was given"),
        (["--no_inhibitor", "x", "--heatmaps", "colour"], "colour"),
        (["--inhibitor", "lysosome"], "No column 'lysosome'"),
    ):
        assert main([*base, *wrong]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_same_by_csv_by_parquet_and_by_processes(tmp_path):
    cells = measured([220518, 220519, 220520]).assign(lot=["a"] * 360 + ["2"] * 360)
    for number in range(10):  # two parts, so that both processes have work
        cells[f"level{number}"] = np.random.default_rng(number).normal(0, 1, len(cells)).round(4)
    write_table(tmp_path, "cells", [from_frame(cells)])
    found = {}
    for name, *more in (("cells.csv",), ("cells.parquet",), ("cells.parquet", "--workers", "2")):
        out = tmp_path / "".join((name, *more))
        out = out.with_name(f"out_{out.name}")
        assert main(["stats", str(tmp_path / name), "--out", str(out), *more]) == 0
        found[out.name] = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    assert set(next(iter(found.values()))) >= {"effects.csv", "over_time.csv", "units.csv", "map_pca.csv"}
    assert len(set(map(str, found.values()))) == 1


def test_tables_and_figures_of_an_earlier_comparison_do_not_stay(tmp_path):
    """With other options into the same folder: what is no longer told would be taken for today's."""
    cells = measured([220518, 220519, 220520])
    cells["inhibitor"] = np.where(cells["field"].str.contains("03_s1|04_s1"), "none", "BafA1")
    cells.to_csv(tmp_path / "cells.csv", index=False)
    (tmp_path / "out" / "figures").mkdir(parents=True)
    others = [tmp_path / "out" / "notes.txt", tmp_path / "out" / "figures" / "mine.svg"]
    for path in others:
        path.write_text("mine")
    told = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out")]
    told += ["--features", "puncta_red_only", "log2_ratio"]
    assert main([*told, "--exclude", cells["field"].iloc[0]]) == 0
    first = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"flux.csv", "exclusions.csv", "flux_log2_ratio_BafA1.svg"} <= {path.name for path in first}
    cells.drop(columns="inhibitor").to_csv(tmp_path / "cells.csv", index=False)
    assert main(told[:-1]) == 0
    left = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert set(others) < left
    assert not {path.name for path in left} & {"flux.csv", "exclusions.csv", "flux_log2_ratio_BafA1.svg"}
    assert not [path.name for path in left if "log2_ratio" in path.name]


def test_doses_of_drugs_with_names_alike_have_a_figure_each(tmp_path):
    """Blanks and brackets are no letters of a file's name: the second drug's curve stood over both captions."""
    rng, rows = np.random.default_rng(0), []
    for date in (220518, 220519, 220520):
        for n, (drug, top) in enumerate((("drug (a)", 4.0), ("drug [a]", 90.0))):
            for k, dose in enumerate((1, 10, 100, 1000, 10000)):
                level = 2 + top * dose / (60 + dose)
                well = {"field": f"{date}_{drug}_{dose}", "treatment": drug, "dose": dose, "well": f"{'BC'[n]}0{k + 1}"}
                rows += [{**well, "date": date, "label": c, "level": level + rng.normal()} for c in (1, 2, 3)]
        control = {"field": f"{date}_DMSO", "treatment": "DMSO", "dose": 0, "well": "A01", "date": date}
        rows += [{**control, "label": c, "level": 2 + rng.normal()} for c in (1, 2, 3)]
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    words = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--control", "DMSO"]
    assert main([*words, "--features", "level"]) == 0
    drawn = [pd.read_csv(path) for path in sorted((tmp_path / "out" / "figures").glob("dose_level_*.csv"))]
    assert [table["treatment"].unique().tolist() for table in drawn] == [["drug (a)"], ["drug [a]"]]
    assert drawn[0]["mean"].max() < 10 < 80 < drawn[1]["mean"].max()


def test_a_comparison_that_is_cut_short_leaves_nothing_of_another(tmp_path, monkeypatch):
    """Its effects stood beside the page of the comparison before; its own flux, beside the next one, without end."""
    cells = measured([220518, 220519, 220520])
    cells.to_csv(tmp_path / "cells.csv", index=False)
    told = ["stats", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "out"), "--features", "log2_ratio"]
    assert main(told) == 0
    with_flux = cells["field"].str.contains("03_s1|04_s1")
    cells.assign(inhibitor=np.where(with_flux, "none", "BafA1")).to_csv(tmp_path / "cells.csv", index=False)

    def cut(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cellular.jobs.stats.add_to_page", cut)
        main(told)
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert "flux.csv" in there
    assert "stats.html" not in there
    cells.to_csv(tmp_path / "cells.csv", index=False)
    assert main(told) == 0
    assert "flux.csv" not in {path.name for path in (tmp_path / "out").iterdir()}
