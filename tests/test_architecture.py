"""The layout is the architecture: a room imports only itself, rooms further down, and the small shared ones."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cellular
from cellular.cli.main import VERBS

SOURCE = Path(cellular.__file__).parent
README = SOURCE.parents[1] / "README.md"
# top to bottom
ROOMS = ["cli", "view", "napari", "jobs", "report", "simulate", "track"]
ROOMS += ["autophagy", "evaluate", "train", "segment", "data", "labels"]
SHARED = {"errors", "settings", "device", "progress", "files", "delimited", "tables", "lazy", "jit"}
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_BODY, LONGEST_FILE = 60, 400
# The face offers jobs; whoever takes one from it imports from there.
FACE = {name: where.partition(":")[0].split(".")[1] for name, where in cellular._FACE.items()}


def room_of(module: str, name: str = "") -> str | None:
    """The room, or shared file, that ``from module import name`` reaches into; None for none of ours."""
    parts = module.split(".")
    if parts[0] != "cellular":
        return None
    if len(parts) > 1:
        return parts[1]
    if name in ("", "__version__"):
        return None
    return name if name in ROOMS else FACE.get(name, name)


def imported_rooms(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {room_of(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {room_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cellular":
            names.add(room_of("cellular", node.attr))
    return names - {None}


@pytest.mark.parametrize(
    ("code", "rooms"),
    [
        ("from cellular.jobs.segment import segment", {"jobs"}),
        ("import cellular.report.html as h", {"report"}),
        ("from cellular import report, analyse", {"report", "jobs"}),
        ("from cellular import find_plate, segment", {"data", "segment"}),
        ("def f():\n    import cellular\n    cellular.cli.main()", {"cli"}),
        ("from cellular import __version__\nimport numpy.data", set()),
    ],
)
def test_every_way_to_import_is_seen(code, rooms):
    assert imported_rooms(ast.parse(code)) == rooms


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    allowed = set(ROOMS[ROOMS.index(room) :]) | SHARED
    for path in (SOURCE / room).rglob("*.py"):
        found = imported_rooms(ast.parse(path.read_text()))
        assert found <= allowed, f"{path} imports upward: {found - allowed}"


def test_shared_rooms_import_no_room():
    for name in SHARED:
        assert imported_rooms(ast.parse((SOURCE / f"{name}.py").read_text())) <= SHARED


def test_there_is_no_other_room():
    assert {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS)
    assert {path.stem for path in SOURCE.glob("*.py")} == {*SHARED, "__init__", "__main__"}


def test_files_and_functions_fit_on_a_page():
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= LONGEST_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length <= LONGEST_BODY, f"{path}: {node.name} has {length} lines"


def test_every_folder_says_what_it_is():
    folders = {path.parent for path in FILES}
    for folder in folders:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), f"{folder} does not say what it is"


def test_every_verb_has_a_job_of_its_name():
    jobs = {path.stem for path in (SOURCE / "jobs").glob("*.py")}
    assert set(VERBS) <= {path.stem for path in (SOURCE / "cli").glob("*.py")}
    assert set(VERBS) <= jobs


def test_errors_are_raised_never_asserted():
    for path in FILES:
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(path.read_text()))), path


def test_every_figure_is_saved_in_one_place():
    """`save` takes no figure without its data and no format but SVG; so nothing else may save one."""
    saving = [path for path in FILES if "savefig" in path.read_text(encoding="utf-8")]
    assert saving == [SOURCE / "report" / "style.py"]


def test_the_readme_draws_the_house_that_is_there():
    tree = re.search(r"src/cellular/\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    rooms, inner = [], {}
    for line in tree.splitlines():
        name = line.split()[0]
        if not name.endswith("/"):
            break
        if line.startswith("    "):
            inner.setdefault(rooms[-1], set()).add(name.rstrip("/"))
        else:
            rooms.append(name.rstrip("/"))
    assert rooms == ROOMS, "top to bottom, as imports point"
    there = {
        room: {path.name for path in (SOURCE / room).iterdir() if (path / "__init__.py").is_file()} for room in ROOMS
    }
    assert inner == {room: names for room, names in there.items() if names}


def test_help_is_instant():
    """It imports nothing that takes time: numbers of modules, not seconds, which other work on the machine changes."""
    code = (
        "import sys\nfrom cellular.cli.main import main\ntry:\n    main(['analyse', '--help'])\nexcept SystemExit:\n"
        "    print([m for m in sys.modules if m in ('numpy', 'torch', 'pandas', 'numba', 'scipy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--config" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.long
def test_analyse_reads_no_library_that_few_plates_need():
    code = (
        "import sys\nimport cellular.jobs.analyse\n"
        "print(sorted({'sklearn', 'laptrack', 'networkx', 'statsmodels', 'panel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
