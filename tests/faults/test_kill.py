"""A run that is killed, at any moment: the same command then ends as if nothing had happened, and nothing is left over.

In the suite two moments of each verb, one after the other; with ``-m long`` a dozen, spread over the run, or all of
them where the environment says CELLULAR_LONG=all.
"""

import os
import shutil
from functools import cache

import pytest
from injector import Injector
from verbs import NOT_HERE, commands, contents, make_inputs

from cellular.cli.main import CONTINUES, EXIT_ERROR, EXIT_INTERRUPTED, VERBS
from cellular.files import LOCK, PARTIAL

# Looks only, serves, is another's test, or (report) the second half of analyse, which is killed there: what is left are
# the verbs that write files of results.
OTHERS = {"download", "weights", "inspect", "gather", "view", "report"}
NAMES = tuple(name for name in commands("", "") if name not in NOT_HERE)
MOMENTS = 10**6 if os.environ.get("CELLULAR_LONG") == "all" else 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def injector(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("injector")
    started = Injector(folder, {"CELLULAR_CACHE": str(folder / "cache")})
    # what every run needs is compiled once, before any is forked off
    assert started.run(commands(made, folder / "warm")["evaluate"], folder, fork=False)["code"] == 0
    yield started
    started.close()


@pytest.fixture(scope="module")
def verb_of(injector, made, tmp_path_factory):
    """A verb by its name, whose undisturbed result is made once."""
    return cache(lambda name: Verb(name, injector, made, tmp_path_factory.mktemp("place")))


class Verb:
    """One command, its undisturbed result, and the place where it is run again and again."""

    def __init__(self, name, injector, made, place):
        self.name, self.injector, self.place, self.out = name, injector, place, place / "out"
        self.argv = commands(made, self.out)[name]
        done = self.run()
        assert done["code"] == 0, done["said"]
        self.changes, self.whole = done["changes"], contents(self.place)
        self.clear()

    def run(self, **options):
        return self.injector.run(self.argv, self.place, **options)

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)

    def check_kill(self, *moments):
        """Killed at each of these moments, the later ones of the run that goes on, and then left to end."""
        self.clear()
        for moment in moments:
            killed = self.again(kill_at=moment)
            assert killed["code"] == -9, killed["said"]
        again = self.again()
        where = f"{self.name} killed before change {moments} of {self.changes}: {again['said'][-500:]}"
        found = contents(self.place)
        if not (again["code"] == EXIT_ERROR and "exists" in again["said"]):  # it had ended; nothing is written over
            assert again["code"] == 0, where
            left = [path for path in self.place.rglob("*") if path.name.startswith(PARTIAL) or path.name == LOCK]
            assert left == [], where
        assert {n for n in {*found, *self.whole} if found.get(n) != self.whole.get(n)} == set(), where
        self.clear()

    def again(self, **options):
        """The same command; `train` says itself that it is --resume that goes on."""
        done = self.run(**options)
        if self.name == "train" and "--resume continues it" in done["said"]:
            done = self.injector.run([*self.argv, "--resume"], self.place, **options)
        return done


def spread(count, most):
    """At most `most` of the moments 1 to `count`, the first and the last among them."""
    return sorted({1 + round(k * (count - 1) / max(1, min(count, most) - 1)) for k in range(min(count, most))})


def test_moments_are_spread():
    assert spread(100, 5) == [1, 26, 51, 75, 100]
    assert spread(3, 12) == [1, 2, 3]
    assert spread(1, 12) == [1]


def test_no_verb_is_forgotten():
    assert {name.split()[0] for name in NAMES} == set(VERBS) - OTHERS


# the first record, and somewhere in the midst; those that take longest only with -m long
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("demo", "reproduce", "measure anndata")])
def test_killed_at_the_start_and_on_the_way(name, verb_of):
    verb = verb_of(name)
    start, later = min(4, verb.changes), 1 + verb.changes * 2 // 3
    if verb.changes - start >= later:  # what goes on comes as far
        verb.check_kill(start, later)
    else:
        for moment in {start, later}:
            verb.check_kill(moment)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_many_moments(name, verb_of):
    verb = verb_of(name)
    for moment in spread(verb.changes, MOMENTS):
        verb.check_kill(moment)


@pytest.mark.parametrize("name", ["segment", "stats", "train"])
def test_what_ctrl_c_promises_is_true(name, verb_of):
    check_promise(verb_of(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_what_ctrl_c_promises_is_true_for_all(name, verb_of):
    check_promise(verb_of(name))


def check_promise(verb):
    """Interrupted late: where the message says that the command continues, it leaves alone what it had finished."""
    verb.clear()
    cut = verb.run(kill_at=verb.changes * 5 // 6, signal="SIGINT")
    assert cut["code"] == EXIT_INTERRUPTED, cut["said"]
    assert "Traceback" not in cut["said"]
    said = cut["said"].splitlines()[-1]
    files = [path for path in verb.place.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    again = verb.again()
    assert again["code"] == 0, again["said"]
    kept = [path for path, time in before.items() if path.is_file() and path.stat().st_mtime_ns == time]
    assert kept or not (CONTINUES in said or "--resume" in said), (said, before)
    assert contents(verb.place) == verb.whole
