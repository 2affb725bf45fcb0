"""Whether a whole plate costs what its fields cost: `cellular analyse` on 390, 1,560 and 6,240 tiny fields.

    python -m benchmarks.scale [--sizes N ...] [--folder DIR]

Fields of 64 px with outlines given, so that no network runs and what is left is all that grows with their number:
finding, resuming, joining, tracking, statistics and the page. Each run is a process of its own. Processor time and the
most memory that it held are written to docs/performance_scale.csv and drawn in docs/images/scale.svg.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.environment import ROOT
from cellular.data.formats.images import write_image, write_labels
from cellular.simulate import SimulationSettings
from cellular.simulate.field import simulate_series

# A plate of one day: 26 wells of 3 sites at 5 timepoints; the archive has 16 times as many fields.
WELLS = [f"{row}{column:02d}" for row in "CI" for column in range(3, 16)]
SITES, TIMES = 3, 5
PLATE = len(WELLS) * SITES * TIMES
SIZES = (PLATE, 4 * PLATE, 16 * PLATE)
# Positions that are simulated; the others are copies of these.
KINDS = 24
TABLE, FIGURE = ROOT / "docs" / "performance_scale.csv", ROOT / "docs" / "images" / "scale.svg"


def main(argv: list[str] | None = None) -> None:
    """Run every size, write the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help=f"fields, in multiples of {PLATE}")
    parser.add_argument("--folder", type=Path, help="where images and results go; a temporary folder by default")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        table = pd.DataFrame([measure(folder, fields) for fields in args.sizes])
    print(table.to_string(index=False))
    table.to_csv(TABLE, index=False)
    draw(table)


def measure(folder: Path, fields: int) -> dict[str, float]:
    """Make a folder of so many fields and analyse it: seconds, of the processor and of the clock, and peak memory."""
    plate, out = folder / f"plate{fields}", folder / f"out{fields}"
    if not plate.is_dir():
        make_plate(plate, fields)
    command = [sys.executable, "-m", "benchmarks.scale", "--sizes", "0"]
    told = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "SCALE_RUN": json.dumps([str(plate), str(out)])},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return {"fields": fields, **json.loads(told.splitlines()[-1])}


def make_plate(folder: Path, fields: int) -> None:
    """Write images and label images of `fields` fields by the archive's names."""
    settings = SimulationSettings(
        fields=KINDS, timepoints=TIMES, size_px=64, diameter_px=20, cells_per_field=4, division_rate=0
    )
    kinds = [list(simulate_series(settings, position)) for position in range(KINDS)]
    positions = [(day, well, site) for day in range(fields // PLATE) for well in WELLS for site in range(1, SITES + 1)]
    rng = np.random.default_rng(0)
    for day, well, site in positions:
        frames = kinds[rng.integers(KINDS)]
        for time_, field in enumerate(frames, 1):
            name = f"Timepoint_{time_:03d}_2205{day + 1:02d}-ST_{well}_s{site}"
            for channel, image in enumerate(field.channels[:2], 1):
                write_image(folder / "images" / f"{name}_w{channel}.TIF", image)
            write_labels(folder / "labels" / f"{name}_labels.tif", field.labels())


def analyse_here(plate: Path, out: Path) -> None:
    """Analyse in this process; print what it took as the last line."""
    from cellular.cli.main import main as cellular

    begun = time.perf_counter()
    code = cellular(
        ["analyse", str(plate / "images"), "--labels", str(plate / "labels"), "--out", str(out), "--workers", "1"]
    )
    if code:
        raise SystemExit(code)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "processor_s": round(used.ru_utime + used.ru_stime, 1),
                "wall_s": round(time.perf_counter() - begun, 1),
                "peak_mb": round(used.ru_maxrss / 1000),
            }
        )
    )


def draw(table: pd.DataFrame) -> None:
    """Draw seconds and memory over the number of fields."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.plot(table["fields"], table["processor_s"], "o-")
    left.set(xlabel="fields", ylabel="processor time (s)", xlim=(0, 1.08 * table["fields"].max()))
    right.plot(table["fields"], table["peak_mb"], "o-", color="C1")
    right.set(xlabel="fields", ylabel="peak memory (MB)", xlim=(0, 1.08 * table["fields"].max()))
    for axes, column in ((left, "processor_s"), (right, "peak_mb")):
        axes.set_ylim(0, 1.08 * table[column].max())  # the last point whole
    figure.tight_layout()
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE)


if __name__ == "__main__":
    if "SCALE_RUN" in os.environ:
        analyse_here(*map(Path, json.loads(os.environ["SCALE_RUN"])))
    else:
        main()
