"""The notebooks of docs/tutorials run from top to bottom, and show what their cells give."""

import ast
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import cellular

FOLDER = Path(cellular.__file__).parents[2] / "docs" / "tutorials"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(book):
    """Code and shown text ("" for none) of each cell of code."""
    for cell in json.loads(book.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shown = [out["data"]["text/plain"] for out in cell["outputs"] if out["output_type"] == "execute_result"]
            yield "".join(cell["source"]), "".join(*shown) if shown else ""


def value_of(code, names):
    """Run a cell as a notebook does: the value of its last expression, or None."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def words(text):
    """What does not depend on the processor: everything but numbers."""
    return re.findall(r"[A-Za-z_]+", text.replace("NaN", ""))


# One here, the others with the slow checks.
@pytest.mark.parametrize(
    "book", [pytest.param(book, marks=[pytest.mark.long] if k else [], id=book.stem) for k, book in enumerate(BOOKS)]
)
def test_a_notebook_runs_and_shows_what_it_gives(book, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        for code, shown in cells(book):
            assert set(words(repr(value_of(code, names)) if shown else "")) == set(words(shown)), code


def test_both_readers_have_one():
    assert {book.stem for book in BOOKS} == {"plate", "benchmark"}
