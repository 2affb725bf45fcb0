"""Roles of channels, from their names and from the user."""

import pytest

from cellular.data.channels import is_channel_word, parse_channels, role_of
from cellular.errors import SettingsError

NAMES = {
    "mRFP": "mRFP1;mCherry;TexasRed - TexasRed;Texas Red;TRITC;tdTomato;Green - dsRed;Cy3;AF568-T2;A594;mCherry-LC3",
    "EGFP": "EGFP;GFP;FITC - FITC;Blue - FITC;Alexa 488;Alexa Fluor 488;GFP-LC3;mNeonGreen;sdcGFP;EGFP confocal",
    "DNA": "DAPI;HOECHST 33342;UV - DAPI;Hoechst;NucBlue;DRAQ5;nuclei",
    "transmitted": "Brightfield;TL-Brightfield - dsRed;TL;DIC;Phase Contrast;Transmitted Light;BF;DPC",
    None: "w1;C0;C01;1;D;d2;channel 1;561 nm;green;390 - Blue;mRFP-GFP-LC3;H2B-mCherry;Camera 1;Ch1-T1;HyD 2;;  ;405",
}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names.split(";")])
def test_a_role_is_known_by_name_alone(role, name):
    assert role_of(name) == role


@pytest.mark.parametrize("name", ["LAMP1", "p62", "MitoTracker Deep Red", "Cy5", "LAMP1 Alexa 488", "Phalloidin-TRITC"])
def test_a_stain_is_a_marker_not_the_reporter(name):
    assert role_of(name) == f"marker:{name}"


def test_names_that_only_look_like_proteins():
    assert role_of("Perforin") == "marker:Perforin"
    assert role_of("Transferrin") == "marker:Transferrin"


@pytest.mark.parametrize("text", ["w1", "ch00", "C1", "DAPI", "green", "Cy5", "Texas Red", "channel 2"])
def test_endings_that_are_channels(text):
    assert is_channel_word(text)


@pytest.mark.parametrize("text", ["1", "A01", "s1", "LAMP1", "control", "0001", "t3"])
def test_endings_that_may_be_anything(text):
    assert not is_channel_word(text)


def test_channels_of_the_user():
    assert parse_channels(["mRFP=w3", "egfp=FITC - FITC", "marker:LAMP1=w4"]) == {
        "w3": "mRFP",
        "FITC - FITC": "EGFP",
        "w4": "marker:LAMP1",
    }


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["GFP=w2"], "did you mean EGFP"),
        (["trasmitted=w2"], "did you mean transmitted"),
        (["w3=mRFP"], "ROLE=CHANNEL"),
        (["mRFP"], "ROLE=CHANNEL"),
        (["mRFP="], "ROLE=CHANNEL"),
        (["=w1"], "is no role"),
        (["marker:=w1"], "is no role"),
        (["mRFP=w1", "mRFP=w2"], "twice"),
        (["mRFP=w1", "EGFP=w1"], "two roles"),
    ],
)
def test_channels_that_cannot_be_meant(values, says):
    with pytest.raises(SettingsError, match=says):
        parse_channels(values)
