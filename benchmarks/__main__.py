"""Ours against Cellpose 3.1.1.3, side by side in one run; writes docs/performance.md.

    python -m benchmarks [--repeats N] [--side PX] [--only ROW ...] [--devices NAME ...] [--simulated]

Makes the peer's environment where it is missing; CELLULAR_PEER_PYTHON names another Python that has the peer, and
CELLULAR_BENCH_DATA another folder with images-color and boxes. Results are compared before anything is reported: a
row whose results do not agree, or that fails, is left out and named at the end, with an exit status of 1. Times are
medians after a first call, which is shown by itself.
"""

import argparse
import os
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.environment import HERE, PEER_PYTHON, ROOT, commit, ensure_peer, machine, versions
from benchmarks.fields import SIDE, Field, load_field
from benchmarks.large import LARGE_SIDE, large_images
from benchmarks.plate import throughput
from benchmarks.rows import Disagreement, Inputs, Row, rows
from benchmarks.small import small_images

REPORT = ROOT / "docs" / "performance.md"
# What stands below this line in the report is written by hand, from benchmarks that are run by themselves, and kept.
KEPT = "## A whole plate, and tables of millions"


class Timed(NamedTuple):
    """One row's outcome: seconds of ours (the first call, and the median of those after it) and of the peer's (median,
    None without a peer), and how the results agree.
    """

    row: Row
    first: float
    ours: float
    peer: float | None
    agreement: str


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="of every timing; the median counts")
    parser.add_argument("--peer_repeats", "--peer-repeats", type=int, help="of the peer's, which takes minutes a field")
    parser.add_argument("--side", type=int, default=SIDE, help="side of the field in px; less for a quick look")
    parser.add_argument("--only", nargs="+", default=None, help="names of rows; then no large images either")
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="all that this machine has, if left out")
    parser.add_argument("--large-side", type=int, default=LARGE_SIDE, help="side of the large image in px")
    parser.add_argument("--simulated", action="store_true", help="take a simulated field though a real one is there")
    parser.add_argument("--out", type=Path, default=REPORT, help="the report")
    args = parser.parse_args(argv)
    ensure_peer()
    field = load_field(args.side, args.simulated)
    tables, failed = [], []
    for device in args.devices or (("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)):
        with tempfile.TemporaryDirectory() as folder:
            inputs = Inputs(field, Path(folder), device)
            chosen = [row for row in rows(inputs) if args.only is None or row.name in args.only]
            timed, left_out = measure(chosen, inputs, args.repeats, args.peer_repeats or args.repeats)
            tables.append((device, timed))
            failed += left_out
    memory = None if args.only else large_images(args.large_side)
    plate = None if args.only else throughput(repeats=args.repeats, simulated=args.simulated)
    small = None if args.only else small_images(repeats=args.repeats)
    text = report(field, tables, memory, plate, small, (args.repeats, args.peer_repeats or args.repeats))
    print(text)
    _, line, kept = args.out.read_text().partition(KEPT) if args.out.is_file() else ("", "", "")
    text += f"\n{line}{kept}" if line else ""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    if failed:
        raise SystemExit("left out: " + "; ".join(failed))


def measure(chosen: list[Row], inputs: Inputs, repeats: int, peer_repeats: int) -> tuple[list[Timed], list[str]]:
    """Run the peer, then ours, row by row; compare. The rows' medians, and what went wrong with those left out."""
    inputs.save()
    timed, failed = [], []
    # On a GPU rows take less than the peer's start: there one process does them all.
    if inputs.device != "cpu":
        start_peer([row.name for row in chosen if row.peer and row.theirs is None], inputs, peer_repeats)
    for row in chosen:
        try:
            theirs = run_peer(row, inputs, peer_repeats)
            first, result = timing(row.ours)
            seconds = [timing(row.ours)[0] for _ in range(repeats)]
            agreement = row.agree(result, theirs)
        except Exception as error:
            if not isinstance(error, Disagreement):
                traceback.print_exc()
            failed.append(f"{row.name} ({inputs.device}): {error}")
            continue
        peer = float(np.median(theirs["seconds"])) if row.peer else None
        timed.append(Timed(row, first, median(seconds), peer, agreement))
        print(f"{row.name}: {timed[-1].ours:.3g} s, first {first:.3g} s, peer {peer} s, {agreement}", flush=True)
    return timed, failed


def run_peer(row: Row, inputs: Inputs, repeats: int) -> dict:
    """What the row's peer makes of the inputs, and its `seconds`; nothing where it has none."""
    if row.peer is None:
        return {}
    if row.theirs is not None:
        result = row.theirs()
        return {"seconds": [timing(row.theirs)[0] for _ in range(repeats)], **result}
    if inputs.device == "cpu":
        start_peer([row.name], inputs, repeats)
    return dict(np.load(inputs.folder / f"{row.name}.npz"))


def start_peer(tasks: list[str], inputs: Inputs, repeats: int) -> None:
    """Let the peer do the tasks; it says what fails and leaves no result of it."""
    command = [PEER_PYTHON, "-W", "ignore", HERE / "peer.py", inputs.folder, repeats, inputs.device, *tasks]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def timing(work: Callable[[], object]) -> tuple[float, object]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def report(
    field: Field,
    tables: list[tuple[str, list[Timed]]],
    memory: list[str] | None,
    plate: list[str] | None,
    small: list[str] | None,
    repeats: tuple[int, int],
) -> str:
    """The page, in Markdown."""
    cells = len(np.unique(field.labels)) - 1
    diameter = 2 * np.sqrt(np.count_nonzero(field.labels) / max(cells, 1) / np.pi)
    lines = [
        "# Performance",
        "",
        "Written by `make bench` as far as its last sections; why it is so is in [decisions](decisions.md). Both sides",
        "ran on the same input in the same run, one after the other, on all cores, and results were compared before",
        f"any time was reported. Times are medians of {repeats[0]} (ours) and {repeats[1]} (peers) after a first call.",
        "Ours is shown: on the first run on a machine it holds the compilation. Where a peer's first call takes over",
        "20 s, that call is what is reported.",
        "",
        f"- Machine: {machine()}",
        f"- Versions: {versions()}",
        f"- Commit: {commit()}",
        f"- Field: {field.source}; {field.labels.shape[0]} x {field.labels.shape[1]} px, {cells} cells, "
        f"mean diameter {diameter:.0f} px",
        f"- Processes running or waiting on average over the last 15 minutes: {os.getloadavg()[2]:.1f}; well above the",
        "  number of cores, both sides were slowed by other work, and the ratios count more than the seconds",
    ]
    for device, timed in tables:
        lines += ["", f"## One field, {device}", ""]
        lines += ["| work | ours | first call | peer | ratio | bar | results |", "|---|---:|---:|---:|---:|---:|---|"]
        lines += [table_line(one) for one in timed]
    lines += [
        "",
        "Without another name, the peer is Cellpose 3.1.1.3. Diffusion, walks and labels are compared pixel by pixel.",
    ]
    if all(device == "cpu" for device, _ in tables):
        lines += ["", "The CUDA rows (aims 10x in segmentation, 5x in training) were not run."]
    if memory is not None:
        lines += ["", "## Memory and large images", "", *(f"- {line}" for line in memory)]
    if plate is not None:
        lines += ["", "## From file to report", "", *plate]
    if small is not None:
        lines += ["", "## Small images", "", *small]
    return "\n".join(lines) + "\n"


def table_line(timed: Timed) -> str:
    row, first, ours, peer, agreement = timed

    def amount(seconds: float) -> str:
        if row.crops:
            return f"{row.crops / seconds:.3g} crops/s"
        return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1e3 * seconds:.2g} ms"

    bar = f"{amount(row.bar)}, {'met' if ours <= row.bar else 'missed'}" if row.bar else ""
    theirs, ratio = ("", "") if peer is None else (amount(peer), f"{peer / ours:.1f}x")
    if row.peer not in (None, "Cellpose"):
        theirs += f" ({row.peer})"
    return f"| {row.title} | {amount(ours)} | {amount(first)} | {theirs} | {ratio} | {bar} | {agreement} |"


if __name__ == "__main__":
    main()
