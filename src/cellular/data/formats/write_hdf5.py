"""HDF5 in torch-em's layout: groups ``raw`` (a dataset a channel) and ``labels`` (instances, semantic)."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellular.data.formats.export import Written
from cellular.data.formats.labelled import LabelledField
from cellular.errors import import_extra
from cellular.files import write_bytes

RAW_NAMES = ("texas_red", "fitc", "brightfield")  # in the order of an image's red, green and blue


def export_hdf5(item: LabelledField, out: Path, names: Sequence[str]) -> Written:
    """Write ``<field>.h5``. Exact.

    ``labels/semantic`` numbers the classes from 1 in the order of its attribute ``classes``. An image of three
    channels fills the three raw datasets; any other goes to ``raw/image``; without image there is no ``raw``.
    """
    h5py = import_extra("h5py", "export")
    labels, image = item.labels(), item.image()
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


def _planes(image: np.ndarray | None) -> dict[str, np.ndarray]:
    if image is None:
        return {}
    if image.ndim == 3 and image.shape[2] == len(RAW_NAMES):
        return {name: image[:, :, channel] for channel, name in enumerate(RAW_NAMES)}
    return {"image": image}


def _semantic(item: LabelledField, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    present, where = np.unique(labels, return_inverse=True)
    numbers = [0 if label == 0 else names.index(item.class_of(int(label))) + 1 for label in present]
    return np.array(numbers, np.uint8)[where].reshape(labels.shape)
