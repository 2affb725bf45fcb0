"""Jobs in a folder: one after another, whoever watches, and again after a kill."""

import os
import signal
import time

import numpy as np
import pytest

from cellular.data.formats.images import write_image
from cellular.errors import InputError, OutputError, OutputExistsError
from cellular.files import write_json
from cellular.jobs import queue as room
from cellular.jobs.queue import DONE, FAILED, JOB, QUEUED, RUNNING, STOPPED, Queue


def until(said, seconds=240):
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path / "jobs")
    yield made
    if made._worker is not None:
        made.close()


def test_ten_jobs_added_at_once_are_done_in_turn_and_outlive_the_object(queue):
    for number in range(10):
        queue.add(f"job {number}", ["nonsense"] if number == 3 else ["--version"])
    assert [job.title for job in Queue(queue.folder).jobs()] == [f"job {number}" for number in range(10)]
    queue.start()
    until(lambda: all(job.state in (DONE, FAILED) for job in queue.jobs()))
    assert [job.state for job in queue.jobs()] == [FAILED if number == 3 else DONE for number in range(10)]
    assert queue.output("000001").startswith("cellular ")
    assert "invalid choice" in queue.output("000004")


def test_a_job_that_a_killed_one_left_running_is_done_again(queue):
    job = queue.add("left", ["--version"])
    write_json(queue.folder / job.name / JOB, {**vars(job), "words": ["--version"], "state": RUNNING, "pid": 2**22 + 1})
    queue.start()
    until(lambda: queue.jobs()[0].state == DONE)


def test_a_job_is_done_where_it_was_asked_for(queue, tmp_path, monkeypatch):
    """Its words name files from there; a page is started again from anywhere."""
    (tmp_path / "there").mkdir()
    (tmp_path / "gone").mkdir()
    write_image(tmp_path / "there" / "plate" / "A01_s1_w1.png", np.zeros((8, 8), np.uint8))
    for folder in ("there", "gone"):
        monkeypatch.chdir(tmp_path / folder)
        queue.add(folder, ["inspect", "plate"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").rmdir()
    queue.start()
    until(lambda: all(job.state in (DONE, FAILED) for job in queue.jobs()))
    assert [job.state for job in queue.jobs()] == [DONE, FAILED]
    assert f"{tmp_path / 'gone'}, where this was asked for" in queue.output("000002")


def test_a_full_disk_does_not_end_the_work(queue, monkeypatch):
    """The thread that works ended without a word on the page, where all jobs waited from then on."""
    for title in ("one", "two"):
        queue.add(title, ["--version"])
    write, full = queue._write, {RUNNING: 2, DONE: 2}

    def refused(job):
        if full.get(job.state):
            full[job.state] -= 1
            raise OutputError("no room")
        write(job)

    monkeypatch.setattr(queue, "_write", refused)
    monkeypatch.setattr(room, "LOOK_S", 0.01)
    queue.start()
    until(lambda: [job.state for job in queue.jobs()] == [DONE, DONE] or not queue._worker.is_alive())
    assert [job.state for job in queue.jobs()] == [DONE, DONE]
    assert full == {RUNNING: 0, DONE: 0}


def test_a_waiting_job_can_be_stopped(queue):
    queue.add("one", ["--version"])
    queue.stop("000001")
    assert queue.jobs()[0].state == STOPPED


def test_two_do_not_work_on_one_queue(queue):
    queue.start()
    with pytest.raises(OutputExistsError, match="another `cellular view`"):
        Queue(queue.folder).start()


def test_too_many_are_refused(queue, monkeypatch):
    monkeypatch.setattr(room, "MOST_WAITING", 2)
    queue.add("one", [])
    queue.add("two", [])
    with pytest.raises(InputError, match="2 jobs are waiting"):
        queue.add("three", [])
    assert [job.state for job in queue.jobs()] == [QUEUED, QUEUED]


def test_of_a_progress_bar_the_last_state_is_told(queue):
    job = queue.add("bar", [])
    (queue.folder / job.name / room.OUTPUT).write_bytes(b"train 1%\rtrain 50%\rtrain 100%\ndone\n")
    assert queue.output(job.name) == "train 100%\ndone\n"


def test_how_far_a_job_is_stands_in_its_last_line(queue):
    job = queue.add("bar", [])
    assert queue.progress(job.name) == ("", 0)
    (queue.folder / job.name / room.OUTPUT).write_bytes(b"read 100%\ntrain 1%\rtrain  50% of 9\n\n")
    assert queue.progress(job.name) == ("train  50% of 9", 50)


def test_a_job_that_is_stopped_just_before_it_begins_is_not_begun(queue):
    job = queue.add("one", ["--version"])
    queue.stop(job.name)
    queue._do(job)  # as looked up before
    assert queue.jobs()[0].state == STOPPED
    assert queue.output(job.name) == ""


def test_a_job_is_stopped_though_a_shell_made_its_watcher_deaf_to_interrupts(queue, tmp_path):
    """`cellular view RUN &` in a script: what is begun there ignores Ctrl-C, and so would the jobs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = queue.add("long", ["simulate", str(tmp_path / "sim"), "--fields", "600"])
        queue.start()
        until(lambda: (tmp_path / "sim").is_dir())
        pid = queue.jobs()[0].pid
        queue.stop(job.name)
        until(lambda: queue.jobs()[0].pid is None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert queue.jobs()[0].state == STOPPED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
