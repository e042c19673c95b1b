"""curator's own log on stderr while a command runs."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

from curator_core.printable import printable_lines
from curator_core.redaction import without_known


class _StderrHandler(logging.Handler):
    """Writes to whatever stderr is at that moment: above a live display while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, with the time of day, or with the level when something is wrong."""
        is_news = record.levelno < logging.WARNING
        prefix = (
            time.strftime("%H:%M:%S", time.localtime(record.created)) if is_news else f"{record.levelname.lower()}:"
        )
        sys.stderr.write(f"{prefix} {printable_lines(without_known(record.getMessage()))}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show warnings of the logger ``curator``; ``--verbose`` lowers the level."""
    loggers = [logging.getLogger("curator"), logging.getLogger(PROGRESS_LOGGER), logging.getLogger(DUE_LOGGER)]
    before = [logger.level for logger in loggers]
    handler = _StderrHandler()
    loggers[0].addHandler(handler)
    loggers[0].setLevel(logging.WARNING)
    try:
        yield
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


PROGRESS_LOGGER = "curator.progress"
"""Logger of the progress lines that stand in for the live display where there is no terminal."""

DUE_LOGGER = "curator.gather"
"""Logger of the line that says that outputs have to be gathered."""
