"""Handing out chunks and taking results: what all backends with worker processes or threads share."""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, ClassVar

from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig
from curator_core.run.scheduling.chunks import MAX_CHUNK, ChunkQueue
from curator_core.run.scheduling.crash_recovery import MAX_FAILED_STARTS, CrashRecovery
from curator_core.run.signals import signals_deferred, signals_delivered
from curator_core.run.workers.heartbeats import Heartbeats
from curator_core.run.workers.worker import Chunk

DRAIN_SECONDS = 0.3
"""How long an interrupted run waits for chunks that are nearly done."""
KILL_GRACE_S = 2.0
"""How long after its timeout an index that does not react is killed with its process, seconds."""

FIRST_PAUSE_S = 0.01
"""Half of the time between the first two attempts to start a worker; it doubles with each, seconds."""

Outcome = tuple[Chunk, list[IndexResult] | None]
"""A chunk and the results of its first groups (of none if no worker began it); ``None`` when its worker died."""


class _NotBegun(BrokenExecutor):
    """No worker took a chunk."""


class WorkerPool(ABC):
    """Workers that take chunks, of one run.

    The run calls every method from one thread, with signals held back: let them in while waiting, by
    `signals_delivered`, or Ctrl-C waits, too.
    """

    @property
    @abstractmethod
    def has_room(self) -> bool:
        """Whether another chunk is handed out now: a few more than there are workers, so that none waits."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Chunks handed out and not yet returned."""

    @abstractmethod
    def submit(self, chunk: Chunk) -> None:
        """Hand a chunk out, to a worker that calls `process_chunk` with it."""

    @abstractmethod
    def completed(self) -> list[Outcome]:
        """Chunks that are done, and those whose worker died; waits for one at least."""

    def drained(self) -> list[IndexResult]:
        """Results of what completes within `DRAIN_SECONDS`; nothing else is begun."""
        return []

    @abstractmethod
    def stop(self) -> None:
        """End the workers; what is in flight is abandoned."""


class ChunkedBackend(RunBackend):
    """A backend that hands chunks to a `WorkerPool`: override `pool`.

    Chunks are sized from what items cost, about 50 ms each. When a worker dies, what its chunk held is handed out
    again; the index that it was processing is tried once more, alone, and is recorded as failed if that worker dies,
    too. An interrupt lets the chunks in flight end, if they are quick, and records them.
    """

    knows_all: ClassVar[bool] = False
    """Whether every worker runs on this host, so that the run sees whatever each of them begins."""

    def max_chunk(self, config: RunConfig) -> int:
        """Items of a chunk, at most; a group is never divided."""
        return MAX_CHUNK

    @abstractmethod
    def pool(self, pipeline: Pipeline[Any], config: RunConfig) -> WorkerPool:
        """The workers for a run; see `RunConfig.worker_setup` for what each of them gets."""

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as chunks complete; an interrupt lets the chunks in flight end, if they are quick."""
        queue = ChunkQueue(config.item_groups(), self.max_chunk(config))
        recovery = CrashRecovery(config, knows_all=self.knows_all)
        with signals_deferred():  # the pool lets signals in where it waits
            pool = self.pool(pipeline, config)
            try:
                while queue or pool.in_flight or recovery.quarantined:
                    while queue and pool.has_room:
                        pool.submit(queue.take())
                    if not pool.in_flight:
                        pool.submit([recovery.quarantined.popleft()])
                    lost = []
                    for chunk, results in pool.completed():
                        if results is None:
                            lost.append(chunk)
                        else:
                            recovery.began(results)
                            queue.finished(chunk, results)
                            yield from results
                    if lost:
                        yield from recovery.attribute(lost, queue)
            except KeyboardInterrupt:
                yield from pool.drained()
                raise
            finally:
                pool.stop()


class FuturesPool(WorkerPool):
    """Workers that answer with `concurrent.futures.Future`s: override `hand_out` and `stop`.

    The future of a chunk whose worker died raises `concurrent.futures.BrokenExecutor`, once the worker's process is
    gone; whatever else it raises ends the run.

    Parameters
    ----------
    n_workers
        Number of workers.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._in_flight: dict[Future[list[IndexResult]], Chunk] = {}

    @abstractmethod
    def hand_out(self, chunk: Chunk) -> Future[list[IndexResult]]:
        """Submit a chunk; the future gives what `process_chunk` returns for it."""

    @property
    def in_flight(self) -> int:
        """Chunks handed out and not yet returned."""
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        """One chunk more than there are workers, so that none waits."""
        return len(self._in_flight) < self.n_workers + 1

    def submit(self, chunk: Chunk) -> None:
        """Hand a chunk out."""
        self._in_flight[self.hand_out(chunk)] = chunk

    def completed(self) -> list[Outcome]:
        """Chunks that are done; waits for one at least."""
        with signals_delivered():
            done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
        if any(not future.cancelled() and isinstance(future.exception(), BrokenExecutor) for future in done):
            self.on_worker_death()
        return [self._taken(future) for future in list(self._in_flight) if future.done()]

    def on_worker_death(self) -> None:
        """Called when a worker died; the futures of the others may go on."""

    def _taken(self, future: Future[list[IndexResult]]) -> Outcome:
        chunk = self._in_flight.pop(future)
        try:
            return chunk, future.result()
        except (_NotBegun, CancelledError):
            return chunk, []
        except BrokenExecutor:
            return chunk, None

    def drained(self) -> list[IndexResult]:
        """Results of what completes soon; nothing else is begun."""
        started = [future for future in self._in_flight if not future.cancel()]
        with signals_delivered():
            done, _ = wait(started, timeout=DRAIN_SECONDS)
        return [result for future in done if future.exception() is None for result in future.result()]


