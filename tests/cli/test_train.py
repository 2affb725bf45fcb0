"""`cellular train` and train.py, as a user runs them."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from cellular.cli.main import main
from cellular.data.formats.images import read_image, write_image, write_labels
from cellular.segment.model.weights import load_network


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path / "cache"))
    labels = np.zeros((64, 64), np.uint16)
    for k in range(6):
        labels[4 + 30 * (k // 3) : 24 + 30 * (k // 3), 2 + 21 * (k % 3) : 20 + 21 * (k % 3)] = k + 1
    for folder in ("train", "valid"):
        write_image(tmp_path / folder / "f.png", np.where(labels > 0, 180, 20).astype(np.uint8))
        write_labels(tmp_path / folder / "f_masks.png", labels)
    words = ["train", "--train_dir", str(tmp_path / "train"), "--valid_dir", str(tmp_path / "valid")]
    words += ["--experiments_dir", str(tmp_path / "ex"), "--experiment_name", "mine", "--model_type", "scratch"]
    return [*words, "--width", "2", "--crop_size", "32", "--n_epochs", "2", "--device", "cpu"]


def test_train_then_refuse_then_force(arguments, tmp_path, capsys):
    assert main([*arguments, "--tensorboard"]) == 0
    folder = tmp_path / "ex" / "mine"
    assert str(folder / "models" / "mine") in capsys.readouterr().out
    assert len(pd.read_csv(folder / "log.csv")) == 2
    assert "<svg" in (folder / "loss.svg").read_text(encoding="utf-8")
    assert len(pd.read_csv(folder / "loss.csv")) == 2
    assert list((folder / "tensorboard").iterdir())
    assert main(arguments) == 2
    assert "--resume continues it" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_a_model_is_not_scored_on_what_it_learned_from_without_a_word(arguments, tmp_path, capsys, caplog):
    """Nothing told that the test fields were those of the training, here under another name."""
    write_image(tmp_path / "other" / "f.png", np.full((64, 64), 90, np.uint8))
    write_labels(tmp_path / "other" / "f_masks.png", np.ones((64, 64), np.uint16))
    for end in (".png", "_masks.png"):
        (tmp_path / "other" / f"known{end}").write_bytes((tmp_path / "train" / f"f{end}").read_bytes())
    assert main(arguments) == 0
    model = tmp_path / "ex" / "mine" / "models" / "mine"
    argv = ["evaluate", "--test_dir", str(tmp_path / "other"), "--model_path", str(model), "--device", "cpu"]
    assert main([*argv, "--output_dir", str(tmp_path / "scores")]) == 0
    assert "trained on 1 of these 2 fields, first known" in caplog.text
    assert json.loads((tmp_path / "scores" / "other_eval.json").read_text())["trained_on"] == ["known"]
    page = (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")
    assert "mine was trained on 1 of the 2 fields" in page
    caplog.clear()
    argv = ["calibrate", "--valid_dir", str(tmp_path / "other"), "--model_path", str(model), "--device", "cpu"]
    main([*argv, "--output_model", str(tmp_path / "settled")])
    assert "trained on 1 of these 2 fields" in caplog.text


def test_stacks_are_learned_from_as_their_projection_is(arguments, tmp_path, capsys):
    """`train` told to say --z, and had no such option."""
    image = read_image(tmp_path / "train" / "f.png")
    stack = np.stack([image // 3, image, image // 2])
    labels = (tmp_path / "train" / "f_masks.png").read_bytes()
    for folder in ("train", "valid"):
        (tmp_path / folder / "f.png").unlink()
        tifffile.imwrite(tmp_path / folder / "f.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    write_image(tmp_path / "flat" / "f.png", image)  # the brightest slice is the maximum
    (tmp_path / "flat" / "f_masks.png").write_bytes(labels)
    assert main(arguments) == 2
    assert "say --z max" in capsys.readouterr().err
    assert main([*arguments, "--z", "max"]) == 0
    assert main([*arguments, "--z", "sum", "--resume"]) == 2
    assert "run with other data" in capsys.readouterr().err
    flat = [word.replace(str(tmp_path / "train"), str(tmp_path / "flat")) for word in arguments]
    flat = [word.replace(str(tmp_path / "valid"), str(tmp_path / "flat")) for word in flat]
    assert main([*flat, "--experiment_name", "flat"]) == 0
    models = [tmp_path / "ex" / name / "models" / name for name in ("mine", "flat")]
    one, other = (load_network(model).state_dict() for model in models)
    assert all(torch.equal(one[name], other[name]) for name in one)
    argv = ["evaluate", "--test_dir", str(tmp_path / "train"), "--model_path", str(models[0]), "--device", "cpu"]
    assert main([*argv, "--output_dir", str(tmp_path / "scores"), "--z", "max"]) == 0
    assert (tmp_path / "scores" / "figures" / "f.jpg").is_file()


def test_booleans_can_be_false(arguments, tmp_path):
    assert main([*arguments, "--use_sgd", "false", "--rescale", "false"]) == 0
    settings = json.loads((tmp_path / "ex" / "mine" / "run.json").read_text())["settings"]
    assert settings["optimizer"] == "radam"
    assert settings["rescale"] is False
    with pytest.raises(SystemExit):
        main([*arguments, "--use_sgd", "perhaps"])


def test_published_defaults(arguments, tmp_path, capsys):
    without_validation = [arguments[0], *arguments[1:3], *arguments[5:-4]]
    assert main([*without_validation, "--n_epochs", "1", "--device", "cpu"]) == 0
    assert "nothing was validated" in capsys.readouterr().out
    settings = json.loads((tmp_path / "ex" / "mine" / "run.json").read_text())["settings"]
    published = {"learning_rate": 0.2, "weight_decay": 1e-5, "batch_size": 8, "optimizer": "sgd", "rescale": True}
    assert published.items() <= settings.items()
    assert settings["channels"] == [0, 0]


def test_force_spares_what_training_did_not_make(arguments, tmp_path, capsys):
    other = tmp_path / "ex" / "mine" / "thesis.txt"
    other.parent.mkdir(parents=True)
    other.write_text("years of work")
    assert main([*arguments, "--force"]) == 2
    assert other.read_text() == "years of work"
    assert "not deleted" in capsys.readouterr().err


def test_a_wrong_folder_is_told_before_anything_is_read_or_deleted(arguments, tmp_path, capsys):
    assert main([*arguments, "--n_epochs", "1"]) == 0
    model = tmp_path / "ex" / "mine" / "models" / "mine"
    before = model.read_bytes()
    (tmp_path / "train" / "f.png").write_bytes(b"no picture")
    wrong = [word if word != str(tmp_path / "valid") else str(tmp_path / "none") for word in arguments]
    assert main([*wrong, "--force"]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    # nor does a picture that cannot be read cost the experiment
    assert main([*arguments, "--force"]) == 2
    assert "f.png" in capsys.readouterr().err
    assert model.read_bytes() == before
