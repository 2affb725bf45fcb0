"""Memory: one field, and an image too large for one piece, each segmented in a process of its own.

    python -m benchmarks.large [--side PX] [--window PX]

The field goes through the starter model. The large image (20,000 px a side unless told) lies on disk as an
uncompressed TIFF of discs, and a stand-in for the network gives their true flows: what is measured is the windows, the
stitching and the memory, and how many discs come out is known.
"""

import argparse
import dataclasses
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

from benchmarks.fields import load_field
from cellular.errors import WeightsError
from cellular.segment import labels_to_flows
from cellular.segment.models import ModelInfo, load_model, save_model
from cellular.segment.network import build_network
from cellular.segment.segmenter import WINDOW, Segmenter

FIELD_BAR = 1.5  # GB
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


def segment_discs(side: int, window: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "any", build_network(width=4), ModelInfo())
        model = dataclasses.replace(load_model(Path(folder) / "any"), network=TrueFlows())
        drawn = write_discs(Path(folder) / "discs.tif", side)
        image = tifffile.memmap(Path(folder) / "discs.tif", mode="r")
        found = Segmenter(model, "cpu").segment(image, diameter=30, window=window).labels.max()
    if found != drawn:
        raise SystemExit(f"{found} discs found of {drawn}")
    return f"{side} x {side} px in windows of {window} px, network replaced: {found} cells, all there"


def segment_field() -> str:
    try:
        segmenter = Segmenter.from_pretrained("starter", "cpu")
    except WeightsError as error:
        return f"no field: {error}"
    image = load_field().image
    return f"{image.shape[0]} x {image.shape[1]} px, the starter: {segmenter.segment(image).labels.max()} cells"


def main(argv: list[str] | None = None) -> None:
    """Run both in processes of their own and print what they say of themselves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--only", choices=("field", "discs"), help="in this process")
    args = parser.parse_args(argv)
    if args.only is None:
        sizes = ["--side", str(args.side), "--window", str(args.window)]
        for part in ("field", "discs"):
            command = [sys.executable, "-m", "benchmarks.large", *sizes, "--only", part]
            print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        return
    start = time.perf_counter()
    said = segment_field() if args.only == "field" else segment_discs(args.side, args.window)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    bar = f" (bar {FIELD_BAR} GB: {'met' if peak <= FIELD_BAR else 'missed'})" if args.only == "field" else ""
    print(f"{said}; {time.perf_counter() - start:.0f} s, peak {peak:.2f} GB{bar}")


if __name__ == "__main__":
    main()
