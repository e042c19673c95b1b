"""Worker threads of the standard library's ``ThreadPoolExecutor``."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Any, ClassVar

from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.config import RunConfig, n_workers
from curator_core.run.options import MAX_WORKERS, Options
from curator_core.run.scheduling.dispatch import ChunkedBackend, ExecutorPool, WorkerPool
from curator_core.run.signals import signals_delivered
from curator_core.run.workers.heartbeats import Heartbeats
from curator_core.run.workers.worker import (
    Chunk,
    WorkerSetup,
    install,
    process_chunk,
    uninstall,
    workers_of,
)


class ThreadPoolBackend(ChunkedBackend):
    """Worker threads in this process, for items that wait for files or the network most of the time.

    Every thread has a copy of the pipeline, since components may hold state. Threads share the process's
    memory, so the recorded peak is that of all of them.
    """

    name: ClassVar[str] = "thread_pool"
    description: ClassVar[str] = "Threads of this process, for items that mostly wait for files or the network."
    options: ClassVar[Options] = {"max_workers": MAX_WORKERS}
    loop_with_one_worker: ClassVar[bool] = True

    def pool(self, pipeline: Pipeline[Any], config: RunConfig) -> WorkerPool:
        """A thread pool."""
        workers = n_workers(config, config.backend_options.get("max_workers"))
        setup = config.worker_setup(pipeline, to="a worker thread, which has a copy of its own")
        return _Threads(setup, workers, config.board)


class _Threads(ExecutorPool):
    def __init__(self, setup: WorkerSetup, n_workers: int, board: Heartbeats) -> None:
        super().__init__(n_workers)
        self._setup = setup
        install(setup)
        board.open()

    def build(self) -> Executor:
        return ThreadPoolExecutor(self.n_workers, thread_name_prefix="curator-worker")

    def submit_to(self, executor: Executor, chunk: Chunk) -> Future[list[IndexResult]]:
        return executor.submit(process_chunk, self._setup.token, chunk)

    def drained(self) -> list[IndexResult]:
        """Results of all that is done, once the items in progress have ended, which cannot be interrupted."""
        started = [future for future in self._in_flight if not future.cancel()]
        for worker in workers_of(self._setup.token):
            worker.wind_up()
        with signals_delivered():
            wait(started)
        return [result for future in started if future.exception() is None for result in future.result()]

    def stop(self) -> None:
        """Wait for the items in progress, which cannot be interrupted, and end the threads."""
        super().stop()
        uninstall(self._setup.token)
