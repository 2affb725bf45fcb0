import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellular.cli.main import main

ROOT = Path(__file__).parents[2]
FIELDS = ("Timepoint_001_220518-ST_C05_s1", "Timepoint_001_220518-ST_I06_s1", "Timepoint_001_220518-ST_C03_s1")


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "my data"
    (root / "images-color").mkdir(parents=True)
    for field in FIELDS:
        cv2.imwrite(str(root / "images-color" / f"{field}.jpg"), np.full((20, 30, 3), 50, np.uint8))
        folder = root / "masks" / field / "fed"
        folder.mkdir(parents=True)
        mask = np.zeros((20, 30, 3), np.uint8)
        mask[3:9, 4:15] = (10, 20, 200)
        cv2.imwrite(str(folder / "cell_1.png"), mask)
    return root


def test_published_flags(dataset, tmp_path, capsys):
    images = dataset / "images-color"
    moved = images.rename(tmp_path / "pictures")
    argv = ["-i", dataset / "masks", "-o", tmp_path / "out", "-c", moved, "-v", "ST_I06", "-t", "ST_C03", "-f", "tif"]
    assert main(["prepare", *map(str, argv)]) == 0
    printed = capsys.readouterr().out
    assert "fields: 1 train, 1 valid, 1 test" in printed
    assert "3 fed" in printed
    assert (tmp_path / "out" / "fed" / "test" / f"{FIELDS[2]}_masks.tif").is_file()


def test_exit_code_and_message_for_problems(dataset, tmp_path, capsys):
    bad = dataset / "masks" / FIELDS[0] / "fed" / "cell_2.png"
    bad.write_bytes(b"")
    argv = ["prepare", "--input-path", str(dataset), "--output-dir", str(tmp_path / "out")]
    assert main(argv) == 1
    assert f"problem: {bad} is empty (0 bytes)" in capsys.readouterr().out
    assert main([*argv[:-1], str(tmp_path / "strict"), "--strict"]) == 2
    assert "cell_2.png" in capsys.readouterr().err


def test_errors_are_one_line(dataset, tmp_path, capsys):
    assert main(["prepare", "-i", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out")]) == 2
    assert "cellular prepare: error: No such folder" in capsys.readouterr().err
    assert main(["prepare", "-i", str(dataset), "-o", str(dataset)]) == 2
    assert "holds something else already" in capsys.readouterr().err


def test_split_overlap_and_excluded_classes(dataset, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": list(FIELDS[:2]), "test": [FIELDS[2]]}))
    argv = ["prepare", "-i", dataset, "-o", tmp_path / "out", "--split", tmp_path / "split.json", "--overlap", "first"]
    assert main([*map(str, argv), "--exclude_class", "dead", "blurred"]) == 1  # there are no such classes
    settings = json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]
    assert settings["exclude"] == ["blurred", "dead"]
    assert settings["overlap"] == "first"
    assert len(settings["split"]["train"]) == 2


def test_published_script_is_the_same_command(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", "-i", str(dataset), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "prepare_data.py"), run_name="__main__")
    assert stopped.value.code == 0
    assert (tmp_path / "out" / "cells.csv").is_file()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals to a child need POSIX")
def test_killed_run_leaves_nothing_that_looks_whole(dataset, tmp_path):
    """A process killed while it writes (here: at its second label image) is taken up by the next run."""
    script = (
        "import os, signal, sys\n"
        "from cellular.cli.main import main\n"
        "import cellular.jobs.prepare_field\n"
        "module, calls = sys.modules['cellular.jobs.prepare_field'], []\n"
        "real = module.write_labels\n"
        "def write(path, labels):\n"
        "    calls.append(path)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(path, labels)\n"
        "module.write_labels = write\n"
        f"main(['prepare', '-i', {str(dataset)!r}, '-o', {str(tmp_path / 'out')!r}])\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == -9
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert main(["prepare", "-i", str(dataset), "-o", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out" / "all").rglob("*_masks.png"))) == 3
