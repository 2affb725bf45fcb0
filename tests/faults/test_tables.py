"""Damaged tables of true tracks: refused by name, never a foreign exception."""

import numpy as np
import pandas as pd
import pytest

from cellular.cli.main import EXIT_ERROR, EXIT_PROBLEMS, main
from cellular.data.formats.images import write_labels
from cellular.files import read_csv, write_csv

LABELS = np.pad(np.ones((6, 6), np.uint16), 5)
TRUTH = pd.DataFrame(
    {"series": "a", "track": 1, "timepoint": [1, 2], "field": ["a_t1", "a_t2"], "cell": 1, "parent": 0}, dtype=object
)


@pytest.fixture
def run(tmp_path):
    """A function that tracks one cell that stays, with a table of truth; gives the exit code."""
    for name in TRUTH["field"]:
        write_labels(tmp_path / f"{name}_labels.tif", LABELS)

    def go(truth):
        write_csv(tmp_path / "truth.csv", truth)
        pattern = r"(?P<series>a)_t(?P<timepoint>\d)"
        command = ["track", str(tmp_path), "--out", str(tmp_path / "out"), "--truth", str(tmp_path / "truth.csv")]
        return main([*command, "--pattern", pattern])

    return go


def test_the_columns_that_are_documented_are_enough(run, tmp_path):
    assert run(TRUTH) == 0
    scores = read_csv(tmp_path / "out" / "scores.csv").iloc[0]
    assert (scores["tra"], scores["det"], scores["lnk"], scores["tracks"]) == (1, 1, 1, 1)


@pytest.mark.parametrize("column", ["series", "track", "timepoint", "cell", "parent"])
def test_a_missing_column_is_named(run, column, capsys):
    assert run(TRUTH.drop(columns=column)) == EXIT_ERROR
    assert f"truth.csv lacks the column(s) {column}" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["track", "timepoint", "cell", "parent"])
@pytest.mark.parametrize("value", ["é", "0.5", "-1", "1e400", "", "True"])
def test_what_is_no_whole_number_is_named(run, column, value, capsys):
    truth = TRUTH.copy()
    truth.loc[1, column] = value
    assert run(truth) == EXIT_ERROR
    assert f"truth.csv: {column} is a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("cells", [[1], [1, 2], [1, 1, 1]])
def test_cells_that_are_not_in_the_label_image_are_told(run, cells, capsys):
    """One row too few, another cell, a cell twice."""
    truth = pd.concat([TRUTH] * 2, ignore_index=True).head(len(cells)).assign(cell=cells)
    assert run(truth) in (EXIT_ERROR, EXIT_PROBLEMS)
    assert "do not hold the same cells" in capsys.readouterr().err


def test_a_table_without_rows(run, capsys):
    assert run(TRUTH.head(0)) == EXIT_ERROR
    assert "no true tracks for series a" in capsys.readouterr().err
