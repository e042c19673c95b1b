"""``run_pipeline(backend="dagster")``: the fan-out of a refresh, from plain Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from curator_core import IndexResult, Pipeline, RunBackend, RunConfig
from curator_core.backends import (
    Chunk,
    ChunkQueue,
    CrashRecovery,
    Option,
    batch_groups,
    temporary_files_needed,
    temporary_folder,
)
from curator_core.errors import ConfigError, PipelineStateError
from curator_dagster.steps.spool import Spool

BATCHES_PER_WORKER = 2
"""A step costs about a second to start, so batches are few: more than one per worker only for balance."""
LOOK_SECONDS = 0.03
"""Time between two looks at what steps handed over: with what they and the database hold back, below 200 ms."""
END_SECONDS = 20.0
"""How long an interrupted run may take to end its steps."""


class DagsterBackend(RunBackend):
    """Steps of a Dagster run on this machine, which its UI shows; on the instance of $DAGSTER_HOME, if that is set.

    Option ``executor``: ``in_process``, ``multiprocess`` or ``dask``; a mapping from one of these to its
    configuration; ``module:attribute`` or an ``ExecutorDefinition`` for any other.
    """

    name: ClassVar[str] = "dagster"
    description: ClassVar[str] = "Steps of a Dagster run, on any of Dagster's executors."
    requires: ClassVar[tuple[str, ...]] = ("dagster",)
    extra: ClassVar[str] = "dagster"
    options: ClassVar[Mapping[str, Option]] = {
        "executor": Option(
            "`in_process`, `multiprocess`, `dask`; a mapping from one of these to its configuration; any other by "
            "`module:attribute`, or itself.",
            lambda given: _chosen_executor(given, 1),
        ),
    }

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield results as steps give them; what a step that died left undone is another run's work."""
        setup = config.worker_setup(pipeline, to="a step of a Dagster run")
        executor = _chosen_executor(config.backend_options.get("executor"), config.resolved_n_jobs)
        queue = ChunkQueue(config.item_groups())
        recovery = CrashRecovery(config, knows_all=False)
        config.board.open()
        while queue or recovery.quarantined:
            groups: Chunk = []
            while queue:
                groups += queue.take()
            batches = _batches(groups, config.resolved_n_jobs * BATCHES_PER_WORKER)
            batches += [[recovery.quarantined.popleft()] for _ in range(len(recovery.quarantined))]
            with temporary_folder("Backend 'dagster'", prefix="curator-dagster-") as folder:
                with temporary_files_needed("Backend 'dagster'"):
                    run = _Run(Spool.new(folder, setup, executor, batches), batches)
                yield from run.results()
                if not run.has_done_something and not config.board.read():
                    raise PipelineStateError(f"The Dagster run did nothing. It said:\n{run.said()}")
            yield from recovery.attribute(run.undone(), queue)


def _batches(groups: Chunk, n_batches: int) -> list[Chunk]:
    by_first = {group[0].index: group for group in groups}
    owner = {item.index: group[0].index for group in groups for item in group}
    packed = batch_groups([[item.index for item in group] for group in groups], n_batches)
    return [[by_first[first] for first in dict.fromkeys(owner[index] for index in batch)] for batch in packed]


def _chosen_executor(given: object, n_workers: int) -> tuple[str, dict[str, Any]]:
    """Name and configuration of an executor, which was looked at."""
    if given is None:
        given = "in_process" if n_workers == 1 else "multiprocess"
    if given == "in_process":
        return "in_process", {}
    if given == "multiprocess":
        return "multiprocess", {"max_concurrent": n_workers}
    from dagster import ExecutorDefinition  # noqa: PLC0415 - slow, and needed only for what is less common

    from curator_dagster.executors.choice import named_executor, reference_to  # noqa: PLC0415

    if isinstance(given, ExecutorDefinition):
        given = reference_to(given)
    chosen = {given: None} if isinstance(given, str) else given
    if not isinstance(chosen, Mapping) or len(chosen) != 1:
        raise ConfigError(f"executor: a name, a mapping from one to its configuration, or a definition; got {given!r}.")
    ((name, config),) = chosen.items()
    settings = dict(config or {})
    named_executor(name, settings)
    return name, settings


class _Run:
    """A Dagster run in a process of its own, seen from outside."""

    def __init__(self, spool: Spool, batches: Sequence[Chunk]) -> None:
        self._spool = spool
        self._batches = batches
        self._done: set[int] = set()
        self._ready: deque[IndexResult] = deque()  # what is in here is yielded whatever interrupts
        self._read: dict[Path, int] = {}
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        with (spool.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "curator_dagster.backend.in_process", str(spool.folder)],
                stdin=subprocess.PIPE,  # its end is ours, and tells that we are gone
                stdout=log,
                stderr=log,
                env=environment | spool.environment,
                start_new_session=True,  # Ctrl-C is our business
            )

    def results(self) -> Generator[IndexResult, None, None]:
        """What the steps hand over, until the run ends; an interrupt ends it."""
        try:
            is_running = True
            while is_running:
                try:
                    self._process.wait(LOOK_SECONDS)
                    is_running = False
                except subprocess.TimeoutExpired:
                    pass  # there may be results nevertheless
                self._take_over()
                while self._ready:
                    yield self._ready.popleft()
        except KeyboardInterrupt:
            self._end()
            self._take_over()
            yield from self._ready
            raise
        finally:
            self._end()

    @property
    def has_done_something(self) -> bool:
        """Whether there was any result."""
        return bool(self._done)

    def undone(self) -> list[Chunk]:
        """What is left of the batches, now that the run has ended."""
        left = [
            [rest for group in batch if (rest := [item for item in group if item.index not in self._done])]
            for batch in self._batches
        ]
        return [batch for batch in left if batch]

    def said(self) -> str:
        """The end of what the run printed."""
        return (self._spool.folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def _take_over(self) -> None:
        for path in self._spool.folder.glob("*.results"):
            for handed, end in self._spool.handed_over(path, self._read.get(path, 0)):
                if isinstance(handed, ConfigError):
                    raise handed
                self._ready.extend(handed)
                self._done.update(result.index for result in handed)
                self._read[path] = end

    def _end(self) -> None:
        """End the run: it does so itself when its standard input ends."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        deadline = time.monotonic() + END_SECONDS
        while self._process.poll() is None:
            try:
                self._process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
