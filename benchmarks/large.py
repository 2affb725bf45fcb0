"""Memory and large images, each segmented in a process of its own.

    python -m benchmarks.large [--side PX] [--window PX] [--only field seams mosaic discs]

- field: one field through the starter model, and the memory it takes.
- seams: 4096 px of a field and its mirror images, in one piece and in stitched windows: are the cells the same?
- mosaic: the same at --side px (20,000 unless told), on disk as an uncompressed TIFF, in windows.
- discs: as large an image of discs, whose number is known, with a stand-in for the network that gives their true
  flows. All must be found, none cut or doubled.
"""

import argparse
import dataclasses
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from scipy.ndimage import label

from benchmarks.environment import ROOT
from benchmarks.fields import load_field
from cellular.errors import WeightsError
from cellular.evaluate.scores import score_field
from cellular.segment import labels_to_flows
from cellular.segment.flows.numba.cells import find_cells
from cellular.segment.image.stitch import windows
from cellular.segment.model.network import build_network
from cellular.segment.model.registry import ModelInfo, load_model, save_model, shipped_path
from cellular.segment.segmenter import OVERLAP_DIAMETERS, Segmenter
from cellular.segment.settings import WINDOW

FIELD_BAR = 1.5  # GB
LARGE_SIDE = 20_000  # px
SEAMS_SIDE, SEAMS_WINDOW = 4096, 2048  # px
RADIUS, PITCH = 14, 50  # px


