import numpy as np
import pandas as pd
import pytest

from cellular.evaluate.cells import calibration, cell_verdicts, errors_by
from cellular.evaluate.scores import score_field


def test_every_cell_has_its_verdict_its_best_iou_and_its_light():
    truth, prediction = np.zeros((20, 20), np.uint16), np.zeros((20, 20), np.uint16)
    truth[0:4, 0:4], truth[10:14, 0:5] = 1, 2
    prediction[0:4, 0:3], prediction[10:14, 15:20] = 7, 9
    image = np.zeros((20, 20, 2))
    image[0:4, 0:4] = (10, 30)
    true, predicted = cell_verdicts(truth, prediction, score_field(truth, prediction), image)
    assert true["verdict"].tolist() == ["matched", "missed"]
    assert predicted["verdict"].tolist() == ["matched", "spurious"]
    # 12 shared pixels of 16
    assert true["iou"].tolist() == [0.75, 0.0]
    assert true["area"].tolist() == [16, 20]
    assert true["brightness"].tolist() == [20.0, 0.0]
    assert true[["y", "x"]].to_numpy().tolist() == [[1.5, 1.5], [11.5, 2.0]]
    assert predicted["label"].tolist() == [7, 9]


def test_nothing_to_judge_is_an_empty_table():
    empty = np.zeros((5, 5), np.uint16)
    true, predicted = cell_verdicts(empty, empty, score_field(empty, empty), empty)
    assert len(true) == len(predicted) == 0


def test_recall_by_size():
    cells = pd.DataFrame({"area": [10, 20, 30, 40], "verdict": ["missed", "matched"] * 2, "iou": [0.1, 0.6, 0.2, 0.8]})
    table = errors_by(cells, "area", parts=2)
    assert table["cells"].tolist() == [2, 2]
    assert table["recall"].tolist() == [0.5, 0.5]
    assert table["median IoU"].tolist() == pytest.approx([0.35, 0.5])
    assert table["area"].tolist() == ["10 to 20", "30 to 40"]
    light = errors_by(cells.assign(brightness=cells["area"] / 1e5), "brightness", parts=2)["brightness"]
    assert light.tolist() == ["0.0001 to 0.0002", "0.0003 to 0.0004"]


def test_what_scores_promise():
    table = calibration(np.array([0.05, 0.55, 0.58, 1.0]), np.array([False, True, False, True]))
    assert table["predictions"].tolist() == [1, 2, 1]
    assert table["share_correct"].tolist() == [0.0, 0.5, 1.0]
