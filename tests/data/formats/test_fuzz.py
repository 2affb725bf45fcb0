"""Damaged files of every format: whatever the bytes spell, only CellularError may come out of a reader.

A seeded run of mutations over small simulated files: some hundreds each time, ten thousand with ``-m long``.
"""

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellular.data.archive.remote_zip import check_members, extract, files_in, open_zip
from cellular.data.formats import read_annotations
from cellular.data.formats.image_file import describe_image
from cellular.data.formats.images import read_image, read_labels, write_image, write_labels
from cellular.data.formats.labelled import find_labelled
from cellular.data.formats.numpy_pickle import load_pickled_array
from cellular.data.formats.write import EXPORTS
from cellular.data.masks.mask_png import read_mask
from cellular.errors import CellularError
from cellular.simulate.field import simulate_field
from cellular.simulate.settings import SimulationSettings

SIZE = 64
SHAPE = (SIZE, SIZE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One small whole file of each kind, by file name."""
    folder = tmp_path_factory.mktemp("corpus")
    field = simulate_field(SimulationSettings(fields=1, size_px=SIZE, diameter_px=24, cells_per_field=4))
    labels = field.labels()
    planes = field.channels
    write_image(folder / "zlib.tif", planes[0])
    tifffile.imwrite(folder / "plain.tif", planes[0])
    tifffile.imwrite(folder / "tiled.tif", planes[0], tile=(32, 32), compression="lzw", predictor=True)
    tifffile.imwrite(folder / "a.ome.tif", planes, metadata={"axes": "CYX", "PhysicalSizeX": 0.6})
    tifffile.imwrite(folder / "imagej.tif", planes, imagej=True, resolution=(2, 2), metadata={"axes": "CYX"})
    for name in ("a.png", "a.jpg"):
        write_image(folder / name, field.composite())
    write_image(folder / "mask.png", (labels == 1).astype(np.uint8) * 255)
    path = write_labels(folder / "f_masks.tif", labels)
    fields = find_labelled(path)
    for name in ("cellpose", "coco", "yolo", "geojson", "imagej"):
        EXPORTS[name](fields, folder / name)
    names = {
        "a_seg.npy": "cellpose/f_seg.npy",
        "a.json": "coco/annotations.json",
        "a.txt": "yolo/labels/f.txt",
        "a.geojson": "geojson/f.geojson",
        "a.zip": "imagej/f_rois.zip",
    }
    (folder / "polygons.json").write_text(json.dumps(with_polygons(folder / "coco/annotations.json")))
    found = {name: (folder / source).read_bytes() for name, source in names.items()}
    return found | {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def with_polygons(path):
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
    return content


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` with some bytes changed, cut out, repeated, or cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        kind = rng.integers(0, 6)
        place = int(rng.integers(0, max(len(data), 1)))
        # Half of all changes hit the head, where the structure is.
        place = place % 256 if rng.random() < 0.5 else place
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and data:
            data[place % len(data)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            del data[place : place + int(rng.integers(1, 64))]
        elif kind == 3:
            data[place:place] = data[place : place + int(rng.integers(1, 64))]
        elif kind == 4:
            data[place : place + 4] = rng.bytes(4)
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def read_everything(path: Path) -> None:
    """Every reader that could be handed a file of this name."""
    suffix = path.suffix
    readers = []
    if suffix in (".tif", ".png", ".jpg"):
        readers += [read_image, read_labels, describe_image, lambda p: read_mask(p, SHAPE)]
    if suffix == ".npy":
        readers.append(load_pickled_array)
    if suffix == ".zip":
        readers.append(unpack)
    if suffix != ".jpg":
        readers.append(lambda p: read_annotations(p, SHAPE))
    for reader in readers:
        with contextlib.suppress(CellularError):
            reader(path)


def unpack(path: Path) -> None:
    with open_zip(path) as archive:
        members = files_in(archive)
        check_members(members, path.stat().st_size, path.name)
        targets = [(member, path.parent / "out" / member.filename) for member in members]
        extract(archive, targets, path.name, show_progress=False)


def fuzz(corpus: dict[str, bytes], folder: Path, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = sorted(corpus)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(rounds):
            path = folder / names[n % len(names)]
            path.write_bytes(mutate(corpus[path.name], rng))
            try:
                read_everything(path)
            except Exception as error:
                kept = path.read_bytes().hex()
                raise AssertionError(f"round {n}, {path.name}: {error!r}; the file in hex: {kept}") from error


def test_the_corpus_is_whole(corpus, tmp_path):
    assert len(corpus) >= 15
    for name, content in corpus.items():
        (tmp_path / name).write_bytes(content)
        if name.startswith(("a_seg", "a.json", "polygons", "a.txt", "a.geojson", "a.zip", "f_masks")):
            assert len(read_annotations(tmp_path / name, SHAPE)) > 1
        else:
            assert read_image(tmp_path / name).shape[:2] == SHAPE


def test_some_hundred_damaged_files(corpus, tmp_path):
    fuzz(corpus, tmp_path, 600, seed=1)


@pytest.mark.long
def test_ten_thousand_damaged_files(corpus, tmp_path):
    fuzz(corpus, tmp_path, 10_000, seed=2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda child: (
        st.lists(child, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["images", "annotations", "categories", "id", "segmentation", "counts", "size", "bbox", "name"]
            )
            | st.sampled_from(
                ["features", "geometry", "type", "coordinates", "properties", "classification", "file_name"]
            ),
            child,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(content=JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_of_any_shape(content, tmp_path):
    for name in ("a.json", "a.geojson"):
        (tmp_path / name).write_text(json.dumps(content))
        with contextlib.suppress(CellularError):
            read_annotations(tmp_path / name, SHAPE)


@given(content=st.text(max_size=80) | st.from_regex(r"([0-9.eE+-]{1,6} ){1,9}", fullmatch=True))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_yolo_of_any_text(content, tmp_path):
    (tmp_path / "a.txt").write_text(content, encoding="utf-8", errors="replace")
    with contextlib.suppress(CellularError):
        read_annotations(tmp_path / "a.txt", SHAPE)