class TrueFlows(torch.nn.Module):
    """Answers as a perfect network would for bright discs on dark ground."""

    channels, nout, nbase = 2, 3, (2, 4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.diam_mean = torch.nn.Parameter(torch.tensor([30.0]), requires_grad=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = []
        for plane in x[:, 0].numpy():
            inside = plane > 0.5
            outputs.append(np.concatenate([5 * labels_to_flows(label(inside)[0]), np.where(inside, 6, -6)[None]]))
        return torch.from_numpy(np.stack(outputs).astype(np.float32)), torch.ones(len(x), self.nbase[-1])


def write_discs(path: Path, side: int) -> int:
    """An uncompressed TIFF (side, side) uint8 of discs on a grid, band by band; returns how many."""
    image = tifffile.memmap(path, shape=(side, side), dtype=np.uint8)
    y, x = np.ogrid[:PITCH, :PITCH]
    disc = 200 * ((y - PITCH // 2) ** 2 + (x - PITCH // 2) ** 2 <= RADIUS**2)
    count = side // PITCH
    for row in range(count):
        image[row * PITCH : (row + 1) * PITCH, : count * PITCH] = np.tile(disc, count)
    image.flush()
    return count**2


def write_mosaic(path: Path, side: int) -> None:
    """An uncompressed TIFF (side, side, 3) uint8 of a field and its mirror images, so that no cell is cut, in bands."""
    field = load_field().image
    image = tifffile.memmap(path, shape=(side, side, 3), dtype=np.uint8, photometric="rgb")
    height = len(field)
    for row, top in enumerate(range(0, side, height)):
        band = np.pad(field[:: -1 if row % 2 else 1], [(0, 0), (0, side - field.shape[1]), (0, 0)], "symmetric")
        image[top : top + height] = band[: side - top]
    image.flush()


def segment_discs(side: int, window: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "any", build_network(width=4), ModelInfo())
        model = dataclasses.replace(load_model(Path(folder) / "any"), network=TrueFlows())
        drawn = write_discs(Path(folder) / "discs.tif", side)
        image = tifffile.memmap(Path(folder) / "discs.tif", mode="r")
        found = Segmenter(model, "cpu").segment(image, diameter=30, window=window).labels.max()
    if found != drawn:
        raise SystemExit(f"{found} discs found of {drawn}")
    return f"{side} x {side} px of discs in windows of {window} px, network replaced: {found} cells, all there"


def segment_field(side: int, window: int) -> str:
    image = load_field().image
    labels = Segmenter.from_pretrained("starter", "cpu").segment(image).labels
    return f"{image.shape[0]} x {image.shape[1]} px, a field, the starter: {labels.max()} cells"


def segment_mosaic(side: int, window: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        write_mosaic(Path(folder) / "mosaic.tif", side)
        image = tifffile.memmap(Path(folder) / "mosaic.tif", mode="r")
        labels = Segmenter.from_pretrained("starter", "cpu").segment(image, window=window).labels
    return f"{side} x {side} px of mirrored fields in windows of {window} px, the starter: {labels.max()} cells"


def segment_seams(side: int, window: int) -> str:
    """In one piece and in windows; sizes of their own, since the one piece must fit into memory.

    The network answers a little differently when it sees other surroundings, seam or none: what tells of the seams is
    whether more cells change beside them.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_mosaic(Path(folder) / "mosaic.tif", SEAMS_SIDE)
        image = tifffile.imread(Path(folder) / "mosaic.tif")
    segmenter = Segmenter.from_pretrained("starter", "cpu")
    found = segmenter.segment(image, window=SEAMS_SIDE)
    scores = score_field(found.labels, segmenter.segment(image, window=SEAMS_WINDOW).labels)
    same = ~np.isin(scores.true_labels, scores.missed)
    beside = beside_seams(found.labels, found.diameter)[scores.true_labels - 1]
    return (
        f"{SEAMS_SIDE} x {SEAMS_SIDE} px in stitched windows of {SEAMS_WINDOW} px against one piece, the starter: "
        f"{scores.n_predicted} and {scores.n_true} cells, mean IoU of the same ones {scores.panoptic()['sq']:.3f}; "
        f"the same are {same[beside].mean():.1%} of {beside.sum()} cells within a diameter of a seam, "
        f"{same[~beside].mean():.1%} of the others"
    )


def beside_seams(labels: np.ndarray, diameter: float) -> np.ndarray:
    """(N,) bool: cells 1..N whose centre lies within a diameter of where one window's core meets the next."""
    cells = find_cells(labels)
    centres = cells.total / np.maximum(cells.area, 1)[:, None]
    cores = windows(labels.shape, SEAMS_WINDOW, int(np.ceil(OVERLAP_DIAMETERS * diameter)))
    borders = [{core.core_y0 for core in cores} - {0}, {core.core_x0 for core in cores} - {0}]
    return np.any([np.abs(centres[:, axis] - border) < diameter for axis in (0, 1) for border in borders[axis]], axis=0)


def peak_memory() -> float:
    """Most memory (GB) of this process so far. Linux's ru_maxrss would count the process that started it, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


PARTS = {"field": segment_field, "seams": segment_seams, "mosaic": segment_mosaic, "discs": segment_discs}


def large_images(side: int = LARGE_SIDE, window: int = WINDOW) -> list[str]:
    """What each part says of itself, run in a process of its own; discs alone where there is no starter."""
    try:
        shipped_path("starter")
        parts = list(PARTS)
    except WeightsError:
        parts = ["discs"]
    said = []
    for part in parts:
        command = [sys.executable, "-m", "benchmarks.large", "--only", part]
        command += ["--side", str(side), "--window", str(window)]
        said.append(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.strip())
        print(said[-1], flush=True)
    return said


def main(argv: list[str] | None = None) -> None:
    """Run the parts and print what they say of themselves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=LARGE_SIDE)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--only", choices=PARTS, help="in this process")
    args = parser.parse_args(argv)
    if args.only is None:
        large_images(args.side, args.window)
        return
    start = time.perf_counter()
    said = PARTS[args.only](args.side, args.window)
    peak = peak_memory()
    bar = f" (bar {FIELD_BAR} GB: {'met' if peak <= FIELD_BAR else 'missed'})" if args.only == "field" else ""
    seconds, processor = time.perf_counter() - start, time.process_time()
    print(f"{said}; {seconds:.0f} s ({processor:.0f} s of processor time), peak {peak:.2f} GB{bar}")


if __name__ == "__main__":
    main()
