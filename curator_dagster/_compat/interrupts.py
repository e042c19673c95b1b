"""Steps that are terminated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterError, DagsterExecutionInterruptedError


class StepTerminatedError(DagsterError, DagsterExecutionInterruptedError):
    """The same to Dagster as its base class, except that it does not ask the op's retry policy.

    Publicly an op with a retry policy is tried again when its run is terminated.
    """


StepTerminatedError.__name__ = DagsterExecutionInterruptedError.__name__  # the multiprocess executor goes by names


@contextmanager
def terminating() -> Iterator[None]:
    """An op in whose body the run is terminated is not tried again."""
    try:
        yield
    except DagsterExecutionInterruptedError as interrupt:
        raise StepTerminatedError(*interrupt.args) from None
