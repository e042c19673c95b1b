"""Results that a worker holds back while a slow item runs: kept in a journal, so that no death loses them."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from curator_core.errors import StoreError
from curator_core.records import IndexResult
from curator_core.store import JournalWriter

logger = logging.getLogger("curator")

KEEP_AFTER_S = 0.11
"""How long a worker may hold a chunk's results back before they go to its journal, seconds."""
_LOOK_S = 0.05


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
        self._chunk: list[IndexResult] | None = None
        self._since = 0.0
        self._n_kept = 0
        self._guard = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> list[IndexResult]:
        """A new chunk: the list that takes its results."""
        if self._thread is None and self._journals is not None:
            self._thread = threading.Thread(target=self._watch, name="curator-keeper", daemon=True)
            self._thread.start()
        chunk: list[IndexResult] = []
        with self._guard:
            self._chunk, self._since, self._n_kept = chunk, time.monotonic(), 0
        return chunk

    def end(self) -> None:
        """The chunk goes to the coordinator."""
        with self._guard:
            self._chunk = None
            if self._journal is not None:
                self._journal.rest()

    def close(self) -> None:
        """Keep what is left of a chunk that nobody waits for, and the journal durable."""
        self._end.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._guard:
            self._keep()
            if self._journal is not None:
                self._journal.close()
            self._journals = self._journal = None

    def _watch(self) -> None:
        while not self._end.wait(_LOOK_S):
            with self._guard:
                if self._chunk and time.monotonic() - self._since > KEEP_AFTER_S:
                    self._keep()

    def _keep(self) -> None:
        if not self._chunk or self._journals is None:
            return
        new = self._chunk[self._n_kept :]
        try:
            if new and self._journal is None:
                self._journal = JournalWriter(*self._journals)
            for result in new:
                if self._journal is not None:
                    self._journal.append(result)
        except StoreError as exc:  # a full disk, a folder that this host has not: the run itself goes on
            logger.warning(
                "results of slow chunks cannot be kept in %s, should the run die: %s", self._journals[0], exc
            )
            self._journals = None
        self._n_kept += len(new)
