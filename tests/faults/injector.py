"""A program that runs `cellular` commands in forked children and kills one at a chosen change to the disk.

Every change to files under a folder (open for writing, make, rename, link, remove) is counted by an audit hook; the
child is killed, as by ``kill -9``, just before the n-th of them. Between two changes nothing on the disk differs, so
the numbers 1 to the count are all moments at which a run can die. One request a line in JSON on stdin, one answer a
line on stdout.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Injector:
    """Client's side: starts the program, whose children share what it has imported and compiled."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | one_thread | environment,
        )

    def run(self, argv: list, root: Path, kill_at: int = 0, signal: str = "SIGKILL", fork: bool = True) -> dict:
        """Run a command: ``code`` (-9 where it was killed), ``changes`` under `root`, and what it ``said``."""
        said = str(self.folder / "said.txt")
        request = {"argv": [str(word) for word in argv], "root": str(root), "said": said, "fork": fork}
        request |= {"at": kill_at, "signal": signal}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline()) | {"said": Path(said).read_text()}

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)


def count_changes(root: str, at: int, number: int, counter: list[int]) -> None:
    """Count changes under `root` into `counter`; just before number `at` the process gets the signal `number`."""

    def full(path, folder=-1) -> str:
        if isinstance(path, int):
            return ""
        path = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(path):
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
        return os.path.abspath(path)

    def hook(event: str, args: tuple) -> None:
        if event == "open":
            if not (isinstance(args[2], int) and args[2] & WRITING):
                return
            paths = [full(args[0])]
        elif event in CHANGES:
            folders = [arg for arg in args if isinstance(arg, int) and arg >= 0 and event in ("os.remove", "os.rmdir")]
            paths = [full(arg, folders[0] if folders else -1) for arg in args if isinstance(arg, str | bytes)]
        else:
            return
        if any(path == root or path.startswith(root + os.sep) for path in paths):
            counter[0] += 1
            if counter[0] == at:
                os.kill(os.getpid(), number)

    sys.addaudithook(hook)


def _command(argv: list[str]) -> int:
    from cellular.cli.main import main

    try:
        return main(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 70


def _child(request: dict, pipe: int) -> None:
    log = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    counter = [0]
    count_changes(request["root"], request["at"], getattr(signal, request["signal"]), counter)
    code = _command(request["argv"])
    sys.stdout.flush()
    sys.stderr.flush()
    answer = {"code": code, "changes": counter[0], "imported": sorted(sys.modules)}
    os.write(pipe, json.dumps(answer).encode())
    os._exit(0)


def _import(names: list[str]) -> None:
    """What a child has imported, so that the next ones are forked off with it: most of a small run's time is this."""
    for name in names:
        if name not in sys.modules:
            with suppress(Exception):  # a name that a library has given to a module it made up
                importlib.import_module(name)


def _serve() -> None:
    if hasattr(os, "sched_setaffinity"):  # one thread, so that the changes come in one order
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if not request["fork"]:
            Path(request["said"]).write_text("")
            answer = {"code": _command(request["argv"]), "changes": 0}
        else:
            reading, writing = os.pipe()
            gc.freeze()  # children that look for garbage among what is here would copy all of it
            child = os.fork()
            if not child:
                _child(request, writing)
            os.close(writing)
            with os.fdopen(reading) as pipe:
                told = pipe.read()
            _, status = os.waitpid(child, 0)
            answer = json.loads(told) if told else {"code": os.waitstatus_to_exitcode(status), "changes": request["at"]}
            _import(answer.pop("imported", []))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
