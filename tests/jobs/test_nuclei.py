"""Nuclei, and plates without mRFP, through `measure`."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from cellular.cli.main import main
from cellular.data.find import find_plate
from cellular.jobs import nuclei as job
from cellular.segment.model.registry import ModelInfo
from cellular.segment.segmenter import Segmenter


@pytest.fixture
def plate(tmp_path):
    """Two fields of a cell with a nucleus, of one without: images, and label images of cells and nuclei."""
    rng = np.random.default_rng(3)
    cells, nuclei = np.zeros((96, 96), np.uint16), np.zeros((96, 96), np.uint16)
    cells[8:40, 8:40], cells[56:88, 56:88] = 1, 2
    nuclei[16:28, 16:28] = 7
    for name in ("A01", "A02"):
        for channel, place in (("DAPI", nuclei), ("EGFP", cells)):
            plane = rng.normal(200, 5, cells.shape) + 400 * (place > 0)
            (tmp_path / "images").mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / "images" / f"{name}_{channel}.tif", plane.round().astype(np.uint16))
        (tmp_path / "labels").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "labels" / f"{name}_masks.tif", cells)
        tifffile.imwrite(tmp_path / "labels" / f"{name}_nuclei.tif", nuclei)
    return tmp_path


def measured(plate, *more):
    command = ["measure", str(plate / "images"), str(plate / "labels"), "--out", str(plate / "out")]
    return main([*command, "--min_sigma", "1.4", "--max_sigma", "4", *more])


def test_nuclei_beside_the_cells_are_taken_and_numbered_with_them(plate, capsys):
    assert measured(plate) == 0
    assert "4 cells" in capsys.readouterr().out
    cells = pd.read_csv(plate / "out" / "cells.csv")
    assert cells["nuclei"].tolist() == [1, 0, 1, 0]
    assert cells["nuclei_flagged"].tolist() == [False, True, False, True]
    assert cells["nucleus_area"].tolist() == [144, 0, 144, 0]
    assert np.unique(tifffile.imread(plate / "out" / "labels" / "A01_nuclei.tif")).tolist() == [0, 1]
    table = pd.read_csv(plate / "out" / "nuclei.csv")
    assert table[["nucleus", "label"]].to_numpy().tolist() == [[1, 1], [1, 1]]
    assert "puncta__EGFP" in cells
    assert "red_only_fraction" not in cells
    known = pd.read_csv(plate / "out" / "columns.csv")
    assert set(cells) <= set(known.loc[known["table"] == "cells", "column"])
    (plate / "out" / "labels" / "A02_nuclei.tif").unlink()
    assert measured(plate) == 0
    assert (plate / "out" / "labels" / "A02_nuclei.tif").is_file()


def test_nuclei_can_be_left_out_or_come_from_elsewhere(plate):
    assert measured(plate, "--nuclei", "off") == 0
    assert "nuclei" not in pd.read_csv(plate / "out" / "cells.csv")
    other = plate / "other"
    other.mkdir()
    tifffile.imwrite(other / "A01.tif", np.full((96, 96), 1, np.uint16))
    command = ["measure", str(plate / "images"), str(plate / "labels"), "--out", str(plate / "out2")]
    assert main([*command, "--min_sigma", "1.4", "--max_sigma", "4", "--nuclei", str(other)]) == 0
    images = pd.read_csv(plate / "out2" / "images.csv").set_index("field")
    assert images.loc["A01", "nuclei_without_cell"] == 1
    assert np.isnan(images.loc["A02", "nuclei_found"])


def test_a_folder_without_nuclei_is_refused_with_nothing_written(plate, capsys):
    (plate / "empty").mkdir()
    assert measured(plate, "--nuclei", str(plate / "empty")) == 2
    assert "no label image" in capsys.readouterr().err
    assert not (plate / "out").exists()


def test_a_channel_that_nobody_named_may_be_the_reporter(plate, capsys):
    for path in sorted((plate / "images").glob("*_DAPI.tif")):
        path.rename(path.with_name(path.name.replace("DAPI", "w5")))
    for path in sorted((plate / "images").glob("*_EGFP.tif")):
        path.rename(path.with_name(path.name.replace("EGFP", "w2")))
    assert measured(plate, "--channels", "EGFP=w2") == 2
    message = capsys.readouterr().err
    assert "mRFP" in message
    assert "--reporter none" in message
    assert not (plate / "out").exists()
    assert measured(plate, "--channels", "EGFP=w2", "--reporter", "none") == 0


def test_the_model_sees_dna_alone_at_one_diameter_for_the_plate(plate, monkeypatch):
    class Classical:
        """Stands in for the network: what is brighter than half of the brightest."""

        model = type("M", (), {"name": "bright", "info": ModelInfo(), "path": plate / "images" / "A01_DAPI.tif"})

        def segment(self, pixels, diameter, **_):
            assert (pixels.shape, diameter) == ((96, 96), 12.0)
            return type("S", (), {"labels": (pixels > 400).astype(np.uint16)})

        def diameter(self, pixels, channels, invert, precision):
            return 12.0

        def precision(self, asked, tiling):
            return "float32"

    monkeypatch.setattr(Segmenter, "from_pretrained", lambda name, device="auto": Classical())
    monkeypatch.setattr("cellular.jobs.segment.network_image", lambda image, *_: (image.array(), (0, 0)))
    for path in (plate / "labels").glob("*_nuclei.tif"):
        path.unlink()
    assert measured(plate) == 0
    assert pd.read_csv(plate / "out" / "cells.csv")["nucleus_area"].tolist() == [144, 0, 144, 0]


def test_no_dna_no_nuclei(plate):
    found = find_plate(plate / "images", channels=["marker:a=DAPI"])
    assert job.nuclei_source(found, "auto", plate / "labels") is None
