"""Pickled arrays: read as numpy wrote them; what a pickle says of its arrays is never taken on trust."""

import pickle
import struct

import numpy as np
import pytest

from cellular.data.formats.numpy_pickle import load_pickled_array
from cellular.errors import InputError

CONTENT = {
    "masks": np.arange(6, dtype=np.uint16).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.array([1, 258], ">i4"),
    "words": np.array(["a", "bé"]),
    "bytes": np.array([b"a", b"bc"]),
    "truth": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "empty": np.zeros((0, 4), np.float32),
    "point": np.array(3),
    "ragged": np.array([np.zeros((2, 2)), None, "x"], object),
    "nested": [{"flow": np.ones(2)}, (np.zeros(1), 1.5)],
    "number": np.float32(2.5),
}


def write(path, content, protocol):
    box = np.empty((), object)
    box[()] = content
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(box, file, protocol)


def same(one, other):
    if isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in other)
    if isinstance(other, (list, tuple)) or (isinstance(other, np.ndarray) and other.dtype == object):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_numpy_wrote_comes_back(tmp_path, protocol):
    write(tmp_path / "a.npy", CONTENT, protocol)
    assert same(load_pickled_array(tmp_path / "a.npy"), CONTENT)


def test_np_save_is_read(tmp_path):
    np.save(tmp_path / "a.npy", CONTENT)
    assert same(load_pickled_array(tmp_path / "a.npy"), CONTENT)


class Forged:
    """What pickles as a call of `made` on `arguments`, with `state` set on the result."""

    def __init__(self, made, arguments, state):
        self.parts = (made, arguments, state)

    def __reduce__(self):
        return self.parts


def array(kind, content, shape=(1,)):
    made, arguments, _ = np.zeros(1).__reduce__()
    return Forged(made, arguments, (1, shape, kind, False, content))


STRUCTURE = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)


@pytest.mark.parametrize(
    "forged",
    [
        # eight bytes of the file's own choice, taken for the address of an object: numpy itself crashes
        array(Forged(np.dtype, ("V8", False, True), STRUCTURE), struct.pack("P", 0x4141)),
        array(Forged(np.dtype, ("i8", False, True), STRUCTURE), struct.pack("P", 0x4141)),
        array(np.dtype("O"), struct.pack("P", 0x4141)),
        array(np.dtype("O"), [1, 2]),
        array(np.dtype("i8"), b"1234"),
        array(np.dtype("i8"), b"", (10**12,)),
        Forged(print, ("ran",), None),
    ],
)
def test_forged_arrays_are_refused(tmp_path, forged, capfd):
    write(tmp_path / "a.npy", {"masks": forged}, 4)
    with pytest.raises(InputError, match="cannot be read"):
        load_pickled_array(tmp_path / "a.npy")
    assert capfd.readouterr().out == ""


def test_lists_of_lists_take_no_more_room_than_the_file(tmp_path):
    laughs = ["ha"]
    for _ in range(60):
        laughs = [laughs, laughs]
    write(tmp_path / "a.npy", laughs, 4)
    assert len(load_pickled_array(tmp_path / "a.npy")) == 2
