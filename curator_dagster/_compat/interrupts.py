"""Steps that are terminated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterError, DagsterExecutionInterruptedError, DagsterRunStatus, OpExecutionContext


class StepTerminatedError(DagsterError, DagsterExecutionInterruptedError):
    """The same to Dagster as its base class, except that it does not ask the op's retry policy.

    Publicly an op with a retry policy is tried again when its run is terminated.
    """


StepTerminatedError.__name__ = DagsterExecutionInterruptedError.__name__  # the multiprocess executor goes by names


@contextmanager
def terminating(context: OpExecutionContext) -> Iterator[None]:
    """An op in whose body the run is terminated is not tried again; one whose machine is taken away is."""
    try:
        yield
    except DagsterExecutionInterruptedError as interrupt:
        if not is_terminated(context):
            raise
        raise StepTerminatedError(*interrupt.args) from None


def is_terminated(context: OpExecutionContext) -> bool:
    """Whether somebody terminates the run, in the UI for one; otherwise its machine is taken away."""
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and run.status is DagsterRunStatus.CANCELING
