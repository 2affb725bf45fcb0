"""The same bytes wherever the work is done; workers that die; shards and what joins them."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from works import Doing, Thing, hold, threads_of

from cellular.errors import EngineError, InputError, OutputError, OutputExistsError, PartDone, SettingsError
from cellular.files import LOCK
from cellular.jobs.dask import ClusterSettings, Dask, read_cluster
from cellular.jobs.engines import HERE
from cellular.jobs.processes import Best, Processes, _fitting, faster_by
from cellular.jobs.runner import Work, attempt, claimed, each
from cellular.jobs.shards import Gather, Shard, parse_shard

HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Workers of all kinds find the helpers."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="module")
def cluster():
    """A small Dask cluster; its workers find the helpers too."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HELPERS), before])
    with Dask(cluster=ClusterSettings("local", 2, 2)) as engine:
        yield engine
    os.environ["PYTHONPATH"] = before


def tree(folder):
    """Every file of a folder by what is in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(LOCK)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_each(engine, things, tmp_path, name="out", seconds=0.0):
    marks = tmp_path / f"marks_{name}"
    marks.mkdir(exist_ok=True)
    doing = Doing(marks, seconds)
    return each(things, tmp_path / name, Work(doing.do, doing.inputs), desc="test", engine=engine), marks


def begun(marks, name):
    return len(list(marks.glob(f"{name}.*")))


THINGS = [Thing("a"), Thing("b", "once"), Thing("c", "bad"), Thing("d", "poison"), Thing("e"), Thing("f")]


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_dead_workers_and_poison(kind, tmp_path, request):
    engine = Processes(2, 1) if kind == "processes" else request.getfixturevalue("cluster")
    done, marks = run_each(engine, THINGS, tmp_path)
    assert done.names == ("a", "b", "e", "f")
    assert list(done.tables["rows"]["field"]) == ["a", "b", "e", "f"]
    assert list(done.problems) == ["c", "d"]
    assert done.problems["c"] == "c is bad"
    assert done.problems["d"].startswith("2 workers died")
    # b again after one death, d twice and no more, the innocent once
    assert {name: begun(marks, name) for name in "abcdef"} == {"a": 1, "b": 2, "c": 1, "d": 2, "e": 1, "f": 1}


def test_what_is_done_is_not_done_again(tmp_path):
    first, marks = run_each(HERE, [Thing("a"), Thing("b")], tmp_path)
    again, _ = run_each(Processes(2, 1), [Thing("a"), Thing("b"), Thing("c")], tmp_path)
    assert again.names == ("a", "b", "c")
    assert [begun(marks, name) for name in "abc"] == [1, 1, 1]
    assert first.tables["rows"].equals(again.tables["rows"].iloc[:2])


def test_what_stops_a_run_stops_it_from_a_worker(tmp_path):
    with pytest.raises(OutputError, match="no room"):
        run_each(Processes(1, 1), [Thing("a", "full"), Thing("b")], tmp_path)
    with pytest.raises(KeyError) as caught:
        run_each(Processes(1, 1), [Thing("a", "bug")], tmp_path, "other")
    assert "in do" in str(caught.value.__cause__), "it says where in the worker"


def test_workers_share_the_threads(cluster):
    things = [Thing("a"), Thing("b")]
    assert attempt(things, threads_of, desc="t", engine=Processes(2, 3))[0] == {"a": ("3", "3"), "b": ("3", "3")}
    assert attempt(things, threads_of, desc="t", engine=cluster)[0] == {"a": ("1", "1"), "b": ("1", "1")}


@pytest.mark.parametrize("engine", [Processes(1, 1), Best()], ids=lambda engine: type(engine).__name__)
def test_workers_are_kept_from_run_to_run(engine, tmp_path, monkeypatch):
    """One that died meanwhile is replaced; all go home at the end."""
    monkeypatch.setattr("cellular.jobs.processes.faster_by", lambda *_: 2)

    def worker(name):
        _, marks = run_each(engine, [Thing("a"), Thing("b"), Thing(name)], tmp_path, name)
        (mark,) = marks.glob(f"{name}.*")
        return int(mark.name.split(".")[-1])

    with engine:
        first = worker("first")
        assert first != os.getpid()
        assert worker("second") == first
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first))
        third = worker("third")
        assert third != first
        assert alive(third)
    assert not alive(third)


def test_memory_bounds_the_workers(tmp_path):
    """A worker that holds 200 MB takes more than that and less than 400: of 500 MB one at a time, of 5 GB two."""
    things = [Thing(name, str(tmp_path)) for name in "abcdef"]
    at_once = [n for n, _ in attempt(things, hold, desc="t", engine=Processes(2, 1, 500_000_000))[0].values()]
    assert at_once == [1] * 6
    (tmp_path / "wait").touch()
    at_once = [n for n, _ in attempt(things, hold, desc="t", engine=Processes(2, 1, 5_000_000_000))[0].values()]
    assert at_once[0] == 1, "the first tells what one takes"
    assert max(at_once) > 1


def test_a_script_that_is_run_again_by_its_workers_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from works import Thing, threads_of\nfrom cellular.jobs.runner import attempt\n"
        "from cellular.jobs.processes import Processes\n"
        "attempt([Thing('a')], threads_of, desc='t', engine=Processes(1, 1))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "EngineError" in done.stderr.splitlines()[-1]
    assert "__main__" in done.stderr.splitlines()[-1]


def test_workers_end_with_their_parent(tmp_path):
    """Killed outright, it leaves no worker behind; neither does Ctrl-C, after which the same call goes on."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom works import Doing, Thing\n"
        "from cellular.jobs.processes import Processes\nfrom cellular.jobs.runner import Work, each\n"
        "if __name__ == '__main__':\n"
        "    out = Path(sys.argv[1])\n    doing = Doing(out, 60)\n"
        "    things = [Thing(n) for n in 'abcd']\n"
        "    each(things, out / 'out', Work(doing.do, doing.inputs), desc='t', engine=Processes(2, 1))\n"
    )
    for number, how in enumerate((signal.SIGKILL, signal.SIGINT)):
        marks = tmp_path / str(number)
        marks.mkdir()
        parent = subprocess.Popen([sys.executable, script, marks], stderr=subprocess.DEVNULL)
        until(lambda marks=marks: len(list(marks.glob("*.*.*"))) == 2)
        workers = [int(path.name.split(".")[-1]) for path in marks.glob("*.*.*")]
        parent.send_signal(how)
        parent.wait(30)
        until(lambda workers=workers: not any(alive(pid) for pid in workers))


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_dask_scheduler_that_is_not_there_is_named():
    with pytest.raises(EngineError, match="tcp://127.0.0.1:1"), Dask("tcp://127.0.0.1:1", patience_s=1) as engine:
        attempt([Thing("a")], threads_of, desc="t", engine=engine)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: cron\nmaximum: 2\n", "kind: K"),
        ("kind: slurm\n", "maximum: N"),
        ("kind: slurm\nmaximum: two\n", "maximum is a whole number"),
        ("kind: slurm\nmaximum: 1\nminimum: 2\n", "minimum is above maximum"),
    ],
)
def test_a_cluster_file_that_does_not_fit(text, said, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_cluster(tmp_path / "c.yaml")


def test_what_makes_jobs_leaves_ctrl_c_alone():
    """In a process of its own: what is imported here already is not imported again."""
    code = (
        "import signal\nfrom cellular.jobs.dask import KINDS, _jobqueue\n"
        "made = [getattr(_jobqueue(), name) for name in KINDS.values()]\n"
        "print(len(made), signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "5 True\n"


def test_a_cluster_that_cannot_be_asked_for_a_worker_says_so(tmp_path):
    """Here there is no sbatch; elsewhere the one there is has no such partition."""
    options = {"queue": "no-such-partition", "cores": 1, "memory": "1GB", "log_directory": str(tmp_path)}
    engine = Dask(cluster=ClusterSettings("slurm", 1, 0, options))
    with pytest.raises(EngineError, match="takes no worker"), engine:
        attempt([Thing("a")], threads_of, desc="t", engine=engine)


def test_a_cluster_file(tmp_path):
    (tmp_path / "c.yaml").write_text("kind: slurm\nmaximum: 64\nqueue: short\nmemory: 4GB\n")
    assert read_cluster(tmp_path / "c.yaml") == ClusterSettings("slurm", 64, 0, {"queue": "short", "memory": "4GB"})


def test_shards_part_the_items():
    assert Shard(2, 3).part("abcdefgh") == "beh"
    assert parse_shard("2/3") == (2, 3)
    for wrong in ("0/3", "4/3"):
        with pytest.raises(SettingsError):
            Shard(*parse_shard(wrong))
    with pytest.raises(SettingsError):
        parse_shard("2")


def test_shards_and_what_joins_them(tmp_path):
    things = [Thing("a"), Thing("b"), Thing("c", "bad"), Thing("d"), Thing("e")]
    with pytest.raises(PartDone) as part:
        run_each(Shard(1, 2), things, tmp_path)
    assert part.value.problems == {"c": "c is bad"}
    with pytest.raises(InputError, match=r"2 are missing \(b, d\): shard 2/2 has not finished"):
        run_each(Gather(), things, tmp_path)
    some, _ = run_each(Gather(partial=True), things, tmp_path)
    assert some.names == ("a", "e")
    assert some.problems == {"b": "no shard has done it", "c": "c is bad", "d": "no shard has done it"}
    with pytest.raises(PartDone):
        run_each(Shard(2, 2), things, tmp_path)
    joined, _ = run_each(Gather(), things, tmp_path)
    whole, _ = run_each(HERE, things, tmp_path, "whole")
    assert joined.names == whole.names == ("a", "b", "d", "e")
    assert joined.problems == whole.problems == {"c": "c is bad"}
    assert joined.tables["rows"].equals(whole.tables["rows"])


BEHAVIOURS = st.lists(st.sampled_from(["well", "well", "bad", "once"]), max_size=7)


@settings(max_examples=3, deadline=None)
@given(behaviours=BEHAVIOURS, workers=st.integers(1, 3))
def test_any_items_by_any_number_of_processes_come_out_the_same(behaviours, workers, tmp_path_factory):
    check_same(behaviours, Processes(workers, 1), tmp_path_factory.mktemp("any"))


@settings(max_examples=20, deadline=None)
@given(behaviours=BEHAVIOURS, count=st.integers(1, 5), order=st.randoms(use_true_random=False))
def test_any_items_by_shards_in_any_order_come_out_the_same(behaviours, count, order, tmp_path_factory):
    place = tmp_path_factory.mktemp("any")
    behaviours = ["well" if what == "once" else what for what in behaviours]
    things = [Thing(f"item{n}", what) for n, what in enumerate(behaviours)]
    for index in order.sample(range(1, count + 1), count):
        with pytest.raises(PartDone):
            run_each(Shard(index, count), things, place)
    check_same(behaviours, Gather(), place)


def check_same(behaviours, engine, place):
    """What `engine` makes of items, against what is made of them here, where none has a worker to kill."""
    things = [Thing(f"item{n}", what) for n, what in enumerate(behaviours)]
    alive = [Thing(thing.name, "well" if thing.what == "once" else thing.what) for thing in things]
    here, _ = run_each(HERE, alive, place, "here")
    done, _ = run_each(engine, things, place)
    assert (done.names, done.problems) == (here.names, here.problems)
    assert list(done.problems) == [thing.name for thing in things if thing.what == "bad"], "in the items' order"
    assert {name: table.to_csv() for name, table in done.tables.items()} == {
        name: table.to_csv() for name, table in here.tables.items()
    }
    assert tree(place / "out" / "fields") == tree(place / "here" / "fields")


def test_shards_share_a_folder_and_nobody_else_comes_in(tmp_path):
    out, record = tmp_path / "out", {"size": 1}
    with claimed(out, "job", record, Shard(1, 3)), claimed(out, "job", record, Shard(3, 3)):
        (out / ".partial-of-another").touch()
        for engine, said in (
            (Shard(3, 3), "shard 3/3 is at work"),
            (Shard(2, 4), "shard 1/3 is at work"),
            (HERE, "shard 1/3 is at work"),
            (Gather(), "shard 1/3 is at work"),
        ):
            with pytest.raises(OutputExistsError, match=said), claimed(out, "job", record, engine):
                pass
        with pytest.raises(OutputExistsError, match="size was 1, now 2"), claimed(out, "job", {"size": 2}, Shard(2, 3)):
            pass
        assert (out / ".partial-of-another").exists(), "it may be a shard's at work"
    with claimed(out, "job", record):
        assert not (out / ".partial-of-another").exists()


def test_a_shard_does_not_come_in_beside_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("cellular.jobs.shards.PATIENCE_S", 0.1)
    out = tmp_path / "out"
    with claimed(out, "job", {}):
        with pytest.raises(OutputExistsError, match="written by another"), claimed(out, "job", {}, Shard(1, 2)):
            pass


@pytest.mark.parametrize(
    ("left", "own", "every", "start", "count"),
    [
        (100, 5.0, 5.0, 8.0, 2),  # 500 s here, 8 + 250 by two
        (100, 2.55, 5.0, 8.0, 1),  # both cores are busy here: 255 s, 8 + 250 by two
        (3, 5.0, 5.0, 8.0, 1),  # 15 s here, 8 + 7.5 by two: not worth the start
        (4, 5.0, 5.0, 8.0, 2),  # 20 s here, 8 + 10 by two
        (1, 99.0, 99.0, 0.0, 1),
        (100, 0.0, 0.0, 8.0, 1),  # what was there already
    ],
)
def test_processes_where_they_are_sooner_done(left, own, every, start, count):
    assert faster_by(left, own, every, start, most=2) == count


@pytest.mark.parametrize("count", [1, 2])
def test_the_best_engine_makes_the_same(count, tmp_path, monkeypatch):
    """Two things are done here, or two here and the others by processes; problems and bytes are the same."""
    monkeypatch.setattr("cellular.jobs.processes.faster_by", lambda left, *_: min(left, count))
    things = [Thing("a"), Thing("b", "bad"), Thing("c"), Thing("d", "bad"), Thing("e")]
    best, marks = run_each(Best(), things, tmp_path, "best")
    here, _ = run_each(HERE, things, tmp_path, "here")
    assert (
        (best.names, best.problems)
        == (here.names, here.problems)
        == (("a", "c", "e"), {n: f"{n} is bad" for n in "bd"})
    )
    assert tree(tmp_path / "best") == tree(tmp_path / "here")
    assert {path.name.split(".")[2] == str(os.getpid()) for path in marks.glob("[cde].*")} == {count == 1}


@pytest.mark.parametrize("free", [5_000_000_000, 9_000_000_000])
@pytest.mark.parametrize("count", [1, 2])
def test_threads_and_then_processes_make_the_same(count, free, tmp_path, monkeypatch):
    """One thing alone where memory is scarce, four by two threads, the others by these or by processes."""
    monkeypatch.setattr("cellular.jobs.processes.free_memory", lambda: free)
    monkeypatch.setattr("cellular.jobs.processes.faster_by", lambda left, *_: min(left, count))
    monkeypatch.setattr("cellular.jobs.processes.cores", lambda: 2)
    things = [Thing(name, "bad" if name in "bg" else "") for name in "abcdefgh"]
    best, marks = run_each(Best(threads=True), things, tmp_path, "best")
    here, _ = run_each(HERE, things, tmp_path, "here")
    assert (best.names, best.problems) == (here.names, here.problems)
    assert best.names == ("a", "c", "d", "e", "f", "h")
    assert tree(tmp_path / "best") == tree(tmp_path / "here")
    assert {path.name.split(".")[2] == str(os.getpid()) for path in marks.glob("[fgh].*")} == {count == 1}


@pytest.mark.parametrize("threads", ["2", "2,1"])  # OpenMP takes a list, for nested work
def test_libraries_take_one_thread_each_while_things_are_done_at_once(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr("cellular.jobs.processes.cores", lambda: 2)
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    try:
        seen = attempt([Thing("a"), Thing("b")], threads_of, desc="t", engine=Best(threads=True))[0]
        assert seen == {"a": ("1", "1"), "b": ("1", "1")}
        assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (2, threads)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_as_many_at_once_as_memory_holds(monkeypatch):
    monkeypatch.setattr("cellular.jobs.processes.free_memory", lambda: 5_000)
    assert [_fitting(4, memory) for memory in (0, 1_000, 2_000, 9_000)] == [4, 4, 2, 1]
