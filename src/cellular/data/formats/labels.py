"""Label images, Cellpose's ``_seg.npy`` and folders of per-cell masks."""

from pathlib import Path

import numpy as np

from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation
from cellular.data.formats.images import read_labels
from cellular.data.formats.numpy_pickle import load_pickled_array
from cellular.data.masks.mask_png import read_mask
from cellular.data.masks.sources import list_masks
from cellular.errors import InputError
from cellular.labels.cells import cells_of
from cellular.labels.checks import as_labels


def read_label_image(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of a label image, in order of label."""
    return _from_labels(read_labels(path), path, shape)


def read_seg_npy(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of a Cellpose ``_seg.npy``; nothing that is pickled in it is run."""
    content = load_pickled_array(path)
    masks = content.get("masks") if isinstance(content, dict) else content
    if (
        not isinstance(masks, np.ndarray)
        or masks.dtype.kind not in "uib"
        or masks.ndim != 2
        or masks.min(initial=0) < 0
    ):
        raise InputError(f"{path} holds no 2-D label image under 'masks'")
    return _from_labels(as_labels(masks), path, shape)


def _from_labels(labels: np.ndarray, path: Path, shape: tuple[int, int]) -> list[Annotation]:
    if labels.shape != tuple(shape):
        raise InputError(f"{path}: label image of {labels.shape} px, the field has {tuple(shape)}")
    return [Annotation(DEFAULT_CLASS, cell, f"{path.name}#{label}") for label, cell in cells_of(labels)]


def read_mask_folder(path: Path, shape: tuple[int, int], field: str | None = None) -> list[Annotation]:
    """Cells of a folder of per-cell masks, ``<class>/*.png``, as published."""
    classes, problems = list_masks(path)
    if problems or not classes:
        raise InputError(problems[0] if problems else f"{path} holds no class folders with masks")
    return [
        Annotation(name, read_mask(entry.path, shape), entry.path.relative_to(path).as_posix())
        for name, entries in classes.items()
        for entry in entries
    ]
