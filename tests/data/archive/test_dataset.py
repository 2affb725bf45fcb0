import dataclasses
import hashlib
import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cellular.data.archive import catalogue
from cellular.data.archive.dataset import fetch_archive, fetch_fields, remote_zip
from cellular.errors import DownloadError, InputError, OutputExistsError

FIELDS = ["Timepoint_001_220518-ST_C03_s1", "Timepoint_001_220518-ST_C03_s10", "Timepoint_001_220518-ST_I06_s1"]
IMAGES, MASKS = "/records/8315423/files/images.zip", "/records/8315423/files/masks.zip"


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def archives(mirror, monkeypatch):
    rng = np.random.default_rng(0)
    images = {f"images/{field}_w{w}.TIF": rng.bytes(200_000) for field in FIELDS for w in (1, 2, 3)}
    masks = zipped({f"masks/{FIELDS[0]}/fed/cell 1.png": b"png", f"masks/{FIELDS[2]}/unfed/1.png": b"png"})
    mirror.files |= {IMAGES: zipped(images), MASKS: masks}
    record = dataclasses.replace(catalogue.ARCHIVES["masks"], sha256=hashlib.sha256(masks).hexdigest())
    monkeypatch.setitem(catalogue.ARCHIVES, "masks", record)
    mirror.images = images
    return mirror


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_archive_is_unpacked_with_a_receipt_and_not_fetched_again(archives, tmp_path):
    archives.cuts = [50, 0, 100]
    folder = fetch_archive("masks", tmp_path / "out", show_progress=False)
    assert folder == tmp_path / "out" / "masks"
    assert names_in(tmp_path / "out") == [
        ".cellular-masks.json",
        f"masks/{FIELDS[0]}/fed/cell 1.png",
        f"masks/{FIELDS[2]}/unfed/1.png",
    ]
    asked = len(archives.requests)
    fetch_archive("masks", tmp_path / "out", show_progress=False)
    assert len(archives.requests) == asked
    (folder / FIELDS[0] / "fed" / "cell 1.png").unlink()
    fetch_archive("masks", tmp_path / "out", show_progress=False, keep_archive=True)
    assert (folder / FIELDS[0] / "fed" / "cell 1.png").is_file()
    assert (tmp_path / "out" / "masks.zip").is_file()


def test_what_is_there_of_another_version_is_not_taken_for_this_one(archives, tmp_path, monkeypatch):
    fetch_archive("masks", tmp_path, show_progress=False)
    known = catalogue.ARCHIVES["masks"]
    for later in (dataclasses.replace(known, sha256="0" * 64), dataclasses.replace(known, url=f"{known.url}.v2")):
        monkeypatch.setitem(catalogue.ARCHIVES, "masks", later)
        with pytest.raises(OutputExistsError, match="masks of another version"):
            fetch_archive("masks", tmp_path, show_progress=False)


def test_an_archive_with_another_hash_unpacks_nothing(archives, tmp_path):
    archives.files[MASKS] += b"!"
    with pytest.raises(DownloadError, match="expected SHA-256"):
        fetch_archive("masks", tmp_path, show_progress=False)
    assert names_in(tmp_path) == []


def test_what_is_no_zip_never_gets_the_archives_name(archives, tmp_path):
    archives.files["/downloads/cellular-experiments.zip"] = b"<html>moved</html>"
    with pytest.raises(DownloadError, match="gave a web page"):
        fetch_archive("experiments", tmp_path / "out", show_progress=False)
    archives.files["/downloads/cellular-experiments.zip"] = zipped({"a": b"x" * 999})[:-40]
    with pytest.raises(DownloadError, match="not a whole zip"):
        fetch_archive("experiments", tmp_path / "out", show_progress=False)
    archives.files["/downloads/cellular-experiments.zip"] = zipped({"a/b.csv": b"1,2"})
    assert (fetch_archive("experiments", tmp_path / "out", show_progress=False) / "a" / "b.csv").read_bytes() == b"1,2"


def test_only_fields_with_masks_are_read_out_of_the_remote_archive(archives, tmp_path):
    assert fetch_fields(tmp_path, annotated=True, show_progress=False) == [FIELDS[0], FIELDS[2]]
    wanted = {name: content for name, content in archives.images.items() if "_s10_" not in name}
    assert names_in(tmp_path / "images") == sorted(name.removeprefix("images/") for name in wanted)
    assert all((tmp_path / name).read_bytes() == content for name, content in wanted.items())
    # Two thirds of the archive, the table of contents and a read-ahead per member at most.
    assert archives.sent < 1.1 * sum(map(len, wanted.values())) + 6 * 65536


