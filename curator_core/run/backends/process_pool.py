"""Worker processes of the standard library's ``ProcessPoolExecutor``."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from time import monotonic
from typing import Any, ClassVar

from curator_core.errors import ConfigError, WorkerDiedError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig, resolve_n_jobs
from curator_core.run.worker import initialize, process_items, serialized

CHUNK_SECONDS = 0.1
"""Work per chunk: what a killed coordinator can lose of one worker."""
MAX_CHUNK = 1000
_UNSAFE_TO_FORK = ("torch", "jax", "tensorflow", "cupy", "grpc", "pyarrow")

Chunk = list[Item]


class ProcessPoolBackend(RunBackend):
    """Worker processes on this machine.

    The pipeline is sent once per worker; indices travel in chunks sized from their measured cost. When
    a worker dies, the chunks in flight are processed again one index at a time, each in a fresh worker,
    and an index that kills that one too is recorded as failed.
    """

    name: ClassVar[str] = "process_pool"
    description: ClassVar[str] = "Worker processes on this machine."
    options: ClassVar[tuple[str, ...]] = (
        "max_workers",
        "mp_context",
        "initializer",
        "initargs",
        "max_tasks_per_child",
    )

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Iterator[IndexResult]:
        """Yield results as chunks complete."""
        options = dict(config.backend_options)
        workers = resolve_n_jobs(options.pop("max_workers", None) or config.n_jobs)
        pool = _Pool(serialized(pipeline), min(workers, max(1, len(config.items))), options)
        pending = deque(config.item_groups())
        suspects: deque[Item] = deque()
        try:
            while pending or pool.in_flight or suspects:
                while pending and pool.has_room:
                    pool.submit(_next_chunk(pending, pool.chunk_size))
                if not pool.in_flight:
                    yield from _retried(suspects.popleft(), pool)
                    continue
                for chunk, results in pool.completed():
                    if results is None:
                        suspects.extend(chunk)
                    else:
                        yield from results
        finally:
            pool.stop()


def _next_chunk(pending: deque[Chunk], size: int) -> Chunk:
    chunk = list(pending.popleft())
    while pending and len(chunk) + len(pending[0]) <= size:
        chunk += pending.popleft()
    return chunk


def _retried(item: Item, pool: _Pool) -> Iterator[IndexResult]:
    """Process an index whose worker died once more, alone."""
    pool.submit([item])
    ((_, results),) = list(pool.completed())
    if results is not None:
        yield from results
        return
    error = WorkerDiedError(
        f"the worker process died twice while it held item {item.key!r} "
        "(killed, out of memory, or a crash in a C library)"
    )
    yield IndexResult(
        index=item.index,
        key=item.key,
        fingerprint=item.fingerprint,
        status="error",
        error=f"{type(error).__name__}: {error}",
        exception=error,
    )


class _Pool:
    """An executor that is rebuilt when it breaks, and knows what is in flight."""

    def __init__(self, payload: bytes, n_workers: int, options: dict[str, Any]) -> None:
        self._payload = payload
        self._n_workers = n_workers
        self._initializer = options.pop("initializer", None)
        self._initargs = tuple(options.pop("initargs", ()))
        self._context = _context(options.pop("mp_context", None), options.get("max_tasks_per_child"))
        self._options = options
        self._executor: ProcessPoolExecutor | None = None
        self._in_flight: dict[Future[list[IndexResult]], tuple[Chunk, float]] = {}
        self._seconds_per_item: float | None = None

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        return len(self._in_flight) < self._n_workers + 1

    @property
    def chunk_size(self) -> int:
        if self._seconds_per_item is None:
            return 1
        return max(1, min(MAX_CHUNK, int(CHUNK_SECONDS / max(self._seconds_per_item, 1e-7))))

    def submit(self, chunk: Chunk) -> None:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._n_workers,
                mp_context=self._context,
                initializer=initialize,
                initargs=(self._payload, self._initializer, self._initargs),
                **self._options,
            )
        self._in_flight[self._executor.submit(process_items, chunk)] = (chunk, monotonic())

    def completed(self) -> Iterator[tuple[Chunk, list[IndexResult] | None]]:
        """Chunks that are done, with ``None`` for those whose worker died; waits for one at least."""
        done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
        broken = False
        for future in done:
            chunk, _ = self._in_flight.pop(future)
            try:
                results = future.result()
            except BrokenProcessPool:
                broken = True
                yield chunk, None
                continue
            spent = sum(result.wall_time_ns for result in results) / 1e9 / len(results)
            self._seconds_per_item = spent
            yield chunk, results
        if broken:
            yield from self._rebuild()

    def _rebuild(self) -> Iterator[tuple[Chunk, None]]:
        # Every future of a broken pool fails: whatever else was in flight is lost with it.
        lost = [chunk for chunk, _ in self._in_flight.values()]
        self._in_flight.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None
        for chunk in lost:
            yield chunk, None

    def stop(self) -> None:
        """End the workers; what is in flight is abandoned."""
        if self._executor is not None:
            abandoned = bool(self._in_flight)
            processes = list((getattr(self._executor, "_processes", None) or {}).values())
            self._executor.shutdown(wait=not abandoned, cancel_futures=True)
            for process in processes if abandoned else ():
                process.terminate()
                process.join()
            self._executor = None


def _context(given: str | BaseContext | None, max_tasks: int | None) -> BaseContext:
    """Start method: as given, else fork where that is safe (it needs no importable main module)."""
    if isinstance(given, str):
        known = multiprocessing.get_all_start_methods()
        if given not in known:
            raise ConfigError(f"mp_context={given!r} is no start method here. Known: {', '.join(known)}.")
        return multiprocessing.get_context(given)
    if given is not None:
        return given
    is_safe = threading.active_count() == 1 and not any(name in sys.modules for name in _UNSAFE_TO_FORK)
    if sys.platform.startswith("linux") and is_safe and max_tasks is None:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
