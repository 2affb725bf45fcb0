"""The demo, with a tiny model in place of the starter."""

import json

import pandas as pd
import pytest

from cellular.cli.main import main
from cellular.data.formats.images import read_image
from cellular.errors import OutputExistsError
from cellular.jobs import demo as module
from cellular.jobs.demo import DemoSettings, demo
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model

TINY = DemoSettings(fields=3, size_px=128, diameter_px=24, epochs=1, device="cpu")


@pytest.fixture(autouse=True)
def starter(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("model") / "starter.safetensors"
    save_model(path, build_network(width=2), ModelInfo())
    monkeypatch.setattr("cellular.segment.model.registry.shipped_path", lambda name: path)


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "QUICK", TINY)
    out = tmp_path / "demo"
    out.mkdir()
    (out / "demo.json").write_text("{}")  # of an earlier demo, which is replaced
    (out / "left over").write_text("from it")
    assert main(["demo", "--quick", "--out", str(out), "--device", "cpu"]) == 0
    assert not (out / "left over").exists()
    said = capsys.readouterr().out
    for shown in ("starter", "fine-tuned", "cell F1 @0.5", str(out / "before_after.jpg")):
        assert shown in said
    table = pd.read_csv(out / "results.csv")
    assert table["model"].tolist() == ["starter", "fine-tuned"]
    # The printed rows are those of the evaluations' own files.
    for name, row in zip(table["model"], table.to_dict("records")):
        report = json.loads((out / "evaluation" / name / "test_eval.json").read_text())
        assert row["cell F1 @0.5"] == pytest.approx(report["instance"]["0.50"]["f1"])
        assert row["fields"] == report["fields"] == 1
    assert json.loads((out / "demo.json").read_text())["finished"]
    height, width, colours = read_image(out / "before_after.jpg").shape
    assert colours == 3
    assert width > 2 * 128
    assert (out / "experiments" / "demo" / "loss.svg").is_file()


def test_folder_of_somebody_else_is_spared(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="--out"):
        demo(tmp_path, TINY)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert len(list(tmp_path.iterdir())) == 1
