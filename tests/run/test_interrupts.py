"""Signals raise where a run waits or computes, never while it keeps its books."""

from __future__ import annotations

import signal
import threading

import pytest

from curator_core.run.interrupts import held, hold, interruptible_run, released

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def no_handler_is_left():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@SIGNALS
def test_at_once(number):
    """Outside `held`, a signal raises where it arrives."""
    with pytest.raises(KeyboardInterrupt), interruptible_run():
        signal.raise_signal(number)
        pytest.fail("went on")


@SIGNALS
def test_held_until_the_end_of_the_block(number):
    """What is held is done to its end, then the signal raises, once."""
    done = []
    with interruptible_run():
        with pytest.raises(KeyboardInterrupt), held():
            with held():
                signal.raise_signal(number)
                done.append("inner")
            done.append("outer")
        done.append("after")
    assert done == ["inner", "outer", "after"]


def test_held_until_a_wait():
    """A signal that came before a wait raises where the wait begins, one during it at once."""
    for when in ("before", "during"):
        with interruptible_run(), held():
            if when == "before":
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt), released():
                signal.raise_signal(signal.SIGINT)
                pytest.fail("went on")


def test_held_until_the_run_ends():
    """After `hold`, the run ends first; the next one is as ever."""
    with pytest.raises(KeyboardInterrupt), interruptible_run():
        hold()
        signal.raise_signal(signal.SIGTERM)
    test_at_once(signal.SIGTERM)


def test_an_error_is_not_hidden():
    """An error that leaves the held block is told, the signal after it where the run ends."""
    with pytest.raises(KeyboardInterrupt), interruptible_run(), pytest.raises(ValueError, match="disk"), held():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("disk")
    with pytest.raises(ValueError, match="disk"), interruptible_run(), held():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("disk")


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
        with interruptible_run(), held():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=run)
    with pytest.raises(KeyboardInterrupt), interruptible_run():
        thread.start()
        inside.wait(10)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            leave.set()
            thread.join()
