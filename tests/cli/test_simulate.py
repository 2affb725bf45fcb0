"""`cellular simulate`, in process."""

import argparse
from dataclasses import fields

from cellular.cli import simulate
from cellular.cli.main import EXIT_ERROR, main
from cellular.files import read_json
from cellular.simulate.settings import SimulationSettings

SMALL = ["--fields", "2", "--size", "128", "--diameter", "30", "--cells_per_field", "6", "--seed", "3"]


def test_simulate_writes_a_dataset_and_says_where(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "out"), *SMALL, "--timepoints", "2"]) == 0
    assert "4 fields" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "images").glob("*.TIF"))) == 12
    settings = read_json(tmp_path / "out" / "truth" / "simulation.json")
    assert (settings["fields"], settings["size_px"], settings["timepoints"], settings["seed"]) == (2, 128, 2, 3)


def test_folder_in_use_ends_with_an_error(tmp_path, capsys):
    (tmp_path / "other").touch()
    assert main(["simulate", str(tmp_path), *SMALL]) == EXIT_ERROR
    assert str(tmp_path) in capsys.readouterr().err


def test_bad_value_names_itself(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "out"), "--size", "3"]) == EXIT_ERROR
    assert "size_px is 3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_defaults_are_those_of_the_settings():
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    args = vars(parser.parse_args(["out"]))
    names = {"size": "size_px", "diameter": "diameter_px"}
    defaults = {field.name: field.default for field in fields(SimulationSettings)}
    for option, value in args.items():
        if option != "out":
            assert value == defaults[names.get(option, option)], option