class ExecutorPool(FuturesPool):
    """Workers behind a `concurrent.futures.Executor`, which is built when it is needed and again when it breaks.

    Override `build` and `submit_to`.
    """

    _executor: Executor | None = None
    _n_failed_starts = 0

    @abstractmethod
    def build(self) -> Executor:
        """A new executor."""

    @abstractmethod
    def submit_to(self, executor: Executor, chunk: Chunk) -> Future[list[IndexResult]]:
        """Submit a chunk: `process_chunk`, with the token of the workers' setup."""

    def hand_out(self, chunk: Chunk) -> Future[list[IndexResult]]:
        """Submit a chunk, building the executor if there is none."""
        if self._executor is None:
            self._executor = self.build()
        try:
            future = self.submit_to(self._executor, chunk)
        except (BrokenExecutor, OSError, EOFError) as exc:
            # A worker cannot be started: the process that forks them was killed, before it was asked or meanwhile.
            if isinstance(exc, OSError | EOFError):
                self._n_failed_starts += 1
                if self._n_failed_starts >= MAX_FAILED_STARTS:
                    raise
                # A process that was killed takes a moment to be gone; nobody tells when.
                time.sleep(FIRST_PAUSE_S * 2**self._n_failed_starts)
            refused: Future[list[IndexResult]] = Future()
            refused.set_exception(_NotBegun(str(exc)))
            return refused
        self._n_failed_starts = 0
        return future

    def on_worker_death(self) -> None:
        """Wait until the broken executor has ended all its futures: with their results, if they had one."""
        self.stop()

    def stop(self) -> None:
        """End the workers once they have done what they are at."""
        executor, self._executor = self._executor, None
        if executor is not None:
            with signals_delivered():
                executor.shutdown(wait=True, cancel_futures=True)


class TimeoutWatchdog:
    """Kills worker processes of this host that stay at one index far beyond its timeout.

    Workers interrupt themselves; this is for those that a C function holds.

    Parameters
    ----------
    board
        Who is at what since when.
    timeout
        Time limit of an index, seconds; ``None`` for no limit.
    """

    def __init__(self, board: Heartbeats, timeout: float | None) -> None:
        self._board = board
        self._timeout = timeout
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="curator-timeouts", daemon=True)

    def start(self) -> None:
        """Watch from now on, if there is a limit."""
        if self._timeout is not None and self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        limit = (self._timeout or 0.0) + KILL_GRACE_S
        while not self._stop.wait(0.25):
            for presence in self._board.read():
                if presence.index is not None and presence.elapsed_s > limit and presence.pid != os.getpid():
                    kill(presence.pid)


def kill(pid: int) -> None:
    """End a process at once, if it still exists."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
