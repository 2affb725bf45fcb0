"""`--config`: options of a file, flags over them, and a file of what was used that gives the same again."""

import argparse

import numpy as np
import pytest

from cellular.cli.analyse import add_arguments
from cellular.cli.config import NOT_SETTINGS, add_config, config_text, parse_with_config, read_config
from cellular.cli.main import CONFIGURED, build_parser, main
from cellular.data.formats.images import write_labels
from cellular.errors import InputError, MissingInputError, SettingsError

tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer


def parser():
    made = argparse.ArgumentParser(prog="cellular analyse")
    add_arguments(made)
    add_config(made)
    return made


def parsed(*argv):
    made = parser()
    return parse_with_config(made, made, ["plate", "--out", "o", *argv])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        'control = "DMSO"\nsnr = 3\n[plate]\nchannels = ["mRFP=w3", "EGFP=w2"]\nz = 2\n'
        '[segmentation]\ndiameter = "auto"\ninvert = true\nmin-size = 20\n[tracks]\nmax_gap = 4\n'
    )
    return path


def test_options_come_from_the_file_and_flags_overrule_it(file):
    args = parsed("--max_gap", "2", "--config", str(file))
    assert (args.control, args.snr, args.z, args.diameter, args.invert) == ("DMSO", 3.0, "2", "auto", True)
    assert args.channels == ["mRFP=w3", "EGFP=w2"]
    assert (args.max_gap, args.min_size, args.max_distance) == (2, 20, 0.8)


def test_what_was_used_given_back_is_the_same(file, tmp_path):
    first = parsed("--config", str(file), "--diameter", "41.5", "--features", "area", 'quoted "one"')
    used = tmp_path / "used.toml"
    used.write_text(first.config_text)
    again = parsed("--config", str(used))
    assert {k: v for k, v in vars(again).items() if k != "config"} == {
        k: v for k, v in vars(first).items() if k != "config"
    }
    told = tomllib.loads(first.config_text)
    assert told["segmentation"]["diameter"] == 41.5
    assert told["comparison"]["features"] == ["area", 'quoted "one"']
    assert told["puncta"]["snr"] == 3.0  # from the file
    assert told["puncta"]["visible"] == 13.0  # a default
    assert "# cellprob_threshold is not given" in first.config_text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("snrr = 3", "unknown option 'snrr'; did you mean 'snr'"),
        ("[punctum]\nsnr = 3", r"unknown section \[punctum\]; did you mean 'puncta'"),
        ("[tracks]\nsnr = 3", r"'snr' stands in \[tracks\]; it belongs to \[puncta\]"),
        ("snr = 3\n[puncta]\nsnr = 4", "'snr' is given twice"),
        ('snr = "much"', "option 'snr': 'much' does not fit"),
        ("max_gap = 1.5", "option 'max_gap': 1.5 does not fit"),
        ('detector = "eye"', "option 'detector' is one of log, spotiflow, not 'eye'"),
        ('features = "area"', "option 'features' takes a list"),
        ("snr = [1, 2]", "option 'snr' takes one value"),
        ("out = 'elsewhere'", "unknown option 'out'"),
    ],
)
def test_what_does_not_fit_is_named_with_the_file(tmp_path, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"bad.toml: .*{said}"):
        read_config(parser(), path)


