"""`--config`: options of a file, flags over them, and a file of what was used that gives the same again."""

import argparse

import pytest

from cellular.cli.analyse import add_arguments
from cellular.cli.config import config_text, parse_with_config, read_config
from cellular.cli.main import main
from cellular.errors import InputError, MissingInputError, SettingsError

tomllib = pytest.importorskip("tomllib")  # Python 3.11 and newer


def parser():
    made = argparse.ArgumentParser(prog="cellular analyse")
    add_arguments(made)
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


def test_the_text_names_every_option_once():
    made = parser()
    text = config_text(made, made.parse_args(["plate", "--out", "o"]))
    options = {a.dest for a in made._actions if a.option_strings} - {"help", "out", "config", "dry_run"}
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
