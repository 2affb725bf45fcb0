"""The peer's environment, and where and with what a benchmark ran."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

HERE = Path(__file__).parent
ROOT = HERE.parent
REQUIREMENTS = HERE / "requirements-peer.txt"
# Another Python that has the peer, where none can be installed: on a machine without a network.
PEER_PYTHON = Path(os.environ.get("CELLULAR_PEER_PYTHON", HERE / ".venv-peer" / "bin" / "python"))
PACKAGES = ("torch", "numpy", "numba", "scipy", "scikit-learn")


def ensure_peer() -> None:
    """Make the peer's environment where it is missing: some 2 GB from the package index, once."""
    if PEER_PYTHON.is_file():
        return
    print(f"making {PEER_PYTHON.parents[1]} with {REQUIREMENTS.name}; this takes minutes", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", PEER_PYTHON.parents[1]], check=True)
    pip = [PEER_PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pin = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    subprocess.run([*pip, pin], check=True)
    subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True)


def machine() -> str:
    """Processor, cores this process may use, memory."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "CPU implementer"))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    name = names[0] if names else platform.processor()
    return f"{name}, {cores} cores, {memory:.0f} GB memory{gpu}, {platform.system()}"


def versions() -> str:
    ours = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {ours}; peer: {peer_versions()}"


def peer_versions() -> str:
    asked = "from importlib.metadata import version; print(*(f'{name} {version(name)}' for name in %r), sep=', ')"
    command = [PEER_PYTHON, "-c", asked % (("cellpose", *PACKAGES[:4]),)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def commit() -> str:
    """Short hash of the commit, with a mark where tracked files were changed since."""

    if shutil.which("git") is None:
        return "unknown"

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + ("" if not git("status", "--porcelain", "-uno") else ", changed")
