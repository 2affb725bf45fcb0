"""Cellpose: ``<field>_seg.npy`` for its GUI and ``<field>_masks.tif`` for its trainer. Exact."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellular.data.formats.export import Written
from cellular.data.formats.images import write_labels
from cellular.data.formats.labelled import LabelledField
from cellular.files import whole_file
from cellular.labels.checks import as_labels

COLOURS_SEED = 0


def export_cellpose(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write both files of a field. Cellpose numbers cells 1..N, so the labels are renumbered in order."""
    original = item.labels()
    present = np.union1d(original, 0)  # also where no pixel is background, for there the first cell is not 0
    labels = as_labels(np.searchsorted(present, original))
    count = int(labels.max(initial=0))
    content = {
        "masks": labels,
        "outlines": labels * _is_edge(labels),
        "filename": str(item.images[0].name if item.images else item.labels_path.name),
        "ismanual": np.zeros(count, bool),
        "manual_changes": [],
        "chan_choose": [0, 0],
        "colors": np.random.default_rng(COLOURS_SEED).integers(64, 256, (count, 3), np.uint8),
        "flows": [],
        "est_diam": float(2 * np.sqrt(np.median(np.bincount(labels.ravel())[1:]) / np.pi)) if count else 30.0,
        "classes": [item.class_of(int(label)) for label in present if label],
    }
    path = out / f"{item.name}_seg.npy"
    with whole_file(path) as temporary:
        np.save(temporary, np.array(content, object), allow_pickle=True)
    return Written([path, write_labels(out / f"{item.name}_masks.tif", labels)])


def _is_edge(labels: np.ndarray) -> np.ndarray:
    """Pixels of a cell with a neighbour (up, down, left, right) of another label."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        step = np.diff(labels.astype(np.int64), axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= step
        edge[tuple(after)] |= step
    return edge & (labels > 0)
