import pandas as pd
import pytest

from cellular.autophagy.compare.design import StatsSettings, control_of, count_units, inference, nest
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
    with pytest.raises(InputError, match="outside the dataset's grammar"):
        nest(cells("image_1"), StatsSettings())
    with pytest.raises(SettingsError, match="min_replicates"):
        StatsSettings(min_replicates=1)
