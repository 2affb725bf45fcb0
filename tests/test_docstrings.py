"""Docstrings parse as numpydoc reads them, and what is offered says what it refuses."""

import ast
import re
import warnings
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString

import cellular
from cellular import errors
from cellular.lazy import Room

SOURCES = sorted(Path(cellular.__file__).parent.rglob("*.py"))
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
# These look up what is there: names of the shipped models; fields, wells and columns of a plate in memory.
REFUSE_NOTHING = {"weights", "Plate"}


def public(path):
    """Functions and classes of a file, and what they document, that are meant to be called from elsewhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node, ast.get_docstring(node) or ""


def offered():
    for name in cellular.__all__:
        found = getattr(cellular, name)
        if callable(found) and name not in REFUSE_NOTHING:
            yield name, found.job if isinstance(found, Room) else found


def test_every_docstring_parses():
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpydoc only warns of a section that it does not know
        for path in SOURCES:
            for node, text in public(path):
                try:
                    NumpyDocString(text)
                except Exception as error:
                    wrong.append(f"{path}:{node.lineno} {node.name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "found"), list(offered()))
def test_what_is_offered_says_what_it_refuses(name, found):
    documented = [found.__doc__]
    if isinstance(found, type):
        documented = [one.__doc__ for key, one in vars(found).items() if callable(one) and not key.startswith("_")]
    for text in documented:
        raised = NumpyDocString(text)["Raises"]
        assert raised, f"{name} has no section Raises"
        kinds = {kind for entry in raised for kind in (entry.name or entry.type).replace(",", " ").split()}
        assert kinds <= ERRORS, f"{name}: {sorted(kinds - ERRORS)}"


def raised_by(function):
    """Errors of ours that a function raises by itself, but for those that it takes down as remarks on one item."""
    noted = {
        inner
        for node in ast.walk(function)
        if isinstance(node, ast.With) and any("remarks.item" in ast.unparse(item) for item in node.items)
        for inner in ast.walk(node)
    }
    raises = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node not in noted]
    return {call.func.id for call in raises if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)} & ERRORS


@pytest.mark.parametrize("room", ["data", "labels", "evaluate", "train", "segment", "track", "simulate"])
def test_who_raises_in_a_stage_says_so(room):
    silent = [
        f"{path}:{node.lineno} {node.name} raises {sorted(raised_by(node))}"
        for path in SOURCES
        if path.is_relative_to(Path(cellular.__file__).parent / room)
        for node, text in public(path)
        if isinstance(node, ast.FunctionDef) and raised_by(node) and not re.search(r"Raises?\b|Error\b", text)
    ]
    assert not silent, "\n".join(silent)
