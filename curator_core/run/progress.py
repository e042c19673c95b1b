"""Progress of a run: a live display on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger("curator.progress")

LOG_EVERY_S = 10.0
"""Time between log lines where there is no terminal, seconds."""


class WorkerProgressDisplay:
    """Overall bar with rate and remaining time, one line per worker, failures counted.

    Parameters
    ----------
    total
        Number of items.
    n_workers
        Number of workers that get a line.
    enabled
        Show anything at all.
    """

    def __init__(self, total: int, n_workers: int, enabled: bool = True) -> None:  # noqa: FBT001, FBT002
        self.total = total
        self.completed = 0
        self.failed = 0
        self._started = time.monotonic()
        self._last_log = self._started
        self._workers: dict[str, Any] = {}
        self._n_workers = n_workers
        self._progress: Any = None
        self._overall: Any = None
        self._is_enabled = enabled and total > 0
        if self._is_enabled and sys.stderr.isatty():
            self._open_display()

    def _open_display(self) -> None:
        from rich import progress  # noqa: PLC0415 - only on a terminal
        from rich.console import Console  # noqa: PLC0415

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[note]}"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._overall = self._progress.add_task("items", total=self.total, note="")
        self._progress.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def worker_start(self, worker: str, index: int) -> None:
        """A worker began an index."""
        if self._progress is None:
            return
        if worker not in self._workers and len(self._workers) < self._n_workers:
            self._workers[worker] = self._progress.add_task(worker, total=None, note="")
        if worker in self._workers:
            self._progress.update(self._workers[worker], note=f"index {index}")

    def worker_done(self, worker: str) -> None:
        """A worker finished its index."""
        if worker in self._workers:
            self._progress.update(self._workers[worker], note="idle")

    def complete_item(self, *, failed: bool = False) -> None:
        """One item is done."""
        self.completed += 1
        self.failed += failed
        if not self._is_enabled:
            return
        if self._progress is not None:
            self._progress.update(self._overall, completed=self.completed, note=self._note())
        elif time.monotonic() - self._last_log >= LOG_EVERY_S:
            self._last_log = time.monotonic()
            logger.info("%d of %d items, %s", self.completed, self.total, self._note())

    def _note(self) -> str:
        rate = self.completed / max(time.monotonic() - self._started, 1e-9)
        return f"{rate:.1f}/s" + (f", {self.failed} failed" if self.failed else "")

    def close(self) -> None:
        """End the display; further calls do nothing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        elif self._is_enabled:
            logger.info("%d of %d items, %s", self.completed, self.total, self._note())
        self._is_enabled = False
