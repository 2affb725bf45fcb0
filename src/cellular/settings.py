"""Settings are frozen dataclasses, one per stage; these two functions carry them to and from JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from cellular.errors import SettingsError

T = TypeVar("T")


def settings_from(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build settings dataclass `cls` from a mapping; an unknown key raises :class:`SettingsError`."""
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(f"Unknown setting(s) {unknown} for {cls.__name__}; known: {sorted(known)}")
    return cls(**values)


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """Plain, JSON-ready dictionary of a settings dataclass."""
    return dataclasses.asdict(settings)
