"""`make check-cluster`: a small plate through Slurm, workers killed on the way, against the same plate done here.

    python tests/cluster/check.py [--keep FOLDER]

Three times the same bytes are wanted: done here; by --cluster with two workers, one of which is killed in mid-run; by
an array of two jobs with --shard, joined by `cellular gather`.
"""

import hashlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from slurm import said, slurm

CELLULAR = [sys.executable, "-m", "cellular.cli.main"]
PLATE = ["--fields", "10", "--size", "256", "--diameter", "40"]
YAML = """\
kind: slurm
maximum: 2
queue: main
cores: 1
memory: 2GB
walltime: "00:20:00"
interface: lo
log_directory: {folder}/logs
"""
ARRAY = """\
#!/bin/sh
#SBATCH --array=1-2
#SBATCH --partition=main
#SBATCH --cpus-per-task=1
#SBATCH --output={folder}/logs/array-%a.txt
{command} --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_MAX"
"""


def segment(folder: Path, out: str, *more: str) -> list[str]:
    """The command on the plate in `folder`."""
    images = str(folder / "plate" / "images-color")
    return [*CELLULAR, "segment", images, "--diameter", "40", "--out", str(folder / out), *more]


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder by its SHA-256, but for locks and the folder's own name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".cellular")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            path.read_bytes().replace(str(folder).encode(), b"OUT")
        ).hexdigest()
        for path in files
    }


def killed_one(folder: Path, environment: dict[str, str], done: threading.Event, killed: list[str]) -> None:
    """Once fields are done and two jobs run, kill one of them."""
    fields = folder / "by_cluster" / "fields"
    while not done.is_set():
        jobs = said(["squeue", "--noheader", "--states=RUNNING", "--format=%i"], environment).split()
        if len(jobs) == 2 and len(list(fields.glob("*/made_of.json"))) >= 2:
            said(["scancel", "--full", "--signal=KILL", jobs[0]], environment)
            killed.append(jobs[0])
            return
        time.sleep(0.1)


def check(folder: Path) -> None:
    """Do it, and end with a message where something differs."""
    (folder / "logs").mkdir()
    subprocess.run([*CELLULAR, "simulate", str(folder / "plate"), *PLATE], check=True)
    step("here", subprocess.run, segment(folder, "here"), check=True)
    wanted = tree(folder / "here")
    with slurm(folder / "slurm") as environment:
        (folder / "slurm.yaml").write_text(YAML.format(folder=folder))
        done, killed = threading.Event(), []
        watch = threading.Thread(target=killed_one, args=(folder, environment, done, killed))
        watch.start()
        command = segment(folder, "by_cluster", "--cluster", str(folder / "slurm.yaml"))
        try:
            step("--cluster, one of two workers killed", subprocess.run, command, env=environment, check=True)
        finally:
            done.set()
            watch.join()
        if not killed:
            raise SystemExit("the plate was done before two workers ran: nothing was killed, so nothing was shown")
        same(wanted, tree(folder / "by_cluster"), f"--cluster, job {killed[0]} killed")

        command = " ".join(segment(folder, "by_array"))
        (folder / "array.sh").write_text(ARRAY.format(folder=folder, command=command))
        step("sbatch --array", subprocess.run, ["sbatch", "--wait", folder / "array.sh"], env=environment, check=True)
        subprocess.run([*CELLULAR, "gather", str(folder / "by_array")], check=True)
        same(wanted, tree(folder / "by_array"), "an array of two shards, gathered")


def step(what: str, do, *arguments, **options) -> None:
    began = time.monotonic()
    do(*arguments, **options)
    print(f"== {what}: {time.monotonic() - began:.0f} s", flush=True)


def same(wanted: dict[str, str], found: dict[str, str], what: str) -> None:
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if differing:
        raise SystemExit(f"{what}: {len(differing)} files differ: {', '.join(differing[:8])}")
    print(f"== {what}: the same {len(wanted)} files, byte for byte", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was started is taken down all the same
    if "--keep" in sys.argv:
        place = Path(sys.argv[sys.argv.index("--keep") + 1]).resolve()
        place.mkdir(parents=True)
        check(place)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            check(Path(temporary).resolve())
