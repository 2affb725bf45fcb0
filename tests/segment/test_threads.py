"""Work is shared out among threads that are kept: no call waits for another's."""

from threading import Event, Thread

import numba
import numpy as np
import pytest

from cellular.segment.threads import over_threads


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 2)


def _count(part, found):
    np.add.at(found, part, 1)


def test_a_call_does_not_wait_for_the_work_of_another():
    busy, free = Event(), Event()

    def held(part):
        busy.set()
        assert free.wait(30)

    other = Thread(target=over_threads, args=(held, np.arange(16)))
    other.start()
    assert busy.wait(30)
    found = np.zeros(16, int)
    quick = Thread(target=over_threads, args=(_count, np.arange(16), found), daemon=True)
    quick.start()
    quick.join(5)
    waited = quick.is_alive()
    free.set()
    other.join()
    assert not waited
    assert (found == 1).all()


def test_work_that_shares_out_work_of_its_own_ends():
    found = np.zeros((32, 16), int)

    def outer(part):
        for row in part:
            over_threads(_count, np.arange(16), found[row])

    call = Thread(target=over_threads, args=(outer, np.arange(32)), daemon=True)
    call.start()
    call.join(5)
    assert not call.is_alive()
    assert (found == 1).all()


def test_an_error_in_the_work_is_raised():
    def broken(part):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        over_threads(broken, np.arange(16))
