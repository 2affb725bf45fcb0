"""Box average precision and bootstrap intervals on numbers worked out by hand."""

import numpy as np
import pytest

from cellular.data.plate import FieldFiles
from cellular.errors import SettingsError
from cellular.evaluate.bootstrap import clusters_of, intervals
from cellular.evaluate.detection import Boxes, average_precision, match_boxes, mean_average_precision, precision_recall

A, B, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]


def found(truth, predictions):
    return match_boxes(
        [Boxes(np.array(boxes, float).reshape(-1, 4)) for boxes in truth],
        [Boxes(np.array(b, float).reshape(-1, 4), np.array(s, float)) for b, s in predictions],
    )


def test_perfect_boxes():
    detections = found([[A, B]], [([A, B], [0.9, 0.8])])
    assert average_precision(detections, 0.5) == 1
    assert mean_average_precision(detections) == 1


def test_one_right_one_wrong_by_hand():
    # Right first: precision 1 up to recall 0.5, nothing beyond: 51 of 101 recall points.
    assert average_precision(found([[A, B]], [([A, FAR], [0.9, 0.8])]), 0.5) == pytest.approx(51 / 101)
    # Wrong first: precision 1/2 up to recall 0.5.
    assert average_precision(found([[A, B]], [([A, FAR], [0.8, 0.9])]), 0.5) == pytest.approx(51 / 101 / 2)


def test_iou_thresholds():
    # 10 x 10 against 8 x 10: IoU 0.8 passes 0.50 to 0.80, 7 of 10 thresholds.
    detections = found([[A]], [([[0, 0, 8, 10]], [1])])
    assert mean_average_precision(detections) == pytest.approx(0.7)


def test_equals_pycocotools_own_summary():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(0)
    truth, predictions = [], []
    for _ in range(3):
        corner = rng.uniform(0, 400, (30, 2))
        boxes = np.hstack([corner, corner + rng.uniform(30, 60, (30, 2))])
        truth.append(boxes)
        predictions.append((boxes[:25] + rng.normal(0, 4, (25, 4)), rng.random(25)))
    detections = found(truth, predictions)
    coco, number, results = COCO(), 0, []
    coco.dataset = {"info": {}, "images": [{"id": k} for k in range(3)], "categories": [{"id": 1}], "annotations": []}
    for k in range(3):
        for y0, x0, y1, x1 in truth[k]:
            number += 1
            coco.dataset["annotations"].append(
                {"id": number, "image_id": k, "category_id": 1, "iscrowd": 0}
                | {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (y1 - y0) * (x1 - x0)}
            )
        for (y0, x0, y1, x1), score in zip(*predictions[k]):
            results.append({"image_id": k, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    coco.createIndex()
    reference = COCOeval(coco, coco.loadRes(results), "bbox")
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    assert average_precision(detections, 0.5) == pytest.approx(reference.stats[1])
    assert mean_average_precision(detections) == pytest.approx(reference.stats[0])


def test_weights_repeat_fields():
    truth, predictions = [[A], [B]], [([A], [0.9]), ([FAR], [0.8])]
    detections = found(truth, predictions)
    repeated = found([[A], [A], [B]], [([A], [0.9]), ([A], [0.9]), ([FAR], [0.8])])
    assert average_precision(detections, 0.5, np.array([2, 1])) == pytest.approx(average_precision(repeated, 0.5))
    assert average_precision(detections, 0.5, np.array([1, 0])) == 1


def test_empty_sides():
    assert average_precision(found([[]], [([], [])]), 0.5) == 1
    assert average_precision(found([[A]], [([], [])]), 0.5) == 0
    assert average_precision(found([[]], [([A], [1])]), 0.5) == 0
    recall, precision = precision_recall(found([[A]], [([A, FAR], [0.9, 0.5])]), 0.5)
    assert recall.tolist() == [1, 1]
    assert precision.tolist() == [1, 0.5]


def test_more_than_a_hundred_boxes_count():
    boxes = [[0, 20 * k, 10, 20 * k + 10] for k in range(250)]
    assert average_precision(found([boxes], [(boxes, np.linspace(1, 0.1, 250))]), 0.5) == 1


def fields_of(wells, timepoints=(1,)):
    """A field of each well at each timepoint; None is a field whose well is not known."""
    return [
        FieldFiles(f"{k}_{well}_t{t}", (), plate="ST", well=well, timepoint=t, date="220518")
        for t in timepoints
        for k, well in enumerate(wells)
    ]


def test_clusters_are_wells_where_they_are_known():
    clusters = clusters_of(fields_of(("C03", "I06", "I04"), (1, 2)))
    assert (clusters.unit, clusters.count) == ("well", 3)
    assert clusters.of_field.tolist() == [0, 2, 1, 0, 2, 1]
    assert clusters_of(fields_of((None, None, None))).unit == "field"
    assert "do not all show wells" in clusters_of(fields_of((None, None, None))).note


def test_timepoints_of_a_position_are_drawn_together():
    film = [FieldFiles(f"{place}_t{t:03d}", (), timepoint=t, series=place) for t in (1, 2) for place in "abc"]
    clusters = clusters_of(film)
    assert (clusters.unit, clusters.count) == ("position", 3)
    assert clusters.of_field.tolist() == [0, 1, 2, 0, 1, 2]
    assert "over 3 positions" in clusters.note
    assert "too narrow" in clusters.note
    # two positions at many times cannot show how positions differ
    assert clusters_of([item for item in film if item.series != "c"] * 5).note.startswith("no intervals: 2 position")


def test_fields_are_resampled_where_asked_and_the_note_says_what_that_hides():
    names = fields_of(("C03", "I06"), (1, 2, 3))
    clusters = clusters_of(names, "field")
    assert (clusters.unit, clusters.count, clusters.wells) == ("field", 6, 2)
    assert "fields of 2 well(s) are alike" in clusters.note
    assert "alike" not in clusters_of(fields_of((None, None, None)), "field").note
    with pytest.raises(SettingsError, match="cell"):
        clusters_of(names, "cell")


def test_intervals_of_a_mean_follow_the_clusters():
    values = np.array([0.0, 0.0, 1.0, 1.0, 0.5, 0.5])
    names = sorted(fields_of(("C03", "I04", "I06"), (1, 2)), key=lambda item: ("C03", "I06", "I04").index(item.well))

    asked = []

    def statistic(weights):
        asked.append(tuple(weights))
        return {"mean": float((values * weights).sum() / weights.sum())}

    low, high = intervals(statistic, clusters_of(names))["mean"]
    # three wells, drawn three times: 3 + 6 + 1 ways, each worked out once
    assert len(asked) == len(set(asked)) == 10
    # 3 wells drawn from {0, 1, 0.5}: P(all 0) = 1/27 = 3.7 %, more than 2.5 %, so the ends are 0 and 1.
    assert (low, high) == (0, 1)
    assert intervals(statistic, clusters_of(names[:4])) == {}
    assert "no intervals: 2 well(s)" in clusters_of(names[:4]).note


def test_a_field_without_cells_beside_one_with_cells():
    silent = found([[A], []], [([A], [1]), ([], [])])
    assert average_precision(silent, 0.5, np.array([0, 1])) == 1, "nothing to find, nothing found"
    loud = found([[A], []], [([A], [1]), ([FAR], [1])])
    assert average_precision(loud, 0.5, np.array([0, 1])) == 0
    assert average_precision(loud, 0.5, np.array([1, 0])) == 1
