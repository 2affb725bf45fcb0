"""`cellular view`, started as a user starts it."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def viewing(run, *more):
    """Address of `cellular view RUN`, and its process."""
    command = [sys.executable, "-m", "cellular.cli.main", "view", str(run), "--no_browser", *map(str, more)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        line = process.stdout.readline()
        yield re.search(r"http://\S+", line)[0], process
    finally:
        _end(process)


def _end(process):
    """As by Ctrl-C, which ends the jobs of the page too."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
    process.stdout.close()


SERVE = """
import sys
from contextlib import ExitStack, suppress
from cellular.jobs.view import open_run
from cellular.view.server import serve
with ExitStack() as stack:
    for folder in sys.argv[2:]:
        channels = sys.argv[1].split() if "imagexpress" in folder else []
        served = stack.enter_context(serve(open_run(folder, channels=channels)))
        print(served.address, flush=True)
    with suppress(KeyboardInterrupt):
        served.run()
"""


@contextmanager
def viewing_plates(folders, channels=()):
    """Addresses of pages of several runs or plates, by one process; `channels` for those named as ImageXpress does."""
    command = [sys.executable, "-c", SERVE, " ".join(channels), *map(str, folders)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        yield [process.stdout.readline().strip() for _ in folders]
    finally:
        _end(process)
