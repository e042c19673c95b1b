"""The log of a run for work that takes long, which does not end because a line of it cannot be written."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from curator_dagster._compat.databases import database_errors
from curator_dagster.curation.failing import print_error

if TYPE_CHECKING:
    from dagster import OpExecutionContext

RETRY_AFTER_S = 60.0
"""Time until writing to Dagster's database is tried again when it could not be written, seconds."""


class RunLog:
    """Writes lines to a run's log; to standard error while Dagster's database is locked, full or away.

    Dagster raises there what its database raises, which would end the step, or the workflow that logs.

    Parameters
    ----------
    context
        Of the op.
    """

    def __init__(self, context: OpExecutionContext) -> None:
        self._log = context.log
        self._retry_at = 0.0

    def info(self, text: str, *args: object) -> None:
        """What happens."""
        self.write(logging.INFO, text, *args)

    def warning(self, text: str, *args: object) -> None:
        """What somebody should know."""
        self.write(logging.WARNING, text, *args)

    def error(self, text: str, *args: object) -> None:
        """What failed."""
        self.write(logging.ERROR, text, *args)

    def write(self, level: int, text: str, *args: object) -> None:
        """A line of any level, its arguments as `logging` takes them."""
        if time.monotonic() >= self._retry_at:
            try:
                self._log.log(level, text, *args)
            except database_errors():
                self._retry_at = time.monotonic() + RETRY_AFTER_S
            else:
                return
        print_error(text % args if args else text)
