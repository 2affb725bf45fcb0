"""HDF5 in torch-em's layout: groups ``raw`` (a dataset a channel) and ``labels`` (instances, semantic)."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.data.image import COMPOSITE_ROLES, FieldImage
from cellular.errors import import_extra
from cellular.files import write_bytes

RAW_NAMES = ("texas_red", "fitc", "brightfield")  # what torch-em calls CELLULAR's mRFP, EGFP and transmitted light


def export_hdf5(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write ``<field>.h5``. Exact.

    ``labels/semantic`` numbers the classes from 1 in the order of its attribute ``classes``. mRFP, EGFP and
    transmitted light fill the three raw datasets; any other image goes to ``raw/image``; without there is no ``raw``.
    """
    h5py = import_extra("h5py", "export")
    labels, image = item.labels(), item.read()
    path = out / f"{item.name}.h5"
    content = io.BytesIO()  # HDF5's library cannot close a file on a full disk, so it gets none
    with h5py.File(content, "w") as file:
        for name, plane in _planes(image).items():
            file.create_dataset(f"raw/{name}", data=plane, compression="gzip")
        file.create_dataset("labels/instances", data=labels, compression="gzip")
        semantic = file.create_dataset("labels/semantic", data=_semantic(item, labels, names), compression="gzip")
        semantic.attrs["classes"] = names
    write_bytes(path, content.getvalue())
    return Written([path])


def _planes(image: FieldImage | None) -> dict[str, np.ndarray]:
    if image is None:
        return {}
    if image.roles == COMPOSITE_ROLES:
        return {name: image.plane(role) for name, role in zip(RAW_NAMES, COMPOSITE_ROLES)}
    return {"image": image.array()}


def _semantic(item: LabelledField, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    present, where = np.unique(labels, return_inverse=True)
    numbers = [0 if label == 0 else names.index(item.class_of(int(label))) + 1 for label in present]
    return np.array(numbers, np.uint8)[where].reshape(labels.shape)