def test_local_masks_say_which_fields_without_asking(archives, tmp_path):
    (tmp_path / "masks" / FIELDS[1] / "fed").mkdir(parents=True)
    assert fetch_fields(tmp_path, annotated=True, show_progress=False) == [FIELDS[1]]
    assert {path for _, path, _ in archives.requests} == {IMAGES}


def test_patterns_choose_fields(archives, tmp_path):
    assert fetch_fields(tmp_path, ["*_C03_s1"], show_progress=False) == [FIELDS[0]]
    with pytest.raises(InputError, match="No field of images matches"):
        fetch_fields(tmp_path, ["*_A01_*"], show_progress=False)


def test_shards_part_the_fields_and_hold_a_connection_each(archives, tmp_path):
    """Two at once: each field once, by ranges, over no more connections than there are shards."""
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda i: fetch_fields(tmp_path, ["*"], shard=(i, 2), show_progress=False), (1, 2)))
    assert parts == [sorted(FIELDS)[::2], sorted(FIELDS)[1::2]]
    assert all((tmp_path / name).read_bytes() == content for name, content in archives.images.items())
    assert archives.sent < 1.1 * sum(map(len, archives.images.values())) + 2 * 9 * 65536
    assert 1 <= archives.most_at_once <= 2


def test_cut_ranges_are_tried_again_and_whole_members_stay(archives, tmp_path):
    archives.cuts = [10_000] * 4
    archives.statuses = [500, 429]
    fetch_fields(tmp_path, ["*_C03_s1"], show_progress=False)
    assert (tmp_path / "images" / f"{FIELDS[0]}_w2.TIF").read_bytes() == archives.images[f"images/{FIELDS[0]}_w2.TIF"]
    (tmp_path / "images" / f"{FIELDS[0]}_w3.TIF").unlink()
    archives.sent = 0
    fetch_fields(tmp_path, ["*_C03_s1"], show_progress=False)
    assert archives.sent < 300_000  # one member of three


def test_a_server_that_dies_half_way_is_resumed_by_member(archives, tmp_path):
    archives.cuts = [10**9] * 6 + [0] * 12
    with pytest.raises(DownloadError, match="gave up"):
        fetch_fields(tmp_path, ["*"], show_progress=False)
    done = names_in(tmp_path / "images")
    assert 0 < len(done) < 9
    assert not any(".partial" in name for name in done)
    archives.cuts = []
    fetch_fields(tmp_path, ["*"], show_progress=False)
    assert len(names_in(tmp_path / "images")) == 9


def test_servers_without_ranges_or_files_say_so(archives, tmp_path):
    archives.ranges = False
    with pytest.raises(DownloadError, match=r"cannot send parts|range"):
        fetch_fields(tmp_path, ["*"], show_progress=False)
    archives.ranges = True
    del archives.files[IMAGES]
    with pytest.raises(DownloadError, match="404"):
        fetch_fields(tmp_path, ["*"], show_progress=False)
    archives.statuses = [500] * 50
    with pytest.raises(DownloadError, match="500"):
        fetch_fields(tmp_path, ["*"], show_progress=False)


def test_a_zip64_archive_of_more_than_65535_members(mirror, tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(66_000):
            archive.writestr(zipfile.ZipInfo(f"images/Timepoint_001_220518-ST_C03_s{n}_w1.TIF"), os.urandom(64))
    mirror.files[IMAGES] = path
    assert b"PK\x06\x06" in path.read_bytes()[-200:]  # the zip64 end record
    assert fetch_fields(tmp_path / "out", ["*_s65999", "*_s1"], show_progress=False) == [
        "Timepoint_001_220518-ST_C03_s1",
        "Timepoint_001_220518-ST_C03_s65999",
    ]
    assert mirror.sent < path.stat().st_size


@pytest.mark.network
def test_the_real_archive_lists_its_annotated_fields():
    with remote_zip(catalogue.ARCHIVES["masks"]) as (archive, size):
        assert len({name.split("/")[-3] for name in archive.namelist() if name.endswith(".png")}) == 53
        assert size > 10**7
