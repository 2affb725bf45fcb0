import warnings

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.compare.design import (
    StatsSettings,
    before_and_after,
    control_of,
    count_units,
    in_order,
    nest,
    pooled_factors,
    told,
)
from cellular.autophagy.compare.inference import inference
from cellular.errors import InputError, SettingsError


def cells(*fields: str, each: int = 2, **columns) -> pd.DataFrame:
    return pd.DataFrame({"field": [name for name in fields for _ in range(each)], **columns})


def plate(date: int, *wells: str, timepoint: int = 1) -> list[str]:
    return [f"Timepoint_{timepoint:03d}_{date}-ST_{well}_s1" for well in wells]


def test_levels_are_read_from_field_names():
    table = nest(cells("Timepoint_002_220518-ST_C03_s1", "Timepoint_002_220518-ST_I04_s2"), StatsSettings())
    first = table.iloc[0]
    assert first[["replicate", "plate", "well", "position", "treatment", "timepoint"]].tolist() == [
        "220518",
        "220518-ST",
        "220518-ST/C03",
        "220518-ST/C03/1",
        "fed",
        2,
    ]
    assert table["treatment"].tolist() == ["fed", "fed", "starved", "starved"]


def test_a_table_of_images_overrules_names():
    images = pd.DataFrame({"field": ["a", "b"], "treatment": ["dmso", "drug"], "well": ["A01", "A02"], "plate": [1, 1]})
    table = nest(cells("a", "b"), StatsSettings(), images)
    assert table["treatment"].tolist() == ["dmso", "dmso", "drug", "drug"]
    assert table["well"].nunique() == 2
    with pytest.raises(InputError, match="one row per field"):
        nest(cells("a"), StatsSettings(), pd.concat([images, images]))


def test_a_sample_stands_for_the_well_of_images_without_one():
    """Dishes, counted anew each day: as wells of other names, and as nothing at all where a well is known."""
    fields = [f"{day}_{treatment}_{dish}" for day in "abc" for treatment in ("dmso", "drug") for dish in "12"]
    images = pd.DataFrame(
        {
            "field": fields,
            "treatment": [name.split("_")[1] for name in fields],
            "sample": [f"{name.split('_')[1]} {name[-1]}" for name in fields],
            "day": [name[0] for name in fields],
        }
    )
    settings = StatsSettings(replicate="day", control="dmso")
    table = nest(cells(*fields), settings, images)
    assert table["well"].nunique() == 12
    assert inference(table, settings).df == 2
    one = nest(cells(*fields[:4]), StatsSettings(control="dmso"), images)
    assert (one["well"].nunique(), inference(one, settings).df) == (4, 2)
    assert count_units(table)[["replicates", "plates", "wells", "positions"]].values.tolist() == [[3, 0, 6, 0]] * 2
    assert "Samples of one experiment (2 dmso and 2 drug here)" in inference(one, settings).refusal
    named = nest(cells(*fields[:4]), StatsSettings(replicate="day"), images.assign(sample="dish 1", plate="2024"))
    assert "sample a: dish 1 holds both treatments, so samples cannot" in inference(named, settings).refusal
    known = nest(cells(*fields), settings, images.assign(well=[f"A{k + 1:02d}" for k in range(12)], sample="x"))
    assert known["well"].str.endswith("A01").sum() == 2
    asked = nest(cells(*fields), StatsSettings(replicate="day", factor="sample", control="dmso"), images)
    assert set(asked["sample"]) == set(images["sample"])
    assert (asked["well"] == table["well"]).all()


