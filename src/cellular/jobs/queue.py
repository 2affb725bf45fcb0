"""Work for later: commands in a folder, done one after another in processes of their own, whoever watches or not."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from cellular.errors import InputError, OutputError, OutputExistsError
from cellular.files import LOCK, read_json, write_json
from cellular.jobs.engines import INTERRUPTIBLE

logger = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, FAILED, STOPPED = "queued", "running", "done", "failed", "stopped"
JOB, OUTPUT = "job.json", "output.txt"
# More than this are refused: nobody waits for the hundredth.
MOST_WAITING = 50
# How often the folder is looked at, and a full disk tried again, s.
LOOK_S = 5.0


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes
    ----------
    name : its folder in the queue, in order. title : for people. words : of the command, "cellular" left out.
    state : queued, running, done, failed or stopped. code : exit code. pid : of the process while it runs.
    place : the folder in which it was asked for, from which `words` may name files.
    """

    name: str
    title: str
    words: tuple[str, ...]
    state: str = QUEUED
    code: int | None = None
    pid: int | None = None
    place: str | None = None


class Queue:
    """The jobs in `folder`. One object at a time works on them; what a killed one left running is done again.

    Verbs go on where they stopped, so doing again loses nothing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._adding, self._wake, self._closed = threading.Lock(), threading.Event(), False
        self._changing = threading.Lock()  # a job's state, by who stops it and by who begins and ends it
        self._process: subprocess.Popen | None = None
        self._worker: threading.Thread | None = None

    def jobs(self) -> list[Job]:
        """All of them, the oldest first."""
        found = []
        for path in sorted(self.folder.glob(f"*/{JOB}")):
            values = read_json(path)
            found.append(Job(**{**values, "words": tuple(values["words"])}))
        return found

    def add(self, title: str, words: Sequence[str]) -> Job:
        """Put a command at the end. InputError where :data:`MOST_WAITING` wait already."""
        with self._adding:
            every = self.jobs()
            if sum(job.state == QUEUED for job in every) >= MOST_WAITING:
                raise InputError(f"{MOST_WAITING} jobs are waiting already; let them be done first")
            number = max((int(job.name) for job in every), default=0) + 1
            job = Job(f"{number:06d}", title, tuple(map(str, words)), place=os.getcwd())
            self._write(job)
        self._wake.set()
        return job

    def stop(self, name: str) -> None:
        """Stop a job: one that runs is interrupted, as by Ctrl-C, and one that waits is not begun."""
        with self._changing:
            job = next(job for job in self.jobs() if job.name == name)
            if job.state == QUEUED:
                self._write(replace(job, state=STOPPED))
            elif job.state == RUNNING and job.pid:
                self._write(replace(job, state=STOPPED))
                with suppress(ProcessLookupError):
                    os.kill(job.pid, signal.SIGINT)

    def output(self, name: str) -> str:
        """What the job has said, the last 4,000 characters; of a progress bar its last state."""
        path = self.folder / name / OUTPUT
        text = path.read_bytes()[-20_000:].decode(errors="replace") if path.is_file() else ""
        return "\n".join(line.rpartition("\r")[2] for line in text.split("\n"))[-4000:]

    def progress(self, name: str) -> tuple[str, int]:
        """The last line that the job has said, and how far its progress bar is in that, 0 to 100; 0 without a bar."""
        lines = [line.strip() for line in self.output(name).splitlines() if line.strip()]
        last = lines[-1][-160:] if lines else ""
        found = re.search(r"(\d{1,3})%", last)
        return last, min(100, int(found[1])) if found else 0

    def start(self) -> None:
        """Work on the jobs in a thread until :meth:`close`.

        Raises OutputExistsError where another process works on them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputExistsError(
                f"{self.folder} is being worked on by another `cellular view`, or by napari"
            ) from error
        for job in self.jobs():
            if job.state == RUNNING:
                _end(job.pid)
                self._write(replace(job, state=QUEUED, pid=None))
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Stop working; a job that runs is interrupted and will go on when the queue is started again."""
        self._closed = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._wake.set()
        if self._worker is not None:
            self._worker.join(timeout=20)
        self._lock.release()

    def _work(self) -> None:
        while not self._closed:
            job = next((job for job in self.jobs() if job.state == QUEUED), None)
            if job is None:
                self._wake.wait(timeout=LOOK_S)
                self._wake.clear()
                continue
            try:
                self._do(job)
            except OutputError as error:
                self._say_and_wait(error)

    def _say_and_wait(self, error: OutputError) -> None:
        """A full disk ends no work: what could not be written down is tried again."""
        logger.warning("%s; tried again until there is room", error)
        self._wake.wait(timeout=LOOK_S)

    def _do(self, job: Job) -> None:
        with open(self.folder / job.name / OUTPUT, "ab") as output:
            command = [sys.executable, "-m", "cellular.cli.main", *job.words]
            with self._changing:
                if self._is_stopped(job):  # since it was looked up
                    return
                try:
                    self._process = subprocess.Popen(
                        command,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        env={**os.environ, INTERRUPTIBLE: "1"},
                        cwd=job.place,
                    )
                except OSError as error:
                    output.write(f"{job.place}, where this was asked for: {error.strerror}\n".encode())
                    output.flush()  # who sees that it failed reads why
                    self._write(replace(job, state=FAILED))
                    return
                job = replace(job, state=RUNNING, pid=self._process.pid)
                try:
                    self._write(job)
                except OutputError:  # nobody would know of it
                    self._process.send_signal(signal.SIGINT)
                    self._process.wait()
                    raise
            code = self._process.wait()
        while True:
            try:
                return self._write_end(job, code)
            except OutputError as error:
                if self._closed:
                    raise
                self._say_and_wait(error)

    def _write_end(self, job: Job, code: int) -> None:
        with self._changing:
            stopped = self._is_stopped(job)
            # code 1: finished, but some inputs were passed over, and the output says which
            state = STOPPED if stopped else DONE if code in (0, 1) else FAILED
            state = QUEUED if self._closed and code != 0 and not stopped else state
            self._write(replace(job, state=state, code=None if state == QUEUED else code, pid=None))

    def _is_stopped(self, job: Job) -> bool:
        return read_json(self.folder / job.name / JOB)["state"] == STOPPED

    def _write(self, job: Job) -> None:
        write_json(self.folder / job.name / JOB, {**asdict(job), "words": list(job.words)})


def _end(pid: int | None) -> None:
    """End a job's process that outlived the one that watched it, if it is still there and one of ours."""
    with suppress(OSError, ProcessLookupError):
        if pid and "cellular.cli.main" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGINT)
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.1)
