"""Thresholds and scores settled on annotated fields, as `cellular calibrate` does."""

import numpy as np
import pytest

from cellular.cli.main import main
from cellular.data.find import find_annotated
from cellular.data.formats.images import read_image, read_labels, write_image, write_labels
from cellular.data.image import read_field
from cellular.errors import InputError
from cellular.evaluate.scores import score_field, summary
from cellular.jobs.calibrate import calibrate, fit_scores
from cellular.jobs.prepare import PrepareSettings, prepare
from cellular.jobs.simulate import simulate
from cellular.segment.model.registry import load_model
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.simulate.settings import SimulationSettings

SETTINGS = SegmentSettings(diameter=40, augment=False)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """A crowded simulated field with its label image."""
    out = tmp_path_factory.mktemp("calibrate")
    made = simulate(out / "simulated", SimulationSettings(fields=3, size_px=256, diameter_px=40, cells_per_field=40))
    prepare(made.folder, out / "prepared", PrepareSettings(images=str(made.composites), overlap="smallest"))
    return out / "prepared" / "all" / "train"


@pytest.fixture(scope="module")
def starter():
    return Segmenter.from_pretrained("starter", "cpu")


def test_the_chosen_thresholds_are_the_best_and_score_what_the_grid_says(fields, starter, caplog):
    result = calibrate(starter, fields, SETTINGS, flow_thresholds=(0.2, 0.8), cellprob_thresholds=(0.0, 4.0))
    best = result.grid.loc[result.grid["mean_ap"].idxmax()]
    assert len(result.grid) == 4
    assert result.grid["mean_ap"].nunique() > 1
    info = result.model.info
    assert (info.flow_threshold, info.cellprob_threshold) == (best["flow_threshold"], best["cellprob_threshold"])
    for row in result.grid.to_dict("records"):
        scores = []
        for pair in find_annotated(fields).fields:
            thresholds = {name: row[name] for name in ("flow_threshold", "cellprob_threshold")}
            found = starter.segment(read_field(pair).array(), 40, augment=False, **thresholds)
            ignore = read_labels(pair.ignore) if pair.ignore else None
            scores.append(score_field(read_labels(pair.labels), found.labels, ignore))
        # A cell that the stricter threshold drops first may leave another one's hole unfilled: near, not equal.
        assert summary(scores)["instance.mean_ap"] == pytest.approx(row["mean_ap"], abs=0.01)
    assert starter.model.info.score != info.score
    assert "the last one tried" in caplog.text, "there may be a better one beyond"


def test_the_command_writes_a_model_that_uses_them(fields, tmp_path, capsys):
    out, one = tmp_path / "settled.safetensors", tmp_path / "one"
    masks = min(fields.glob("*_masks.png"))
    image = next(masks.parent.glob(f"{masks.stem.removesuffix('_masks')}.*"))
    write_labels(one / masks.name, read_labels(masks)[:128, :160])  # a corner is enough, and soon done
    write_image(one / f"{image.stem}.png", read_image(image)[:128, :160])
    command = ["calibrate", "--model_type", "starter", "--valid_dir", str(one), "--output_model", str(out)]
    command += ["--diameter", "20", "--augment", "false"]  # half the right one: some cells fall into pieces
    assert main(command) == 0
    before, after = load_model("starter"), load_model(out)
    assert after.info.score is not None
    assert after.info.score != before.info.score
    assert f"chosen: flow_threshold {after.info.flow_threshold}" in capsys.readouterr().out
    assert after.info.channels == before.info.channels
    assert after.diameter == pytest.approx(before.diameter)
    assert main(command) == 2
    assert "exists" in capsys.readouterr().err


def test_scores_learn_what_is_right():
    rng = np.random.default_rng(0)
    measurements = rng.normal(size=(400, 5))
    right = measurements[:, 0] + 0.1 * rng.normal(size=400) > 0
    score = fit_scores(measurements, right)
    assert list(score) == ["intercept", "cell_probability", "flow_error", "flow_length", "log_area", "log_area_squared"]
    assert score["cell_probability"] > 5 * abs(score["flow_length"])
    assert fit_scores(measurements, np.ones(400, bool)) is None
    assert fit_scores(measurements, np.zeros(400, bool)) is None


def test_a_folder_without_cells_is_refused(tmp_path, starter):
    write_image(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    write_labels(tmp_path / "a_masks.png", np.zeros((64, 64), np.uint16))
    with pytest.raises(InputError, match="shows no cell"):
        calibrate(starter, tmp_path, SETTINGS)
