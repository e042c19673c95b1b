"""`WorkerProgressDisplay`: counts what happens, and lets a view show it at its own pace."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from curator_core.records import IndexResult
from curator_core.run.progress.eta import Estimator
from curator_core.run.progress.loglines import LogLines, logger
from curator_core.run.progress.notebook import NotebookBar
from curator_core.run.progress.snapshot import Snapshot, View, WorkerLine
from curator_core.run.progress.terminal import Terminal

_Task = tuple[int, str | None, float]


class WorkerProgressDisplay:
    """Overall bar with rate and time left, one line per worker, failures counted.

    Any thread may call any method. An event only counts; a thread of the display's own draws, at most eight
    times a second. It starts with the first event: worker processes can be forked safely before.

    Parameters
    ----------
    total
        Number of items.
    n_workers
        Number of workers.
    enabled
        Show anything at all.
    clock
        Time in seconds, from any origin.
    """

    def __init__(
        self,
        total: int,
        n_workers: int,
        enabled: bool = True,  # noqa: FBT001, FBT002 - the contract's signature
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.completed = 0
        self.failed = 0
        self._n_workers = n_workers
        self._clock = clock
        self._started_s = clock()
        self._estimator = Estimator(total, n_workers, self._started_s)
        self._workers: dict[str, _Task | None] = {}
        self._guard = threading.Lock()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._view = _view(total) if enabled and total > 0 else None
        self._is_thread_due = self._view is not None
        if self._view is not None:
            atexit.register(self.close)  # a cursor must come back, even if nobody closes the display
            self._draw(self._view)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def worker_start(self, worker: str, index: int, key: str | None = None) -> None:
        """A worker began an index.

        Parameters
        ----------
        worker
            Name of the worker.
        index
            The index.
        key
            Key of its item.
        """
        with self._guard:
            if worker not in self._workers and len(self._workers) >= self._n_workers:
                self._forget_idle()
            self._workers[worker] = (index, key, self._clock())
        if self._is_thread_due:
            self._start_thread()

    def worker_done(self, worker: str) -> None:
        """A worker finished its index."""
        with self._guard:
            if worker in self._workers:
                self._workers[worker] = None

    def take(self, result: IndexResult) -> None:
        """An item is done, or failed."""
        self.complete_item(failed=not result.is_completed)

    def complete_item(self, *, failed: bool = False) -> None:
        """One item is done."""
        with self._guard:
            self.completed += 1
            if failed:
                self.failed += 1
        if self._is_thread_due:
            self._start_thread()

    def close(self) -> None:
        """End the display; further calls do nothing."""
        with self._guard:
            self._is_thread_due = False
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()
        view = self._view
        if view is not None:
            self._view = None
            try:
                view.close(self._snapshot())
            except OSError as exc:
                logger.warning("progress is no longer shown: %s", exc)
            atexit.unregister(self.close)

    def _forget_idle(self) -> None:
        """Make room for a worker that replaces another."""
        idle = next((worker for worker, task in self._workers.items() if task is None), None)
        if idle is not None:
            del self._workers[idle]

    def _start_thread(self) -> None:
        with self._guard:
            if not self._is_thread_due or self._view is None:
                return
            self._is_thread_due = False
            self._thread = threading.Thread(
                target=self._draw_until_closed, args=(self._view,), name="curator-progress", daemon=True
            )
            self._thread.start()

    def _draw_until_closed(self, view: View) -> None:
        while not self._is_closing.wait(view.interval_s) and self._draw(view):
            pass

    def _draw(self, view: View) -> bool:
        """Show the present state; whether that is possible."""
        try:
            view.draw(self._snapshot())
        except OSError as exc:  # the terminal is gone; the run goes on
            logger.warning("progress is no longer shown: %s", exc)
            return False
        return True

    def _snapshot(self) -> Snapshot:
        now_s = self._clock()
        with self._guard:
            completed, failed, workers = self.completed, self.failed, list(self._workers.items())
        lines = [
            WorkerLine(worker, None, None, 0.0)
            if task is None
            else WorkerLine(worker, task[0], task[1], now_s - task[2])
            for worker, task in workers
        ]
        self._estimator.observe(now_s, completed)
        forecast = self._estimator.forecast(now_s, [line.age_s for line in lines if line.index is not None])
        return Snapshot(self.total, completed, failed, now_s - self._started_s, forecast, tuple(lines))


def _view(total: int) -> View:
    return NotebookBar.open(total) or Terminal.open() or LogLines()
