"""What the pages say can be typed, and every option stands in a page."""

import ast
import re
import shlex
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

import cellular
from cellular.cli.main import build_parser, main
from cellular.cli.reference import reference

ROOT = Path(cellular.__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    """The words of each `cellular` command in the page's blocks of shell, or of no language."""
    text = "\n".join(blocks(page, "(?:sh|bash|console)?")).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").strip() for line in text.splitlines()]
    whole = [line for line in lines if line.startswith("cellular ") and "…" not in line and " ..." not in line]
    return [shlex.split(line, comments=True)[1:] for line in whole]


@contextmanager
def suppress_exit():
    """A list that gets the exit code where the block exits with one other than 0."""
    code = []
    try:
        yield code
    except SystemExit as stop:
        code += [stop.code] if stop.code else []


CELLULAR = commands(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_the_program_takes(page):
    for words in commands(page):
        with suppress_exit() as code:
            build_parser(words[0])[0].parse_args(words)
        assert not code, f"{page.name}: cellular {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_pages_python_imports_is_there(page):
    for block in blocks(page, "python"):
        lines = ast.parse(textwrap.dedent(block)).body
        imports = [line for line in lines if isinstance(line, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})


def test_the_reference_is_what_the_parser_says():
    page = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m cellular.cli.reference > docs/verbs.md"
    assert "SUPPRESS" not in page, "options that --help hides are hidden here"


def test_the_readme_has_both_tours():
    verbs = {words[0] for words in CELLULAR}
    assert verbs >= {"inspect", "analyse", "simulate", "prepare", "train", "evaluate", "segment", "measure", "stats"}


def tiny(words):
    """The same command on less: smaller fields, one pass of training, the cells' diameter to go with them."""
    less = {"--size": "192", "--diameter": "30", "--n_epochs": "1", "--fields_per_epoch": "8"}
    return [less.get(before, word) for before, word in zip(["", *words], words)]


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(tiny(next(words for words in CELLULAR if words[0] == "simulate"))) == 0


def test_the_readmes_python_runs(made, capsys):
    for block in blocks(ROOT / "README.md", "python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "names as cellular" in capsys.readouterr().out


@pytest.mark.long
def test_the_readmes_tours_run(made, tmp_path):
    (tmp_path / "MAP.csv").write_text("well,treatment\nC05,DMSO\nI05,EBSS\nC06,DMSO\nI06,EBSS\nC07,DMSO\nI07,EBSS\n")
    (tmp_path / "PLATE").symlink_to(tmp_path / "fields" / "images")
    tour = [words for words in CELLULAR if words[0] != "simulate"]
    for words in sorted(tour, key=lambda words: words[0] in ("inspect", "analyse")):
        assert main(tiny(words)) == 0, words
