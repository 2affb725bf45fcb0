"""The order of things: what is done once, what is kept, what is passed over. Measuring is kept trivial here."""

import numpy as np
import pandas as pd
import pytest

from cellular.data.formats.images import write_image, write_labels
from cellular.errors import CellularError, InputError, OutputExistsError
from cellular.jobs.analyse import AnalyseSettings, analyse
from cellular.track.link import TrackSettings

WELLS = ("C03", "C05", "I04", "I06")


class Measure:
    """Mean brightness per cell, and a count of how often it was asked."""

    def __init__(self):
        self.fields = []

    def __call__(self, image, labels, field):
        self.fields.append(field)
        numbers = np.unique(labels)[1:]
        means = [image[labels == n].mean() for n in numbers]
        cells = pd.DataFrame(
            {"field": field, "label": numbers, "brightness": means, "area": np.bincount(labels.ravel())[1:]}
        )
        return {"cells": cells, "puncta": pd.DataFrame({"field": [field], "y": [1.0]})}


@pytest.fixture
def plate(tmp_path):
    """Four wells, two timepoints, three cells each that hardly move; starved cells are brighter."""
    rng = np.random.default_rng(0)
    for well in WELLS:
        for t in (1, 2):
            name = f"Timepoint_00{t}_220518-ST_{well}_s1"
            labels = np.zeros((48, 64), np.uint16)
            for n, x in enumerate((6, 26, 46), 1):
                labels[10 + t : 24 + t, x : x + 12 + n] = n
            image = rng.normal(60 + 60 * (well[0] == "I"), 5, labels.shape) * (labels > 0)
            write_image(tmp_path / "images" / f"{name}.png", np.dstack([image] * 3).clip(0, 255).astype(np.uint8))
            write_labels(tmp_path / "labels" / f"{name}_masks.tif", labels)
    return tmp_path


class Cut(Measure):
    """Interrupted at the fourth field."""

    def __call__(self, image, labels, field):
        if len(self.fields) == 3:
            raise KeyboardInterrupt
        return super().__call__(image, labels, field)


def classify(cells):
    return cells.assign(probability_activated=np.where(cells["brightness"] > 90, 0.9, 0.1))


def test_a_run_that_was_cut_short_goes_on_and_tells_everything(plate):
    out = plate / "out"
    with pytest.raises(KeyboardInterrupt):
        analyse(plate / "images", out, measure=Cut(), labels=plate / "labels")
    measure = Measure()
    result = analyse(plate / "images", out, measure=measure, labels=plate / "labels", classify=classify)
    assert len(measure.fields) == 5
    assert result.problems == {}
    assert len(result.cells) == len(pd.read_csv(out / "cells.csv")) == 4 * 2 * 3
    assert len(pd.read_csv(out / "puncta.csv")) == 8
    # tracks 1, 2 and 3 of each series, at both timepoints
    assert result.cells.groupby("track")["field"].nunique().to_dict() == {1: 8, 2: 8, 3: 8}
    effects = pd.read_csv(out / "stats" / "effects.csv").set_index(["feature", "timepoint"])
    assert effects.loc[("brightness", "all"), "estimate"] == pytest.approx(60, abs=3)
    steps = pd.read_csv(out / "tracks" / "transitions.csv").set_index(["from", "to"])["steps"]
    assert steps["basal"].tolist() == [6, 0]
    assert steps["activated"].tolist() == [0, 6]
    page = result.page.read_text(encoding="utf-8")
    for heading in ("Cells", "Treatments", "Tracks"):
        assert f">{heading}</h2>" in page
    assert "Problems</h2>" not in page
    assert "technical replicates" in page
    assert "by classified state" in page
    assert page.count("data:image/") >= 6


def test_bad_fields_are_passed_over_and_named(plate):
    names = [f"Timepoint_00{t}_220518-ST_C05_s1" for t in (1, 2)]
    (plate / "images" / f"{names[0]}.png").write_bytes(b"half a picture")
    (plate / "labels" / f"{names[1]}_masks.tif").unlink()
    result = analyse(plate / "images", plate / "out", measure=Measure(), labels=plate / "labels")
    assert set(result.problems) == set(names)
    assert len(result.cells) == 18
    assert names[0] in result.page.read_text(encoding="utf-8")
    assert pd.read_csv(plate / "out" / "problems.csv")["where"].tolist() == sorted(names, reverse=True)


def test_one_timepoint_and_one_treatment_are_no_obstacle(plate):
    for path in {*plate.glob("*/Timepoint_002*"), *plate.glob("*/*_I0*")}:
        path.unlink()
    result = analyse(plate / "images", plate / "out", measure=Measure(), labels=plate / "labels")
    assert result.tracks is None
    assert result.comparison is None
    assert result.problems == {}
    assert "nothing to compare" in result.page.read_text(encoding="utf-8")


def test_other_settings_need_another_folder(plate):
    with pytest.raises(KeyboardInterrupt):
        analyse(plate / "images", plate / "out", measure=Cut(), labels=plate / "labels")
    other = AnalyseSettings(track=TrackSettings(max_gap=0))
    with pytest.raises(OutputExistsError, match="other settings"):
        analyse(plate / "images", plate / "out", other, measure=Measure(), labels=plate / "labels")
    with pytest.raises(OutputExistsError, match="in use"):
        analyse(plate / "images", plate / "labels", measure=Measure(), labels=plate / "labels")


def test_channels_are_those_that_were_asked_for(plate):
    """The starter takes three."""
    with pytest.raises(CellularError, match=r"takes 3 channel\(s\), 2 were given"):
        analyse(plate / "images", plate / "out", AnalyseSettings(channels=(1, 2)), measure=Measure())
    result = analyse(
        plate / "images", plate / "red", AnalyseSettings(channels=(1, 1, 1), diameter=14), measure=Measure()
    )
    assert result.problems == {}


@pytest.mark.parametrize("wrong", [{"state_model": "none.skops"}, {"model": "nobody"}])
def test_a_wrong_name_is_told_before_anything_is_written(plate, wrong):
    labels = plate / "labels" if "state_model" in wrong else None
    with pytest.raises(CellularError, match=r"none\.skops|nobody"):
        analyse(plate / "images", plate / "out", AnalyseSettings(**wrong), measure=Measure(), labels=labels)
    assert not (plate / "out").exists()


def test_nothing_measured_is_an_error(plate):
    for path in (plate / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="No field could be measured"):
        analyse(plate / "images", plate / "out", measure=Measure(), labels=plate / "labels")