def test_a_sample_that_was_imaged_past_midnight_is_one_and_one_named_anew_is_another():
    """Its first day is its experiment's; a dish 1 at the same timepoint of another week is another dish."""
    days = {"a1": "240301", "a2": "240302", "b1": "240308", "b2": "240309", "c1": "240320"}
    rows = [(f"{field}_{dish}", day, int(field[1]), dish) for field, day in days.items() for dish in ("ctrl", "drug")]
    images = pd.DataFrame(rows, columns=["field", "date", "timepoint", "dish"])
    images["treatment"] = images["dish"]
    own = images.assign(sample=images["field"].str[0] + images["dish"])
    settings = StatsSettings(control="ctrl")
    table = nest(cells(*images["field"]), settings, own)
    assert table.drop_duplicates("image")["replicate"].tolist() == [*["240301"] * 4, *["240308"] * 4, *["240320"] * 2]
    assert (table["well"].nunique(), inference(table, settings).df) == (6, 2)
    named_anew = nest(cells(*images["field"]), settings, images.assign(sample=images["dish"]))
    assert named_anew["replicate"].nunique() == 5


def test_midnight_between_two_positions_of_a_dish_parts_no_dish():
    """Of the third timepoint one position was imaged before midnight and one after it."""
    rows = [
        (f"{dish}_p{place}_t{time:03d}", "240301" if 10 * time + place < 32 else "240302", time, dish)
        for dish in ("ctrl", "drug")
        for place in (1, 2)
        for time in (1, 2, 3, 4)
    ]
    images = pd.DataFrame(rows, columns=["field", "date", "timepoint", "sample"]).assign(site=None)
    images["treatment"] = images["sample"]
    table = nest(cells(*images["field"]), StatsSettings(control="ctrl"), images)
    assert set(table["replicate"]) == {"240301"}
    assert set(table["well"]) == {"240301: ctrl", "240301: drug"}
    unnamed = nest(cells(*images["field"]), StatsSettings(control="ctrl"), images.drop(columns="sample"))
    assert set(unnamed["replicate"]) == {"240301"}


def test_a_map_without_a_treatment_says_which_of_its_columns_may_be_it():
    images = pd.DataFrame({"field": ["a", "b"], "Compound": ["dmso", "drug"], "Baf?": "none", "well": ["A01", "A02"]})
    table = cells("a", "b").assign(area=1.0)
    with pytest.raises(InputError, match="--treatment names a column that is called otherwise, of Baf\\?, Compound$"):
        nest(table, StatsSettings(), images)
    with pytest.raises(InputError, match="called otherwise$"):
        nest(table, StatsSettings())


