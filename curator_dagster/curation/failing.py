"""How a step of a curation fails: with one clear sentence, which the run shows at its top as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dagster import DagsterInvariantViolationError, Failure, MetadataValue, OpExecutionContext

from curator_core.errors import CuratorError
from curator_dagster._compat.databases import database_errors, database_reason, is_of_dagster
from curator_dagster._compat.failure import ClearFailure

FAILED_TAG = "curator/failed"
"""Run tag: what failed, and why; the run's page has its tags before it has read the events."""
NOTHING = "nothing"
"""Its value in a run that another one was re-executed as: Dagster copies tags."""
MAX_SUMMARY = 300
"""Characters of it."""


def step_failure(
    description: str,
    metadata: Mapping[str, MetadataValue[Any]] | None = None,
    cause: BaseException | None = None,
    *,
    may_be_retried: bool = False,
) -> Failure:
    """What a step is to raise; its run is tagged with the first of the description.

    Where the run cannot be tagged, Dagster cannot record the failure either: it is printed.

    Parameters
    ----------
    description
        What failed, why, and what to do.
    metadata
        Shown with it.
    cause
        The error behind it, if there is one, whose stack is shown.
    may_be_retried
        Whether the step's retry policy applies.
    """
    try:
        context = OpExecutionContext.get()
    except DagsterInvariantViolationError:  # no step: a sensor, say
        pass
    else:
        line = " ".join(description.split())
        summary = line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1]}…"
        try:
            context.instance.add_run_tags(context.run_id, {FAILED_TAG: summary})
        except database_errors():
            print_error(f"Run {context.run_id}: {line}")
    return ClearFailure(description, metadata, cause, may_be_retried=may_be_retried)


def print_error(text: str) -> None:
    """Print to standard error, of which Dagster keeps a copy for each step, while its database takes nothing."""
    with suppress(OSError):  # the copy may lie on the same full disk
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextmanager
def failing_clearly() -> Iterator[None]:
    """An error of curator, or of Dagster's database, becomes a `Failure` with one clear sentence."""
    try:
        yield
    except CuratorError as exc:
        raise step_failure(f"{type(exc).__name__}: {exc}", cause=exc) from exc
    except database_errors() as exc:
        if not is_of_dagster(exc):
            raise
        raise step_failure(
            f"Dagster's database cannot be read or written: {database_reason(exc)}. Nothing that was done is lost: "
            "curator keeps records of its own, from which the next run goes on.",
            may_be_retried=True,
        ) from None  # all that the database's library says is in it
