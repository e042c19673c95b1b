"""Where Dagster, which the core does not need, is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from curator_core.errors import MissingDependencyError


@contextmanager
def needing_dagster(purpose: str) -> Iterator[None]:
    """Import what needs Dagster.

    Parameters
    ----------
    purpose
        What it is needed for, for the message.

    Raises
    ------
    MissingDependencyError
        Dagster is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "dagster":
            raise
        raise MissingDependencyError.of("dagster", "dagster", purpose) from exc
