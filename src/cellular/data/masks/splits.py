"""Which field is for training, which for validation, which for the test."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from cellular.data.fields import split_channel
from cellular.data.formats.suffixes import IMAGE_SUFFIXES, field_name, same_name, suffix_of
from cellular.errors import InputError, SettingsError
from cellular.files import read_json

SPLITS = ("train", "valid", "test")
NAMED_SPLITS = ("paper", "followup2025")
PAPER_VALID, PAPER_TEST = "ST_I06", "ST_C03"


@dataclass(frozen=True)
class PatternSplit:
    """A field whose name contains `valid` is validation, one whose name contains `test` is test, the rest train.

    As published: `valid` is asked first. An empty pattern means that there is no such split.
    """

    valid: str
    test: str

    def assign(self, field: str) -> str:
        """'train', 'valid' or 'test'."""
        field = same_name(field)
        if self.valid and same_name(self.valid) in field:
            return "valid"
        return "test" if self.test and same_name(self.test) in field else "train"

    def expected(self) -> tuple[str, ...]:
        """The splits that should have fields."""
        return ("train", *(["valid"] if self.valid else []), *(["test"] if self.test else []))

    def strangers(self, fields: Iterable[str]) -> list[str]:
        """None: patterns name no field."""
        return []

    def describe(self) -> dict[str, Any]:
        """JSON-ready description, for the manifest."""
        return {"valid_pattern": self.valid, "test_pattern": self.test}


@dataclass(frozen=True)
class ListSplit:
    """Fields by name; `rest` is the split of a field in no list, None to leave such fields out.

    `source` is the user's file, if it is one.
    """

    train: frozenset[str]
    valid: frozenset[str]
    test: frozenset[str]
    rest: str | None = None
    source: str | None = None

    def assign(self, field: str) -> str | None:
        """'train', 'valid', 'test', or None for a field that is in no list."""
        key = same_name(field)
        return next((name for name in SPLITS if key in map(same_name, getattr(self, name))), self.rest)

    def expected(self) -> tuple[str, ...]:
        """The splits that should have fields."""
        return tuple(name for name in SPLITS if getattr(self, name) or name == self.rest)

    def strangers(self, fields: Iterable[str]) -> list[str]:
        """A sentence on the names of the lists that are no field, where a user's file holds some."""
        known = set(map(same_name, fields))
        odd = sorted(name for split in SPLITS for name in getattr(self, split) if same_name(name) not in known)
        return [f"{len(odd)} name(s) in {self.source} are no field, first {odd[0]}"] if odd and self.source else []

    def describe(self) -> dict[str, Any]:
        """JSON-ready description, for the manifest."""
        return {**{name: sorted(getattr(self, name)) for name in SPLITS}, "rest": self.rest}


Split = PatternSplit | ListSplit


def resolve_split(
    split: str | Path | None = None, valid_pattern: str = PAPER_VALID, test_pattern: str = PAPER_TEST
) -> Split:
    """The split that was asked for.

    Raises SettingsError for a split that is not known, or given beside patterns; InputError for a file that is none.

    Parameters
    ----------
    split : None to split by the two patterns; ``"paper"`` for the published one (28 / 15 / 10 fields: well I06 is
        validation, C03 test); ``"followup2025"`` for the 35 / 8 / 10 of the 2025 follow-up study (PLoS One e0331045),
        whose test fields share wells with its training fields; or a JSON file with the lists "train", "valid" and
        "test" of field names.
    """
    if split is None:
        return PatternSplit(valid_pattern, test_pattern)
    if (valid_pattern, test_pattern) != (PAPER_VALID, PAPER_TEST):
        raise SettingsError(f"Give either the split '{split}' or patterns, not both")
    if split == "paper":
        return PatternSplit(PAPER_VALID, PAPER_TEST)
    if split == "followup2025":
        return _followup2025()
    if Path(split).suffix.lower() != ".json":
        raise SettingsError(f"Unknown split '{split}'; use {', '.join(NAMED_SPLITS)} or a .json file")
    return _from_file(Path(split))


def _followup2025() -> ListSplit:
    """Its test fields were not published by name: they are the annotated fields in neither of the other lists."""
    lists = json.loads(resources.files("cellular.data.masks").joinpath("followup2025.json").read_text())
    return ListSplit(frozenset(lists["train"]), frozenset(lists["valid"]), frozenset(), rest="test")


def _from_file(path: Path) -> ListSplit:
    lists = read_json(path)
    if not isinstance(lists, dict) or not lists:
        raise InputError(f'{path}: expected {{"train": [...], "valid": [...], "test": [...]}} with field names')
    names = {"valid" if key == "val" else key: value for key, value in lists.items()}
    unknown = sorted(set(names) - set(SPLITS))
    if unknown:
        raise InputError(f"{path}: unknown split(s) {unknown}; known: {', '.join(SPLITS)}")
    for key, value in names.items():
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise InputError(f"{path}: '{key}' must be a list of field names")
    train, valid, test = (frozenset(_bare(entry) for entry in names.get(name, ())) for name in SPLITS)
    split = ListSplit(train, valid, test, source=str(path))
    for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
        both = sorted(getattr(split, a) & getattr(split, b))
        if both:
            raise InputError(f"{path}: field {both[0]} is in both '{a}' and '{b}'")
    return split


def _bare(name: str) -> str:
    """A field's name as it is compared, of what may be that of its image's file, or of one of its channels'."""
    return same_name(split_channel(field_name(name))[0] if suffix_of(name) in IMAGE_SUFFIXES else name)
