"""The paper's experiments at the size of a stamp: one model trained from noise, fields of 96 px."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from cellular.cli.main import main
from cellular.errors import InputError, SettingsError
from cellular.jobs import reproduce as module
from cellular.jobs.reproduce import ReproduceSettings, reproduce
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model
from cellular.segment.model.weights import load_network
from cellular.train import TrainSettings

ROOT = Path(__file__).parents[2]
SCALED_DOWN = ["--epochs", "1", "--width", "2", "--crop_size", "32", "--device", "cpu"]
TRAIN = TrainSettings(n_epochs=3, width=2, crop_size=32, learning_rate=0.01, checkpoint_every=1, device="cpu")


@pytest.fixture
def nowhere(monkeypatch):
    """No model on this machine, and a server that nobody answers at."""
    monkeypatch.setenv("CELLULAR_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", os.environ["CELLULAR_CACHE"])
    monkeypatch.delenv("CELLPOSE_LOCAL_MODELS_PATH", raising=False)
    monkeypatch.setattr("cellular.data.archive.download.FIRST_PAUSE", 0.001)


@pytest.fixture
def model(tmp_path):
    """A model file that can be fine-tuned."""
    path = tmp_path / "given"
    save_model(path, build_network(width=2), ModelInfo())
    return str(path)


def test_a_model_that_cannot_be_had_is_reported_and_the_others_go_on(tiny_dataset, tmp_path, model, nowhere, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", str(tiny_dataset), str(out), "--models", "cyto", model, *SCALED_DOWN]) == 1
    said = capsys.readouterr().out
    assert "problem: cyto" in said
    assert "http://127.0.0.1:9/models/cytotorch_0" in said
    assert os.environ["CELLULAR_CACHE"] in said, "says where to put the file by hand"
    table = pd.read_csv(out / "results.csv")
    assert table["model"].unique().tolist() == ["given"]
    rows = list(zip(table["weights"], table["split"]))
    assert rows == [(w, s) for w in ("fine-tuned", "pretrained") for s in ("test", "valid", "train")]
    for weights, split in rows:
        folder = out / "evaluation" / "given" / weights / split
        assert (folder / f"{split}_eval.json").is_file()
        assert list((folder / "figures").glob("*_s1.jpg"))
    assert not (out / "experiments" / "cyto").exists()
    assert "Not done: cyto" in (out / "results.md").read_text()
    settings = json.loads(
        (out / "evaluation" / "given" / "pretrained" / "test" / "labels" / "segment.json").read_text()
    )
    assert settings["settings"]["diameter"] == 121
    page = json.loads((out / "report.json").read_text())
    assert list(page["evaluations"]) == ["given, pretrained", "given, fine-tuned"], "the fine-tuned one is looked into"
    gained = pd.read_csv(out / "difference_to_given, pretrained.csv").set_index("score")
    tested = table[table["split"] == "test"].set_index("weights")["pixel F1"]
    assert gained.loc["pixel.average.f1", "difference"] == pytest.approx(tested["fine-tuned"] - tested["pretrained"])


def test_no_model_at_all_is_an_error_with_the_reason(tiny_dataset, tmp_path, nowhere):
    with pytest.raises(InputError, match="cytotorch_0"):
        reproduce(tiny_dataset, tmp_path / "out", ReproduceSettings(models=("cyto",), train=TRAIN))


def test_a_split_without_fields_is_said_before_anything_is_trained(tiny_dataset, tmp_path):
    shutil.copytree(tiny_dataset, tmp_path / "two")
    shutil.rmtree(next((tmp_path / "two" / "masks").glob("*ST_C03*")))
    with pytest.raises(InputError, match="in test there are none: No field .*pattern 'ST_C03'"):
        reproduce(tmp_path / "two", tmp_path / "out", ReproduceSettings(models=("scratch",), train=TRAIN))
    assert not (tmp_path / "out" / "experiments").exists()


def test_models_of_one_name_are_refused_before_the_first_is_trained(tiny_dataset, tmp_path, model):
    (tmp_path / "other").mkdir()
    same = shutil.copy(model, tmp_path / "other" / "given")
    with pytest.raises(SettingsError, match=f"{model} and {same} have the same one"):
        reproduce(tiny_dataset, tmp_path / "out", ReproduceSettings(models=(model, str(same)), train=TRAIN))
    assert not (tmp_path / "out").exists()


def test_interrupted_in_training_and_in_evaluation_then_continued(tiny_dataset, tmp_path, monkeypatch):
    from cellular.train import loop

    settings = ReproduceSettings(models=("scratch",), train=TRAIN)
    whole = reproduce(tiny_dataset, tmp_path / "whole", settings)
    assert whole.problems == ()
    out = tmp_path / "cut"

    def cut(target, name, at):
        """Ctrl-C at the `at`-th call."""
        original, calls = getattr(target, name), []

        def interrupted(*arguments, **options):
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return original(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(target, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                reproduce(tiny_dataset, out, settings)

    cut(loop, "_train_epoch", 3)
    assert json.loads((out / "experiments" / "scratch" / "checkpoint.json").read_text())["epoch"] == 2
    cut(module, "evaluate", 2)
    assert not (out / "results.csv").exists()
    monkeypatch.setattr(loop, "_train_epoch", None)  # training is over: nothing is trained again
    continued = reproduce(tiny_dataset, out, settings)
    pd.testing.assert_frame_equal(continued.table, whole.table)
    ours, theirs = (load_network(f / "experiments/scratch/models/scratch").state_dict() for f in (out, whole.folder))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_published_entry_point(tiny_dataset, tmp_path):
    """`sh run_experiments.sh MASKS OUT`, from another folder, in a path with spaces, the images beside the masks."""
    dataset = tmp_path / "my data"
    shutil.copytree(tiny_dataset, dataset)
    command = ["sh", str(ROOT / "run_experiments.sh"), str(dataset / "masks"), "my results", "--models", "scratch"]
    # Without .venv the script takes the python3 on the PATH: let that be the one that runs this test.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run([*command, *SCALED_DOWN], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "my results" / "results.csv")
    assert table["split"].tolist() == ["test", "valid", "train"]
    assert "| scratch | fine-tuned | test |" in done.stdout


def test_published_entry_point_without_arguments_says_how():
    done = subprocess.run(["sh", str(ROOT / "run_experiments.sh")], capture_output=True, text=True)
    assert done.returncode == 2
    assert "MASKS OUT" in done.stderr
