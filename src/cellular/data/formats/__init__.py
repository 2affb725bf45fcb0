"""Annotations of any lab's format, as cells: which class, which pixels, from where.

Names are looked up when asked for: readers of masks use the image readers here, and the readers here those of masks.
"""

import importlib
from typing import Any

_HOMES = {
    "annotation": ("Annotation", "draw"),
    "convert": ("find_annotations", "images_beside", "is_published_layout", "to_mask_folders"),
    "read": ("FORMATS", "read_annotations"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
