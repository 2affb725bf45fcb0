"""Masks to a label image: the published way against ours, on the same files in the same run.

    python -m benchmarks.prepare [MASKS] [--files N] [--repeats N]

MASKS is a folder of `<field>/<class>/*.png`; without it, full-size masks of simulated outlines are made. The
published way decodes each mask with OpenCV and paints it through `np.where`, in one process.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from cellular.data.masks.combine import LabelCanvas
from cellular.data.masks.mask_png import read_mask

SIDE = 2048  # px, as in CELLULAR
BAR = 12.0

Fields = list[list[Path]]


def published(fields: Fields) -> list[np.ndarray]:
    """OpenCV, `np.where`, one field after the other."""
    images = []
    for masks in fields:
        labels = None
        for number, path in enumerate(masks, start=1):
            mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if labels is None:
                labels = np.zeros(mask.shape, np.uint16)
            labels[np.where(mask > 0)] = number
        images.append(labels)
    return images


def ours_one(masks: list[Path]) -> np.ndarray:
    """The masks of one field through the fast decoder, as `prepare` does it."""
    first = read_mask(masks[0])
    canvas = LabelCanvas(first.shape)
    canvas.add(first)
    for path in masks[1:]:
        canvas.add(read_mask(path, first.shape))
    return canvas.labels


def ours(fields: Fields, workers: int) -> list[np.ndarray]:
    """Fields on `workers` threads."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(ours_one, fields))


def make_masks(folder: Path, fields: int = 4, cells: int = 40) -> None:
    """Full-size masks of ellipses, as the archive's: black, one coloured cell of some 130 px."""
    rng = np.random.default_rng(0)
    for field in range(fields):
        for cell in range(cells):
            mask = np.zeros((SIDE, SIDE, 3), np.uint8)
            centre, axes = rng.integers(0, SIDE, 2), rng.integers(45, 90, 2)
            cv2.ellipse(mask, centre.tolist(), axes.tolist(), int(rng.integers(180)), 0, 360, [90, 200, 60], -1)
            path = folder / f"field_{field}" / "fed" / f"{cell}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), mask)


def choose(folder: Path, files: int, fields: int = 4) -> Fields:
    """About `files` masks, equally many of each of the first fields."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())[:fields]
    return [sorted(field.glob("*/*.png"))[: max(files // fields, 1)] for field in folders]


def timed(work, *args: object) -> tuple[float, float]:
    """Seconds on the clock and on the processors: on a busy machine the second is the steadier one."""
    clock, processor = time.perf_counter(), time.process_time()
    work(*args)
    return time.perf_counter() - clock, time.process_time() - processor


def compare(fields: Fields, repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds of each way (clock, processor), medians of interleaved repeats, after both gave the same label images."""
    workers = os.cpu_count() or 1
    cv2.setNumThreads(1)
    for ours_labels, published_labels in zip(ours(fields, workers), published(fields), strict=True):
        if not np.array_equal(ours_labels, published_labels):
            raise SystemExit("the two ways disagree: no timing is worth anything")
    ways = {
        "published (OpenCV + np.where)": lambda: timed(published, fields),
        "ours, 1 thread": lambda: timed(ours, fields, 1),
        f"ours, {workers} threads": lambda: timed(ours, fields, workers),
    }
    rounds = [{name: way() for name, way in ways.items()} for _ in range(repeats)]
    return {name: tuple(median(seconds[name][k] for seconds in rounds) for k in (0, 1)) for name in ways}


def main(argv: list[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("masks", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        if args.masks is None:
            make_masks(Path(scratch))
        fields = choose(args.masks or Path(scratch), args.files)
        seconds = compare(fields, args.repeats)
    files = sum(map(len, fields))
    base, base_processor = next(iter(seconds.values()))
    print(f"{files} full-field masks of {len(fields)} fields; label images identical")
    for name, (taken, processor) in seconds.items():
        print(
            f"{name:30} {1e3 * taken / files:7.2f} ms/mask {files / taken:7.1f} masks/s {base / taken:5.1f} x"
            f"   processor {1e3 * processor / files:6.2f} ms/mask {base_processor / processor:5.1f} x"
        )
    best = base / min(clock for clock, _ in seconds.values())
    print(f"bar {BAR:.0f} x on the clock: {'met' if best >= BAR else 'missed'} ({best:.1f} x)")


if __name__ == "__main__":
    main()
