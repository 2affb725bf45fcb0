"""`cellular evaluate` and eval.py, as a user runs them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cellular.cli.main import main
from cellular.data.find import find_annotated
from cellular.data.formats.images import read_image, write_image, write_labels
from cellular.errors import InputError
from cellular.jobs.evaluate import evaluate, read_yolo_boxes
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model


@pytest.fixture
def test_folder(tmp_path):
    """Three wells, one field each, of square cells; OUT/all/test beside OUT/cells.csv as `prepare` leaves them."""
    rows = []
    folder = tmp_path / "prepared" / "all" / "test"
    for well in ("C03", "I04", "K07"):
        name = f"Timepoint_001_220518-ST_{well}_s1"
        labels = np.zeros((80, 90), np.uint16)
        labels[5:25, 5:25], labels[40:70, 30:60] = 1, 2
        write_image(folder / f"{name}.png", np.where(labels > 0, 200, 20).astype(np.uint8))
        write_labels(folder / f"{name}_masks.png", labels)
        rows.append([name, "fed", 1, 400, 5, 5, 25, 25, 0])
        rows.append([name, "unfed", 2, 900, 40, 30, 70, 60, 0])
    columns = ["field", "class", "label", "area_px", "y0", "x0", "y1", "x1", "lost_px"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "prepared" / "cells.csv", index=False)
    return folder


def test_perfect_labels_score_one(test_folder, tmp_path, capsys):
    out = tmp_path / "out"
    code = main(["evaluate", "--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)])
    assert code == 0
    report = json.loads((out / "test_eval.json").read_text())
    for part in ("background", "cell", "average"):
        assert set(report[part]) == {"precision", "recall", "f1", "jaccard"}
        assert report[part]["f1"] == 1
    assert report["instance"]["0.95"]["f1"] == 1
    assert report["box"] == {"ap50": 1.0, "ap50_95": 1.0}
    assert report["intervals_95"]["box.ap50"] == [1, 1]
    assert "3 wells" in report["intervals_note"]
    assert report["recall_by_class"]["unfed"] == {"cells": 3, "found": 3, "recall": 1}
    assert len(pd.read_csv(out / "test_fields.csv")) == 3
    figures = sorted(p.name for p in (out / "figures").iterdir())
    assert len(figures) == 3 + 2 * 3
    assert {"precision_recall.svg", "ap_iou.svg", "ap_iou.csv", "calibration.svg", "calibration.csv"} < set(figures)
    assert "The worst cells" in (out / "report.html").read_text(encoding="utf-8")
    assert read_image(out / "figures" / figures[0]).ndim == 3
    assert "box.ap50" in capsys.readouterr().out


def test_an_image_that_cannot_be_read_costs_its_pictures_and_no_scores(test_folder, tmp_path, capsys):
    """Scores of labels rest on no pixel of the images."""
    broken, out = sorted(test_folder.glob("*s1.png"))[0], tmp_path / "out"
    broken.write_bytes(broken.read_bytes()[:60])
    command = ["evaluate", "--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)]
    assert main(command) == 1
    assert f"passed over {broken.stem}" in capsys.readouterr().out
    assert json.loads((out / "test_eval.json").read_text())["fields"] == 3
    assert (out / "report.html").is_file()
    assert sorted(pd.read_csv(out / "cells_judged.csv")["field"].unique()) == sorted(
        path.stem for path in test_folder.glob("*s1.png") if path != broken
    )
    assert main(["report", str(out)]) == 0


def test_errors_show_in_the_scores(test_folder, tmp_path):
    predictions = tmp_path / "predictions"
    for path in test_folder.glob("*_masks.png"):
        labels = read_image(path)
        labels[labels == 1] = 0  # every first cell is missed
        write_labels(predictions / path.name, labels)
    out = tmp_path / "out"
    arguments = ["--test_dir", str(test_folder), "--labels", str(predictions), "--output_dir", str(out)]
    assert main(["evaluate", *arguments, "--figures", "false"]) == 0
    report = json.loads((out / "test_eval.json").read_text())
    assert report["instance"]["0.50"] == {"precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3), "ap": 0.5}
    assert report["recall_by_class"]["fed"]["recall"] == 0
    assert report["box"]["ap50"] == pytest.approx(51 / 101)
    assert report["count"]["bias"] == -1
    assert not (out / "figures").exists()


def test_no_page_of_other_scores_stays_beside_new_ones(test_folder, tmp_path):
    """With --figures false, page and pictures of the run before lay beside the new numbers."""
    labels, out = tmp_path / "labels", tmp_path / "out"
    for path in test_folder.glob("*_masks.png"):
        write_labels(labels / path.name, read_image(path))
    command = ["evaluate", "--test_dir", str(test_folder), "--labels", str(labels), "--output_dir", str(out)]
    drawn = ["report.html", "report.json", "cells_judged.csv", "figures/precision_recall.svg", "figures/ap_iou.svg"]
    assert main(command) == 0
    assert main([*command, "--figures", "false"]) == 0
    assert all((out / name).is_file() for name in drawn)  # of the same scores
    changed = sorted(labels.glob("*_masks.png"))[0]
    write_labels(changed, np.where(read_image(changed) == 1, 0, read_image(changed)))
    assert main([*command, "--figures", "false"]) == 0
    assert not any((out / name).is_file() for name in drawn)
    left = {path.stem for path in (out / "figures").glob("*.jpg")}
    assert left == {path.stem for path in test_folder.glob("*s1.png")} - {changed.stem.removesuffix("_masks")}


def test_a_page_of_something_else_stays(test_folder, tmp_path):
    """Label images of a run were scored into its own folder, which lost its page."""
    out = tmp_path / "run"
    for path in test_folder.glob("*_masks.png"):
        write_labels(out / "labels" / path.name, read_image(path))
    others = ["report.html", "cells_judged.csv", "difference_to_mine.csv", "figures/precision_recall.csv"]
    for name in others:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("of the run")
    command = ["evaluate", "--test_dir", str(test_folder), "--labels", str(out / "labels"), "--output_dir", str(out)]
    assert main([*command, "--figures", "false"]) == 0
    assert all((out / name).read_text() == "of the run" for name in others)


@pytest.mark.parametrize("table", [True, False])
def test_a_cell_of_which_nobody_knows_is_no_box_to_find(test_folder, tmp_path, table):
    for path in test_folder.glob("*_masks.png"):
        ignored = np.zeros((80, 90), np.uint16)
        ignored[35:75, 25:65] = 1  # all of cell 2, and of what is predicted there
        write_labels(path.with_name(path.name.replace("_masks", "_ignore")), ignored)
    if not table:
        (test_folder.parent.parent / "cells.csv").unlink()
    out = tmp_path / "out"
    given = ["evaluate", "--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)]
    assert main(given) == 0
    report = json.loads((out / "test_eval.json").read_text())
    assert report["cells"] == {"true": 3, "predicted": 3}
    assert report["instance"]["0.95"]["f1"] == 1
    assert report["box"] == {"ap50": 1.0, "ap50_95": 1.0}


SCORES = [("C03", 1, 0.9), ("C03", 2, 0.1), ("I04", 1, 0.9), ("I04", 2, 0.8), ("K07", 1, 0.9), ("K07", 2, 0.8)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([*SCORES[:1], ("C03", 2, np.nan), *SCORES[2:]], "no score for cell 2"),
        ([*SCORES[:1], ("C03", 2, np.inf), *SCORES[2:]], "no score for cell 2"),
        ([*SCORES, ("C03", 1, 0.2)], "tells of cell 1 of Timepoint_001_220518-ST_C03_s1 twice"),
    ],
)
def test_a_cell_has_one_score_and_a_number(test_folder, tmp_path, capsys, rows, said):
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in test_folder.glob("*_masks.png"):
        (labels / path.name).write_bytes(path.read_bytes())
    told = [(f"Timepoint_001_220518-ST_{well}_s1", label, score) for well, label, score in rows]
    pd.DataFrame(told, columns=["image", "label", "score"]).to_csv(labels / "cells.csv", index=False)
    out = tmp_path / "out"
    given = ["evaluate", "--test_dir", str(test_folder), "--labels", str(labels), "--output_dir", str(out)]
    assert main(given) == 1
    assert said in capsys.readouterr().out
    assert json.loads((out / "test_eval.json").read_text())["fields"] == 2


def test_what_scores_promised_is_told_of_cells_and_of_boxes(test_folder, tmp_path):
    """Of every cell 2 a frame is predicted: its box is right, its 224 of 900 px are not."""
    labels, told = tmp_path / "labels", []
    for path in test_folder.glob("*_masks.png"):
        predicted = read_image(path).astype(np.uint16)
        predicted[42:68, 32:58] = 0
        write_labels(labels / path.name, predicted)
        told += [(path.name.removesuffix("_masks.png"), 1, 0.9), (path.name.removesuffix("_masks.png"), 2, 0.35)]
    pd.DataFrame(told, columns=["image", "label", "score"]).to_csv(labels / "cells.csv", index=False)
    out = tmp_path / "out"
    given = ["evaluate", "--test_dir", str(test_folder), "--labels", str(labels), "--output_dir", str(out)]
    assert main(given) == 0
    shown = pd.read_csv(out / "figures" / "calibration.csv").round(3)
    assert shown[["of", "score", "share_correct", "predictions"]].values.tolist() == [
        ["cells", 0.35, 0, 3],
        ["cells", 0.9, 1, 3],
        ["boxes", 0.35, 1, 3],
        ["boxes", 0.9, 1, 3],
    ]


@pytest.mark.parametrize("name", ["measured", "run"])
def test_scores_are_those_beside_the_label_images(test_folder, tmp_path, capsys, name):
    """A table of another kind, beside them or above, gives none: in the page no more than in the box AP."""
    labels = tmp_path / "run" / "labels"
    labels.mkdir(parents=True)
    for path in test_folder.glob("*_masks.png"):
        wrong = read_image(path).astype(np.uint16)
        wrong[70:78, 70:88] = 3
        np.save(labels / path.name.replace("_masks.png", "_seg.npy"), {"masks": wrong}, allow_pickle=True)
    names = [f"Timepoint_001_220518-ST_{well}_s1" for well in ("C03", "I04", "K07")]
    measured = pd.DataFrame({"field": np.repeat(names, 3), "label": [1, 2, 3] * 3, "score": [0.9, 0.8, 0.1] * 3})
    told = measured.rename(columns={"field": "image"}).drop(columns="score") if name == "measured" else measured
    told.to_csv(labels.parent / "cells.csv", index=False)
    if name == "run":  # segment's own
        measured.rename(columns={"field": "image"}).to_csv(labels / "cells.csv", index=False)
    out = tmp_path / "out"
    given = ["evaluate", "--test_dir", str(test_folder), "--labels", str(labels.parent), "--output_dir", str(out)]
    assert main(given) == 0
    judged = pd.read_csv(out / "cells_judged.csv").query("of == 'prediction'")
    wanted = [0.9, 0.8, 0.1] if name == "run" else [1.0] * 3
    assert judged["score"].tolist() == wanted * 3
    ap50 = json.loads((out / "test_eval.json").read_text())["box"]["ap50"]
    # 6 right of 9: by falling score the right ones come first; without, the third of each field stands between
    assert ap50 == pytest.approx(1.0 if name == "run" else (34 * 1 + 33 * 4 / 5 + 34 * 6 / 8) / 101)


@pytest.mark.parametrize("change", [{1: 2, 2: 1}, {1: 1, 2: 7}, {1: 1, 2: 0}])
def test_cells_that_are_not_as_prepared_have_no_class(test_folder, tmp_path, capsys, change):
    """The table's classes and boxes go by label: cells numbered anew, or deleted, would be others'."""
    path = next(test_folder.glob("*I04*_masks.png"))
    labels = read_image(path)
    write_labels(path, sum((labels == old) * np.uint16(new) for old, new in change.items()))
    out = tmp_path / "out"
    given = ["evaluate", "--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)]
    assert main(given) == 1
    assert "not as prepared" in capsys.readouterr().out
    report = json.loads((out / "test_eval.json").read_text())
    assert report["recall_by_class"]["unfed"] == {"cells": 2, "found": 2, "recall": 1}
    # a copy elsewhere is scored as it is: without classes
    copy = test_folder.rename(tmp_path / "test")
    given = ["evaluate", "--test_dir", str(copy), "--labels", str(copy), "--output_dir", str(tmp_path / "copied")]
    assert main(given) == 0
    report = json.loads((tmp_path / "copied" / "test_eval.json").read_text())
    assert (report["fields"], report["recall_by_class"]) == (3, {})


def test_a_table_tells_of_the_label_images_beside_it_alone(test_folder, tmp_path):
    """As `teach` scores corrected label images that lie elsewhere: its classes are of other cells."""
    other = tmp_path / "corrected"
    plate = find_annotated(test_folder)
    for item in plate.fields:
        labels = read_image(item.labels).astype(np.uint16)
        write_labels(other / item.labels.name, np.where(labels, 3 - labels, 0))
    moved = replace(plate, fields=tuple(replace(f, labels=other / f.labels.name) for f in plate.fields))
    result = evaluate(moved, tmp_path / "out", labels_dir=other)
    assert (len(result.fields), result.recall_by_class, result.values["box.ap50"]) == (3, {}, 1.0)


def test_what_is_scored_and_drawn_is_kept_while_its_files_are_the_same(test_folder, tmp_path, monkeypatch):
    import cellular.jobs.evaluate_field as module

    predictions, out = tmp_path / "predictions", tmp_path / "out"
    for path in test_folder.glob("*_masks.png"):
        write_labels(predictions / path.name, read_image(path))
    real, scored = module.score_field, []
    monkeypatch.setattr(module, "score_field", lambda *args: scored.append(args[3]) or real(*args))
    argv = ["evaluate", "--test_dir", str(test_folder), "--labels", str(predictions), "--output_dir", str(out)]
    assert main(argv) == 0
    first = (out / "test_eval.json").read_bytes()
    drawn = {path: path.stat().st_mtime_ns for path in (out / "figures").glob("*.jpg")}
    assert main(argv) == 0
    assert len(scored) == 3
    assert (out / "test_eval.json").read_bytes() == first
    changed = predictions / "Timepoint_001_220518-ST_I04_s1_masks.png"
    write_labels(changed, np.where(read_image(changed) == 1, 1, 0).astype(np.uint16))
    assert main(argv) == 0
    assert scored[3:] == ["Timepoint_001_220518-ST_I04_s1"]
    assert {path.name for path, time in drawn.items() if path.stat().st_mtime_ns != time} == {
        "Timepoint_001_220518-ST_I04_s1.jpg"
    }
    assert json.loads((out / "test_eval.json").read_text())["instance"]["0.50"]["recall"] == pytest.approx(5 / 6)


def test_no_picture_and_difference_of_an_earlier_run_stays_beside_new_scores(test_folder, tmp_path):
    out = tmp_path / "out"
    argv = ["evaluate", "--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)]
    assert main(argv) == 0
    (out / "difference_to_other.csv").write_text("score,difference\n")
    gone = "Timepoint_001_220518-ST_K07_s1"
    for path in test_folder.glob(f"{gone}*"):
        path.unlink()
    assert main(argv) == 0
    drawn = sorted(path.stem for path in (out / "figures").glob("*.jpg"))
    assert drawn == sorted(pd.read_csv(out / "test_fields.csv")["field"])
    assert gone not in drawn
    assert not list(out.glob("difference_to_*"))


def test_boxes_as_truth(test_folder, tmp_path):
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for path in test_folder.glob("*_masks.png"):
        name = path.stem.removesuffix("_masks")
        (boxes / f"{name}.txt").write_text(f"{15 / 90} {15 / 80} {20 / 90} {20 / 80}\n")
    out = tmp_path / "out"
    arguments = ["--test_dir", str(test_folder), "--labels", str(test_folder), "--output_dir", str(out)]
    assert main(["evaluate", *arguments, "--boxes", str(boxes), "--figures", "false"]) == 0
    # One true box a field, found, beside one prediction without a true box, all of one score.
    assert json.loads((out / "test_eval.json").read_text())["box"]["ap50"] > 0.5


@pytest.mark.parametrize("by", [["--model_type", "starter"], ["--labels", "LABELS"]])
def test_a_folder_without_any_of_the_boxes_costs_no_segmenting(test_folder, tmp_path, capsys, by):
    out, by = tmp_path / "out", [word.replace("LABELS", str(test_folder)) for word in by]
    command = ["evaluate", "--test_dir", str(test_folder), *by, "--output_dir", str(out)]
    assert main([*command, "--boxes", str(tmp_path / "nowhere")]) == 2
    assert "no Timepoint_001_220518-ST_C03_s1.txt, first" in capsys.readouterr().err
    assert not out.exists()


def test_model_missing_field_and_rerun(test_folder, tmp_path, capsys):
    model = tmp_path / "model"
    save_model(model, build_network(width=2), ModelInfo())
    (test_folder / "Timepoint_001_220518-ST_C03_s1.png").write_bytes(b"broken")
    out = tmp_path / "out"
    arguments = ["evaluate", "--test_dir", str(test_folder), "--model_path", str(model), "--output_dir", str(out)]
    assert main([*arguments, "--device", "cpu"]) == 1
    assert "passed over Timepoint_001_220518-ST_C03_s1" in capsys.readouterr().out
    assert len(list((out / "labels").glob("*_masks.tif"))) == 2
    assert main([*arguments, "--device", "cpu"]) == 1, "a second run goes on with what is there"
    other = tmp_path / "other"
    save_model(other, build_network(width=2), ModelInfo())
    arguments[4] = str(other)
    assert main([*arguments, "--device", "cpu"]) == 2
    assert "other settings (" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_an_error(test_folder, tmp_path, capsys):
    arguments = ["--test_dir", str(test_folder), "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", *arguments, "--model_path", str(tmp_path / "gone")]) == 2
    assert "No such model file" in capsys.readouterr().err
    assert main(["evaluate", *arguments, "--model_type", "cyto99"]) == 2
    assert main(["evaluate", *arguments, "--labels", str(tmp_path / "gone")]) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.1 0.1 0.9", "not 6 numbers"),
        ("0 50 50 10 10", "fractions of the image"),
        ("0 nan nan nan nan", "fractions of the image"),
        ("0 0.5 0.5 0.1 x", "not a YOLO box file"),
        ("0.5 0.5 0.1 0.1 0.9", "a class that is no whole number"),  # a confidence behind
        ("0 0.5 0.5 0.1 0.1\n0 0.1 0.1 0.2 0.1 0.1 0.2", "line 2: .* not 7 numbers; .* looks like a polygon"),
    ],
)
def test_boxes_in_another_format_are_refused(tmp_path, line, said):
    path = tmp_path / "boxes.txt"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=said):
        read_yolo_boxes(path, (100, 100))
