"""Annotations of any lab's format, as cells: which class, which pixels, from where."""

from cellular.data.formats.annotation import Annotation, draw
from cellular.data.formats.convert import find_annotations, images_beside, is_published_layout, to_mask_folders
from cellular.data.formats.read import FORMATS, read_annotations

__all__ = [
    "FORMATS",
    "Annotation",
    "draw",
    "find_annotations",
    "images_beside",
    "is_published_layout",
    "read_annotations",
    "to_mask_folders",
]
