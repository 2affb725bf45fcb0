"""Reading Cellpose's pickled .npy files (`_seg.npy`, size models) without running what may be inside."""

import pickle
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from cellular.errors import InputError, MissingInputError

# All that rebuilding dictionaries, numbers and arrays ever needs; anything else in the pickle is refused.
_ALLOWED = {
    ("builtins", "slice"),
    ("builtins", "complex"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}
# Cellpose keeps the image's name as a path. Read as one that touches no disk, so that a Windows user's opens anywhere.
_PATHS = {
    (module, name): pure
    for module in ("pathlib", "pathlib._local")
    for pure, names in (
        (PurePosixPath, ("PosixPath", "PurePosixPath", "Path", "PurePath")),
        (PureWindowsPath, ("WindowsPath", "PureWindowsPath")),
    )
    for name in names
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PATHS:
            return _PATHS[module, name]
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which arrays do not need")
        return super().find_class(module, name)


def load_pickled_array(path: str | Path) -> Any:
    """Content of a .npy file; a pickled dictionary or list of arrays is rebuilt, but no code in it is run.

    Returns the array, or the object itself where the file holds a single object (a 0-dimensional object array).
    Raises MissingInputError, or InputError for a file that is damaged or asks for anything but arrays and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"No such file: {path}")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](file)
            if not dtype.hasobject:
                file.seek(0)
                return np.load(file, allow_pickle=False)
            content = _ArraysOnly(file).load()
    except Exception as error:  # damaged pickles raise whatever their bytes spell
        raise InputError(f"{path} cannot be read as a .npy file of arrays: {error}") from error
    return content.item() if isinstance(content, np.ndarray) and shape == () else content
