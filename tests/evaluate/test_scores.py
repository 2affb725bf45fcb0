"""Scores on hand-made arrays, and against what Cellpose and StarDist say of the same label images."""

import json
from pathlib import Path

import numpy as np
import pytest

from cellular.errors import InputError
from cellular.evaluate.overlap import overlap
from cellular.evaluate.scores import THRESHOLDS, match, rates, score_field, summary

PEERS = json.loads((Path(__file__).parent / "fixtures" / "peers.json").read_text())


def label_images(seed, cells=40, shape=(150, 180)):
    """The same images as benchmarks/make_metric_fixtures.py draws."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth, prediction = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for k in range(1, cells + 1):
        cy, cx, r = rng.integers(0, shape[0]), rng.integers(0, shape[1]), rng.integers(4, 14)
        dy, dx, dr = rng.integers(-3, 4, 3)
        if rng.random() < 0.9:
            truth[(y - cy) ** 2 + (x - cx) ** 2 <= r**2] = k
        if rng.random() < 0.9:
            prediction[(y - cy - dy) ** 2 + (x - cx - dx) ** 2 <= (r + dr) ** 2] = k
    return truth, prediction


@pytest.mark.parametrize("case", PEERS, ids=lambda case: f"seed{case['seed']}")
def test_equal_to_cellpose_and_stardist(case):
    # Gaps in the numbering, which the peers do not take, make no difference here.
    scores = score_field(*label_images(case["seed"]))
    assert list(scores.tp) == case["cellpose_tp"]
    np.testing.assert_allclose([scores.instance(t).jaccard for t in THRESHOLDS], case["cellpose_ap"], atol=1e-6)
    aji = scores.aji_cellpose_counts
    assert aji[0] / aji[1] == pytest.approx(case["cellpose_aji"])
    star, half = case["stardist"], scores.instance(0.5)
    assert (half.precision, half.recall, half.f1) == pytest.approx((star["precision"], star["recall"], star["f1"]))
    assert scores.panoptic()["sq"] == pytest.approx(star["mean_matched_score"], abs=1e-6)
    assert scores.panoptic()["pq"] == pytest.approx(star["panoptic_quality"], abs=1e-6)


TRUTH = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [3, 3, 0, 0, 0]], np.uint16)
PREDICTION = np.array([[5, 5, 0, 0, 0], [5, 5, 0, 7, 7], [0, 0, 0, 7, 7], [0, 0, 0, 9, 9]], np.uint16)
# Cell 1 = 5 exactly; 2 and 7 share 2 of 6 px; 3 is missed; 9 is spurious.


def test_hand_counted_cells():
    scores = score_field(TRUTH, PREDICTION)
    assert (scores.n_true, scores.n_predicted) == (3, 3)
    assert scores.tp == (1,) * 10
    half = scores.instance(0.5)
    assert (half.precision, half.recall, half.f1, half.jaccard) == (1 / 3, 1 / 3, 1 / 3, 1 / 5)
    assert scores.missed.tolist() == [2, 3]
    assert scores.spurious.tolist() == [7, 9]
    assert scores.panoptic() == {"pq": pytest.approx(1 / 3), "sq": 1.0, "rq": pytest.approx(1 / 3)}
    # Kumar: shared 4 + 2 over unions 4 + 6, the missed cell's 2 and the spurious one's 2.
    assert scores.aji_counts == (6, 14)


def test_hand_counted_pixels():
    scores = score_field(TRUTH, PREDICTION)
    # 20 px: 6 cell in both, 4 only in truth, 4 only predicted, 6 in neither.
    assert scores.pixel_counts == ((6, 4), (4, 6))
    pixel = scores.pixel()
    assert pixel["cell"].jaccard == pytest.approx(6 / 14)
    assert pixel["background"].precision == pytest.approx(0.6)
    assert pixel["average"].f1 == pytest.approx(0.6)


def test_ignored_pixels_count_for_nothing():
    ignore = np.zeros_like(TRUTH)
    ignore[1:3, 3:] = 1  # lower half of cell 2, and all of prediction 7
    scores = score_field(TRUTH, PREDICTION, ignore)
    assert scores.predicted_labels.tolist() == [5, 9]
    assert scores.true_labels.tolist() == [1, 2, 3]
    assert sum(map(sum, scores.pixel_counts)) == 16
    assert scores.pixel_counts == ((6, 2), (4, 4))
    ignore[:] = 1
    nothing = score_field(TRUTH, PREDICTION, ignore)
    assert (nothing.n_true, nothing.n_predicted) == (0, 0)


def test_a_prediction_half_ignored_stays_and_more_than_half_goes():
    prediction = np.ones((2, 2), np.uint16)
    ignore = np.array([[1, 1], [0, 0]])
    assert overlap(prediction, prediction, ignore).predicted_labels.tolist() == [1]
    ignore[1, 0] = 1
    assert overlap(prediction, prediction, ignore).predicted_labels.tolist() == []


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0), (1, 1, 1.0)],
    ids=["both empty", "empty prediction", "empty truth", "perfect"],
)
def test_empty_images(truth, prediction, expected):
    full, empty = np.array([[0, 1, 1], [0, 1, 1]], np.uint16), np.zeros((2, 3), np.uint16)
    scores = score_field(full if truth else empty, full if prediction else empty)
    assert scores.instance(0.5).f1 == expected
    assert scores.pixel()["cell"].f1 == expected
    assert scores.panoptic()["pq"] == expected
    assert scores.boundary().f1 == expected
    row = scores.row()
    assert (row["aji"], row["aji_cellpose"]) == (expected, expected)
    assert row["count_error"] == prediction - truth


def test_rates_by_hand():
    assert rates(0, 0, 0).f1 == 1
    assert rates(0, 2, 0).f1 == 0
    assert rates(2, 1, 1).jaccard == 0.5


def test_ties_at_half_are_matched_one_to_one():
    # Prediction 1 covers all of truth 1 and 2 (IoU 0.5 each), prediction 2 covers all of truth 2... by numbers:
    true, predicted, iou = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0.5, 0.5, 0.5])
    assert sorted(match(true, predicted, iou, 0.5).tolist()) == [0, 2]


def test_boundary_within_tolerance():
    truth, prediction = np.zeros((20, 20), np.uint16), np.zeros((20, 20), np.uint16)
    truth[5:10, 5:10] = 1
    prediction[5:10, 7:12] = 1  # shifted by the tolerance, 2 px
    assert score_field(truth, prediction).boundary().f1 == 1
    far = np.zeros((20, 20), np.uint16)
    far[5:10, 13:18] = 1
    assert score_field(truth, far).boundary().f1 == 0


def test_many_cells_and_gaps_take_the_sparse_way_to_the_same_counts():
    truth = np.arange(120 * 120, dtype=np.uint32).reshape(120, 120) // 3 * 2
    dense = score_field(truth[:20, :20], truth[:20, :20])
    assert dense.tp[-1] == dense.n_true
    everything = score_field(truth, truth)
    assert everything.n_true == np.unique(truth).size - 1
    assert everything.tp == (everything.n_true,) * 10


def test_summary_means_and_pools():
    perfect = score_field(TRUTH, TRUTH, name="a")
    bad = score_field(TRUTH, np.zeros_like(TRUTH), name="b")
    values = summary([perfect, bad])
    assert values["instance.0.50.ap"] == 0.5, "Cellpose's AP is a mean over images"
    assert values["instance.0.50.f1"] == pytest.approx(2 * 3 / (3 + 6)), "3 of 6 true cells, 3 predicted"
    assert values["pixel.cell.recall"] == 0.5
    assert values["count.bias"] == -1.5


def test_shapes_must_agree():
    with pytest.raises(InputError, match="differ in shape"):
        score_field(TRUTH, TRUTH[:2])


@pytest.mark.parametrize("ignore", [None, np.eye(40, dtype=np.uint8)])
def test_ids_of_a_database_are_numbers_as_others(ignore):
    truth, prediction = np.zeros((40, 40), np.uint16), np.zeros((40, 40), np.uint16)
    truth[2:10, 2:10], truth[20:30, 5:15], truth[5:9, 30:36] = 1, 2, 3
    prediction[2:10, 3:10], prediction[21:30, 5:15], prediction[33:38, 33:38] = 1, 2, 3
    ids = np.array([0, 7, 3_000_000_001, 4_000_000_000], np.uint32)
    plain = score_field(truth, prediction, ignore)
    named = score_field(ids[truth], ids[prediction], ignore)
    assert named.true_labels.tolist() == ids[plain.true_labels].tolist()
    assert named.predicted_labels.tolist() == ids[plain.predicted_labels].tolist()
    assert (named.missed.tolist(), named.spurious.tolist()) == ([ids[3]], [ids[3]])
    assert named.row() == plain.row()
