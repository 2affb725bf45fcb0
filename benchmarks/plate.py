"""From a folder of images to the report: fields a minute, cold and warm, and where the time goes.

    python -m benchmarks.plate [--fields 10] [--repeats 3] [--simulated]

`cellular segment` and `cellular analyse` are run as a user does, each a process of its own. Cold is the first run of an
installation, which compiles its kernels; warm is the median of those after it. The stages are those of one more run, on
one core under a profiler: they nest, and their sum is more than the whole.
"""

import argparse
import cProfile
import os
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.fields import SHARED
from cellular.cli.main import main as cellular
from cellular.data.formats.images import write_image

GOAL = 2.0  # s a field from file to report, on two cores with AVX-512
# What is shown of the profile: file and function, and what it does.
STAGES = {
    ("data/image.py", "read_field"): "reading a field",
    ("segment/segmenter.py", "segment"): "segmenting it",
    ("segment/image/tiles.py", "run_network"): "... the network",
    ("segment/flows/to_labels.py", "labels_and_errors"): "... flows to labels",
    ("autophagy/quality/field.py", "measure_quality"): "its quality",
    ("autophagy/measure/field.py", "measure_field"): "measuring its cells",
    ("autophagy/measure/unmix.py", "unmix"): "... taking its channels apart",
    ("autophagy/measure/puncta.py", "find_puncta"): "... finding puncta",
    ("jobs/conclude.py", "conclude"): "what follows when all fields are done",
    ("jobs/measure.py", "write_tables"): "... tables",
    ("jobs/stats.py", "compare_tables"): "... comparison and its figures",
    ("jobs/explore.py", "explore"): "... pictures for the page",
    ("report/analysis.py", "analysis_page"): "... the page",
}


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="warm runs of each command")
    parser.add_argument("--simulated", action="store_true", help="take simulated fields though real ones are there")
    args = parser.parse_args(argv)
    print("\n".join(throughput(args.fields, args.repeats, args.simulated)))


def throughput(fields: int = 10, repeats: int = 3, simulated: bool = False) -> list[str]:
    """Lines of Markdown: seconds of both commands, cold and warm, and the stages."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = images_of(fields, folder / "images", simulated)
        lines = [
            f"{fields} {source} of 2048 px, the starter, two commands as a user runs them; cold compiles kernels.",
            "",
        ]
        lines += ["| command | cold | warm | processor, warm | fields a minute | s a field | goal |"]
        lines += ["|---|---:|---:|---:|---:|---:|---|"]
        for verb in ("segment", "analyse"):
            runs = [run(verb, folder, cold=number == 0) for number in range(1 + repeats)]
            warm, own = (median(one[k] for one in runs[1:]) for k in (0, 1))
            goal = f"{GOAL} s, {'met' if warm / fields <= GOAL else 'missed'}" if verb == "analyse" else ""
            row = (f"{runs[0][0]:.1f} s", f"{warm:.1f} s", f"{own:.1f} s", f"{60 * fields / warm:.0f}")
            lines.append(f"| `{verb}` | {' | '.join(row)} | {warm / fields:.2f} s | {goal} |")
        return [*lines, "", *stages(folder, fields)]


def images_of(fields: int, folder: Path, simulated: bool) -> str:
    """Put images there; what they are."""
    folder.mkdir(parents=True)
    if SHARED.is_dir() and not simulated:
        for path in sorted((SHARED / "images-color").iterdir())[:fields]:
            shutil.copy(path, folder)
        return "real fields"
    from cellular.simulate import SimulationSettings, simulate_field

    for number in range(fields):
        field = simulate_field(SimulationSettings(seed=number))
        write_image(folder / f"Timepoint_001_220518-ST_C{number + 3:02d}_s1.png", field.composite())
    return "simulated fields"


def run(verb: str, folder: Path, cold: bool, *options: str) -> tuple[float, float]:
    """Run a verb anew on the folder's images; seconds of the clock, and of the processors."""
    out, kernels = folder / verb, folder / f"kernels-{verb}"
    shutil.rmtree(out, ignore_errors=True)
    if cold:
        shutil.rmtree(kernels, ignore_errors=True)
    command = [sys.executable, "-m", "cellular", verb, str(folder / "images"), "--out", str(out), *options]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(kernels)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stages(folder: Path, fields: int) -> list[str]:
    """A table of the seconds that each stage of `analyse` takes, of a run under a profiler on one core."""
    told = subprocess.run(
        [sys.executable, "-c", "from benchmarks.plate import profiled; import sys; profiled(sys.argv[1])", str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout.splitlines()[-len(STAGES) - 1 :]
    lines = [f"| stage of `analyse`, {fields} fields, one core, profiled | seconds |", "|---|---:|"]
    return lines + [f"| {name} | {seconds} |" for name, seconds in (line.split("\t") for line in told)]


def profiled(folder: str) -> None:
    """Analyse in this process, under a profiler; print a line a stage."""
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    cellular(["analyse", f"{folder}/images", "--out", f"{folder}/profiled", "--workers", "1"])
    profile.disable()
    found = pstats.Stats(profile)
    for (file, name), what in STAGES.items():
        taken = [s[3] for (path, _, function), s in found.stats.items() if path.endswith(file) and function == name]
        print(f"{what}\t{sum(taken):.1f}")
    print(f"everything, libraries read before aside\t{found.total_tt:.1f}")


if __name__ == "__main__":
    main()
