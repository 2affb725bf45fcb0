"""What `cellular stats` takes for millions of cells: seconds, peak memory and where that peak is.

    python -m benchmarks.cells [--cells 2000000] [--folder DIR]

The table is of random numbers, 67 columns as `measure` writes them, in 2,000 images of 100 wells of four days. The
digests of the results are printed, to be compared between two versions of the program.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.environment import ROOT
from cellular.autophagy.measure.columns import CELLS
from cellular.files import sha256_of
from cellular.tables import write_table

DAYS, ROWS, COLUMNS, SITES, TIMES = 4, "CDIJK", 5, 4, 5  # 100 wells of 20 images
# Further channels, until there are 67 columns.
MARKERS = [f"{name}__{role}" for role in ("DNA", "TFEB", "LAMP1") for name in ("mean", "median", "upper", "deviation")]
RESULTS = ("effects.csv", "units.csv", "over_time.csv", "wells.csv", "place_effects.csv", "map_pca.csv")
GIGABYTE = 1e9


def main(argv: list[str] | None = None) -> None:
    """Make the table, compare it in a process of its own and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where tables and results go; a temporary folder by default")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "cells.parquet").is_file():
            write_table(folder, "cells", cells(args.cells))
        command = [sys.executable, "-c", "import sys; from benchmarks.cells import compare; compare(*sys.argv[1:])"]
        subprocess.run([*command, folder / "cells.parquet", folder / "stats"], cwd=ROOT, check=True)
        for name in RESULTS:
            print(f"{sha256_of(folder / 'stats' / name)}  {name}")


def cells(number: int) -> Iterator[pa.Table]:
    """Cells of one image after the other."""
    rng = np.random.default_rng(0)
    wells = [(day, f"{row}{column:02d}") for day in range(DAYS) for row in ROWS for column in range(3, 3 + COLUMNS)]
    each = number // (len(wells) * SITES * TIMES)
    for day, well in wells:
        # what the day, the well and the treatment add, in standard deviations of cells
        shift = rng.normal(0, 0.2) + 0.3 * (well[0] in "IJK")
        for site in range(1, SITES + 1):
            for timepoint in range(1, TIMES + 1):
                about = {"plate": "ST", "well": well, "site": site, "timepoint": timepoint}
                about["treatment"] = "starved" if well[0] in "IJK" else "fed"
                field = f"Timepoint_{timepoint:03d}_2205{18 + day}-ST_{well}_s{site}"
                own = {"field": field, "label": np.arange(1, each + 1), **about}
                yield pa.Table.from_pandas(pd.DataFrame(own | measured(rng, each, shift)), preserve_index=False)


def measured(rng: np.random.Generator, number: int, shift: float) -> dict[str, np.ndarray]:
    """Random measurements of `number` cells, of the types that they have."""
    columns = {}
    for name in [*list(CELLS)[2:], *MARKERS, *(f"further_{k}" for k in range(9))]:
        values = rng.normal(shift, 1, number)
        kind = CELLS[name].dtype if name in CELLS else "float64"
        columns[name] = values if kind == "float64" else (values > 2 if kind == "bool" else (3 * values**2).astype(int))
    return columns


def compare(cells: str, out: str) -> None:
    """Run `stats` here; print the stages whose memory exceeds all before, and what the whole took."""
    from cellular.cli.main import main as cellular

    begun, done, grown = time.perf_counter(), Event(), {}
    watch = Thread(target=_watch, args=(done, grown), daemon=True)
    watch.start()
    code = cellular(["stats", cells, "--out", out])
    done.set()
    watch.join()
    if code:
        raise SystemExit(code)
    for where, peak in grown.items():
        print(f"{peak / GIGABYTE:6.2f} GB  {where}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{time.perf_counter() - begun:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time, "
        f"peak {used.ru_maxrss * 1024 / GIGABYTE:.2f} GB"
    )


def _watch(done: Event, grown: dict[str, int]) -> None:
    """Note the resident memory by the place in the program, where it is more than before."""
    main = sys.modules["threading"].main_thread().ident
    most, page = 0, os.sysconf("SC_PAGE_SIZE")
    while not done.wait(0.02):
        now = int(Path("/proc/self/statm").read_text().split()[1]) * page
        if now > most + 2e7:
            most = now
            frame, places = sys._current_frames()[main], []
            while frame:
                code = frame.f_code
                if "cellular" in code.co_filename and "cli" not in code.co_filename:
                    places.append(f"{Path(code.co_filename).stem}.{code.co_name}:{frame.f_lineno}")
                frame = frame.f_back
            where = " < ".join(places[:4])
            grown.pop(where, None)  # in order of memory
            grown[where] = now


if __name__ == "__main__":
    main()
