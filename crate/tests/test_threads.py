import os
import signal
import sys
import threading
import time
import warnings

import pytest

from neardup import Index, find_duplicates

LONG = " ".join(str(number) for number in range(100_000))


def test_other_threads_run_while_duplicates_are_sought():
    """The counter gets its turn only when it is given away: a switch is forced once a minute."""
    done = threading.Event()
    ticks = 0

    def count():
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    counter = threading.Thread(target=count)
    try:
        counter.start()
        before = ticks
        find_duplicates([LONG])
        during = ticks - before
    finally:
        done.set()
        counter.join()
        sys.setswitchinterval(interval)
    assert during > 0


def test_an_index_is_shared_by_threads():
    index = Index()

    def fill(name):
        for number in range(20):
            index.add(f"text {name} {number}")
            index.query("text a 0")

    threads = [threading.Thread(target=fill, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index) == 80
    assert [similarity for _, similarity in index.query("text a 0")] == [1.0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_stops_the_search_early():
    class Stop(Exception):
        pass

    def stop(signum, frame):
        raise Stop

    texts = [LONG[:4000]] * 50_000
    handler = signal.signal(signal.SIGALRM, stop)
    started = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Stop):
            find_duplicates(texts)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert time.process_time() - started < 2, "the whole search takes longer"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_can_search_too():
    texts = ["one two three"] * 2
    assert find_duplicates(texts) == [(0, 1, 1.0)]
    with warnings.catch_warnings():
        # Python 3.12 and newer warn of any fork beside threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that hangs
        os._exit(0 if find_duplicates(texts) == [(0, 1, 1.0)] else 1)
    assert os.waitpid(child, 0)[1] == 0
