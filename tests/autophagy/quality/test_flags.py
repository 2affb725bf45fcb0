"""Which fields are odd, over time and on a plate, by hand-made tables."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.quality.drift import drift_notes, measure_drift
from cellular.autophagy.quality.exclusions import exclusion_note, ledger, read_exclusions, with_places
from cellular.autophagy.quality.flags import flag_fields, same_images
from cellular.errors import InputError
from cellular.files import read_csv


def plate(**changes) -> pd.DataFrame:
    """Ten usual fields f0 to f9; `changes` are columns with the value of f3."""
    usual = {
        "power_slope": -1.0,
        "sharpness": 0.1,
        "saturated": 0.0,
        "background": 250.0,
        "background_range": 5.0,
        "noise": 10.0,
        "signal": 1000.0,
        "debris": 0.001,
    }
    table = pd.DataFrame({f"{name}__mRFP": np.full(10, value) for name, value in usual.items()})
    about = {"plate": "P1", "date": "240301", "well": None, "site": None, "timepoint": None}
    table = table.assign(field=[f"f{n}" for n in range(10)], **about, cells=40)
    for name, value in changes.items():
        table.loc[3, name] = value
    return table


def flagged(**changes) -> dict[str, str]:
    table, _ = flag_fields(plate(**changes))
    return dict(table.loc[table["flagged"], ["field", "reasons"]].itertuples(index=False))


def test_usual_fields_are_not_flagged():
    assert flagged() == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"power_slope__mRFP": -1.6, "sharpness__mRFP": 0.04},
            "mRFP out of focus: power slope -1.6, usually -1",
        ),
        ({"sharpness__mRFP": 0.017}, "mRFP out of focus: sharpness 0.017, usually 0.1"),
        ({"saturated__mRFP": 0.0025}, "mRFP saturated: saturated 0.25%, usually 0.00%"),
        ({"background__mRFP": 501.0}, "mRFP odd background: background 501, usually 250"),
        ({"background_range__mRFP": 256.0}, "mRFP uneven background: background range 256, usually 5"),
        ({"signal__mRFP": 249.0}, "mRFP hardly any light: signal 249, usually 1,000"),
        ({"debris__mRFP": 0.012}, "mRFP debris: debris 1.20%, usually 0.10%"),
        ({"cells": 9}, "odd number of cells: cells 9, usually 40"),
    ],
)
def test_each_fault_is_flagged_with_its_reason(changes, reason):
    assert flagged(**changes) == {"f3": reason}


@pytest.mark.parametrize("unit", [1 / 65535, 1e6])
def test_a_field_without_light_is_told_in_any_unit(unit):
    table = plate(signal__mRFP=30.0)
    levels = [f"{name}__mRFP" for name in ("background", "background_range", "noise", "signal")]
    table[levels] *= unit
    found, _ = flag_fields(table)
    assert found.loc[found["flagged"], "field"].tolist() == ["f3"]
    assert "hardly any light" in found["reasons"].iloc[3]


@pytest.mark.parametrize(
    "changes",
    [
        {"power_slope__mRFP": -1.6},
        {"sharpness__mRFP": 0.04},
        {"power_slope__mRFP": -0.4, "sharpness__mRFP": 0.3},
        {"power_slope__mRFP": -4.0, "sharpness__mRFP": 0.01, "signal__mRFP": 40.0, "noise__mRFP": 10.0},
        {"saturated__mRFP": 0.0015},
        {"background__mRFP": 480.0},
        {"signal__mRFP": 4000.0},
        {"cells": 20},
    ],
)
def test_within_the_floors_nothing_is_odd(changes):
    assert "out of focus" not in flagged(**changes).get("f3", "")
    assert "signal__mRFP" in changes or flagged(**changes) == {}


def test_what_varies_much_on_a_plate_must_be_farther_out():
    table = plate(background__mRFP=600.0)
    # deviations 0, 100 and 200 by turns: their median is 100, five deviations 741
    table.loc[table["field"] != "f3", "background__mRFP"] = [50, 150, 250, 350, 450, 150, 250, 350, 250]
    assert not flag_fields(table)[0]["flagged"].any()


def test_plates_are_judged_apart_and_small_ones_not_at_all():
    other = plate(signal__mRFP=249.0).assign(plate="P2", signal__mRFP=249.0)
    table, notes = flag_fields(pd.concat([plate(), other, plate(cells=1).assign(plate="P3").iloc[:5]]))
    assert not table["flagged"].any()
    assert notes == ["plate P3 240301: 5 fields are too few to tell which is odd; none is flagged"]


@pytest.mark.parametrize("fields", [2, 3, 5, 10])
def test_a_plate_that_is_saturated_throughout_is_said(fields):
    _, notes = flag_fields(plate().assign(saturated__mRFP=0.02).iloc[:fields])
    assert notes[-1] == "plate P1 240301: half of the fields have 2.00% or more of their pixels saturated in mRFP"
    assert len(notes) == 1 + (fields < 6)


def test_positions_that_join_later_are_no_drift():
    rows = []
    for well, (begins, signal) in {"A01": (1, 1000), "A02": (1, 1100), "A03": (3, 2000), "A04": (5, 4000)}.items():
        one = plate(signal__mRFP=float(signal)).iloc[[3]].assign(well=well, site=1)
        rows += [one.assign(timepoint=time) for time in range(begins, 9)]
    table = pd.concat(rows, ignore_index=True)
    drift = measure_drift(table).set_index("measure").loc["signal"]
    assert (drift["timepoints"], drift["first"], drift["last"], drift["change"]) == (8, 1050, 1050, 0)
    assert drift_notes(measure_drift(table)) == []
    # with none from first to last there is no better comparison
    assert measure_drift(table[(table["well"] > "A02") | (table["timepoint"] < 8)])["timepoints"].tolist() == [8] * 3


def test_bleaching_is_a_drift_and_an_even_lamp_is_none():
    times = [plate().assign(timepoint=t, signal__mRFP=1000 - 100 * t) for t in range(1, 5)]
    drift = measure_drift(pd.concat(times)).set_index("measure")
    assert drift.loc["signal", "change"] == pytest.approx(-300 / 900)
    assert list(drift["drifts"]) == [True, False, False]
    (note,) = drift_notes(drift.reset_index())
    line = "along the line through its 4 timepoints (median 900 at the first, 600 at the last)"
    assert note == f"mRFP signal drifts over time on plate P1: -33% {line}"
    assert measure_drift(pd.concat(times[:3])).empty


def test_drift_goes_by_the_timepoint_where_some_are_lost():
    """1000 - 40 t at timepoints 2, 3, 4, 10 and 21: by place in the list that is no line."""
    times = [plate().assign(timepoint=t, signal__mRFP=1000 - 40 * t) for t in (21, 10, 2, 4, 3)]
    drift = measure_drift(pd.concat(times)).set_index("measure").loc["signal"]
    assert drift[["timepoints", "first", "last"]].tolist() == [5, 920, 160]
    assert drift["change"] == pytest.approx(-40 * 19 / 920)
    assert drift["drifts"]
    lost = measure_drift(pd.concat([*times, plate().assign(timepoint=22, signal__mRFP=np.nan)])).set_index("measure")
    assert lost.loc["signal", "timepoints"] == 5, "a timepoint without a value is none"


CELLS = pd.DataFrame({"field": ["a", "a", "b", "c"], "label": [1, 2, 1, 1]})
QUALITY = pd.DataFrame({"field": ["a", "b", "d"], "flagged": [False, True, True], "reasons": ["", "blurred", "dark"]})


def test_the_ledger_lists_what_is_left_out_and_what_it_costs(tmp_path):
    (tmp_path / "list.csv").write_text("field,reason\na,air bubble\n")
    excluded = ledger(read_exclusions(["flagged", str(tmp_path / "list.csv")], QUALITY), CELLS, QUALITY["field"])
    assert excluded.to_dict("records") == [
        {"field": "a", "reason": "air bubble", "cells": 2},
        {"field": "b", "reason": "blurred", "cells": 1},
        {"field": "d", "reason": "dark", "cells": 0},
    ]
    place = {"replicate": "day", "plate": "day-P", "well": ["day-P/A1", "day-P/A1", "day-P/?", "day-P/A1"], "dose": 5}
    nested = CELLS.assign(image=CELLS["field"], **place)
    assert exclusion_note(excluded, nested, nested[nested["image"] == "c"]) == (
        "Left out: 3 field(s) with 3 cells (exclusions.csv says why). N: fields with cells 3 before, 1 after; cells 4 "
        "before, 1 after; wells 1 before, 1 after; replicates 1 before, 1 after"
    )
    placed = with_places(excluded, nested, ("treatment", "dose"))
    assert list(placed) == ["field", "replicate", "plate", "well", "dose", "reason", "cells"]
    assert placed.iloc[0].tolist() == ["a", "day", "day-P", "A1", 5, "air bubble", 2]
    assert placed.iloc[2][["well", "dose"]].isna().all(), "a field without cells is listed all the same"


def test_lists_may_be_text_or_names(tmp_path):
    (tmp_path / "list.txt").write_text("b\n\n c \n")
    assert read_exclusions([str(tmp_path / "list.txt"), "a"], None) == {
        "b": "listed in list.txt",
        "c": "listed in list.txt",
        "a": "named by --exclude",
    }


def test_what_cannot_be_left_out_is_refused(tmp_path):
    with pytest.raises(InputError, match="--exclude e: there is no such field"):
        ledger({"e": ""}, CELLS, ["a"])
    with pytest.raises(InputError, match=r"quality\.csv"):
        read_exclusions(["flagged"], None)
    (tmp_path / "list.csv").write_text("name\na\n")
    with pytest.raises(InputError, match="no column 'field'"):
        read_exclusions([str(tmp_path / "list.csv")], None)


def pairs(**changes) -> pd.DataFrame:
    """The same plate with EGFP too, which lies on mRFP."""
    table = plate()
    table = table.assign(**{name.replace("mRFP", "EGFP"): table[name] for name in table if name.endswith("mRFP")})
    table = table.assign(channel_shift_y=0.1, channel_shift_x=-0.2, channel_agreement=0.9)
    for name, value in changes.items():
        table.loc[3, name] = value
    return table


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"channel_shift_x": 6.0}, "channels shifted: channel shift x 6, usually -0.2"),
        ({"channel_shift_y": -2.0}, "channels shifted: channel shift y -2, usually 0.1"),
        (
            {"channel_agreement": 0.1, "channel_shift_y": 700.0},
            "channels that do not belong together: channel agreement 0.1, usually 0.9",
        ),
    ],
)
def test_channels_that_do_not_lie_on_each_other_are_flagged(changes, reason):
    table, notes = flag_fields(pairs(**changes))
    assert dict(table.loc[table["flagged"], ["field", "reasons"]].itertuples(index=False)) == {"f3": reason}
    assert notes == []


def test_channels_of_an_empty_field_need_not_agree():
    table, _ = flag_fields(pairs(channel_agreement=0.1, signal__EGFP=40.0))
    assert table["reasons"][3] == "EGFP hardly any light: signal 40, usually 1,000"


def test_channels_shifted_alike_in_all_fields_are_said_of_a_plate_of_any_size():
    for fields in (10, 2):
        table, notes = flag_fields(pairs().assign(channel_shift_y=3.0, channel_shift_x=-4.0).head(fields))
        assert not table["flagged"].any()
        assert notes[-1].startswith("plate P1 240301: EGFP lies 5.0 px off mRFP in most fields (+3.0 down, -4.0 right)")


def test_outlines_that_are_not_the_fields_are_flagged_and_those_of_a_plate_said():
    table, notes = flag_fields(pairs().assign(outline_agreement=[0.97] * 3 + [0.1] + [0.95] * 6))
    told = "outlines that do not lie on the light: outline agreement 0.1, usually 0.95"
    assert dict(table.loc[table["flagged"], ["field", "reasons"]].itertuples(index=False)) == {"f3": told}
    assert notes == []
    for fields in (10, 2):
        _, notes = flag_fields(pairs().assign(outline_agreement=0.1).head(fields))
        assert notes[-1].startswith("plate P1 240301: in most fields the outlines do not lie on the light")


def test_a_flag_that_was_taken_out_leaves_its_field_in(tmp_path):
    (tmp_path / "quality.csv").write_text("field,flagged,reasons\na,True,dark\nb,,dark\nc,False,\nd,True,\n")
    quality = read_csv(tmp_path / "quality.csv")
    assert read_exclusions(["flagged"], quality) == {"a": "dark", "d": "flagged"}
    with pytest.raises(InputError, match="'flagged' of quality.csv holds 'no'"):
        read_exclusions(["flagged"], quality.assign(flagged=["yes", "no", "no", "no"]).iloc[1:])


def test_copies_of_an_image_are_told_whatever_they_are_called():
    """Of copies all is alike but the name; planes of one value are alike by themselves."""
    table = plate().assign(power_slope__mRFP=-np.arange(10.0), sharpness__mRFP=np.arange(10) / 7)
    assert same_images(table) == []
    copy = table.iloc[[3]].assign(field="best", date="240308")
    assert same_images(pd.concat([table, copy])) == [
        "best: the same image as f3, whose cells count twice; leave copies out with --exclude"
    ]
    assert same_images(plate().assign(noise__mRFP=0.0)) == []