def test_a_wide_table_of_a_column_a_block_is_no_reason_to_warn():
    wide = pd.DataFrame({name: np.zeros(4) for name in map(str, range(120))}, copy=False)
    table = cells(*plate(220518, "C03", "I04")).join(wide)
    separate = pd.DataFrame(dict(table.items()), copy=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nest(separate, StatsSettings())["treatment"].tolist() == ["fed", "fed", "starved", "starved"]


def test_n_at_every_level():
    fields = [*plate(220518, "C03", "C05", "I04"), *plate(220518, "C03", timepoint=2), *plate(220519, "C03", "I04")]
    units = count_units(nest(cells(*fields), StatsSettings())).set_index("treatment")
    assert units.loc["fed"].to_dict() == {
        "replicates": 2,
        "plates": 2,
        "wells": 3,
        "positions": 3,
        "images": 4,
        "cells": 8,
    }


def test_no_plate_is_counted_where_nothing_tells_of_one():
    """Dishes were of one plate, at no position; a well has a plate, whatever it is called."""
    images = pd.DataFrame({"field": list("abcd"), "sample": list("1122"), "treatment": ["dmso", "drug"] * 2})
    dishes = nest(cells(*"abcd"), StatsSettings(control="dmso"), images.assign(date="240101"))
    columns = ["replicates", "plates", "wells", "positions"]
    assert count_units(dishes)[columns].to_numpy().tolist() == [[1, 0, 2, 0]] * 2
    assert count_units(nest(cells(*"abcd"), StatsSettings(), images))[columns].to_numpy().tolist() == [[0, 0, 2, 0]] * 2
    wells = nest(cells(*"abcd"), StatsSettings(), images.assign(well=["A01", "A02", "A03", "A04"]))
    assert count_units(wells)[columns].to_numpy().tolist() == [[0, 1, 2, 0]] * 2


def test_one_date_gives_no_p_value_and_says_why():
    found = inference(nest(cells(*plate(220518, "C03", "C05", "I04", "I06", "K07")), StatsSettings()), StatsSettings())
    assert (found.unit, found.df) == ("well", 3)
    assert "1 biological replicate (220518)" in found.refusal
    assert "2 fed and 3 starved" in found.refusal
    assert "technical replicates" in found.refusal


def test_replicates_side_by_side_and_apart():
    paired = [name for date in (220518, 220519, 220520) for name in plate(date, "C03", "I04")]
    found = inference(nest(cells(*paired), StatsSettings()), StatsSettings())
    assert (found.unit, found.df, found.refusal) == ("replicate", 2, "")
    apart = [plate(220510 + i, "C03" if i < 3 else "I04")[0] for i in range(7)]
    found = inference(nest(cells(*apart), StatsSettings()), StatsSettings())
    assert (found.unit, found.df) == ("replicate", 5)
    assert inference(nest(cells(*paired[:4]), StatsSettings()), StatsSettings()).refusal
    assert not inference(nest(cells(*paired[:4]), StatsSettings()), StatsSettings(min_replicates=2)).refusal


def test_a_well_under_each_treatment_has_no_interval():
    assert inference(nest(cells(*plate(220518, "C03", "I04")), StatsSettings()), StatsSettings()).df == 0


def test_no_column_may_make_cells_into_replicates():
    table = cells(*plate(220518, "C03", "I04"), each=3).assign(cell=range(6))
    with pytest.raises(InputError, match="pieces of one well are not replicates"):
        nest(table, StatsSettings(replicate="cell"))
    with pytest.raises(InputError, match="No column 'batch'"):
        nest(table, StatsSettings(replicate="batch"))
    named = nest(table.assign(batch=[1, 1, 1, 2, 2, 2]), StatsSettings(replicate="batch"))
    assert sorted(named["replicate"].unique()) == ["1", "2"]


def test_unclear_controls_are_asked_about():
    table = nest(cells(*plate(220518, "C03", "I04")), StatsSettings())
    assert control_of(table, StatsSettings()) == "fed"
    assert control_of(table, StatsSettings(control="starved")) == "starved"
    with pytest.raises(InputError, match="there are: fed, starved"):
        control_of(table, StatsSettings(control="dmso"))
    with pytest.raises(InputError, match="Only one treatment"):
        control_of(table[table["treatment"] == "fed"], StatsSettings())
    assert control_of(table[table["treatment"] == "starved"], StatsSettings(), alone=True) == "starved"
    with pytest.raises(InputError, match="No treatment is called 'dmso'"):
        control_of(table[table["treatment"] == "starved"], StatsSettings(control="dmso"), alone=True)
    with pytest.raises(InputError, match="comes from the plate map"):
        nest(cells("image_1"), StatsSettings())
    with pytest.raises(SettingsError, match="min_replicates"):
        StatsSettings(min_replicates=1)


@pytest.mark.parametrize("spelling", ["{row}{col:02d}", "{row}{col}", "{row}{col:03d}", "A{row}{col:02d}", "lower"])
def test_wells_are_the_same_however_they_are_spelled(spelling):
    """Three wells of four sites an arm, in names as in a column: six units, never twenty-four."""
    spelled = [
        spelling.format(row=r, col=c) if spelling != "lower" else f"{r.lower()}{c:02d}" for r in "CD" for c in (1, 2, 3)
    ]
    fields = [f"Timepoint_001_220516-P_{well}_s{site}" for well in spelled for site in (1, 2, 3, 4)]
    drug = {name: "no" if number < 12 else "yes" for number, name in enumerate(fields)}
    table = cells(*fields).assign(drug=lambda t: t["field"].map(drug))
    for given in (
        table,
        table.assign(well=table["field"].str.split("_").str[3], field=table["field"].str.replace("_", "-")),
    ):
        found = inference(nest(given, StatsSettings(treatment="drug")), StatsSettings())
        assert (found.unit, found.df) == ("well", 4)


def test_images_without_a_well_are_no_units():
    """Twelve images of unknown wells: twelve units would make the interval three times too narrow."""
    table = cells(*(f"image {number}" for number in range(12)))
    table["treatment"] = ["a", "b"] * 12
    table["treatment"] = table["field"].map(lambda name: "ab"[int(name[6:]) % 2])
    found = inference(nest(table, StatsSettings()), StatsSettings())
    assert found.df == 0
    assert "12 image(s) show no well, and no sample (a dish, a coverslip), such as image 0" in found.refusal
    wells = table.assign(well=table["field"].map(lambda name: f"w{int(name[6:]) % 4}"))
    nested = nest(wells, StatsSettings())
    found = inference(nested, StatsSettings())
    assert found.df == 2, "any names will do where a column tells them"
    assert "show no date" in found.refusal
    assert count_units(nested)[["replicates", "wells"]].to_numpy().tolist() == [[0, 2], [0, 2]]


def test_plates_of_one_date_are_one_replicate():
    fields = [f"Timepoint_001_220518-{plate}_{well}_s1" for plate in ("P1", "P2", "P3") for well in ("C03", "I04")]
    table = nest(cells(*fields), StatsSettings())
    assert table["replicate"].unique().tolist() == ["220518"]
    assert table["well"].nunique() == 6
    assert "1 biological replicate (220518)" in inference(table, StatsSettings()).refusal
    assert not inference(nest(cells(*fields), StatsSettings(replicate="plate")), StatsSettings()).refusal


def test_wells_that_hold_both_treatments_are_not_compared():
    table = cells(*plate(220518, "C03", "C04"), each=4).assign(state=["a", "b"] * 4)
    found = inference(nest(table, StatsSettings(treatment="state")), StatsSettings())
    assert found.df == 0
    assert "holds both treatments" in found.refusal


def test_a_treatment_may_have_any_name():
    """Groups None and NA are groups; a field that the table of images gives none is left out, even in row C."""
    fields = plate(220518, "C03", "D03", "E03", "C04")
    images = pd.DataFrame({"field": fields, "treatment": ["None", "NA", "10", None]})
    table = nest(cells(*fields), StatsSettings(), images)
    assert table["treatment"].unique().tolist() == ["None", "NA", "10"]
    assert control_of(table, StatsSettings(control="None")) == "None"
    numbers = nest(cells(*fields).assign(dose=[0.0, 0, 1, 1, 10, 10, 10, 10]), StatsSettings(treatment="dose"))
    assert in_order(numbers["treatment"]) == ["0", "1", "10"]


def test_treatments_are_listed_by_dose():
    assert in_order(["starved", "fed", "baf"]) == ["fed", "baf", "starved"]
    assert in_order(["10 nM", "1 uM", "100 nM", "0 nM"]) == ["0 nM", "10 nM", "100 nM", "1 uM"]
    assert in_order(["rapa 10", "rapa 9", "0.5", "1e-3"]) == ["1e-3", "0.5", "rapa 9", "rapa 10"]


def test_levels_pooled_over_another_factor_are_said():
    fields = plate(220518, "C03", "C04", "I03", "I04")
    images = pd.DataFrame(
        {"field": fields, "inhibitor": ["no", "baf"] * 2, "operator": "me", "level": [1.5, 2.5, 3.5, 4.5]}
    )
    images["background__LAMP1"] = [259.0, 260.0] * 2  # what was measured of an image is nothing that it was given
    table = nest(cells(*fields), StatsSettings(), images)
    sentences = pooled_factors(table, ["inhibitor", "operator", "level", "background__LAMP1"], StatsSettings())
    assert len(sentences) == 2
    assert "Treatment 'fed' pools wells of different inhibitor (baf, no)" in sentences[0]


def test_wells_that_a_column_leaves_empty_are_pooled_with_the_others_and_controls_are_marks():
    fields = plate(220518, "C03", "C04", "I03", "I04")
    images = pd.DataFrame(
        {"field": fields, "sirna": ["ATG5", None, None, None], "control": ["negative", None, "positive", None]}
    ).assign(dose=[np.nan, 0.0, 5.0, 5.0], hours=[1, 1, 1, 2], background__DNA=[199, 200] * 2)
    settings = StatsSettings(time="hours")
    sentences = pooled_factors(nest(cells(*fields), settings, images), list(images), settings)
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "Treatment 'fed' pools wells of different sirna (ATG5, empty)",
        "Treatment 'starved' pools wells of different hours (1, 2)",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timepoint": "first"}, "Timepoints are whole numbers; the table of images has 'first'"),
        ({"timepoint": 1.5}, "whole numbers"),
        ({"timepoint": np.inf}, "whole numbers"),
        ({"field": None}, "without a field"),
    ],
)
def test_tables_are_checked_at_the_door(change, message):
    fields = plate(220518, "C03", "I04")
    images = pd.DataFrame({"field": fields}).assign(**change)
    with pytest.raises(InputError, match=message):
        nest(cells(*fields), StatsSettings(), images)
    with pytest.raises(InputError, match="The table of cells has no rows"):
        nest(cells(*fields).head(0), StatsSettings())
    with pytest.raises(InputError, match="The table of images has no column 'field'; it has: image"):
        nest(cells(*fields), StatsSettings(), images.rename(columns={"field": "image"}))


