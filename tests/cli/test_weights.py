"""`cellular weights`: what is here, what could be, and from where."""

import json

from cellular.cli.main import main
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, save_model


def test_what_ships_first_then_what_could_be_fetched(mirror, tmp_path, monkeypatch, capsys):
    path = tmp_path / "starter.safetensors"
    save_model(path, build_network(width=2), ModelInfo())
    monkeypatch.setattr("cellular.segment.model.registry.shipped_path", lambda name: path)
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["starter", str(path)]
    assert any("cellular download weights cyto2 fetches" in line for line in lines)
    assert main(["weights", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows][:2] == ["starter", "nuclei"]
