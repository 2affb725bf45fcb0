"""Where the work on fields is done: options that the verbs on fields share."""

from __future__ import annotations

import argparse
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellular.jobs.engines import Engine

logger = logging.getLogger(__name__)

# Options that say where a run is done and not what: they are no settings of its result.
OPTIONS = ("workers", "memory", "dask", "cluster", "shard", "gather")


def size(text: str) -> int:
    """Parse bytes: a number with kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB.

    >>> size("1.5GB"), size("2 GiB"), size("4G")
    (1500000000, 2147483648, 4000000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?\s*", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 8GB, got {text!r}")
    number, letter, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** "_KMGT".index(letter.upper() or "_"))


def add_engine(parser: argparse.ArgumentParser, shards: bool = True) -> None:
    """Declare where the fields are done; `shards` for verbs whose parts can be joined."""
    add = parser.add_argument_group("engine").add_argument
    add(
        "--workers",
        metavar="N",
        type=int,
        help="processes on this machine, sharing its cores; 1: this one, on all cores; left out: what is sooner done",
    )
    add(
        "--memory",
        metavar="SIZE",
        type=size,
        help="for all workers together, such as 8GB: fewer work where more would not fit",
    )
    add("--dask", metavar="ADDRESS", help="a running Dask cluster's scheduler, such as tcp://host:8786")
    add("--cluster", metavar="FILE", help="YAML: workers as jobs of Slurm, PBS, LSF, SGE or HTCondor (docs/cluster.md)")
    if shards:
        add("--shard", metavar="I/N", help="only part I of N, for job arrays; cellular gather joins them")
        add("--gather", choices=("whole", "partial"), help=argparse.SUPPRESS)


def engine_of(args: argparse.Namespace, gpu: bool = False, here: Engine | None = None, threads: bool = False) -> Engine:
    """The engine that the arguments of :func:`add_engine` ask for; it is said in one line.

    `gpu`: the work is on a GPU, which processes would only share. `here`: the engine where none is asked for.
    `threads`: the work mostly lets go of the interpreter's lock, as that on images does.
    """
    from cellular.errors import SettingsError
    from cellular.jobs.shards import Command, Gather, Shard, parse_shard

    given = [f"--{name}" for name in ("dask", "cluster") if getattr(args, name)]
    local = [f"--{name}" for name in ("workers", "memory") if getattr(args, name) is not None]
    if len(given) > 1 or (given and local):
        raise SettingsError(f"{' and '.join(given + local)}: give one kind of workers")
    inner = _workers(args, gpu, here, threads)
    home = Path(getattr(args, "out", None) or getattr(args, "output_dir", None) or "")
    if getattr(args, "gather", None):  # before the shard: it is the shard's own command that is run again
        return Gather(args.gather == "partial", inner, home)
    if getattr(args, "shard", None):
        return Shard(*parse_shard(args.shard), inner, Command(list(args.argv), Path.cwd()), home)
    return inner


def on_gpu(device: str) -> bool:
    """Whether ``--device`` means a GPU on this machine."""
    if device != "auto":
        return device != "cpu"
    import torch

    return torch.cuda.is_available()


def _workers(args: argparse.Namespace, gpu: bool, here: Engine | None, threads: bool) -> Engine:
    from cellular.jobs.engines import HERE

    if args.dask or args.cluster:
        from cellular.jobs.dask import Dask, read_cluster

        return Dask(args.dask) if args.dask else Dask(cluster=read_cluster(args.cluster))
    from cellular.jobs.machine import cores
    from cellular.jobs.processes import Best, Processes

    if args.workers is None and args.memory is None:
        if here or gpu or cores() == 1:
            return here or HERE
        how = "several fields at once" if threads else "one piece after the other"
        told = "work is done in this process, %s, on %d cores; by several where the first pieces tell that it pays"
        logger.info(told, how, cores())
        return Best(threads)
    if args.workers == 1 and args.memory is None:
        return HERE

    most = (1 if gpu else cores()) if args.workers is None else args.workers
    return Processes(most, memory=args.memory)
