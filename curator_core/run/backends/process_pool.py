"""Worker processes of the standard library's ``ProcessPoolExecutor``."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any, ClassVar

from curator_core.errors import ConfigError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.board import WorkerBoard
from curator_core.run.config import RunConfig, resolve_n_jobs
from curator_core.run.dispatch import ChunkedBackend, Crew, Executioner, ExecutorCrew
from curator_core.run.start_method import start_method
from curator_core.run.worker import Chunk, WorkerSetup, begin_process, process_chunk, serialized


class ProcessPoolBackend(ChunkedBackend):
    """Worker processes on this machine.

    The pipeline is sent once per worker; indices travel in chunks sized from their measured cost.
    """

    name: ClassVar[str] = "process_pool"
    description: ClassVar[str] = "Worker processes on this machine."
    options: ClassVar[tuple[str, ...]] = (
        *("max_workers", "mp_context", "initializer", "initargs", "max_tasks_per_child"),
        "timeout",
    )

    def crew(self, pipeline: Pipeline[Any], config: RunConfig) -> Crew:
        """A process pool."""
        options = dict(config.backend_options)
        options.pop("timeout", None)
        workers = resolve_n_jobs(options.pop("max_workers", None) or config.n_jobs)
        setup = WorkerSetup(
            serialized(pipeline),
            config.board.folder,
            options.pop("initializer", None),
            tuple(options.pop("initargs", ())),
            config.journals,
            config.timeout,
        )
        return _Pool(setup, min(workers, max(1, len(config.indices))), options, config.board)


class _Pool(ExecutorCrew):
    """A process pool that is rebuilt when a worker dies."""

    def __init__(self, setup: WorkerSetup, n_workers: int, options: dict[str, Any], board: WorkerBoard) -> None:
        super().__init__(n_workers)
        self._setup = setup
        self._start_method = options.pop("mp_context", None)
        start_method(self._start_method, None)  # a wrong one is told at once
        self._options = options
        self._executioner = Executioner(board, setup.timeout)
        self._board = board
        self._context: BaseContext | None = None

    def build(self) -> Executor:
        try:
            self._context = start_method(self._start_method, self._options.get("max_tasks_per_child"))
        except ConfigError:  # once threads run, a script without main guard can only be forked again
            if self._context is None:
                raise
        return ProcessPoolExecutor(
            self._n_workers,
            mp_context=self._context,
            initializer=begin_process,
            initargs=(self._setup,),
            **self._options,
        )

    def submit_to(self, executor: Executor, chunk: Chunk) -> Future[list[IndexResult]]:
        future = executor.submit(process_chunk, self._setup.token, chunk)
        self._board.open()  # not before the first workers are forked: it starts threads
        self._executioner.start()
        return future

    def mourn(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End the workers; what is in flight is abandoned."""
        self._executioner.close()
        executor, self._executor = self._executor, None
        if executor is None:
            return
        is_idle = all(future.done() for future in self._in_flight)
        processes = list((getattr(executor, "_processes", None) or {}).values())
        executor.shutdown(wait=is_idle, cancel_futures=True)
        for process in () if is_idle else processes:
            process.terminate()
            process.join()