def dated(dates, wells=("C01", "C02", "D01", "D02"), sites=(1, 2)):
    """A cell in each of two sites of four wells of each of three experiments, `dates` by number of the image."""
    rows = [(day, well, site) for day in ("16", "17", "18") for well in wells for site in sites]
    cells = pd.DataFrame({"field": [f"i{n}" for n in range(len(rows))], "label": 1, "x": 1.0})
    images = pd.DataFrame(
        {
            "field": cells["field"],
            "date": [dates(day, n) for n, (day, _, _) in enumerate(rows)],
            "well": [well for _, well, _ in rows],
            "site": [site for _, _, site in rows],
            "treatment": [well[0] for _, well, _ in rows],
        }
    )
    return cells, images


@pytest.mark.parametrize(
    "dates",
    [
        lambda day, n: f"2022-05-{day}",
        lambda day, n: f"2022-05-{day} 10:{n:02d}:11",
        lambda day, n: f"2022-05-{day}T10:{n:02d}:11.5+00:00",
        lambda day, n: f"05/{day}/2022 9:{n:02d} AM",
        lambda day, n: [f"22-05-{day}".replace("-", ""), f"{day}.05.2022", f"2022/05/{day}"][n % 3],
        lambda day, n: str(44681 + int(day) + n / 100),
    ],
    ids=["days", "clock", "iso", "american", "mixed", "excel"],
)
def test_a_day_is_one_replicate_however_it_is_written(dates):
    cells, images = dated(dates)
    table = nest(cells, StatsSettings(), images)
    assert (table["replicate"].nunique(), table["well"].nunique(), table["position"].nunique()) == (3, 12, 24)


