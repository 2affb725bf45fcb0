"""What `import cellular` offers: lazily, typed, each with an example that runs."""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import cellular
from cellular.lazy import ROOMS, Room

SOURCE = Path(cellular.__file__).parent
# Packages whose names are looked up when they are asked for.
LAZY = [
    ".".join(("cellular", *path.parent.relative_to(SOURCE).parts))
    for path in sorted(SOURCE.rglob("__init__.py"))
    if "attach(" in path.read_text()
]
FACE = [name for name in cellular.__all__ if name != "__version__"]


def behind(name):
    """The function or class that the name stands for."""
    found = getattr(cellular, name)
    return found.job if isinstance(found, Room) else found


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_brings_nothing_heavy():
    heavy = ("numpy", "torch", "pandas", "scipy", "numba")
    assert run(f"import sys, cellular; print([m for m in sys.modules if m in {heavy}])") == "[]"


def test_the_stub_names_the_same_objects():
    stub = ast.parse(Path(cellular.__file__).with_suffix(".pyi").read_text())
    told = {
        alias.asname or alias.name: getattr(importlib.import_module(node.module), alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {name: behind(name) for name in FACE}


@pytest.mark.parametrize("package", LAZY)
def test_what_a_package_offers_is_there(package):
    module = importlib.import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_the_package_is_marked_as_typed():
    assert Path(cellular.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_its_job_whoever_imported_it_first(room):
    module = importlib.import_module(f"cellular.{room}")
    assert getattr(cellular, room) is module
    assert callable(module)
    assert module.job.__module__ == f"cellular.jobs.{room}"


def test_rooms_offer_what_people_look_for_in_them():
    code = "from cellular.segment import Segmenter; from cellular import segment; print(segment.Segmenter is Segmenter)"
    assert run(code) == "True"


def test_what_is_not_there_is_said():
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        _ = cellular.segmnt
    assert set(FACE) <= set(dir(cellular))


@pytest.mark.parametrize("name", FACE)
def test_each_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(behind(name), name, globs={})
    assert example.examples, f"{name} has no example"
    printed = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=printed.append)
    assert not printed, "".join(printed)
