"""What every verb has in common."""

import pytest

from cellular.cli.main import VERBS, main


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: cellular {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["segment", "a.tif", "--out", "b"], "continues where it stopped"),
        (["train", "--train_dir", "a", "--experiment_name", "b"], "with --resume the same command continues"),
        (["weights"], "starts again"),
    ],
)
def test_after_ctrl_c_the_advice_holds_for_the_verb(arguments, advice, monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"cellular.cli.{arguments[0]}.run", interrupted)
    assert main(arguments) == 130
    assert advice in capsys.readouterr().err


def test_unknown_verb_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["simulat"])
    assert stop.value.code == 2
    assert "'simulate'" in capsys.readouterr().err
