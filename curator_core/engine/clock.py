"""Exclusive wall time of the stages of a generator chain."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from time import perf_counter_ns
from typing import TypeVar

T = TypeVar("T")


class StageClock:
    """Charges time to one stage at a time, so that the stages' times sum to the whole.

    Parameters
    ----------
    n_stages
        Number of stages; stage 0 is charged first.
    """

    __slots__ = ("_current", "_since", "spent_ns")

    def __init__(self, n_stages: int) -> None:
        self.spent_ns = [0] * n_stages
        self._current = 0
        self._since = perf_counter_ns()

    def switch(self, stage: int) -> int:
        """Charge from now on to `stage`; returns the stage charged until now."""
        now = perf_counter_ns()
        previous = self._current
        self.spent_ns[previous] += now - self._since
        self._since = now
        self._current = stage
        return previous

    def items(self, iterator: Iterator[T], stage: int) -> Generator[T, None, None]:
        """Pass `iterator`'s items on, charging their production to `stage`."""
        switch = self.switch
        while True:
            consumer = switch(stage)
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                switch(consumer)
            yield item
