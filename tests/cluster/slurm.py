"""Slurm on this machine alone, for a while: controller, one node and munge in a folder of their own, no cgroups.

Needs Debian's slurmctld, slurmd and munge, and root: a node's daemon starts jobs as their users.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
CPUS = 4
CONFIGURATION = """
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """A running Slurm with its files in `folder`; gives the environment in which its commands find it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        lacks = f" (here: no {', '.join(missing)})" if missing else ""
        raise SystemExit(f"check-cluster needs root and slurmctld, slurmd and munge of apt-get install{lacks}")
    folder = folder.resolve()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    names = {"host": host, "folder": folder, "controller": free_port(), "node": free_port(), "cpus": CPUS}
    names["memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**names))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = [f"--{name}={folder}/munge.{end}" for name, end in MUNGE.items()]
    with ExitStack() as daemons:
        daemons.enter_context(daemon(["munged", "--foreground", "--force", *munge], folder, environment))
        until(lambda: (folder / "munge.socket").exists(), "munged", folder)
        daemons.enter_context(daemon(["slurmctld", "-D"], folder, environment))
        daemons.enter_context(daemon(["slurmd", "-D", "-N", host], folder, environment))
        until(lambda: "idle" in said(["sinfo", "--noheader", "--format=%T"], environment), "the node", folder)
        try:
            yield environment
        finally:
            said(["scancel", "--full", "--signal=KILL", "--user=root"], environment)
            said(["scancel", "--user=root"], environment)
            until(lambda: not said(["squeue", "--noheader"], environment).strip(), "an empty queue", folder)


MUNGE = {
    "key-file": "key",
    "socket": "socket",
    "pid-file": "pid",
    "log-file": "log",
    "seed-file": "seed",
}


def said(command: list[str], environment: dict[str, str]) -> str:
    """What a command of Slurm says; nothing where it fails."""
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


@contextmanager
def daemon(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    with open(folder / f"{command[0]}.out", "wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=folder)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(true: Callable[[], bool], what: str, folder: Path, seconds: float = 60) -> None:
    """Wait until it is true, or end with the daemons' last words."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            logs = "\n".join(f"{path.name}: {path.read_text()[-800:]}" for path in folder.glob("*.[ol][ou][tg]"))
            raise SystemExit(f"{what} did not come within {seconds:.0f} s\n{logs}")
        time.sleep(0.2)


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
