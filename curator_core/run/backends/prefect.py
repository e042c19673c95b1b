"""Tasks of a Prefect flow."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, ClassVar

from curator_core.errors import WorkerDiedError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.config import RunConfig, n_workers
from curator_core.run.options import Option, Options
from curator_core.run.scheduling.dispatch import ChunkedBackend, FuturesPool, WorkerPool
from curator_core.run.workers.worker import (
    Chunk,
    WorkerSetup,
    install,
    process_chunk,
    save_results,
    uninstall,
)


class PrefectBackend(ChunkedBackend):
    """A Prefect flow whose tasks process chunks in threads; Prefect shows them and retries what failed.

    Options: ``retries`` and ``retry_delay_seconds`` as of Prefect's tasks. A retry processes the items that
    failed, not those of the chunk that are done.
    """

    name: ClassVar[str] = "prefect"
    description: ClassVar[str] = "Tasks of a Prefect flow, with Prefect's retries."
    requires: ClassVar[tuple[str, ...]] = ("prefect",)
    extra: ClassVar[str] = "prefect"
    options: ClassVar[Options] = {
        "retries": Option("How often Prefect tries again what failed.", beyond_loop=True),
        "retry_delay_seconds": Option("Time between two attempts, seconds, or one for each.", beyond_loop=True),
    }
    loop_with_one_worker: ClassVar[bool] = True

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as chunks complete, from inside a flow run."""
        from prefect import flow
        from prefect.task_runners import ThreadPoolTaskRunner

        self._setup = config.worker_setup(pipeline, to="a worker thread, which has a copy of its own")
        results = super().stream(pipeline, config)

        def curate() -> Generator[IndexResult, None, None]:
            yield from results

        _reach_server()
        runner: Any = ThreadPoolTaskRunner(max_workers=n_workers(config))
        try:
            yield from flow(name="curator", task_runner=runner)(curate)()
        finally:
            results.close()

    def pool(self, pipeline: Pipeline[Any], config: RunConfig) -> WorkerPool:
        """Tasks of the current flow run."""
        config.board.open()
        return _Tasks(self._setup, config)


@dataclass
class _Work:
    """A chunk on its way through the attempts of a task."""

    chunk: Chunk
    future: Future[list[IndexResult]]
    done: dict[int, IndexResult] = field(default_factory=dict)

    def hand_back(self) -> None:
        """Give what is done to the coordinator."""
        ordered = [self.done[item.index] for group in self.chunk for item in group if item.index in self.done]
        if ordered:
            self.future.set_result(ordered)
        else:
            self.future.set_exception(WorkerDiedError("Prefect ended a task before it processed an item"))


class _Tasks(FuturesPool):
    def __init__(self, setup: WorkerSetup, config: RunConfig) -> None:
        from prefect import Task

        super().__init__(n_workers(config))
        options: dict[str, Any] = dict(config.backend_options)
        self._token = setup.token
        self._numbers = itertools.count()
        self._work: dict[int, _Work] = {}
        self._task: Any = Task(self._process, name="curate", persist_result=False, **options)
        install(setup)

    def hand_out(self, chunk: Chunk) -> Future[list[IndexResult]]:
        number = next(self._numbers)
        future: Future[list[IndexResult]] = Future()
        self._work[number] = _Work(chunk, future)
        # By number: Prefect would look through every argument for futures.
        self._task.submit(number).add_done_callback(lambda _: self._ended(number))
        return future

    def _process(self, number: int) -> None:
        """One attempt of a task; raises the first failure, so that Prefect tries again, or shows it."""
        work = self._work[number]
        left = [[item for item in group if not _is_done(work, item.index)] for group in work.chunk]
        for result in process_chunk(self._token, [group for group in left if group]):
            work.done[result.index] = result
        failed = next((result for result in work.done.values() if not result.is_completed), None)
        if failed is not None:
            save_results(self._token)  # until all attempts were made
            raise failed.exception or RuntimeError(failed.error)
        work.hand_back()  # Prefect may take long to end a task

    def _ended(self, number: int) -> None:
        """The outcome, when Prefect tries no more."""
        work = self._work.pop(number)
        if not work.future.done():
            work.hand_back()

    def stop(self) -> None:
        """Wait for the tasks in progress, whose threads cannot be interrupted."""
        uninstall(self._token)


def _is_done(work: _Work, index: int) -> bool:
    return index in work.done and work.done[index].is_completed


def _reach_server() -> None:
    """Let Prefect start its temporary server, where none is configured, out of reach of Ctrl-C.

    The signal goes to all processes of a terminal: without its server, the flow would wait for minutes to
    report that it was interrupted. A blocked signal stays blocked in the process that is started.
    """
    from prefect.client.orchestration import get_client

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
