"""What an engine costs over a plain loop: the same fields measured by a loop, here, and by two processes of one core.

    python -m benchmarks.engines [--fields N] [--pairs N]

Runs are paired, the order turned from pair to pair; ratios are medians over pairs, of processor time (workers'
included) and of time by the clock. What two processes pay to start is measured by itself, on work that does nothing.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from cellular.autophagy.measure.field import measure_field
from cellular.data.image import FieldImage
from cellular.jobs.engines import HERE
from cellular.jobs.processes import Processes
from cellular.jobs.runner import attempt
from cellular.simulate import SimulationSettings, simulate_field

ENGINES = {"here": HERE, "2 processes": Processes(2, 1)}


@dataclass(frozen=True)
class One:
    """A field by its number; one without pixels to work on is nothing to do."""

    name: str
    work: bool = True


FIELD = SimulationSettings(size_px=512, diameter_px=60, cells_per_field=30)
_MADE: list = []


def measure(item: One) -> int:
    """Measure the simulated field, the same for all; the number of its cells."""
    if not item.work:
        return 0
    if not _MADE:
        _MADE.append(simulate_field(FIELD))
    field = _MADE[0]
    return len(measure_field(FieldImage.of(field.composite(), kind="composite"), field.labels(), item.name)["cells"])


def main(argv: list[str] | None = None) -> None:
    """Print the ratios of every engine to the loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args(argv)
    items = [One(f"f{number}") for number in range(args.fields)]
    measure(items[0])
    for name, engine in ENGINES.items():
        run = partial(attempt, do=measure, desc="bench", engine=engine)
        loop, by_engine = paired(items, partial(run, items), args)
        start = taken(partial(run, [One("a", False), One("b", False)]))
        for what, at in (("processor", 0), ("clock", 1)):
            ratio = median(ours[at] / plain[at] for ours, plain in zip(by_engine, loop))
            begun = median((ours[at] - start[at]) / plain[at] for ours, plain in zip(by_engine, loop))
            print(f"{name}, {what}: {ratio:.3f} of the loop; {begun:.3f} without the start of {start[at]:.2f} s")


def paired(items: Sequence[One], run: Callable[[], object], args: argparse.Namespace) -> tuple[list, list]:
    """Seconds (processor, clock) of the loop and of `run`, a pair after the other."""
    loop, ours = [], []
    for number in range(args.pairs):
        both = [(loop, lambda: [measure(item) for item in items]), (ours, run)]
        for into, do in both if number % 2 else both[::-1]:
            into.append(taken(do))
    return loop, ours


def taken(do: Callable[[], object]) -> tuple[float, float]:
    """Processor and clock seconds, those of processes that have ended included."""
    before, clock = _processor(), time.perf_counter()
    do()
    return _processor() - before, time.perf_counter() - clock


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
