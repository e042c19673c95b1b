"""Results that a worker holds back while a slow item runs: kept in a journal, so that no death loses them.

A kill loses 200 ms of results at most. A worker holds them back for `KEEP_AFTER_S` and a look, the coordinator for
`curator_core.store.writer.BATCH_SECONDS` until they are committed, together 150 ms; the rest is for their way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path

from curator_core.errors import StoreError
from curator_core.records import IndexResult
from curator_core.store import JournalWriter

logger = logging.getLogger("curator")

KEEP_AFTER_S = 0.07
"""How long a worker may hold a chunk's results back before they go to its journal, seconds."""
LOOK_S = 0.02
"""Time between two looks at how long it does."""
N_REMEMBERED = 3
"""Chunks that the coordinator may have without having recorded them: those on the way, and the one that it is at."""


class _Held:
    """Results of a chunk, and how many of them are in the journal."""

    def __init__(self) -> None:
        self.results: list[IndexResult] = []
        self.since = time.monotonic()
        self.n_kept = 0


class Keeper:
    """Puts the results of a chunk that takes long into a journal, from a thread of its own.

    The coordinator gets them all the same, when the chunk ends; what it recorded meanwhile is known by then.

    Parameters
    ----------
    journals
        Folder and configuration hash of the journal; ``None`` keeps nothing.
    """

    def __init__(self, journals: tuple[Path, str] | None) -> None:
        self._journals = journals
        self._journal: JournalWriter | None = None
        self._chunk: _Held | None = None
        self._remembered: deque[_Held] = deque(maxlen=N_REMEMBERED)
        self._guard = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> list[IndexResult]:
        """A new chunk: the list that takes its results."""
        if self._thread is None and self._journals is not None:
            self._thread = threading.Thread(target=self._watch, name="curator-keeper", daemon=True)
            self._thread.start()
        with self._guard:
            self._chunk = held = _Held()
            self._remembered.append(held)
        return held.results

    def end(self) -> None:
        """The chunk goes to the coordinator."""
        with self._guard:
            self._chunk = None
            if self._journal is not None:
                self._journal.rest()

    def save(self) -> None:
        """Keep what the coordinator may not have recorded: it died, or gets it much later."""
        with self._guard:
            for held in self._remembered:
                self._keep(held)
            if self._chunk is None and self._journal is not None:
                self._journal.rest()

    def close(self) -> None:
        """Keep what is left of a chunk that nobody waits for, and the journal durable."""
        self._end.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._guard:
            if self._chunk is not None:
                self._keep(self._chunk)
            if self._journal is not None:
                self._journal.close()
            self._journals = self._journal = None

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            with self._guard:
                if self._chunk is not None and time.monotonic() - self._chunk.since > KEEP_AFTER_S:
                    self._keep(self._chunk)

    def _keep(self, held: _Held) -> None:
        new = held.results[held.n_kept :]
        if not new or self._journals is None:
            return
        try:
            if self._journal is None:
                self._journal = JournalWriter(*self._journals)
            for result in new:
                self._journal.append(result)
        except StoreError as exc:  # a full disk, a folder that this host has not: the run itself goes on
            logger.warning(
                "results of slow chunks cannot be kept in %s, should the run die: %s", self._journals[0], exc
            )
            self._journals = None
        held.n_kept += len(new)
