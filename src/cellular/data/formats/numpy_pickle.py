"""Reading Cellpose's pickled .npy files (`_seg.npy`, size models) without running what may be inside."""

import math
import pickle
from collections import OrderedDict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

import numpy as np

from cellular.errors import InputError, MissingInputError

# Kinds of numpy types that are plain values; "O" is a box for other plain values. Never "V": the fields of a structure
# are the pickle's own word, and numpy would follow them to any address.
_PLAIN = frozenset("biufcSUO")


class _Type:
    """A numpy dtype in a pickle; what the pickle sets on it is read here, not by numpy, which believes it."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.dtype = np.dtype(name if isinstance(name, str) else str(name, "ascii"))
        if self.dtype.kind not in _PLAIN or self.dtype.names or self.dtype.subdtype:
            raise pickle.UnpicklingError(f"it holds an array of {self.dtype}, not of plain values")

    def __setstate__(self, state: tuple) -> None:
        order, subarray, names, fields = state[1:5]
        if subarray is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("it holds an array of structures, not of plain values")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """A numpy array in a pickle, put together from its bytes once all is read."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, content = state
        self.fill(content, kind, shape, "F" if fortran else "C")

    def fill(self, content: Any, kind: "_Type", shape: tuple, order: Literal["C", "F"]) -> "_Array":
        if kind.dtype.hasobject:
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise pickle.UnpicklingError("an array's values do not fill its shape")
            flat: np.ndarray = np.empty(len(content), object)
            flat[:] = content
        else:
            data = content.encode("latin1") if isinstance(content, str) else content
            flat = np.frombuffer(data, kind.dtype).copy() if len(data) else np.empty(0, kind.dtype)
        self.value = flat.reshape(shape, order=order)
        return self


def _buffer(content: Any, kind: _Type, shape: tuple, order: Literal["C", "F"], *_: Any) -> _Array:
    return _Array().fill(content, kind, shape, order)


def _scalar(kind: _Type, content: Any = None) -> Any:
    return content if kind.dtype.hasobject else _Array().fill(content, kind, (1,), "C").value[0]


def _encode(text: str, encoding: str = "latin1", *_: Any) -> bytes:
    return str.encode(text, encoding)


# All that dictionaries, numbers and arrays ever ask for, and what answers; anything else in the pickle is refused.
_ALLOWED = {
    ("builtins", "slice"): slice,
    ("builtins", "complex"): complex,
    ("__builtin__", "bytes"): lambda: b"",  # how protocol 2 spells no bytes
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): stands_in
        for core in ("core", "_core")
        for module, name, stands_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _buffer),
        )
    },
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
        return _ALLOWED[module, name]


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
            content = _plain(_ArraysOnly(file).load())
    except Exception as error:  # damaged pickles raise whatever their bytes spell
        raise InputError(f"{path} cannot be read as a .npy file of arrays: {error}") from error
    return content.item() if isinstance(content, np.ndarray) and shape == () else content


def _plain(content: Any, done: dict[int, Any] | None = None) -> Any:
    """`content` with numpy's own arrays where the pickle's stood; what it holds many times is held many times here."""
    done = {} if done is None else done
    if id(content) in done:
        return done[id(content)]
    result = content
    if isinstance(content, _Array):
        result = content.value
        if result.dtype.hasobject:
            for place in np.ndindex(result.shape):
                result[place] = _plain(result[place], done)
    elif isinstance(content, dict):
        result = {key: _plain(value, done) for key, value in content.items()}
    elif isinstance(content, (list, tuple)):
        result = type(content)(_plain(value, done) for value in content)
    if isinstance(content, (_Array, dict, list, tuple)):
        done[id(content)] = result
    return result