def test_dates_that_tell_images_apart_are_of_one_experiment():
    """One plate over three days, a timepoint each; and images with nothing but their times."""
    cells, images = dated(lambda day, n: f"2022-05-{day}")
    images["timepoint"] = images["date"].map({"2022-05-16": 1, "2022-05-17": 2, "2022-05-18": 3})
    table = nest(cells, StatsSettings(), images)
    assert table["replicate"].unique().tolist() == ["2022-05-16"]
    assert table["well"].nunique() == 4
    told = nest(cells, StatsSettings(replicate="date"), images.assign(well=None))
    assert told["replicate"].nunique() == 3, "but who says so is believed"


def test_spellings_and_words_for_none_are_no_wells():
    cells, images = dated(lambda day, n: f"2022-05-{day}")
    spelled = images.assign(well=[f"{w[0]} {int(w[1:])}" if n % 2 else w for n, w in enumerate(images["well"])])
    assert nest(cells, StatsSettings(), spelled)["well"].nunique() == 12
    for word in ("N/A", "unknown", "-"):
        table = nest(cells, StatsSettings(), images.assign(well=word, date=word))
        assert set(count_units(table)["wells"]) == set(count_units(table)["replicates"]) == {0}


def test_names_of_files_in_the_table_of_images_and_names_that_do_not_meet():
    cells, images = dated(lambda day, n: f"2022-05-{day}")
    table = nest(cells, StatsSettings(), images.assign(field=images["field"] + ".TIF"))
    assert table["treatment"].value_counts().to_dict() == {"C": 12, "D": 12}
    with pytest.raises(InputError, match="knows no field of the cells, such as i0; its own are x_i0"):
        nest(cells, StatsSettings(), images.assign(field="x_" + images["field"]))


