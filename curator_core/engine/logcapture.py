"""Collects what is logged while an index is processed."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from curator_core.records import LogLine

MAX_LINES_PER_INDEX = 1000
MAX_MESSAGE = 8_000
"""Characters of one message that are kept."""
_MAX_CHARACTERS = 1_000_000
"""Characters of one index's messages that are kept."""
_MAX_RAW = 50_000
"""Characters of a message that are held until secrets are taken out: many more than are kept, so that none is cut."""
OWN_THREADS = "curator-"
"""How the names of curator's own threads begin; what they log belongs to no index."""

_busy: dict[int, list[LogLine]] = {}
"""Lines of the indices that this process is at, by thread."""


class LogCapture(logging.Handler):
    """A handler on the root logger that keeps the records of the index its thread is processing.

    Threads that a component starts count as well, while this process has one index at a time.
    """

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
        thread = threading.get_ident()
        self._local.outer = _busy.get(thread)  # of another pipeline, one of whose components runs this one
        self._local.lines = self._lines = _busy[thread] = []

    def end(self) -> tuple[LogLine, ...]:
        """Stop collecting and hand over what was collected."""
        lines: list[LogLine] = self._local.lines
        self._local.lines = None
        if self._local.outer is None:
            del _busy[threading.get_ident()]
        else:
            _busy[threading.get_ident()] = self._local.outer
        return tuple(lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record, up to `MAX_LINES_PER_INDEX` of them."""
        lines: list[LogLine] | None = getattr(self._local, "lines", None)
        if lines is None:
            lines = self._of_the_only_index(record)
        if lines is None or len(lines) > MAX_LINES_PER_INDEX:
            return
        message = _message(record)
        if len(lines) == MAX_LINES_PER_INDEX:
            message = f"More than {MAX_LINES_PER_INDEX} log lines for one index; the rest is not kept."
        stamp = datetime.fromtimestamp(record.created, UTC).isoformat()
        lines.append(LogLine(stamp, record.levelno, str(record.levelname), str(record.name), message))

    def _of_the_only_index(self, record: logging.LogRecord) -> list[LogLine] | None:
        """Where a line of another thread belongs: to the index this capture is at, if the process has no other."""
        if (record.threadName or "").startswith(OWN_THREADS) or len(_busy) != 1:
            return None
        lines = next(iter(_busy.values()), None)
        return lines if lines is getattr(self, "_lines", None) else None


def bounded(lines: list[LogLine]) -> list[LogLine]:
    """The lines whose messages have `_MAX_CHARACTERS` in all."""
    n_left = _MAX_CHARACTERS
    for number, line in enumerate(lines):
        n_left -= len(line.message)
        if n_left < 0:
            last = f"More than {_MAX_CHARACTERS:,} characters of log lines for one index; the rest is not kept."
            return [*lines[:number], LogLine(line.timestamp, line.level, line.level_name, line.logger_name, last)]
    return lines


def cut(message: str) -> str:
    """A message of at most `MAX_MESSAGE` characters; it says when it was longer."""
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]} […cut here: the message is longer…]"


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception as exc:  # noqa: BLE001 - what does not fit, or has no text, is the caller's mistake
        message = _unfitting(record, exc)
    return message[:_MAX_RAW]


def _unfitting(record: logging.LogRecord, error: Exception) -> str:
    try:
        return f"{record.msg!r} ({type(error).__name__}: {error})"
    except Exception:  # noqa: BLE001 - neither has
        return f"(a message without text, logged in {record.pathname}, line {record.lineno})"
