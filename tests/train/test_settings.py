"""Settings that cannot be meant are refused by name."""

import pytest

from cellular.errors import SettingsError
from cellular.train import TrainSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0),
        ("n_epochs", 0),
        ("learning_rate", float("nan")),
        ("diameter", 0),
        ("diameter", -5.0),
        ("fields_per_epoch", -3),
        ("weight_decay", -1),
        ("crop_size", 50),
        ("ema", 1.0),
        ("optimizer", "adam"),
        ("schedule", "step"),
        ("learning_rate", float("inf")),
        ("weight_decay", float("inf")),
        ("diameter", float("inf")),
        ("seed", -1),
    ],
)
def test_refused_by_name_and_value(name, value):
    with pytest.raises(SettingsError, match=f"{name} must.*{value}"):
        TrainSettings(**{name: value})
