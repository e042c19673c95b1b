"""Progress as log lines, where there is no terminal."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from curator_core.engine.logcapture import LogCapture
from curator_core.run.progress import wording
from curator_core.run.progress.snapshot import Snapshot

logger = logging.getLogger("curator.progress")

FIRST_S = 10.0
"""When the first line comes, seconds after the start."""
MAX_GAP_S = 300.0
"""Time between lines of a long run, seconds."""


class LogLines:
    """Lines of the logger ``curator.progress``, printed where logging is not configured.

    One after 10 s, then whenever the run has become a tenth longer, every 5 min at least.
    """

    interval_s = 0.5

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def draw(self, now: Snapshot) -> None:
        """Log a line if it is time."""
        if now.elapsed_s < self._next_s:
            return
        self._next_s = now.elapsed_s + min(MAX_GAP_S, max(FIRST_S, now.elapsed_s / 10))
        notes = (_failures(now), wording.time_left(now.forecast), wording.stall(now.forecast))
        parts = [f"{now.completed} of {now.total} items", wording.rate(now.forecast.rate), *filter(None, notes)]
        _say(", ".join(parts))

    def close(self, end: Snapshot) -> None:
        """Log the last line: items, failures, time, mean rate."""
        mean = wording.rate(end.completed / max(end.elapsed_s, 1e-9))
        parts = [f"{end.completed} of {end.total} items in {wording.span(end.elapsed_s)}", mean, _failures(end)]
        _say(", ".join(filter(None, parts)))


def _say(text: str) -> None:
    """Log a line, or print it to standard error where nobody has configured logging."""
    if _is_configured():
        logger.info(text)
    elif sys.stderr is not None:
        sys.stderr.write(f"{datetime.now(UTC).astimezone():%Y-%m-%d %H:%M:%S} {text}\n")
        sys.stderr.flush()


def _is_configured() -> bool:
    """Whether some handler is there for the lines; those that collect log lines of items do not count."""
    at: logging.Logger | None = logger
    while at is not None:
        if any(not isinstance(handler, LogCapture) for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


def _failures(now: Snapshot) -> str:
    return f"{now.failed} failed" if now.failed else ""
