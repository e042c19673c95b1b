"""Worker processes of joblib's loky, which are reused from run to run."""

from __future__ import annotations

import os
import shutil
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig
from curator_core.run.options import TIMEOUT, Option, Options
from curator_core.run.scheduling.chunks import ChunkQueue
from curator_core.run.scheduling.crash_recovery import CrashRecovery
from curator_core.run.scheduling.dispatch import TimeoutWatchdog
from curator_core.run.workers.ability import temporary_files_needed, temporary_folder
from curator_core.run.workers.sealed import seal, unseal
from curator_core.run.workers.worker import (
    Chunk,
    WorkerSetup,
    begin_process,
    exit_orphaned,
    install,
    installed_tokens,
    process_chunk,
    uninstall,
)


class LokyBackend(RunBackend):
    """Worker processes of joblib's loky: started by spawning a fresh interpreter, kept for the next run.

    Options go to ``joblib.Parallel``, except ``timeout``, which is per index here as everywhere in curator.
    """

    name: ClassVar[str] = "loky"
    description: ClassVar[str] = "Worker processes of joblib's loky, reused from run to run."
    requires: ClassVar[tuple[str, ...]] = ("joblib",)
    extra: ClassVar[str] = "loky"
    options: ClassVar[Options] = {
        "batch_size": Option("Chunks that joblib sends at once, 1 by default."),
        "pre_dispatch": Option("Chunks that joblib hands out ahead."),
        "timeout": TIMEOUT,
        "max_nbytes": Option("Size from which joblib sends an array as a mapped file."),
        "temp_folder": Option("Folder of those files."),
        "prefer": Option("`threads` for threads of this process instead of worker processes."),
        "require": Option("`sharedmem` for the same."),
        "verbose": Option("How much joblib prints."),
    }
    loop_with_one_worker: ClassVar[bool] = True

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as chunks complete; chunks of a worker that died are handed out again."""
        ready: deque[IndexResult] = deque()  # what is in here is yielded whatever interrupts
        setup = config.worker_setup(pipeline, owns_processes=True)
        watchdog = TimeoutWatchdog(config.board, config.timeout)
        with ExitStack() as stack:
            path = stack.enter_context(temporary_folder("Backend 'loky'")) / setup.token
            with temporary_files_needed("Backend 'loky'"):
                key = seal(path, setup)
            parallel = _Parallel(path, key, config)
            config.board.open()
            watchdog.start()
            try:
                yield from _results(parallel, config, ready)
            except KeyboardInterrupt:
                yield from ready
                raise
            finally:
                watchdog.close()
                uninstall(setup.token)  # there is one here with prefer="threads"


def _results(parallel: _Parallel, config: RunConfig, ready: deque[IndexResult]) -> Generator[IndexResult, None, None]:
    """Results as chunks complete, which wait in `ready` until they are taken."""
    queue = ChunkQueue(config.item_groups())
    recovery = CrashRecovery(config, knows_all=config.backend_options.get("prefer") != "threads")
    while queue or recovery.quarantined:
        lost = []
        chunks = parallel.of_queue(queue) if queue else iter([[recovery.quarantined.popleft()]])
        for chunk, results in parallel.process(chunks):
            if results is None:
                lost.append(chunk)
            else:
                recovery.began(results)
                with parallel.guard:
                    queue.finished(chunk, results)
                ready.extend(results)
            while ready:
                yield ready.popleft()
        if lost:
            ready.extend(recovery.attribute(lost, queue))
            while ready:
                yield ready.popleft()


class _Parallel:
    """joblib's ``Parallel``, as an iterator of chunks in, outcomes out."""

    def __init__(self, setup: Path, key: bytes, config: RunConfig) -> None:
        # Results are not kept back for larger batches.
        options = {"batch_size": 1, "initializer": _exit_with, "initargs": (os.getpid(),), **config.backend_options}
        options.pop("timeout", None)
        self._options = options
        # Each costs a start; a single one would be this very process, which an item may end.
        self._n_jobs = min(config.resolved_n_jobs, max(2, len(config.item_groups())))
        self._call = partial(_process_chunk, setup, key, os.getpid())
        self.guard = threading.Lock()

    def of_queue(self, queue: ChunkQueue) -> Iterator[Chunk]:
        """Chunks as joblib asks for them, from threads of its own."""
        while True:
            with self.guard:
                if not queue:
                    return
                chunk = queue.take()
            yield chunk

    def process(self, chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, list[IndexResult] | None]]:
        """Outcomes as they complete; when a worker dies, joblib ends them all: ``None`` for what is not done."""
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import BrokenProcessPool

        handed_out: dict[int, Chunk] = {}

        def tasks() -> Iterator[Any]:
            for number, chunk in enumerate(chunks):
                handed_out[number] = chunk
                yield delayed(self._call)(number, chunk)

        parallel = Parallel(n_jobs=self._n_jobs, return_as="generator_unordered", **self._options)
        try:
            for number, results in parallel(tasks()):
                yield handed_out.pop(number), results
        except BrokenProcessPool:
            yield from ((chunk, None) for chunk in handed_out.values())


def _process_chunk(
    path: Path, key: bytes, coordinator: int, number: int, chunk: Chunk
) -> tuple[int, list[IndexResult]]:
    """In a worker: process a chunk of the run whose setup lies at `path`."""
    token = path.name
    if token not in installed_tokens():
        setup = cast("WorkerSetup", unseal(path, key))
        if os.getpid() == coordinator:  # prefer="threads"
            install(setup)
        else:
            for earlier in installed_tokens():
                uninstall(earlier)
            _setup_files[:] = [path]
            begin_process(setup)
    return number, process_chunk(token, chunk)


_setup_files: list[Path] = []
"""Where the setup of this worker's run lies."""


def _exit_with(coordinator: int) -> None:
    """End this worker when the coordinator, whose child it is, dies."""

    def watch() -> None:
        while os.getppid() == coordinator:
            waiter.wait(0.5)
        for path in _setup_files:  # it was killed: nobody else removes them
            shutil.rmtree(path.parent, ignore_errors=True)
        exit_orphaned()

    waiter = threading.Event()
    threading.Thread(target=watch, name="curator-parent-watch", daemon=True).start()
