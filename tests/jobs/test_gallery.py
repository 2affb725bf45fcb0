"""Conditions of the gallery, and its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from cellular.data.plate import FieldFiles, Plate, Source
from cellular.jobs import gallery as module
from cellular.jobs.conditions import MOST_CONDITIONS, conditions
from cellular.jobs.gallery import gallery


def plate(tmp_path, names=("a", "b")):
    labels = np.zeros((40, 40), np.uint16)
    labels[4:16, 4:16], labels[20:36, 20:36] = 1, 2
    items = []
    for name in names:
        image, cells = tmp_path / f"{name}.tif", tmp_path / f"{name}_masks.tif"
        tifffile.imwrite(image, np.where(labels > 0, 500, 100).astype(np.uint16))
        tifffile.imwrite(cells, labels)
        items.append(FieldFiles(name, (Source("EGFP", "", "EGFP", ((image, 0),)),), labels=cells))
    columns = ["plate", "well", "treatment", "dose", "dose_unit", "inhibitor", "replicate"]
    return Plate(Path(tmp_path), "plain", tuple(items), pd.DataFrame(columns=columns), "map")


def cells(**more):
    table = pd.DataFrame({"field": ["a", "a", "b", "b"], "label": [1, 2, 1, 2], "touches_border": False})
    return table.assign(puncta_total=[3, 4, 5, 6], major_axis=14.0, **more)


def test_conditions_are_all_that_a_well_was_given(tmp_path):
    table = cells(
        treatment=["DMSO", "drug", "drug", None],
        dose=[np.nan, 10.0, 2.5, np.nan],
        dose_unit="nM",
        inhibitor=["none", "none", "BafA1", "none"],
        replicate=["1", "2", "3", "4"],
    )
    words = conditions(plate(tmp_path), table, "treatment")
    assert words[:3].tolist() == ["DMSO, none", "drug, 10 nM, none", "drug, 2.5 nM, BafA1"]
    assert words.isna().tolist() == [False, False, False, True]
    assert conditions(plate(tmp_path), table, "cure").tolist() == ["all cells"] * 4


def test_replicates_are_no_condition_whatever_their_column_is_called(tmp_path):
    own = replace(plate(tmp_path), wells=plate(tmp_path).wells.rename(columns={"replicate": "Day"}))
    table = cells(treatment=["DMSO", "DMSO", "drug", "drug"], Day=["1", "2", "1", "2"])
    words = conditions(own, table, "treatment", replicate="Day")
    assert words.tolist() == ["DMSO", "DMSO", "drug", "drug"]
    made = gallery(own, {"cells": table}, tmp_path, "treatment", replicate="Day")
    assert [path.name for path in made.strips.values()] == ["01_DMSO.png", "02_drug.png"]


def test_a_dose_without_a_unit_is_a_number_alone(tmp_path):
    table = cells(treatment="drug", dose=[1.0, 2.0, 10.0, np.nan], dose_unit=["nM", None, "nM", None])
    words = conditions(plate(tmp_path), table, "treatment")
    assert words.tolist() == ["drug, 1 nM", "drug, 2", "drug, 10 nM", "drug"]


def test_too_many_conditions_are_treatments_alone_but_never_without_their_inhibitor(tmp_path):
    many = MOST_CONDITIONS + 1
    table = pd.DataFrame({"treatment": "drug", "dose": np.arange(many, dtype=float), "dose_unit": "nM"})
    assert set(conditions(plate(tmp_path), table, "treatment")) == {"drug"}
    both = pd.concat([table.assign(inhibitor="none"), table.assign(inhibitor="BafA1")], ignore_index=True)
    assert set(conditions(plate(tmp_path), both, "treatment")) == {"drug, none", "drug, BafA1"}
    # called as the statistics were told (--inhibitor)
    own = replace(plate(tmp_path), wells=plate(tmp_path).wells.rename(columns={"inhibitor": "blocker"}))
    called = both.rename(columns={"inhibitor": "blocker"})
    assert set(conditions(own, called, "treatment", "blocker")) == {"drug, none", "drug, BafA1"}


def test_a_strip_of_each_condition_in_order_of_dose(tmp_path):
    table = cells(treatment=["x", "x", "x", "x"], dose=[10.0, 10.0, 2.5, 2.5], dose_unit="nM")
    puncta = pd.DataFrame({"field": ["a"], "label": [1], "kind": ["EGFP"], "y": [9.0], "x": [9.0], "sigma": [1.5]})
    made = gallery(plate(tmp_path), {"cells": table, "puncta": puncta}, tmp_path / "out", "treatment")
    assert [path.name for path in made.strips.values()] == ["01_x_2.5_nM.png", "02_x_10_nM.png"]
    assert next(iter(made.strips)).startswith("x, 2.5 nM: 2 cells")
    assert all(path.is_file() for path in made.strips.values())
    assert "Shown are" not in made.words
    # of a map that was corrected: no strip stays that none of its conditions is called
    gallery(plate(tmp_path), {"cells": table.assign(treatment="y"), "puncta": puncta}, tmp_path / "out", "treatment")
    strips = sorted(path.name for path in (tmp_path / "out" / "gallery").iterdir())
    assert strips == ["01_y_2.5_nM.png", "02_y_10_nM.png"]


def test_the_page_is_told_of_conditions_that_have_no_strip(tmp_path):
    names = [f"f{number}" for number in range(MOST_CONDITIONS + 2)]
    table = pd.DataFrame({"field": names, "label": 1, "touches_border": False, "puncta_total": 3, "major_axis": 14.0})
    table["treatment"] = names
    # nothing to show of a condition whose cells are all cut by the border
    table.loc[0, "touches_border"] = True
    made = gallery(plate(tmp_path, names), {"cells": table, "marker_puncta": table[:0]}, tmp_path / "out", "treatment")
    assert (len(made.strips), made.conditions) == (MOST_CONDITIONS, len(names) - 1)
    assert made.words.endswith(f"the first {MOST_CONDITIONS} of {len(names) - 1} conditions, by name.")


def test_cells_of_fields_that_are_left_out_are_not_shown(tmp_path, monkeypatch):
    """Of 3, 4, 5 and 6 puncta the last two are of a field that nothing is compared with: the highest is 4."""
    chosen = []
    monkeypatch.setattr(
        module, "strip", lambda pictures, words, levels: chosen.extend(words) or np.zeros((4, 4, 3), np.uint8)
    )
    made = gallery(plate(tmp_path), {"cells": cells(treatment="drug")}, tmp_path, "treatment", left_out=["b"])
    assert {word.split()[1] for word in chosen} == {"3", "4"}
    assert next(iter(made.strips)).startswith("drug: 2 cells")
