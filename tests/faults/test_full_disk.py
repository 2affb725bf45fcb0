"""A disk with too little room: one clear line, nothing half-written, and a rerun with room mends it."""

import os
import subprocess

import pytest
from verbs import NOT_HERE, commands, make_inputs

from cellular.cli.main import EXIT_ERROR, main
from cellular.files import PARTIAL

SIZES_KIB = (8, 40, 120, 400, 1000)
# Room for everything; a training keeps three copies of a model of 26 MB.
ROOM_KIB = 400_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_inputs(folder)
    return folder


@pytest.fixture
def disk(tmp_path):
    """A function that makes a small disk of so many KiB, or makes the one that is there larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(kib):
        again = "remount," if os.path.ismount(folder) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}size={kib}k", "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk can only be mounted by root")
        return folder

    yield sized
    if os.path.ismount(folder):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_then_mend(name, made, disk, kib, capsys):
    """Whether the disk was too small; the command said so, left nothing half-written, and went well with more room."""
    out = disk(kib)
    argv = [str(word) for word in commands(made, out)[name]]
    code = main(argv)
    said = capsys.readouterr().err
    if code == 0:
        return False
    assert code == EXIT_ERROR, said
    assert f"cellular {argv[0]}: error: " in said
    assert "cannot be written: " in said
    assert list(out.rglob(f"{PARTIAL}*")) == []
    disk(ROOM_KIB)
    resume = ["--resume"] if (out / "e" / "checkpoint.pt").exists() else []
    assert main([*argv, *resume]) == 0
    return True


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("simulate", 8),
        ("prepare", 40),
        ("export hdf5", 4),
        ("export ome-zarr", 8),
        ("measure anndata", 208),
        ("track", 40),
    ],
)
def test_a_full_disk(name, kib, made, disk, capsys):
    if name in NOT_HERE:
        pytest.skip("needs Python 3.11")
    assert fill_then_mend(name, made, disk, kib, capsys)


@pytest.mark.long
@pytest.mark.parametrize("kib", SIZES_KIB)
@pytest.mark.parametrize("name", [name for name in commands("", "") if name not in NOT_HERE])
def test_a_disk_of_any_size(name, kib, made, disk, capsys):
    fill_then_mend(name, made, disk, kib, capsys)


def test_simulate_fills_a_disk_that_is_mounted_there_and_fails_without_a_trace(made, disk, capsys):
    out = disk(8)
    argv = [str(word) for word in commands(made, out)["simulate"]]
    assert main(argv) == EXIT_ERROR
    assert list(out.iterdir()) == []
    disk(ROOM_KIB)
    assert main(argv) == 0
    assert sorted(path.name for path in out.iterdir()) == ["images", "images-color", "masks", "truth"]
    assert main(argv) == EXIT_ERROR
    assert "not an empty folder" in capsys.readouterr().err
