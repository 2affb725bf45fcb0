"""Fixtures that several rooms' tests share."""

import gc

import pytest
from server import serving

from cellular.jobs.engines import GARBAGE_EVERY

# As the commands do: a quarter of the time of collecting the tests went into looking for garbage.
gc.set_threshold(GARBAGE_EVERY)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A local server in place of every real address, and caches in `tmp_path`; gives the server's behaviour."""
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CELLPOSE_LOCAL_MODELS_PATH", raising=False)
    monkeypatch.setattr("cellular.data.archive.download.FIRST_PAUSE", 0.001)
    with serving() as (address, behaviour):
        monkeypatch.setenv("CELLULAR_MIRROR", address)
        yield behaviour


# Files that take a quarter of a minute and more begin first, the longest before the others: two processes then end
# together. Beside test_kill one that compiles other functions than it does: what both need is compiled twice.
LONG_FILES = (
    "test_kill",
    "test_browser",
    "test_engines",
    "test_analyse",
    "test_tutorials",
    "test_classify",
    "test_stats",
    "test_layouts",
    "test_train",
    "test_export_model",
    "test_quality",
    "test_reproduce",
    "test_report",
    "test_face",
)


def pytest_collection_modifyitems(items):
    """The order of files; within a file it stays."""
    items.sort(key=lambda item: (*LONG_FILES, item.path.stem).index(item.path.stem))
