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
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()
