"""Keeps the display and the database up to date about who works on what, without a write per index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from curator_core.errors import StoreError
from curator_core.run.progress import WorkerProgressDisplay
from curator_core.run.workers.heartbeats import Heartbeats, WorkerStatus

logger = logging.getLogger("curator")

INTERVAL_S = 0.5
"""Time between two looks at the heartbeats, seconds."""


class Monitor:
    """A thread that reads the heartbeats twice a second once the workers have started.

    Parameters
    ----------
    board
        Where workers show what they are at.
    display
        Shows it.
    heartbeat
        Records it.
    """

    def __init__(
        self,
        board: Heartbeats,
        display: WorkerProgressDisplay,
        heartbeat: Callable[[Sequence[WorkerStatus]], None] | None,
    ) -> None:
        self._board = board
        self._display = display
        self._heartbeat = heartbeat
        self._names: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="curator-monitor", daemon=True)
        board.on_open = self._thread.start

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._board.on_open = None
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._stop.wait(INTERVAL_S):
                self._look()
        except StoreError as exc:  # the coordinator meets it too, at its next write
            logger.warning("workers are not shown any more: %s", exc)

    def _look(self) -> None:
        presences = self._board.read()
        for presence in presences:
            name = self._names.setdefault(presence.worker_id, f"worker {len(self._names) + 1}")
            if presence.index is None:
                self._display.worker_done(name)
            else:
                self._display.worker_start(name, presence.index)
        if self._heartbeat is not None:
            self._heartbeat(presences)
