"""Who works on what: every worker's current index, kept without a write per index.

A worker on this host stores its index in a few bytes of shared memory (a mapped file), which the
coordinator reads twice a second, and once more when a worker has died, to know which item it held.
Backends with workers elsewhere `post` what those send them.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from curator_core.storage.locks import may_exist

logger = logging.getLogger("curator")

_ENTRY = struct.Struct("<qqd")  # process id, index or -1, when it began (monotonic clock of the host)
_IDLE = -1


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What one worker does at the moment."""

    worker_id: str
    """Its id, as in its results."""
    pid: int
    """Its process."""
    host: str
    """Its host."""
    index: int | None
    """The index it processes, ``None`` when idle."""
    since: float
    """When it began that, seconds since the epoch."""
    elapsed_s: float = 0.0
    """How long ago that was, seconds, whatever has been done to the clock meanwhile."""


class HeartbeatSlot:
    """The heartbeat of one worker.

    Parameters
    ----------
    folder
        Folder of the heartbeats; a worker that cannot reach it keeps its own to itself.
    worker_id
        Its name.
    """

    def __init__(self, folder: Path, worker_id: str) -> None:
        self._memory: mmap.mmap | bytearray = bytearray(_ENTRY.size)
        self._pid = os.getpid()
        self._path = folder / worker_id
        if folder.is_dir():
            temporary = self._path.with_name(f".{worker_id}")
            try:
                temporary.write_bytes(_ENTRY.pack(self._pid, _IDLE, time.monotonic()))
                with temporary.open("r+b") as file:
                    self._memory = mmap.mmap(file.fileno(), _ENTRY.size)
                temporary.replace(self._path)
            except OSError as exc:  # no room there: the run needs heartbeats for its display alone
                self._memory = bytearray(_ENTRY.size)
                logger.info("%s has no room for what workers show of themselves (see TMPDIR): %s", folder, exc)
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    @property
    def is_shared(self) -> bool:
        """Whether the coordinator can read it."""
        return isinstance(self._memory, mmap.mmap)

    def begin(self, index: int) -> None:
        """The worker begins an index."""
        _ENTRY.pack_into(self._memory, 0, self._pid, index, time.monotonic())

    def end(self) -> None:
        """The worker is idle."""
        _ENTRY.pack_into(self._memory, 0, self._pid, _IDLE, time.monotonic())

    def close(self) -> None:
        """Remove the heartbeat."""
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
            self._memory = bytearray(_ENTRY.size)
            self._path.unlink(missing_ok=True)

    def read(self) -> tuple[int | None, float]:
        """The index, ``None`` when idle, and since when."""
        _, index, since = _ENTRY.unpack_from(self._memory)
        return (None if index == _IDLE else index), time.time() - (time.monotonic() - since)


class Heartbeats:
    """The coordinator's view of all workers.

    Parameters
    ----------
    folder
        An empty folder on a local disk; without one, only what is posted is known.
    """

    def __init__(self, folder: Path = Path(os.devnull)) -> None:
        self.folder = folder
        self._host = socket.gethostname()
        self._posted: dict[str, tuple[WorkerStatus, float]] = {}
        self._guard = threading.Lock()
        self.on_open: Callable[[], None] | None = None
        """Called once, when the workers have started."""

    def open(self) -> None:
        """The workers have started; from now on their heartbeats may be read."""
        on_open, self.on_open = self.on_open, None
        if on_open is not None:
            on_open()

    def post(self, presence: WorkerStatus) -> None:
        """Take what a worker elsewhere sends."""
        with self._guard:
            self._posted[presence.worker_id] = presence, time.monotonic()

    def read(self) -> list[WorkerStatus]:
        """What every worker does now."""
        found = []
        paths = self.folder.iterdir() if self.folder.is_dir() else ()
        for path in sorted(path for path in paths if not path.name.startswith(".")):
            try:
                pid, index, since = _ENTRY.unpack(path.read_bytes())
            except (FileNotFoundError, struct.error):  # it ended meanwhile
                continue
            found.append(_seen(path.name, pid, self._host, index, since))
        now = time.monotonic()
        with self._guard:
            posted = [replace(said, elapsed_s=said.elapsed_s + now - then) for said, then in self._posted.values()]
        return found + posted

    def take_dead(self) -> list[WorkerStatus]:
        """What the workers of this host that exist no more were doing; each is given once."""
        dead = [presence for presence in self.read() if not may_exist(presence.host, presence.pid)]
        for presence in dead:
            (self.folder / presence.worker_id).unlink(missing_ok=True)
            with self._guard:
                self._posted.pop(presence.worker_id, None)
        return dead


def _seen(worker_id: str, pid: int, host: str, index: int, began_s: float) -> WorkerStatus:
    """What an entry says, which began at a time of the monotonic clock."""
    elapsed_s = time.monotonic() - began_s
    return WorkerStatus(worker_id, pid, host, None if index == _IDLE else index, time.time() - elapsed_s, elapsed_s)
