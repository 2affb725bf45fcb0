"""The table of a field's cells."""

import numpy as np

from cellular.jobs.segment import cell_table


def test_a_row_a_cell_with_numbers_that_are_left_out():
    labels = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 4]], np.uint16)
    table = cell_table("007", labels, np.array([0.12346, 0.5, 0.5, 1], np.float32))
    assert table.to_csv(index=False).splitlines() == [
        "image,label,score,area_px,y0,x0,y1,x1,y,x",
        "007,1,0.1235,5,0,1,3,3,0.8,1.4",
        "007,4,1.0,1,2,3,3,4,2.0,3.0",
    ]


def test_outlines_of_no_model_have_no_score_and_no_cells_keep_their_columns():
    assert cell_table("a", np.eye(3, dtype=np.uint8))["score"].isna().all()
    table = cell_table("a", np.zeros((3, 3), np.uint16), np.empty(0, np.float32))
    assert table.shape == (0, 10)
    assert [str(kind) for kind in table.dtypes] == ["object", "int64", "float32", *["int64"] * 5, "float64", "float64"]
