"""The loop: it learns, it resumes bit for bit, it says what is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from discs import make_folder

from cellular.data.find import find_annotated
from cellular.data.formats.images import read_image, read_labels, write_image, write_labels
from cellular.data.formats.write_ome_zarr import write_image_group
from cellular.device import has_bfloat16
from cellular.errors import InputError, OutputExistsError, SettingsError, WeightsError
from cellular.files import sha256_of
from cellular.jobs.train import listing_hash, train
from cellular.labels.diameter import median_diameter
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model
from cellular.segment.model.weights import load_network
from cellular.train import TrainSettings
from cellular.train.checkpoint import load_checkpoint
from cellular.train.loop import start_network

SMALL = {
    "model_type": "scratch",
    "width": 4,
    "crop_size": 64,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "device": "cpu",
    "batch_size": 2,
    "validate_every": 2,
    "checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folders(tmp_path):
    return make_folder(tmp_path / "train"), make_folder(tmp_path / "valid", 1, seed=9)


def weights(path):
    return load_network(path).state_dict()


def assert_same_weights(a, b):
    for (name, x), y in zip(weights(a).items(), weights(b).values()):
        assert torch.equal(x, y), name


def test_bfloat16_learns_the_same_in_other_rounding(folders, tmp_path, caplog):
    logs = [
        pd.read_csv(
            train(*folders, amp, tmp_path / "ex", TrainSettings(n_epochs=6, amp=amp, **SMALL)).folder / "log.csv"
        )
        for amp in ("auto", "on")
    ]
    full, mixed = (log["train_loss"].to_numpy() for log in logs)
    assert not np.array_equal(full, mixed), "on a CPU, auto is single precision"
    slow = not has_bfloat16(torch.device("cpu"))
    assert ("no bfloat16 instructions" in caplog.text) == slow, "said where it is slow, and only there"
    np.testing.assert_allclose(mixed, full, rtol=0.1)
    with pytest.raises(SettingsError, match="bf16"):
        TrainSettings(amp="bf16")


def test_training_lowers_the_loss_and_writes_what_it_says(folders, tmp_path):
    result = train(*folders, "one", tmp_path / "ex", TrainSettings(n_epochs=30, **SMALL))
    log = pd.read_csv(result.folder / "log.csv")
    assert len(log) == 30
    assert log["train_loss"].iloc[-5:].mean() < 0.6 * log["train_loss"].iloc[:3].mean()
    assert log["valid_loss"].min() == pytest.approx(result.best_loss)
    assert result.model == tmp_path / "ex" / "one" / "models" / "one"
    run = json.loads((result.folder / "run.json").read_text())
    assert run["train_fields"] == ["f0", "f1", "f2"]
    assert len(run["data"]["sha256"]) == 64
    diameter = json.loads((result.folder / "diam_estimate.json").read_text())["diam_labels"]
    assert load_model(result.model).diameter == pytest.approx(diameter, rel=1e-5)
    assert load_model(result.model).info.channels == (0, 0)


@pytest.mark.parametrize(("channels", "roles"), [(None, ("mRFP", "EGFP")), ((1, 2), ()), ((2, 1), ())])
def test_channels_that_were_given_by_number_are_used_by_number(tmp_path, channels, roles):
    """Not by the roles that the model began with, even where its own numbers are the same."""
    save_model(tmp_path / "m", build_network(2, 4), ModelInfo((1, 2), ("mRFP", "EGFP"), ("EGFP",)))
    _, info, settings = start_network(TrainSettings(model_type=str(tmp_path / "m"), channels=channels))
    assert (info.channels, settings.channels) == (channels or (1, 2), channels or (1, 2))
    assert (info.roles, info.optional_roles) == (roles, ("EGFP",) if roles else ())


def test_a_run_by_roles_is_not_gone_on_with_by_the_same_numbers(tmp_path):
    """The numbers are the model's own, so that the settings were the same: half the run learned from other channels."""
    save_model(tmp_path / "m", build_network(2, 4), ModelInfo((1, 2), ("mRFP", "EGFP")))
    folder = make_folder(tmp_path / "train", 1)
    grey = read_image(folder / "f0.png")
    write_image(folder / "f0.png", np.stack([grey, grey // 2, grey // 3], axis=-1))
    settings = TrainSettings(**SMALL | {"model_type": str(tmp_path / "m"), "n_epochs": 1})
    train(folder, None, "one", tmp_path / "ex", settings)
    more = replace(settings, n_epochs=1, channels=(1, 2))
    with pytest.raises(SettingsError, match="with the channels mRFP EGFP; resume with --channels as it was then"):
        train(folder, None, "one", tmp_path / "ex", more, resume=True)
    train(folder, None, "two", tmp_path / "ex", more)
    with pytest.raises(SettingsError, match="with channels by their numbers"):
        train(folder, None, "two", tmp_path / "ex", settings, resume=True)
    train(folder, None, "two", tmp_path / "ex", more, resume=True)


@pytest.mark.parametrize("rescale", [True, False])
def test_a_model_is_used_at_the_scale_that_it_learned_at(folders, tmp_path, rescale):
    """Scaled to 30 px cells (``diam_mean`` over ``diam_labels``) if so trained, and else not scaled at all."""
    settings = TrainSettings(n_epochs=2, rescale=rescale, **SMALL)
    network = load_network(train(*folders, "one", tmp_path, settings).model)
    fields = [read_labels(path) for path in sorted(folders[0].glob("*_masks.png"))]
    diameter = np.mean([median_diameter(labels) for labels in fields])
    assert float(network.diam_labels) == pytest.approx(diameter, rel=1e-5)
    assert float(network.diam_mean) == pytest.approx(30 if rescale else diameter, rel=1e-5)


@contextmanager
def interrupted_in_epoch(number, monkeypatch):
    from cellular.train import loop as module

    original, calls = module._train_epoch, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_train_epoch", interrupted)
        yield


def test_resumed_run_ends_with_the_same_weights_bit_for_bit(folders, tmp_path, monkeypatch):
    settings = TrainSettings(n_epochs=6, ema=0.9, **SMALL)
    whole = train(*folders, "whole", tmp_path, settings)

    # Stop in the middle of epoch 5, after the checkpoint at 4.
    with interrupted_in_epoch(5, monkeypatch), pytest.raises(KeyboardInterrupt):
        train(*folders, "cut", tmp_path, settings)
    resumed = train(*folders, "cut", tmp_path, settings, resume=True)
    assert_same_weights(whole.model, resumed.model)
    assert_same_weights(whole.best, resumed.best)
    columns = ["epoch", "train_loss", "valid_loss"]
    logs = [pd.read_csv(r.folder / "log.csv")[columns] for r in (whole, resumed)]
    pd.testing.assert_frame_equal(*logs)


def test_a_run_goes_on_with_the_folders_elsewhere(folders, tmp_path, monkeypatch):
    settings = TrainSettings(n_epochs=4, **SMALL)
    with interrupted_in_epoch(3, monkeypatch), pytest.raises(KeyboardInterrupt):
        train(*folders, "cut", tmp_path, settings)
    moved = [folder.rename(tmp_path / f"{folder.name}_moved") for folder in folders]
    monkeypatch.chdir(tmp_path)
    assert train("./train_moved/", moved[1], "cut", tmp_path, settings, resume=True).epochs == 4
    with pytest.raises(SettingsError, match="other valid_fields"):
        train(moved[0], moved[0], "cut", tmp_path, settings, resume=True)


def test_fields_that_are_trained_on_and_validated_by_are_named(folders, tmp_path, monkeypatch, caplog):
    settings = TrainSettings(n_epochs=1, schedule="cosine", **SMALL)
    train(*folders, "apart", tmp_path, settings)
    assert "trained on too" not in caplog.text, "f0 of both folders is another image"
    shutil.copytree(folders[0], tmp_path / "again")
    (tmp_path / "again" / "f1_masks.png").unlink()
    (tmp_path / "again" / "f1.png").unlink()
    read = []
    monkeypatch.setattr("cellular.jobs.train.sha256_of", lambda path: read.append(path) or sha256_of(path))
    train(folders[0], tmp_path / "again", "both", tmp_path, settings)
    assert "2 validation field(s) are trained on too, first f0" in caplog.text
    assert len(read) == len(set(read)) > 4, "images were read for their digests up to three times"


def test_a_validation_field_that_is_trained_on_is_known_by_any_name_and_in_a_later_run(folders, tmp_path, caplog):
    settings = TrainSettings(n_epochs=1, schedule="cosine", **SMALL)
    for end in (".png", "_masks.png"):
        shutil.copy(folders[0] / f"f1{end}", folders[1] / f"another{end}")
    first = train(*folders, "first", tmp_path, settings)
    assert "1 validation field(s) are trained on too, first another" in caplog.text
    caplog.clear()
    for end in (".png", "_masks.png"):
        (folders[0] / f"f1{end}").unlink()
    train(*folders, "second", tmp_path, replace(settings, model_type=str(first.model)))
    assert "1 validation field(s) are trained on too, first another" in caplog.text, "the model knows it by heart"


@pytest.mark.parametrize(
    ("epochs", "schedule", "most"), [(1, "cellpose", 0), (4, "cellpose", 1 / 300), (10, "cellpose", None)]
)
def test_a_run_that_ends_in_the_warm_up_says_so(folders, tmp_path, caplog, epochs, schedule, most):
    """0 to 0.01 over ten epochs: ninths of it."""
    train(folders[0], None, "short", tmp_path, TrainSettings(n_epochs=epochs, schedule=schedule, **SMALL))
    said = f"the learning rate is {most:.3g} at most, not 0.01" if most is not None else ""
    assert said in caplog.text
    assert bool(said) == ("too few" in caplog.text)


@pytest.mark.long
def test_killed_run_resumes_bit_for_bit(folders, tmp_path):
    common = ["--train_dir", str(folders[0]), "--valid_dir", str(folders[1]), "--experiments_dir", str(tmp_path)]
    common += ["--model_type", "scratch", "--width", "4", "--crop_size", "64", "--n_epochs", "40"]
    common += ["--checkpoint_every", "1", "--device", "cpu"]
    command = [sys.executable, "-m", "cellular.cli.main", "train", *common]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--experiment_name", "whole"], check=True, env=environment)
    process = subprocess.Popen([*command, "--experiment_name", "cut"], env=environment)
    record = tmp_path / "cut" / "checkpoint.json"
    while not record.is_file() or json.loads(record.read_text())["epoch"] < 5:
        time.sleep(0.02)
        assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--experiment_name", "cut", "--resume"], check=True, env=environment)
    assert_same_weights(tmp_path / "whole" / "models" / "whole", tmp_path / "cut" / "models" / "cut")


def test_same_seed_same_weights_other_seed_others(folders, tmp_path):
    runs = [
        train(*folders, f"run{k}", tmp_path, TrainSettings(n_epochs=2, seed=seed, **SMALL))
        for k, seed in enumerate((1, 1, 2))
    ]
    assert_same_weights(runs[0].model, runs[1].model)
    first, other = weights(runs[0].model), weights(runs[2].model)
    assert not all(torch.equal(a, b) for a, b in zip(first.values(), other.values()))


def test_early_stopping(folders, tmp_path):
    still = SMALL | {"learning_rate": 1e-9, "validate_every": 1}
    result = train(
        *folders,
        "still",
        tmp_path,
        TrainSettings(n_epochs=50, patience=3, optimizer="sgd", **{k: v for k, v in still.items() if k != "optimizer"}),
    )
    assert result.epochs < 50


def test_a_run_that_stopped_early_is_not_trained_on(folders, tmp_path):
    # at so high a rate no validation is better than the first
    settings = TrainSettings(n_epochs=40, patience=1, **SMALL | {"learning_rate": 0.1})
    stopped = train(*folders, "early", tmp_path, settings)
    assert stopped.epochs < 40
    before, log = weights(stopped.model), (stopped.folder / "log.csv").read_text()
    again = train(*folders, "early", tmp_path, settings, resume=True)
    assert again.epochs == stopped.epochs
    assert (again.folder / "log.csv").read_text() == log
    for (name, x), y in zip(before.items(), weights(again.model).values()):
        assert torch.equal(x, y), name
    # with more patience it goes on
    assert train(*folders, "early", tmp_path, replace(settings, patience=2), resume=True).epochs > stopped.epochs


def test_the_best_model_is_that_of_the_lowest_loss_told(folders, tmp_path, monkeypatch):
    settings = TrainSettings(n_epochs=5, **SMALL | {"checkpoint_every": 50, "validate_every": 1})
    with interrupted_in_epoch(4, monkeypatch), pytest.raises(KeyboardInterrupt):
        train(*folders, "cut", tmp_path, settings)
    saved = weights(tmp_path / "cut" / "models" / "cut_best")
    # nothing is validated any more, as --validate_every may be changed: the best stays what was validated
    resumed = train(*folders, "cut", tmp_path, replace(settings, validate_every=0), resume=True)
    told = pd.read_csv(resumed.folder / "log.csv")["valid_loss"]
    assert resumed.best_loss == pytest.approx(told.min())
    for (name, x), y in zip(saved.items(), weights(resumed.best).values()):
        assert torch.equal(x, y), name


def test_validation_without_any_cell_is_seen_at_the_scale_of_training(tmp_path):
    folder, empty = make_folder(tmp_path / "train", 1), make_folder(tmp_path / "valid", 1, seed=9)
    write_labels(empty / "f0_masks.png", np.zeros((120, 140), np.uint16))
    diameter = median_diameter(read_image(folder / "f0_masks.png"))
    settings = [TrainSettings(n_epochs=2, diameter=known, **SMALL) for known in (None, diameter)]
    losses = [train(folder, empty, f"run{n}", tmp_path, one).best_loss for n, one in enumerate(settings)]
    assert losses[0] == losses[1]


def test_changed_data_is_noticed_wherever_it_lies(folders, tmp_path):
    settings = TrainSettings(n_epochs=2, **SMALL)
    deep = tmp_path / "deep"
    deep.mkdir()
    folders[0].rename(deep / "plate")  # images in a subfolder
    train(deep, None, "one", tmp_path, settings)
    train(deep, None, "one", tmp_path, settings, resume=True)
    image = deep / "plate" / "f0.png"
    write_image(image, 255 - read_image(image))
    with pytest.raises(SettingsError, match="other data.*sha256"):
        train(deep, None, "one", tmp_path, settings, resume=True)


@pytest.mark.parametrize("what", ["f0.ome.zarr", "f0_masks.png", "f0_ignore.png"])
def test_a_plate_is_known_by_all_of_its_files(tmp_path, what):
    folder = make_folder(tmp_path / "plate", 2, ignore=True)
    write_image_group(
        folder / "f0.ome.zarr", np.atleast_3d(read_image(folder / "f0.png")).transpose(2, 0, 1), ["light"]
    )
    (folder / "f0.png").unlink()
    plate = find_annotated(folder)
    before = [listing_hash([part]) for part in (plate, folder)]
    changed = folder / what
    if changed.is_dir():
        changed = max((path for path in changed.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    assert all(old != new for old, new in zip(before, [listing_hash([part]) for part in (plate, folder)]))


def test_fine_tuning_starts_from_the_weights_named(folders, tmp_path):
    first = train(*folders, "first", tmp_path, TrainSettings(n_epochs=2, **SMALL))
    settings = TrainSettings(n_epochs=1, **SMALL | {"model_type": str(first.model), "learning_rate": 1e-12})
    second = train(*folders, "second", tmp_path, settings)
    names = ("downsample.down.res_down_0.conv.conv_0.2.weight", "output.2.weight")
    for name in names:
        torch.testing.assert_close(weights(first.model)[name], weights(second.model)[name], atol=1e-6, rtol=0)


def test_ignored_pixels_do_not_teach(tmp_path):
    from cellular.train.loss import flow_loss

    output = torch.zeros(1, 3, 4, 4)
    target = torch.zeros(1, 4, 4, 4)
    target[:, 3] = 1
    target[0, 2, 0, 0] = 1
    with_cell = float(flow_loss(output, target))
    target[0, 3, 0, 0] = 0
    output[0, 2, 0, 0] = 50.0  # a call the ignored pixel would punish or reward
    assert float(flow_loss(output, target)) == pytest.approx(with_cell)
    folder = make_folder(tmp_path / "train", ignore=True)
    result = train(folder, None, "ignored", tmp_path, TrainSettings(n_epochs=1, **SMALL))
    assert np.isnan(result.best_loss)
    assert result.best.is_file()


def test_problems_are_named(folders, tmp_path):
    settings = TrainSettings(n_epochs=1, **SMALL)
    train(*folders, "there", tmp_path, settings)
    with pytest.raises(OutputExistsError, match="there"):
        train(*folders, "there", tmp_path, settings)
    with pytest.raises(SettingsError, match="settings .learning_rate was .*, now 0.5; n_epochs was 1, now 2.;"):
        train(*folders, "there", tmp_path, TrainSettings(n_epochs=2, **SMALL | {"learning_rate": 0.5}), resume=True)
    with pytest.raises(WeightsError, match="No model"):
        train(*folders, "nobody", tmp_path, TrainSettings(**SMALL | {"model_type": "cyto7"}))
    with pytest.raises(InputError, match="at least 100 cells"):
        train(*folders, "few", tmp_path, TrainSettings(n_epochs=1, min_train_masks=100, **SMALL))
    diverging = SMALL | {"learning_rate": 1e12, "optimizer": "sgd"}
    with pytest.raises(InputError, match="diverged"):
        train(*folders, "wild", tmp_path, TrainSettings(n_epochs=20, **diverging))
    with pytest.raises(SettingsError, match="crop_size"):
        TrainSettings(crop_size=100)


@pytest.mark.parametrize(("rate", "validated", "what"), [(1e12, True, "validation loss"), (3e38, False, "weight")])
def test_a_run_that_diverges_in_its_last_step_leaves_no_model(folders, tmp_path, rate, validated, what):
    """One batch an epoch: the loss of the last is of the weights before it."""
    how = SMALL | {"learning_rate": rate, "weight_decay": 1e6, "optimizer": "sgd", "batch_size": 8, "validate_every": 1}
    settings = TrainSettings(n_epochs=2, **how | {"checkpoint_every": 1})
    with pytest.raises(InputError, match=f"{what} became (nan|inf) in epoch 2: training diverged"):
        train(folders[0], folders[1] if validated else None, "wild", tmp_path, settings)
    assert not (tmp_path / "wild" / "models" / "wild").exists()
    kept = load_checkpoint(tmp_path / "wild")
    assert kept["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in kept["network"].values()), "it is called the last good state"


@pytest.mark.parametrize("name", ["", "..", "../elsewhere", "a/b"])
def test_an_experiment_stays_in_its_folder(folders, tmp_path, name):
    with pytest.raises(SettingsError, match="plain name"):
        train(*folders, name, tmp_path / "ex", TrainSettings(n_epochs=1, **SMALL))
