"""Signals raise where a run waits or computes, never while it keeps its books."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

import pytest

from curator_core.run.signals import defer_signals, interruptible_run, signals_deferred, signals_delivered

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def no_handler_is_left():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@SIGNALS
def test_at_once(number):
    """Outside `signals_deferred`, a signal raises where it arrives."""

    def run():
        with interruptible_run():
            signal.raise_signal(number)
            pytest.fail("went on")

    with pytest.raises(KeyboardInterrupt):
        run()


@SIGNALS
def test_held_until_the_end_of_the_block(number):
    """What is held is done to its end, then the signal raises, once."""
    done = []

    def work():
        with signals_deferred():
            with signals_deferred():
                signal.raise_signal(number)
                done.append("inner")
            done.append("outer")

    with interruptible_run():
        with pytest.raises(KeyboardInterrupt):
            work()
        done.append("after")
    assert done == ["inner", "outer", "after"]


@pytest.mark.parametrize("is_early", [True, False])
def test_held_until_a_wait(is_early):
    """A signal that came before a wait raises where the wait begins, one during it at once."""

    def wait():
        with signals_delivered():
            if is_early:
                pytest.fail("began to wait")
            signal.raise_signal(signal.SIGINT)
            pytest.fail("went on")

    with interruptible_run(), signals_deferred():
        if is_early:
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            wait()


def test_held_until_the_run_ends():
    """After `defer_signals`, the run ends first; the next one is as ever."""
    done = []

    def run():
        with interruptible_run():
            defer_signals()
            signal.raise_signal(signal.SIGTERM)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["all"]
    test_at_once(signal.SIGTERM)


def test_an_error_is_not_hidden():
    """An error that leaves the run is told, not the signal; where somebody handles it, the signal raises after it."""

    def fail():
        with signals_deferred():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("disk")

    def run(handled):
        with interruptible_run(), suppress(*handled):
            fail()

    with pytest.raises(ValueError, match="disk"):
        run([])
    with pytest.raises(KeyboardInterrupt):
        run([ValueError])


def test_handlers_of_others_stay():
    """Who ignores SIGINT, as ``nohup`` does for background jobs, or handles it, goes on doing so."""
    got = []
    before = signal.signal(signal.SIGINT, lambda *_: got.append(1))
    try:
        with interruptible_run():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert got == [1]


def test_another_thread():
    """A run in another thread neither gets signals nor holds those of the main thread."""
    inside, leave = threading.Event(), threading.Event()

    def run():
        with interruptible_run(), signals_deferred():
            inside.set()
            leave.wait(60)

    def interrupt():
        with interruptible_run():
            thread.start()
            assert inside.wait(60)
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=run)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        leave.set()
        thread.join()
