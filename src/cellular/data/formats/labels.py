"""Label images, what Cellpose writes (``_seg.npy``, outlines as text) and folders of per-cell masks."""

from pathlib import Path

import numpy as np

from cellular.data.formats.annotation import DEFAULT_CLASS, Annotation, Remarks
from cellular.data.formats.images import read_labels
from cellular.data.formats.numpy_pickle import load_pickled_array
from cellular.errors import InputError
from cellular.labels.cells import cells_of
from cellular.labels.checks import as_labels, check_cells
from cellular.labels.outlines import fill_contour


def read_label_image(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of a label image, in order of label.

    Raises InputError for a mask of foreground, in which one number stands for all cells.
    """
    return _from_labels(read_labels(path), path, shape)


def read_seg_npy(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of a Cellpose ``_seg.npy``; nothing that is pickled in it is run."""
    return _from_labels(load_seg_npy(path), path, shape)


def load_seg_npy(path: Path) -> np.ndarray:
    """Label image (Y, X) of a ``_seg.npy``, as Cellpose's GUI reads it (``gui/io.py``, ``_load_seg``).

    Masks of one plane, (1, Y, X), are that plane; where the least number is -1, all are one too low.

    Raises InputError without a 2-D label image of whole numbers from 0.
    """
    content = load_pickled_array(path)
    masks = content.get("masks") if isinstance(content, dict) else content
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "uibf":
        raise InputError(f"{path} holds no 2-D label image under 'masks'")
    if masks.ndim == 3 and len(masks) == 1:
        masks = masks[0]
    if masks.ndim != 2:
        raise InputError(f"{path} holds no 2-D label image under 'masks': their shape is {masks.shape}")
    if masks.dtype.kind == "f" and not (masks % 1 == 0).all():
        raise InputError(f"{path}: a label image holds whole numbers, its 'masks' have fractions")
    least = masks.min(initial=0)
    if least < -1:
        raise InputError(f"{path}: labels are 0 (background) and up, its 'masks' have {least}")
    return as_labels(masks.astype(np.int64) + (1 if least == -1 else 0), path)


def _from_labels(labels: np.ndarray, path: Path, shape: tuple[int, int]) -> list[Annotation]:
    if labels.shape != tuple(shape):
        raise InputError(f"{path}: label image of {labels.shape} px, the field has {tuple(shape)}")
    found = cells_of(check_cells(labels, path))
    return [Annotation(DEFAULT_CLASS, cell, f"{path.name}#{label}", label=label) for label, cell in found]


def read_outlines(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of Cellpose's ``_cp_outlines.txt``: a line each, x,y,x,y… of its border pixels.

    Holes are filled and of a cell in pieces only the largest is there: Cellpose writes no more.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        with remarks.item(f"{path.name}, line {number}", "outlines"):
            if not line.strip():
                raise InputError("no outline; Cellpose writes none for a cell of four pixels or fewer")
            corners = np.array(line.strip().strip(",").split(","), float).reshape(-1, 2)
            found.append(Annotation(DEFAULT_CLASS, fill_contour(corners, shape), f"{path.name}:{number}", label=number))
    return found


def read_mask_folder(path: Path, shape: tuple[int, int], field: str | None, remarks: Remarks) -> list[Annotation]:
    """Cells of a folder of per-cell masks, ``<class>/*.png``, as published.

    Raises InputError where it holds none.
    """
    from cellular.data.masks.mask_png import read_mask  # compiled code is slow to import
    from cellular.data.masks.sources import list_masks

    classes, problems = list_masks(path)
    if not classes:
        raise InputError(problems[0] if problems else f"{path} holds no class folders with masks")
    remarks.problems += problems
    found = []
    for name, entries in classes.items():
        for entry in entries:
            source = entry.path.relative_to(path).as_posix()
            with remarks.item(str(entry.path), "mask"):
                found.append(Annotation(name, read_mask(entry.path, shape), source))
    return found
