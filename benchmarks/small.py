"""Small images: what each costs through `cellular segment`, its diameter estimated.

    python -m benchmarks.small [--images FOLDER] [--count 20] [--repeats 3]

The command is run as a user does, on one image and on COUNT of them: the difference is what the others cost, without
reading libraries, models and compiled kernels. Cold is the first run of an installation. Without a folder of images of
nuclei (grey, of 256 px or so), simulated ones are taken.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.plate import run
from cellular.data.formats.images import write_image
from cellular.data.formats.suffixes import IMAGE_SUFFIXES
from cellular.simulate import SimulationSettings, simulate_field

GOAL = 0.3  # s of a quiet core an image
SIDE, DIAMETER = 256, 16  # px, of simulated images and their cells
OPTIONS = ("--model", "nuclei", "--diameter", "auto")


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of small images; simulated ones without")
    parser.add_argument("--count", type=int, default=20, help="how many of them, by name")
    parser.add_argument("--repeats", type=int, default=3, help="warm runs")
    args = parser.parse_args(argv)
    print("\n".join(small_images(args.images, args.count, args.repeats)))


def small_images(source: Path | None = None, count: int = 20, repeats: int = 3) -> list[str]:
    """Lines of Markdown: seconds an image, of the clock and of the processors, cold and warm."""
    with tempfile.TemporaryDirectory() as temporary:
        one, many = Path(temporary) / "one", Path(temporary) / "many"
        count = put_images(many / "images", source, count)
        put_images(one / "images", many / "images", 1)
        if count < 2:
            raise SystemExit(f"{source}: two images or more are needed, {count} found")
        runs = [seconds_each(one, many, count, cold=number == 0) for number in range(1 + repeats)]
    wall, own = (median(taken[k] for taken in runs[1:]) for k in (0, 1))
    what = "images" if source else f"simulated images of {SIDE} px, cells of {DIAMETER} px"
    return [
        f"{count} {what}, `segment {' '.join(OPTIONS)}`; an image is the run of all less that of one.",
        "",
        "| | cold | warm | processor, cold | processor, warm | goal |",
        "|---|---:|---:|---:|---:|---|",
        f"| an image | {runs[0][0]:.2f} s | {wall:.2f} s | {runs[0][1]:.2f} s | {own:.2f} s | "
        f"{GOAL} s of a processor, {'met' if own <= GOAL else 'missed'} |",
    ]


def put_images(folder: Path, source: Path | None, count: int) -> int:
    """Put the first images by name there, or simulated ones; how many they are."""
    folder.mkdir(parents=True)
    if source is None:
        for number in range(count):
            field = simulate_field(SimulationSettings(size_px=SIDE, diameter_px=DIAMETER, seed=number))
            write_image(folder / f"cells_{number:03d}.tif", field.channels[0])
        return count
    found: Sequence[Path] = [path for path in sorted(source.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES][:count]
    for path in found:
        shutil.copy(path, folder)
    return len(found)


def seconds_each(one: Path, many: Path, count: int, cold: bool) -> tuple[float, float]:
    """Seconds of each further image, of the clock and of the processors."""
    first, every = (run("segment", folder, cold, *OPTIONS) for folder in (one, many))
    wall, own = ((b - a) / (count - 1) for a, b in zip(first, every))
    return wall, own


if __name__ == "__main__":
    main()
