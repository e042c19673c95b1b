"""Pools of workers that answer with futures."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import pytest

from curator_core.records import Item
from curator_core.run.scheduling.dispatch import ExecutorPool, FuturesPool


class Promises(FuturesPool):
    """Hands out futures that a test fulfils."""

    def __init__(self):
        super().__init__(2)
        self.promised = []

    def hand_out(self, chunk):
        self.promised.append(Future())
        return self.promised[-1]

    def stop(self):
        self.promised.clear()


def test_a_dead_worker_holds_nobody_up():
    """Its chunk is lost at once, while the chunks of others are in flight; those are taken when they are done."""
    pool = Promises()
    first, second = ([[Item(index, str(index))]] for index in range(2))
    pool.submit(first)
    pool.submit(second)
    pool.promised[0].set_exception(BrokenExecutor("it died"))
    assert pool.completed() == [(first, None)]
    assert pool.in_flight == 1
    pool.promised[1].set_result([])
    assert pool.completed() == [(second, [])]
    assert pool.in_flight == 0


class Unready(ExecutorPool):
    """Cannot start a worker the first time."""

    def __init__(self, error):
        super().__init__(1)
        self.error = error

    def build(self):
        return ThreadPoolExecutor(1)

    def submit_to(self, executor, chunk):
        error, self.error = self.error, None
        if error is not None:
            raise error
        return executor.submit(list)


@pytest.mark.parametrize("error", [ConnectionRefusedError("no server"), EOFError("unexpected EOF")])
def test_a_worker_that_cannot_be_started_is_started_later(error):
    """The process that forks workers was killed, before it was asked or while it answered."""
    pool = Unready(error)
    chunk = [[Item(0, "0")]]
    pool.submit(chunk)
    assert pool.completed() == [(chunk, [])]
    pool.submit(chunk)
    assert pool.completed() == [(chunk, [])]
    pool.stop()