def test_a_file_that_is_none(tmp_path, capsys):
    (tmp_path / "c.toml").write_text("snr 3")
    with pytest.raises(InputError, match="not valid TOML"):
        read_config(parser(), tmp_path / "c.toml")
    with pytest.raises(MissingInputError):
        read_config(parser(), tmp_path / "none.toml")
    assert main(["analyse", "plate", "--out", str(tmp_path / "o"), "--config", str(tmp_path / "none.toml")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_yaml_says_the_same(file, tmp_path):
    same = tmp_path / "c.yaml"
    same.write_text(
        "control: DMSO\nsnr: 3\nplate: {channels: [mRFP=w3, EGFP=w2], z: 2}\n"
        "segmentation:\n  diameter: auto\n  invert: true\n  min-size: 20\ntracks: {max_gap: 4}\n"
    )
    assert read_config(parser(), same) == read_config(parser(), file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("snr: 3\nsnr: 4", "not valid YAML: 'snr' is given twice"),
        ("- snr", "not valid YAML: it holds no options"),
        ("snr: [", "not valid YAML"),
        ("on: 3", "the key True is no word; put it in quotes"),
        ("snrr: 3", "unknown option 'snrr'; did you mean 'snr'"),
    ],
)
def test_yaml_that_does_not_fit(tmp_path, text, said):
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises((InputError, SettingsError), match=f"c.yml.*{said}"):
        read_config(parser(), tmp_path / "c.yml")


def parsed_by(*words):
    made, sub = build_parser(words[0])
    return parse_with_config(made, sub, list(words))


@pytest.mark.parametrize("verb", CONFIGURED)
def test_every_long_verb_takes_a_file(verb, tmp_path, capsys):
    (tmp_path / "c.toml").write_text("nowhere = 1")
    words = ["classify", "train"] if verb == "classify" else [verb]
    assert main([*words, "--config", str(tmp_path / "c.toml")]) == 2
    assert "c.toml: unknown option 'nowhere'" in capsys.readouterr().err


def test_a_file_may_give_what_is_needed_and_gives_way_to_a_rival(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('test_dir = "t"\nmodel_type = "cyto"\n')
    words = ("evaluate", "--output_dir", "o", "--config", str(file))
    args = parsed_by(*words)
    assert (args.test_dir, args.model_type, args.labels) == ("t", "cyto", None)
    args = parsed_by(*words, "--labels", "l")
    assert (args.model_type, args.labels) == (None, "l")
    file.write_text('test_dir = "t"\nmodel_type = "cyto"\nlabels = "l"\n')
    with pytest.raises(SettingsError, match="give one of model_type and labels"):
        parsed_by(*words)


def test_one_task_of_a_verb_has_its_own_options(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("trees = 3\n")
    assert parsed_by("classify", "train", "cells.csv", "--out", "o", "--config", str(file)).trees == 3
    with pytest.raises(SettingsError, match="unknown option 'trees'"):
        parsed_by("classify", "predict", "cells.csv", "--model", "m", "--out", "o", "--config", str(file))


def test_what_was_used_lies_in_the_output_and_does_the_same_again(tmp_path):
    write_labels(tmp_path / "in" / "a_masks.png", np.ones((9, 9), np.uint16))
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "in"), "--to", "geojson", "-o", str(out)]) == 0
    told = tomllib.loads((out / "export.toml").read_text())
    assert told["to"] == "geojson"
    again = ["export", str(tmp_path / "in"), "-o", str(tmp_path / "again"), "--config", str(out / "export.toml")]
    assert main(again) == 0
    assert (tmp_path / "again" / "a.geojson").read_bytes() == (out / "a.geojson").read_bytes()
    assert main(["export", str(tmp_path / "none"), "--to", "geojson", "-o", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_the_text_names_every_option_once():
    made = parser()
    text = config_text(made, made.parse_args(["plate", "--out", "o"]))
    options = {a.dest for a in made._actions if a.option_strings} - set(NOT_SETTINGS)
    assert all(sum(line.startswith((f"{o} = ", f"# {o} is")) for line in text.splitlines()) == 1 for o in options)


def test_defaults_of_options_are_those_of_the_settings():
    """Options cannot be made from the settings, which are slow to import; so they are held together here."""
    from cellular.autophagy.compare.design import StatsSettings
    from cellular.autophagy.measure.puncta_settings import PunctaSettings
    from cellular.cli.arguments import PUNCTA, measure_settings, segmentation_settings
    from cellular.segment.settings import SegmentSettings
    from cellular.track.link import TrackSettings

    args = parsed()
    assert segmentation_settings(args) == SegmentSettings()
    assert measure_settings(args).puncta == PunctaSettings()
    assert set(PUNCTA) <= set(vars(args))
    for settings, names in (
        (TrackSettings(), ("max_distance", "max_gap")),
        (StatsSettings(), ("treatment", "control", "replicate", "min_replicates")),
    ):
        assert {name: getattr(args, name) for name in names} == {name: getattr(settings, name) for name in names}
