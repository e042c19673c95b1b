"""Worker processes of the standard library's ``ProcessPoolExecutor``."""

from __future__ import annotations

import ast
import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, ClassVar

from curator_core.errors import ConfigError, WorkerDiedError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig, resolve_n_jobs
from curator_core.run.worker import CHUNK_SECONDS, Group, WorkerSetup, initialize, process_groups, serialized

MAX_CHUNK = 1000
"""Items that are sent to a worker at once, at most."""
DRAIN_SECONDS = 3 * CHUNK_SECONDS
"""How long an interrupted run waits for chunks that are nearly done."""
_UNSAFE_TO_FORK = ("torch", "jax", "tensorflow", "cupy", "grpc", "pyarrow")

Chunk = list[Group]


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

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as chunks complete; an interrupt lets the chunks in flight end, if they are quick."""
        options = dict(config.backend_options)
        workers = resolve_n_jobs(options.pop("max_workers", None) or config.n_jobs)
        setup = WorkerSetup(
            serialized(pipeline),
            options.pop("initializer", None),
            tuple(options.pop("initargs", ())),
            config.journals,
        )
        pool = _Pool(setup, min(workers, max(1, len(config.items))), options)
        pending = deque(config.item_groups())
        suspects: deque[Item] = deque()
        ready: deque[IndexResult] = deque()
        try:
            while pending or pool.in_flight or suspects:
                while pending and pool.has_room:
                    pool.submit(_next_chunk(pending, pool.chunk_size))
                if pool.in_flight:
                    for chunk, results in pool.completed():
                        if results is None:
                            suspects.extend(item for group in chunk for item in group)
                        else:
                            ready.extend(results)
                            pending.extendleft(reversed(_unfinished(chunk, len(results))))
                else:
                    ready.extend(_retried(suspects.popleft(), pool))
                while ready:
                    yield ready.popleft()
        except KeyboardInterrupt:
            ready.extend(pool.drained())
            yield from ready
            raise
        finally:
            pool.stop()


def _next_chunk(pending: deque[Group], size: int) -> Chunk:
    chunk = [pending.popleft()]
    n_items = len(chunk[0])
    while pending and n_items + len(pending[0]) <= size:
        n_items += len(pending[0])
        chunk.append(pending.popleft())
    return chunk


def _unfinished(chunk: Chunk, n_results: int) -> Chunk:
    """Groups of a chunk that the worker left for later."""
    for position, group in enumerate(chunk):
        if n_results <= 0:
            return chunk[position:]
        n_results -= len(group)
    return []


def _retried(item: Item, pool: _Pool) -> list[IndexResult]:
    """Process an index whose worker died once more, alone."""
    pool.submit([[item]])
    ((_, results),) = list(pool.completed())
    if results is not None:
        return results
    error = WorkerDiedError(
        f"the worker process died twice while it held item {item.key!r} "
        "(killed, out of memory, or a crash in a C library)"
    )
    return [
        IndexResult(
            index=item.index,
            key=item.key,
            fingerprint=item.fingerprint,
            status="error",
            error=f"{type(error).__name__}: {error}",
            completed_at=datetime.now(UTC).isoformat(),
            exception=error,
        )
    ]


class _Pool:
    """An executor that is rebuilt when it breaks, and knows what is in flight."""

    def __init__(self, setup: WorkerSetup, n_workers: int, options: dict[str, Any]) -> None:
        self._setup = setup
        self._n_workers = n_workers
        self._start_method = options.pop("mp_context", None)
        _context(self._start_method, None)  # a wrong one is told at once
        self._options = options
        self._executor: ProcessPoolExecutor | None = None
        self._in_flight: dict[Future[list[IndexResult]], Chunk] = {}
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
                mp_context=_context(self._start_method, self._options.get("max_tasks_per_child")),
                initializer=initialize,
                initargs=(self._setup,),
                **self._options,
            )
        try:
            future = self._executor.submit(process_groups, chunk)
        except BrokenProcessPool as exc:  # a worker died since we last looked
            future = Future()
            future.set_exception(exc)
        self._in_flight[future] = chunk

    def completed(self) -> list[tuple[Chunk, list[IndexResult] | None]]:
        """Chunks that are done, with ``None`` for those whose worker died; waits for one at least."""
        done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            # Every other future of a broken pool ends too: with its result if it had one.
            self._shutdown()
            done = set(self._in_flight)
        return [self._taken(future) for future in list(self._in_flight) if future in done]

    def _taken(self, future: Future[list[IndexResult]]) -> tuple[Chunk, list[IndexResult] | None]:
        chunk = self._in_flight.pop(future)
        try:
            results = future.result()
        except BrokenProcessPool:
            return chunk, None
        self._seconds_per_item = sum(result.wall_time_ns for result in results) / 1e9 / len(results)
        return chunk, results

    def drained(self) -> list[IndexResult]:
        """Results of what completes soon; nothing else is begun."""
        started = [future for future in self._in_flight if not future.cancel()]
        done, _ = wait(started, timeout=DRAIN_SECONDS)
        return [result for future in done if future.exception() is None for result in future.result()]

    def _shutdown(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None

    def stop(self) -> None:
        """End the workers; what is in flight is abandoned."""
        if self._executor is not None:
            is_idle = all(future.done() for future in self._in_flight)
            processes = list((getattr(self._executor, "_processes", None) or {}).values())
            self._executor.shutdown(wait=is_idle, cancel_futures=True)
            for process in () if is_idle else processes:
                process.terminate()
                process.join()
            self._executor = None


def _context(given: str | BaseContext | None, max_tasks: int | None) -> BaseContext:
    """Start method: as given, else fork where that is safe (it needs no importable main module)."""
    if isinstance(given, str):
        known = multiprocessing.get_all_start_methods()
        if given not in known:
            raise ConfigError(f"mp_context={given!r} is no start method here. Known: {', '.join(known)}.")
        if given != "fork":
            _check_main_guard(given)
        return multiprocessing.get_context(given)
    if given is not None:
        return given
    is_safe = threading.active_count() == 1 and not any(name in sys.modules for name in _UNSAFE_TO_FORK)
    if sys.platform.startswith("linux") and is_safe and max_tasks is None:
        return multiprocessing.get_context("fork")
    method = "forkserver" if sys.platform != "win32" else "spawn"
    _check_main_guard(method)
    return multiprocessing.get_context(method)


def _check_main_guard(method: str) -> None:
    """Refuse a script that every worker would run from its top, starting workers of its own.

    Raises
    ------
    ConfigError
        The script lacks the guard that Python's multiprocessing asks for.
    """
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is None or not script.endswith(".py") or not Path(script).is_file():
        return
    for node in ast.parse(Path(script).read_bytes()).body:
        if isinstance(node, ast.If) and any(getattr(n, "id", None) == "__name__" for n in ast.walk(node.test)):
            return
    raise ConfigError(
        f"Worker processes (started by {method!r}) run {script} from its top, and it would start workers again. "
        'Put what starts the run under `if __name__ == "__main__":`, or use backend="sequential".'
    )
