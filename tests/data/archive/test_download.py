import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from server import serving

from cellular.data.archive import download
from cellular.data.archive.catalogue import ARCHIVES, WEIGHTS
from cellular.data.archive.download import (
    fetch_file,
    fetch_size_model,
    fetch_weights,
    find_weights,
    list_weights,
    one_at_a_time,
    retry_after,
)
from cellular.errors import DownloadError, WeightsError

CONTENT = np.random.default_rng(0).bytes(5000)
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.001)


@pytest.fixture
def server():
    with serving({"/a.bin": CONTENT}) as (address, behaviour):
        behaviour.url = f"{address}/a.bin"
        yield behaviour


def fetch(server, path, **options):
    return fetch_file(server.url, path, show_progress=False, **options)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_arrives_and_is_not_fetched_twice(server, tmp_path):
    assert fetch(server, tmp_path / "a.bin", sha256=HASH).read_bytes() == CONTENT
    fetch(server, tmp_path / "a.bin", sha256=HASH)
    assert server.counts["GET"] == 1
    assert leftovers(tmp_path) == ["a.bin"]


@given(cuts=st.lists(st.integers(0, 4999), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_a_cut_at_any_byte_is_resumed_there(cuts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    with serving({"/a.bin": CONTENT}) as (address, behaviour):
        behaviour.cuts = list(cuts)
        path = fetch_file(f"{address}/a.bin", folder / "a.bin", HASH, show_progress=False)
        assert path.read_bytes() == CONTENT
        assert behaviour.sent == len(CONTENT)  # no byte came twice
    assert leftovers(folder) == ["a.bin"]


def test_the_next_run_goes_on_where_the_last_one_gave_up(server, tmp_path):
    server.cuts = [500] * 6
    with pytest.raises(DownloadError, match="gave up after 6 attempts"):
        fetch(server, tmp_path / "a.bin", sha256=HASH)
    assert leftovers(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    assert fetch(server, tmp_path / "a.bin", sha256=HASH).read_bytes() == CONTENT
    assert server.requests[-1] == ("GET", "/a.bin", "bytes=3000-")
    assert server.sent == len(CONTENT)


def test_a_part_without_its_note_is_not_trusted(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 100)
    assert fetch(server, tmp_path / "a.bin").read_bytes() == CONTENT


def test_two_versions_are_never_patched_together(server, tmp_path):
    server.cuts = [500] * 6
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "a.bin")
    server.cuts, server.etag = [], '"v2"'
    server.files["/a.bin"] = CONTENT[::-1]
    assert fetch(server, tmp_path / "a.bin").read_bytes() == CONTENT[::-1]


NEW_YEAR, DAY_AFTER = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"


@pytest.mark.parametrize(("before", "after"), [(NEW_YEAR, DAY_AFTER), (None, None)])
def test_without_a_tag_two_versions_of_one_length_are_never_patched_together(server, tmp_path, before, after):
    server.etag, server.modified, server.cuts = None, before, [500] * 6
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "a.bin")
    server.files["/a.bin"], server.modified, server.cuts = CONTENT[::-1], after, []
    assert fetch(server, tmp_path / "a.bin").read_bytes() == CONTENT[::-1]


def test_without_a_tag_a_file_of_one_date_is_resumed(server, tmp_path):
    server.etag, server.modified, server.cuts = None, NEW_YEAR, [500]
    assert fetch(server, tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_of_two_at_once_the_second_waits_and_finds_it_there(server, tmp_path, monkeypatch):
    path, waits = tmp_path / "a.bin", threading.Event()
    monkeypatch.setattr(download.logger, "warning", lambda *said: waits.set())
    with ThreadPoolExecutor(1) as other:
        with one_at_a_time(path):
            second = other.submit(fetch, server, path)
            assert waits.wait(60)
            path.write_bytes(CONTENT)
        assert second.result(60).read_bytes() == CONTENT
    assert (server.counts["GET"], leftovers(tmp_path)) == (0, ["a.bin"])


def test_a_server_without_ranges_and_tags_starts_over(server, tmp_path):
    server.ranges, server.etag, server.cuts = False, None, [2000]
    assert fetch(server, tmp_path / "a.bin", sha256=HASH).read_bytes() == CONTENT
    assert server.sent == len(CONTENT) + 2000


def test_a_server_that_promises_more_than_it_has_is_not_believed(server, tmp_path):
    server.claim = 6000
    with pytest.raises(DownloadError):
        fetch(server, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_a_server_that_promises_less_than_it_has_fails_the_check(server, tmp_path):
    server.claim = 4000
    with pytest.raises(DownloadError, match="does not have the expected SHA-256"):
        fetch(server, tmp_path / "a.bin", sha256=HASH)
    with pytest.raises(DownloadError, match="has 4000 bytes, expected 5000"):
        fetch(server, tmp_path / "a.bin", size=5000)
    assert leftovers(tmp_path) == []


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="expected SHA-256 0000"):
        fetch(server, tmp_path / "a.bin", sha256="0" * 64)
    assert leftovers(tmp_path) == []


def test_busy_servers_are_asked_again(server, tmp_path):
    server.statuses = [429, 500, 503]
    assert fetch(server, tmp_path / "a.bin", sha256=HASH).read_bytes() == CONTENT
    assert server.counts["GET"] == 4


def test_a_server_that_stays_broken_is_given_up(server, tmp_path):
    server.statuses = [500] * 10
    with pytest.raises(DownloadError, match="answered 500.*gave up after 6"):
        fetch(server, tmp_path / "a.bin")


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    server.files.clear()
    with pytest.raises(DownloadError, match="404.*nothing is at this address"):
        fetch(server, tmp_path / "a.bin")
    assert server.counts["GET"] == 1


def test_an_unreachable_server_is_named(tmp_path):
    with pytest.raises(DownloadError, match=r"127.0.0.1:9/a.bin cannot be reached.*3 attempts"):
        fetch_file("http://127.0.0.1:9/a.bin", tmp_path / "new" / "deep" / "a.bin", show_progress=False)
    assert not (tmp_path / "new").exists()


def test_pauses_double_and_obey_the_server(monkeypatch):
    pauses, failures = [], [download.RetriableError("x", wait=wait) for wait in (None, None, 7.0, 1e6)]

    def action():
        if failures:
            raise failures.pop(0)
        return "done"

    monkeypatch.setattr(download, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(time, "sleep", pauses.append)
    assert download.with_retries(action) == "done"
    for pause, expected in zip(pauses, (1, 2, 7, 60), strict=True):
        assert expected <= pause <= 1.25 * expected


def test_retry_after_is_a_number_or_a_date():
    assert retry_after("3") == 3.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 4000, 4000))
    with pytest.raises(DownloadError, match=r"needs 0.00 GB more.*choose another folder"):
        fetch(server, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_a_disk_that_fills_up_is_named_and_nothing_is_half_there(server, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        server.files["/a.bin"] = CONTENT * 40
        monkeypatch.setattr(download, "DISK_RESERVE", -(10**9))
        with pytest.raises(DownloadError, match="No space left"):
            fetch(server, disk / "a.bin")
        assert not (disk / "a.bin").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(server, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DownloadError, match="Cannot write"):
        fetch(server, tmp_path / "a.bin")


def test_memory_does_not_depend_on_the_size(server, tmp_path):
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(48 << 20)
    server.files["/a.bin"] = CONTENT
    fetch(server, tmp_path / "warm")
    tracemalloc.start()
    # The server lives in this process and reads what it sends, so it is asked to send in pieces.
    server.files["/a.bin"] = big
    server.cuts = [8 << 20] * 5
    fetch(server, tmp_path / "a.bin")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.bin").stat().st_size == 48 << 20
    assert peak < 32 << 20


# Weights


def test_weights_are_fetched_once_and_their_hash_is_kept(mirror, tmp_path):
    mirror.files["/models/cyto2torch_0"] = CONTENT
    assert find_weights("cyto2") is None
    path = fetch_weights("cyto2", progress=False)
    assert path == tmp_path / "cache" / "models" / "cyto2torch_0" == find_weights("cyto2")
    note = json.loads((path.parent / "cyto2torch_0.json").read_text())
    assert note["sha256"] == HASH
    assert note["bytes"] == 5000
    assert fetch_weights("cyto2", progress=False) == path
    assert mirror.counts["GET"] == 1


def test_weights_that_changed_since_are_refused(mirror):
    mirror.files["/models/cyto3"] = CONTENT
    path = fetch_weights("cyto3", progress=False)
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match="is not the file first used under this name"):
        fetch_weights("cyto3", progress=False)


@pytest.mark.parametrize("place", ["own", "home"])
def test_cellposes_own_folders_are_searched(mirror, tmp_path, monkeypatch, place):
    folder = tmp_path / "models" if place == "own" else tmp_path / "home" / ".cellpose" / "models"
    if place == "own":
        monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(folder))
    folder.mkdir(parents=True)
    (folder / "cytotorch_0").write_bytes(CONTENT)
    assert fetch_weights("cyto", progress=False) == folder / "cytotorch_0"
    assert leftovers(folder) == ["cytotorch_0"]  # nothing of ours is put into Cellpose's folder
    assert mirror.counts["GET"] == 0
    (folder / "cytotorch_0").write_bytes(b"other")
    with pytest.raises(WeightsError, match="recorded"):
        fetch_weights("cyto", progress=False)


def test_weights_that_cannot_be_had_say_what_to_do(mirror, tmp_path):
    with pytest.raises(
        WeightsError, match=r"404.*by hand, save http.*/Fine-Tuned-Cyto as .*cache/models/Fine-Tuned-Cyto"
    ):
        fetch_weights("fine-tuned-cyto", progress=False)
    mirror.files["/models/cyto3"] = b"\n<!DOCTYPE html><html>Busy, come back later</html>"
    with pytest.raises(WeightsError, match="gave a web page"):
        fetch_weights("cyto3", progress=False)
    assert find_weights("cyto3") is None


def test_size_models_come_along(mirror):
    mirror.files["/models/size_cyto3.npy"] = CONTENT
    assert fetch_size_model("cyto3", progress=False).name == "size_cyto3.npy"
    assert fetch_size_model("fine-tuned-cyto") is None


def test_the_list_says_what_is_here_and_what_could_be(mirror):
    mirror.files["/models/cyto3"] = CONTENT
    fetch_weights("cyto3", progress=False)
    rows = {row["name"]: row for row in list_weights()}
    assert set(rows) == set(WEIGHTS)
    assert rows["cyto3"]["sha256"] == HASH
    assert rows["cyto3"]["path"].endswith("cyto3")
    assert rows["cyto"]["path"] is None


# The same against the real addresses, when asked for: pytest -m network


@pytest.mark.network
@pytest.mark.parametrize("record", [*ARCHIVES.values(), *WEIGHTS.values()], ids=lambda record: record.name)
def test_the_real_addresses_answer_with_ranges(record):
    answer = requests.get(record.url, headers={"Range": "bytes=0-3"}, timeout=60)
    assert answer.status_code == 206
    assert answer.content.startswith(b"PK") or len(answer.content) == 4


@pytest.mark.network
def test_the_real_weights_arrive(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLULAR_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch_weights("cyto2").stat().st_size > 20e6