def test_a_cell_twice_is_refused_and_puncta_are_not():
    cells, images = dated(lambda day, n: f"2022-05-{day}")
    with pytest.raises(InputError, match="two rows for cell 1 of field i0, and for 23 more"):
        nest(pd.concat([cells, cells]), StatsSettings(), images)
    assert len(nest(pd.concat([cells, cells]).assign(kind="yellow"), StatsSettings(), images)) == 48


def test_blanks_about_names_are_nobodys():
    cells, images = dated(lambda day, n: f"2022-05-{day}")
    blank = images.assign(treatment=[f" {name} " if n % 2 else name for n, name in enumerate(images["treatment"])])
    assert nest(cells, StatsSettings(), blank)["treatment"].unique().tolist() == ["C", "D"]


def test_n_before_and_after():
    before = pd.DataFrame({"treatment": ["fed", "gone"], "wells": [3, 1], "cells": [30, 9]})
    after = pd.DataFrame({"treatment": ["fed"], "wells": [2], "cells": [20]})
    assert before_and_after(before, after).to_dict("records") == [
        {"treatment": "fed", "wells": 2, "wells_before": 3, "cells": 20, "cells_before": 30},
        {"treatment": "gone", "wells": 0, "wells_before": 1, "cells": 0, "cells_before": 9},
    ]


def test_units_of_no_known_day_have_their_own_names():
    """Wells without a date were called ?-P1/A01 in figures, and dishes ?: 1."""
    plates = ["P1", "P1", None, "2023-01-02-P1", "P1"]
    cells = pd.DataFrame({"field": list("abcde"), "plate": plates, "well": ["A01", "A02", "B01", "A01", "A01"]})
    cells = cells.assign(treatment="DMSO", date=[None, None, None, None, "2023-01-02"])
    nested = nest(cells, StatsSettings())
    dated = nested["replicate"].iloc[-1]
    assert nested["well"].tolist()[:3] == ["P1/A01", "P1/A02", "B01"]
    assert nested["well"].iloc[-1] == f"{dated}-P1/A01"
    again = nest(cells.assign(plate=[*plates[:3], f"{dated}-P1", "P1"]), StatsSettings())
    assert again["well"].nunique() == 5, "a plate that is called as one of a day is another one"
    assert told(again["well"]).notna().all()
    dishes = pd.DataFrame({"field": list("ab"), "sample": ["dish 1", None], "treatment": "DMSO"})
    found = nest(dishes, StatsSettings())["well"]
    assert found.iloc[0] == "dish 1"
    assert told(found).isna().tolist() == [False, True]
