"""The models that ship, and what they say of their channels."""

import pytest

from cellular.segment.model.registry import SHIPPED, load_model, shipped_path

LARGEST = 8_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_small_and_says_what_its_channels_are(name):
    model = load_model(name)
    assert shipped_path(name).stat().st_size <= LARGEST
    assert model.network.channels == len(model.info.channels) == len(model.info.roles)


def test_the_starter_can_do_without_transmitted_light_and_nuclei_take_dna():
    assert load_model("starter").info.roles == ("mRFP", "EGFP", "transmitted")
    assert load_model("starter").info.optional_roles == ("transmitted",)
    assert load_model("nuclei").info.roles == ("DNA",)
