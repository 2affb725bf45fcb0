"""`cellular analyse` prints what happened and returns 1 where a field was passed over."""

import sys

import numpy as np
import pytest

from cellular.cli.main import main
from cellular.data.formats.images import write_image, write_labels


@pytest.fixture
def plate(tmp_path):
    """Two CELLULAR fields of two cells."""
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 40), np.uint16)
    labels[4:14, 4:14], labels[20:36, 20:36] = 1, 2
    for well in ("C03", "I04"):
        name = f"Timepoint_001_220518-ST_{well}_s1"
        colours = rng.normal(60, 4, (40, 40, 3)) + 60 * (labels > 0)[..., None] * (1, 1, 0)
        write_image(tmp_path / "images" / f"{name}.png", colours.clip(0, 255).astype(np.uint8))
        write_labels(tmp_path / "labels" / f"{name}_masks.tif", labels)
    return tmp_path


def arguments(plate, out="out"):
    return ["analyse", str(plate / "images"), "--labels", str(plate / "labels"), "--out", str(plate / out)]


def test_a_plate_becomes_a_report(plate, capsys):
    assert main(arguments(plate)) == 0
    printed = capsys.readouterr().out
    assert "4 cells in 2 fields" in printed
    assert "no p-value" in printed
    assert (plate / "out" / "report.html").is_file()


def test_a_bad_field_gives_exit_code_one(plate, capsys):
    (plate / "images" / "Timepoint_001_220518-ST_I04_s1.png").write_bytes(b"torn")
    assert main(arguments(plate)) == 1
    printed = capsys.readouterr().out
    assert "passed over Timepoint_001_220518-ST_I04_s1" in printed
    assert "no comparison: Only one treatment, 'fed'" in printed


def test_a_missing_folder_gives_exit_code_two(plate, capsys):
    assert main(["analyse", str(plate / "nowhere"), "--out", str(plate / "o")]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "extra"), [("ome_zarr", "zarr"), ("anndata", "anndata")])
def test_stores_that_cannot_be_written_are_refused_before_the_work(plate, capsys, monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    assert main([*arguments(plate), "--ome_zarr"]) == 2
    assert f"pip install 'cellular[{extra}]'" in capsys.readouterr().err
    assert not (plate / "out").exists()
