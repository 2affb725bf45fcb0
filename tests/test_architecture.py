"""The layout is the architecture: a room imports only itself, rooms further down, and the small shared ones."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cellular

SOURCE = Path(cellular.__file__).parent
ROOMS = ["cli", "jobs", "report", "simulate", "track", "autophagy", "evaluate", "train", "segment", "data", "labels"]
SHARED = {"errors", "settings", "device", "progress", "files"}


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "cellular":
            names |= {a.name for a in node.names} - {"__version__"}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cellular."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("cellular.")}
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    allowed = set(ROOMS[ROOMS.index(room) :]) | SHARED
    for path in (SOURCE / room).rglob("*.py"):
        assert imported_rooms(path) <= allowed, f"{path} imports upward: {imported_rooms(path) - allowed}"


def test_shared_rooms_import_no_room():
    for name in SHARED:
        assert imported_rooms(SOURCE / f"{name}.py") <= SHARED


def test_help_is_instant():
    command = [sys.executable, "-m", "cellular.cli.main", "--help"]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert "prepare" in done.stdout
    assert min(times) < 0.5
