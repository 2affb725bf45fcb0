"""One field measured, every column documented, and puncta against simulated truth."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal
from pictures import field_image
from scipy.spatial import cKDTree

from cellular.autophagy.measure.columns import OPTIONAL, TABLES, describe
from cellular.autophagy.measure.documentation import documentation
from cellular.autophagy.measure.field import MEASUREMENTS, MeasureSettings, measure_field
from cellular.autophagy.measure.typed import typed
from cellular.data.image import FieldImage
from cellular.errors import InputError, SettingsError
from cellular.simulate import SimulationSettings, simulate_field

NAME = "Timepoint_003_220518-ST_I06_s2"
ABOUT = {"date": "220518", "plate": "ST", "well": "I06", "site": 2, "timepoint": 3, "treatment": "starved"}


@pytest.fixture(scope="module")
def simulated():
    return simulate_field(SimulationSettings(size_px=640), position=1)


@pytest.fixture(scope="module")
def tables(simulated):
    egfp, mrfp, transmitted = simulated.channels
    return measure_field(
        field_image(np.stack([mrfp, egfp, transmitted], axis=-1)), simulated.labels(), NAME, about=ABOUT
    )


def test_text_that_is_missing_is_none_beside_words_and_alone():
    told = typed("images", {"field": ["a", "b"], "plate": ["P", None], "date": [None, None], "site": [1, None]})
    assert told["plate"].tolist() == ["P", None]
    assert told["date"].tolist() == [None, None]
    assert told["site"].isna().tolist() == [False, True]


def test_every_column_is_documented_and_has_its_type(tables):
    for name, table in tables.items():
        assert list(table)[: len(TABLES[name])] == list(TABLES[name])
        for column in table:
            about = describe(name, column)
            assert about is not None, f"{column} of the table of {name} is not declared in measure/columns.py"
            wanted = "object" if about.dtype == "str" else about.dtype
            assert str(table[column].dtype) == wanted, column
    every = documentation()
    assert every["meaning"].str.endswith(".").all()
    assert not every["meaning"].str.contains("[{}]").any()
    assert set(every["table"]) == {*TABLES, *OPTIONAL}
    assert {"area", "area_um2", "nuclei", "mean__mRFP", "mean__CHANNEL", "pearson__CHANNEL__OTHER"} <= set(
        every.loc[every["table"] == "cells", "column"]
    )
    assert not every.duplicated(["table", "column"]).any()


def test_a_row_per_cell_and_what_the_name_tells(simulated, tables):
    labels = simulated.labels()
    assert tables["cells"]["label"].tolist() == np.unique(labels[labels > 0]).tolist()
    row = tables["images"].iloc[0]
    assert (row["well"], row["site"], row["timepoint"], row["treatment"]) == ("I06", 2, 3, "starved")
    assert row["puncta"] == len(tables["puncta"]) == tables["cells"]["puncta_total"].sum()


@pytest.mark.parametrize("reporter", ["auto", "mito-qc"])
def test_measurements_give_a_value_per_cell_in_columns_of_their_own(simulated, reporter, monkeypatch):
    labels = simulated.labels()
    egfp, mrfp, transmitted = simulated.channels
    image = FieldImage.of(np.stack([mrfp, egfp, transmitted, mrfp], axis=-1), ("mRFP", "EGFP", "DNA", "marker:LAMP1"))
    written = {}

    def noting(name, measure):
        def measured(material):
            written[name] = measure(material)
            return written[name]

        return measured

    for name, measure in MEASUREMENTS.items():
        monkeypatch.setitem(MEASUREMENTS, name, noting(name, measure))
    measure_field(image, labels, NAME, MeasureSettings(reporter=reporter), nuclei=labels)
    without = {"auto": "mitophagy", "mito-qc": "puncta"}[reporter]
    assert {name for name, columns in written.items() if not columns} == {without}
    names = [name for columns in written.values() for name in columns]
    assert len(names) == len(set(names))
    cells = len(np.unique(labels)) - 1
    assert {values.shape for columns in written.values() for values in columns.values()} == {(cells,)}


@pytest.mark.parametrize("composite", [False, True])
def test_puncta_meet_the_truth(simulated, tables, composite):
    truth = simulated.puncta
    found = tables["puncta"]
    if composite:
        truth = truth[~truth["saturated"]]
        found = measure_field(field_image(simulated.composite()), simulated.labels(), NAME)["puncta"]
    distance, nearest = cKDTree(found[["y", "x"]]).query(truth[["y", "x"]])
    near = distance < 3
    recall, precision = near.mean(), len(set(nearest[near])) / len(found)
    right = truth["kind"].to_numpy()[near] == found["kind"].to_numpy()[nearest[near]]
    assert min(recall, precision, right.mean()) > 0.87
    assert np.median(distance[near]) < 0.25


def test_a_field_without_cells_gives_empty_tables():
    image = np.random.default_rng(0).integers(200, 300, (64, 64, 3)).astype(np.uint16)
    tables = measure_field(field_image(image), np.zeros((64, 64), np.uint16), "my_image")
    assert len(tables["cells"]) == len(tables["puncta"]) == 0
    assert tables["images"]["cells"].tolist() == [0]
    assert tables["images"]["well"].tolist() == [None]
    assert set(TABLES["cells"]) <= set(tables["cells"])


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_labels_of_any_type_are_the_same_cells(simulated, tables, dtype):
    image = field_image(np.stack([simulated.channels[k] for k in (1, 0, 2)], axis=-1))
    again = measure_field(image, simulated.labels().astype(dtype), NAME, about=ABOUT)
    assert_frame_equal(again["cells"], tables["cells"])


def test_negative_labels_are_no_cells(simulated):
    """Cells' pixels were counted from the wrong place: background was measured in their stead."""
    image = field_image(np.stack([simulated.channels[k] for k in (1, 0, 2)], axis=-1))
    labels = simulated.labels().astype(int)
    labels[:9] = -1
    with pytest.raises(InputError, match="this image has -1"):
        measure_field(image, labels, NAME)


def test_pixel_size_must_be_above_nought():
    with pytest.raises(SettingsError, match="pixel_size_um"):
        MeasureSettings(pixel_size_um=0)
