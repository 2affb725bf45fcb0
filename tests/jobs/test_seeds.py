"""Nuclei as seeds of cells through `segment` and `analyse`, with networks that see what is bright."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from cellular.cli.main import main
from cellular.segment.model.registry import ModelInfo
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings

ARGUMENTS = ["--diameter", "30", "--channels", "DNA=DAPI", "EGFP=GFP"]


class Bright:
    """Stands in for a network: each connected region over 400; surest where it is brightest."""

    def __init__(self, path, size):
        self.model = type("M", (), {"name": "bright", "info": ModelInfo(), "path": path})
        self.size, self.device = size, type("D", (), {"type": "cpu"})

    def segment(self, pixels, **_):
        plane = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        labels, count = ndimage.label(plane > 400)
        scores = np.full(count, 0.75, np.float32)
        probability = plane.astype(np.float32) if max(plane.shape) < 200 else None
        return type("S", (), {"labels": labels.astype(np.uint16), "scores": scores, "cell_probability": probability})

    def diameter(self, pixels, channels, invert, precision):
        return self.size

    def precision(self, asked, tiling):
        return "float32"


@pytest.fixture
def plate(tmp_path, monkeypatch):
    """A field: two cells that touch at column 40, each with a nucleus; one without; a nucleus by itself."""
    dna, egfp = np.full((64, 120), 200, np.uint16), np.full((64, 120), 200, np.uint16)
    egfp[10:40, 10:70], egfp[10:40, 38:42], egfp[10:40, 80:110] = 900, 600, 900
    dna[20:30, 18:28], dna[20:30, 52:62], dna[50:58, 90:98] = 900, 900, 900
    (tmp_path / "images").mkdir()
    for name, plane in (("DAPI", dna), ("GFP", egfp)):
        tifffile.imwrite(tmp_path / "images" / f"A01_{name}.tif", plane)
    weights = tmp_path / "images" / "A01_GFP.tif"
    made = {"nuclei": Bright(weights, 10.0), "starter": Bright(weights, 30.0)}
    monkeypatch.setattr(Segmenter, "from_pretrained", lambda name, device="auto": made.get(name, name))
    monkeypatch.setattr("cellular.jobs.segment.network_image", lambda image, *_: (image.array(), (0, 0)))
    return tmp_path


def test_segment_parts_what_was_joined_and_names_the_rest(plate, capsys):
    command = ["segment", str(plate / "images"), *ARGUMENTS]
    assert main([*command, "--out", str(plate / "plain")]) == 0
    assert main([*command, "--seeds", "nuclei", "--out", str(plate / "out")]) == 0
    said = capsys.readouterr().out
    assert "2 of them parted by nuclei, 1 without a nucleus" in said
    assert "1 of 3 nuclei in no cell" in said
    plain, labels = (tifffile.imread(plate / name / "A01_masks.tif") for name in ("plain", "out"))
    assert (plain.max(), labels.max()) == (2, 3)
    assert np.array_equal(labels > 0, plain > 0)
    assert labels[25, [12, 36, 44, 68, 90]].tolist() == [1, 1, 3, 3, 2]
    cells = pd.read_csv(plate / "out" / "cells.csv")
    assert cells[["nuclei", "parted"]].to_numpy().tolist() == [[1, True], [0, False], [1, True]]
    assert cells["score"].isna().tolist() == [True, False, True]
    nuclei = pd.read_csv(plate / "out" / "nuclei.csv")
    assert nuclei[["nucleus", "label", "area_px"]].to_numpy().tolist() == [[1, 1, 100], [3, 3, 100], [4, 0, 64]]
    assert not (plate / "plain" / "nuclei.csv").exists()
    assert tifffile.imread(plate / "out" / "A01_nuclei.tif")[25, [20, 55]].tolist() == [1, 3]


def test_analyse_measures_the_parts(plate):
    sizes = ["--min_sigma", "1.4", "--max_sigma", "4", "--overlays", "0"]
    command = ["analyse", str(plate / "images"), *ARGUMENTS, *sizes, "--seeds", "nuclei", "--out", str(plate / "out")]
    assert main(command) == 0
    cells = pd.read_csv(plate / "out" / "cells.csv")
    assert cells["nuclei"].tolist() == [1, 0, 1]
    assert cells["nuclei_flagged"].tolist() == [False, True, False]
    assert cells["nucleus_area"].tolist() == [100, 0, 100]
    outlines = pd.read_csv(plate / "out" / "fields" / "A01" / "outlines.csv")
    assert outlines["parted"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--nuclei", "off"], "--nuclei off"),
        (["--labels", "truth"], "--labels"),
        (["--channels", "marker:x=DAPI", "EGFP=GFP"], "needs DNA"),
    ],
)
def test_seeds_without_nuclei_or_cells_to_part_are_refused(plate, capsys, more, word):
    (plate / "truth").mkdir()
    tifffile.imwrite(plate / "truth" / "A01_masks.tif", np.eye(50, 100, dtype=np.uint16))
    more = [str(plate / name) if name == "truth" else name for name in more]
    command = ["analyse", str(plate / "images"), *ARGUMENTS, "--seeds", "nuclei", *more, "--out", str(plate / "out")]
    assert main(command) == 2
    assert word in capsys.readouterr().err
    assert not (plate / "out").exists()


def test_a_field_in_windows_is_passed_over(plate, capsys):
    for name in ("DAPI", "GFP"):
        path = plate / "images" / f"A01_{name}.tif"
        tifffile.imwrite(path, np.pad(tifffile.imread(path), ((0, 200), (0, 100)), constant_values=200))
    command = ["segment", str(plate / "images"), *ARGUMENTS, "--seeds", "nuclei", "--out", str(plate / "out")]
    assert main(command) == 1
    assert "--window 264" in capsys.readouterr().out


def test_only_nuclei_can_be_seeds():
    with pytest.raises(ValueError, match="seeds is 'nuclei' or None"):
        SegmentSettings(seeds="marks")


@pytest.mark.parametrize("verb", ["segment", "analyse"])
def test_nuclei_are_found_in_the_precision_that_was_asked_for(plate, verb, monkeypatch):
    seen, segment = set(), Bright.segment

    def seeing(network, pixels, **how):
        seen.add((network.size, how["precision"]))
        return segment(network, pixels, **how)

    monkeypatch.setattr(Bright, "segment", seeing)
    monkeypatch.setattr(Bright, "precision", lambda _, asked, tiling: "bfloat16" if asked == "auto" else asked)
    arguments = [*ARGUMENTS, "--seeds", "nuclei", "--precision", "float32", "--out", str(plate / "out")]
    arguments += ["--min_sigma", "1", "--max_sigma", "3"] if verb == "analyse" else []
    assert main([verb, str(plate / "images"), *arguments]) == 0
    assert seen == {(10.0, "float32"), (30.0, "float32")}
