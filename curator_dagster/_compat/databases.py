"""Dagster's own databases, when they are locked, full or away."""

from __future__ import annotations

import sys
from traceback import walk_tb

_STORAGES = ("dagster._core.storage", "dagster_postgres", "dagster_mysql", "curator_dagster._compat.events")


def database_errors() -> tuple[type[Exception], ...]:
    """What Dagster's storages raise when they cannot be read or written.

    Those on PostgreSQL raise an error of Dagster's own, which has no public name, once they have tried for a while.
    """
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - a code location needs none

    postgres = sys.modules.get("dagster_postgres.utils")
    return DBAPIError, OSError, *(() if postgres is None else (postgres.DagsterPostgresException,))


def is_of_dagster(error: BaseException) -> bool:
    """Whether one of these errors came from Dagster's storages: a block or a sink may use a database of its own."""
    names = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(name.startswith(_STORAGES) for name in names)


def database_reason(error: BaseException) -> str:
    """What the database itself said, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0]
