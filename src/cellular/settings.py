"""Settings are frozen dataclasses, one per stage; carried to and from JSON here, and read from TOML."""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin, get_type_hints

from cellular.errors import SettingsError

T = TypeVar("T")


def settings_from(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build settings dataclass `cls` from a mapping; an unknown key raises :class:`SettingsError`.

    What JSON made of them is undone: mappings become the dataclasses they stand for, and lists tuples.
    """
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise SettingsError(f"Unknown setting(s) {unknown} for {cls.__name__}; known: {sorted(known)}")
    hints = get_type_hints(cls)
    return cls(**{name: _restored(hints[name], value) for name, value in values.items()})


def _restored(kind: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and dataclasses.is_dataclass(kind):
        return settings_from(kind, value)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) and get_origin(kind) is tuple else value


def settings_to_dict(settings: Any) -> dict[str, Any]:
    """Plain, JSON-ready dictionary of a settings dataclass."""
    return dataclasses.asdict(settings)


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML file; ValueError for what is none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
