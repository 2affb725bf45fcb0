"""Ours against Cellpose 3.1.1.3, side by side in one run; writes docs/performance.md.

    python -m benchmarks [--repeats N] [--side PX] [--only ROW ...] [--simulated]

Makes the peer's environment where it is missing. Results are compared before anything is reported: a row whose
results do not agree stops the run. Times are medians.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.environment import HERE, PEER_PYTHON, ROOT, commit, ensure_peer, machine, versions
from benchmarks.fields import SIDE, Field, load_field
from benchmarks.rows import Disagreement, Inputs, Row, rows

REPORT = ROOT / "docs" / "performance.md"
OTHERS = {
    "prepare": "Reading masks",
    "metrics": "Metrics",
    "large": "Memory",
}  # programs of their own, each with a main()


class Timed(NamedTuple):
    """One row's outcome: seconds (medians) of both, and how the results agree."""

    row: Row
    ours: float
    peer: float
    agreement: str


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="of every timing; the median counts")
    parser.add_argument("--peer_repeats", "--peer-repeats", type=int, help="of the peer's, which takes minutes a field")
    parser.add_argument("--side", type=int, default=SIDE, help="side of the field in px; less for a quick look")
    parser.add_argument("--only", nargs="+", default=None, help="names of rows")
    parser.add_argument("--simulated", action="store_true", help="take a simulated field though a real one is there")
    parser.add_argument("--out", type=Path, default=REPORT, help="the report")
    args = parser.parse_args(argv)
    ensure_peer()
    field = load_field(args.side, args.simulated)
    tables = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        with tempfile.TemporaryDirectory() as folder:
            inputs = Inputs(field, Path(folder), device)
            chosen = [row for row in rows(inputs) if args.only is None or row.name in args.only]
            tables.append((device, measure(chosen, inputs, args.repeats, args.peer_repeats or args.repeats)))
    notes = [] if args.only else [(title, run_other(name)) for name, title in OTHERS.items() if is_there(name)]
    text = report(field, tables, notes, (args.repeats, args.peer_repeats or args.repeats))
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


def measure(chosen: list[Row], inputs: Inputs, repeats: int, peer_repeats: int) -> list[Timed]:
    """Run the peer, then ours, row by row; compare; report the medians."""
    inputs.save()
    timed = []
    for row in chosen:
        command = [
            PEER_PYTHON,
            "-W",
            "ignore",
            HERE / "peer.py",
            inputs.folder,
            str(peer_repeats),
            inputs.device,
            row.name,
        ]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        theirs = dict(np.load(inputs.folder / f"{row.name}.npz"))
        seconds, result = zip(*(timing(row.ours) for _ in range(repeats)))
        try:
            agreement = row.agree(result[-1], theirs)
        except Disagreement as error:
            raise SystemExit(f"{row.name}: the results disagree: {error}; no timing is worth anything") from error
        timed.append(Timed(row, median(seconds), float(np.median(theirs["seconds"])), agreement))
        print(f"{row.name}: {timed[-1].ours:.3f} s, peer {timed[-1].peer:.3f} s, {agreement}", flush=True)
    return timed


def timing(work: Callable[[], object]) -> tuple[float, object]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def is_there(name: str) -> bool:
    return importlib.util.find_spec(f"benchmarks.{name}") is not None


def run_other(name: str) -> str:
    """What another benchmark program prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        importlib.import_module(f"benchmarks.{name}").main([])
    return printed.getvalue().strip()


def report(
    field: Field, tables: list[tuple[str, list[Timed]]], notes: list[tuple[str, str]], repeats: tuple[int, int]
) -> str:
    """The page, in Markdown."""
    cells = len(np.unique(field.labels)) - 1
    diameter = 2 * np.sqrt(np.count_nonzero(field.labels) / max(cells, 1) / np.pi)
    lines = [
        "# Performance",
        "",
        "Written by `make bench`. Both sides ran on the same input in the same run, one after the other, on all cores;",
        f"times are medians of {repeats[0]} (ours) and {repeats[1]} (Cellpose), the first run (compilation, caches)",
        "among them on both sides. Results were compared before any time was reported.",
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
        lines += ["", f"## Against Cellpose 3.1.1.3, {device}", ""]
        lines += ["| work | ours | Cellpose | ratio | bar | results |", "|---|---:|---:|---:|---:|---|"]
        lines += [table_line(one) for one in timed]
    if not torch.cuda.is_available():
        lines += ["", "There was no GPU: the CUDA rows (aims 10x in segmentation, 5x in training) were not run."]
    for title, text in notes:
        lines += ["", f"## {title}", "", "```", text, "```"]
    return "\n".join(lines) + "\n"


def table_line(timed: Timed) -> str:
    row, ours, peer, agreement = timed

    def amount(seconds: float) -> str:
        return f"{row.crops / seconds:.3g} crops/s" if row.crops else f"{seconds:.3g} s"

    bar = f"{amount(row.bar)}, {'met' if ours <= row.bar else 'missed'}" if row.bar else ""
    return f"| {row.title} | {amount(ours)} | {amount(peer)} | {peer / ours:.1f}x | {bar} | {agreement} |"


if __name__ == "__main__":
    main()
