"""Annotations of any lab's format, as cells: which class, which pixels, from where."""

import importlib
from typing import Any

_HOMES = {
    **dict.fromkeys(("annotated_fields", "find_annotations", "images_beside", "is_published_layout"), "annotated"),
    **dict.fromkeys(("Annotation", "Remarks", "draw"), "annotation"),
    **dict.fromkeys(("FORMATS", "read_annotations", "read_any_labels"), "read"),
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a reader when it is asked for: the masks' own readers need some of these files, and these need them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
