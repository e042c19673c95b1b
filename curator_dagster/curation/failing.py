"""How a step of a curation fails: with one clear sentence, which the run shows at its top as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import DagsterInvariantViolationError, Failure, MetadataValue, OpExecutionContext

from curator_core.errors import CuratorError
from curator_dagster._compat.failure import ClearFailure

FAILED_TAG = "curator/failed"
"""Run tag: what failed, and why; the run's page has its tags before it has read the events."""
NOTHING = "nothing"
"""Its value in a run that another one was re-executed as: Dagster copies tags."""
MAX_SUMMARY = 300
"""Characters of it."""


def step_failure(
    description: str, metadata: Mapping[str, MetadataValue[Any]] | None = None, cause: BaseException | None = None
) -> Failure:
    """What a step is to raise; its run is tagged with the first of the description.

    Parameters
    ----------
    description
        What failed, why, and what to do.
    metadata
        Shown with it.
    cause
        The error behind it, if there is one, whose stack is shown.
    """
    try:
        context = OpExecutionContext.get()
    except DagsterInvariantViolationError:  # no step: a sensor, say
        pass
    else:
        line = " ".join(description.split())
        summary = line if len(line) <= MAX_SUMMARY else f"{line[: MAX_SUMMARY - 1]}…"
        context.instance.add_run_tags(context.run_id, {FAILED_TAG: summary})
    return ClearFailure(description, metadata, cause)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """An error of curator becomes a `Failure` with its one clear sentence."""
    try:
        yield
    except CuratorError as exc:
        raise step_failure(f"{type(exc).__name__}: {exc}", cause=exc) from exc
