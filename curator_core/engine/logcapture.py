"""Collects what is logged while an index is processed."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from curator_core.records import LogLine

MAX_LINES_PER_INDEX = 1000


class LogCapture(logging.Handler):
    """A handler on the root logger that keeps the records of the index its thread is processing."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._local = threading.local()

    def install(self) -> None:
        """Attach to the root logger."""
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Detach from the root logger."""
        logging.getLogger().removeHandler(self)

    def begin(self) -> None:
        """Start collecting for this thread's next index."""
        self._local.lines = []

    def end(self) -> tuple[LogLine, ...]:
        """Stop collecting and hand over what was collected."""
        lines: list[LogLine] = self._local.lines
        self._local.lines = None
        return tuple(lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, up to `MAX_LINES_PER_INDEX` of them."""
        lines: list[LogLine] | None = getattr(self._local, "lines", None)
        if lines is None or len(lines) > MAX_LINES_PER_INDEX:
            return
        try:
            message = record.getMessage()
        except (TypeError, ValueError) as exc:  # arguments that do not fit the format: the logger's mistake
            message = f"{record.msg!r} ({exc})"
        if len(lines) == MAX_LINES_PER_INDEX:
            message = f"More than {MAX_LINES_PER_INDEX} log lines for one index; the rest is not kept."
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat()
        lines.append(LogLine(stamp, record.levelno, record.levelname, record.name, message))
