"""The loss curve shows what the log holds."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cellular.errors import MissingExtraError, MissingInputError
from cellular.files import read_csv, write_json
from cellular.jobs.train import train
from cellular.report import training
from cellular.report.training import Trackers, draw_loss, write_tensorboard

LOG = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "learning_rate": [0.0, 0.1, 0.2, 0.2],
        "train_loss": [0.9, 0.6, 0.4, 0.3],
        "valid_loss": [np.nan, 0.5, np.nan, 0.7],
        "crops_per_s": 10.0,
    }
)


@pytest.fixture
def drawn(monkeypatch):
    """Axes of every figure that was saved."""
    kept = []
    original = training.save

    def save(figure, path, data):
        kept.append(figure.axes[0])
        return original(figure, path, data)

    monkeypatch.setattr(training, "save", save)
    return kept


def test_both_losses_and_the_best_epoch(tmp_path, drawn):
    LOG.to_csv(tmp_path / "log.csv", index=False)
    path = draw_loss(tmp_path)
    assert path == tmp_path / "loss.svg"
    assert "validation" in path.read_text(encoding="utf-8")
    assert read_csv(tmp_path / "loss.csv").equals(read_csv(tmp_path / "log.csv")[["epoch", "train_loss", "valid_loss"]])
    trained, valid = drawn[0].lines
    assert trained.get_ydata().tolist() == LOG["train_loss"].tolist()
    assert valid.get_xydata().tolist() == [[2, 0.5], [4, 0.7]]
    assert drawn[0].texts[0].get_text() == "best 0.500\nepoch 2"
    assert not plt.get_fignums(), "figures are closed"


def test_without_validation_there_is_one_line(tmp_path, drawn):
    LOG.assign(valid_loss=np.nan).to_csv(tmp_path / "log.csv", index=False)
    draw_loss(tmp_path)
    assert len(drawn[0].lines) == 1


def test_no_log_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MissingInputError, match=r"log\.csv"):
        draw_loss(tmp_path)


def test_tensorboard_holds_the_same_numbers(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    LOG.to_csv(tmp_path / "log.csv", index=False)
    write_tensorboard(tmp_path)
    log = events.EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    assert [round(e.value, 4) for e in log.Scalars("train_loss")] == LOG["train_loss"].tolist()
    assert [e.step for e in log.Scalars("valid_loss")] == [2, 4]


def test_tensorboard_missing_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"cellular\[tensorboard\]"):
        write_tensorboard(tmp_path)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_tracker_is_said_before_training(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"cellular\[{name}\]"):
        train(tmp_path, None, "first", tmp_path / "made", trackers=Trackers(**{name: "project"}))
    assert not (tmp_path / "made").exists()
    Trackers().require()


def an_experiment(folder):
    folder.mkdir()
    LOG.to_csv(folder / "log.csv", index=False)
    write_json(folder / "run.json", {"settings": {"width": 4, "diameter": None}})
    return folder


def test_mlflow_holds_the_same_numbers(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "1")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    Trackers(mlflow="cells").write(an_experiment(tmp_path / "first"))
    (run,) = mlflow.search_runs(experiment_names=["cells"], output_format="list")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "train_loss")
    assert (run.info.run_name, run.data.params["width"]) == ("first", "4")
    assert [value.value for value in history] == LOG["train_loss"].tolist()


def test_wandb_gets_every_epoch(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    sent = []
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log", lambda self, values, step: sent.append((step, values)))
    Trackers(wandb="cells").write(an_experiment(tmp_path / "first"))
    assert [step for step, _ in sent] == LOG["epoch"].tolist()
    assert [values["train_loss"] for _, values in sent] == LOG["train_loss"].tolist()
