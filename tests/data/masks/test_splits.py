import json

import pytest

from cellular.data.masks.splits import resolve_split
from cellular.errors import InputError, MissingInputError, SettingsError

TRAIN = "Timepoint_002_220518-ST_C05_s1"
VALID = "Timepoint_002_220518-ST_I06_s1"
TEST = "Timepoint_002_220518-ST_C03_s2"


def test_published_patterns_are_the_default():
    for split in (resolve_split(), resolve_split("paper")):
        assert [split.assign(field) for field in (TRAIN, VALID, TEST)] == ["train", "valid", "test"]


def test_validation_is_asked_first_and_an_empty_pattern_matches_nothing():
    assert resolve_split(None, "ST", "C03").assign(TEST) == "valid"
    split = resolve_split(None, "", "C03")
    assert split.assign(VALID) == "train"
    assert split.expected() == ("train", "test")


def test_followup_lists_35_and_8_and_leaves_the_rest_to_test():
    split = resolve_split("followup2025")
    assert (len(split.train), len(split.valid)) == (35, 8)
    assert not split.train & split.valid
    assert split.assign(next(iter(split.train))) == "train"
    assert split.assign(next(iter(split.valid))) == "valid"
    assert split.assign("Timepoint_009_220518-ST_K07_s1") == "test"


def test_json_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["a.jpg"], "val": ["b_w1.TIF", "b_w2.TIF"], "test": ["c"]}))
    split = resolve_split(path)
    assert split.strangers("abc") == []
    assert [split.assign(field) for field in "abcd"] == ["train", "valid", "test", None]
    assert split.expected() == ("train", "valid", "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "not valid JSON"),
        ("[]", "expected"),
        ('{"train": ["a"], "holdout": ["b"]}', "holdout"),
        ('{"train": "a"}', "'train' must be a list"),
        ('{"train": [1]}', "'train' must be a list"),
        ('{"train": ["a"], "test": ["a"]}', "field a is in both 'train' and 'test'"),
        ('{"train": ["caf\\u00e9"], "test": ["cafe\\u0301"]}', "is in both 'train' and 'test'"),
    ],
)
def test_bad_json_file_is_named(tmp_path, text, message):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        resolve_split(path)
    assert "mine.json" in str(caught.value)


def test_unknown_name_missing_file_and_contradiction():
    with pytest.raises(SettingsError, match="papr.*paper, followup2025"):
        resolve_split("papr")
    with pytest.raises(MissingInputError, match=r"gone\.json"):
        resolve_split("gone.json")
    with pytest.raises(SettingsError, match="not both"):
        resolve_split("paper", "ST_K07")
