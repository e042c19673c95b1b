"""What runs inside a worker: a process, or a thread of one."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any, NoReturn

import cloudpickle

from curator_core.engine import IndexProcessor
from curator_core.engine.failure import describe
from curator_core.errors import ConfigError
from curator_core.interruption import is_interruption
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run.workers.heartbeats import HeartbeatSlot, WorkerStatus
from curator_core.run.workers.keeper import Keeper
from curator_core.run.workers.settings import ProcessSettings, reseed

ITERATION = "CURATOR_ITERATION"
"""Environment variable with the iteration of a workflow's loop, from 0."""

CHUNK_SECONDS = 0.05
"""How long a worker keeps results to itself, unless a group takes longer, see `curator_core.run.workers.keeper`."""

Group = list[Item]
"""Items that one worker processes in order."""
Chunk = list[Group]
"""What a worker is sent at once."""


@dataclass(frozen=True)
class WorkerSetup:
    """What every worker of a run gets once; see `RunConfig.worker_setup`."""

    payload: bytes
    """The pipeline, pickled."""
    board: Path
    """Folder of the `Heartbeats`."""
    initializer: Callable[..., None] | None = None
    """Called before anything else."""
    initargs: tuple[object, ...] = ()
    """Its arguments."""
    journals: tuple[Path, str] | None = None
    """Folder of journals and configuration hash, for what is held back by a slow item."""
    timeout: float | None = None
    """Time that one index may take, seconds."""
    iteration: str | None = field(default_factory=lambda: os.environ.get(ITERATION))
    """That of the loop around the run: a worker, or the server that starts it, may be there since an earlier one."""
    settings: ProcessSettings | None = None
    """Those of the coordinator that its worker processes are to have, whenever they or their server started."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of the run in its workers."""


class Worker:
    """Processes chunks in one thread, with a copy of the pipeline of its own: components may hold state."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._board = setup.board
        self._keeper = Keeper(setup.journals)
        self._is_closed = False
        if setup.iteration is not None:
            os.environ[ITERATION] = setup.iteration
        else:
            os.environ.pop(ITERATION, None)
        try:
            if setup.initializer is not None:
                setup.initializer(*setup.initargs)
            pipeline = pickle.loads(setup.payload)  # noqa: S301 - written by our own coordinator
            if setup.settings is not None and setup.initializer is None:
                reseed()  # the user's modules, imported just now, may have seeded as they do in every worker
            self._process = IndexProcessor(pipeline, timeout=setup.timeout, is_worker=True)
        except BaseException as exc:
            if is_interruption(exc):
                raise
            raise ConfigError(f"A worker cannot start: {describe(exc)}") from exc
        self._entry = HeartbeatSlot(setup.board, self._process.worker_id)
        self._process.__enter__()

    @property
    def unseen_presence(self) -> WorkerStatus | None:
        """What it is at; ``None`` where the coordinator sees its heartbeat."""
        if self._entry.is_shared:
            return None
        index, since = self._entry.read()
        who = (self._process.worker_id, self._process.pid, self._process.host)
        return WorkerStatus(*who, index, since, time.time() - since)

    def wind_up(self) -> None:
        """Begin nothing more: what is done of the chunk goes back after the item in progress."""
        self._is_closed = True

    def save(self) -> None:
        """Put into a journal what the coordinator may not have recorded yet, while its run lasts."""
        if self._board.is_dir():
            self._keeper.save()

    def close(self) -> None:
        """Release what the worker holds; an item in progress is the last."""
        self._is_closed = True
        self._keeper.close()
        self._process.close()
        self._entry.close()

    def process(self, chunk: Chunk) -> list[IndexResult]:
        """Process groups, whole ones, for about `CHUNK_SECONDS`: the results of the first, of one at least.

        A worker that winds up ends within a group, too.
        """
        deadline = time.monotonic() + CHUNK_SECONDS
        results = self._keeper.begin()
        try:
            for group in chunk:
                for item in group:
                    self._entry.begin(item.index)
                    results.append(self._process(item))
                    if self._is_closed:
                        return results
                if time.monotonic() > deadline:
                    break
        finally:
            self._entry.end()
            self._keeper.end()
        return results


class _Installed(threading.local):
    """The setup's worker in every thread that asked for one."""

    worker: tuple[str, Worker] | None = None


_here = _Installed()
_setups: dict[str, WorkerSetup] = {}
_workers: dict[str, list[Worker]] = {}


def install(setup: WorkerSetup) -> None:
    """Make a run known in this process, for `process_chunk`."""
    _workers.setdefault(setup.token, [])
    _setups[setup.token] = setup


def uninstall(token: str) -> None:
    """Forget a run; its workers in this process must be idle."""
    _setups.pop(token, None)
    for worker in _workers.pop(token, []):
        worker.close()


def installed_tokens() -> list[str]:
    """The runs that are known in this process."""
    return list(_setups)


def workers_of(token: str) -> list[Worker]:
    """The workers of a run in this process."""
    return list(_workers.get(token, ()))


def process_chunk(token: str, chunk: Chunk) -> list[IndexResult]:
    """Process a chunk, in a worker: the results of its first groups.

    Every thread has a worker of its own, with a copy of the pipeline. It ends after about `CHUNK_SECONDS`, so that
    results of slow items are recorded soon; the run hands the other groups out again.

    Parameters
    ----------
    token
        `WorkerSetup.token` of a setup that `install` or `begin_process` made known in this process.
    chunk
        What to process.

    Raises
    ------
    ConfigError
        The worker cannot start.
    """
    if _here.worker is None or _here.worker[0] != token:
        worker = Worker(_setups[token])
        _workers[token].append(worker)
        _here.worker = (token, worker)
    return _here.worker[1].process(chunk)


def begin_process(setup: WorkerSetup) -> None:
    """Begin a worker process: install the setup, leave signals to the coordinator, end when that dies.

    The death of a coordinator that is no parent by `multiprocessing` has to be noticed otherwise, see `exit_orphaned`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exit_with_parent()
    if setup.settings is not None:
        setup.settings.apply()
        reseed()
    install(setup)


def save_results(token: str) -> None:
    """Put into journals what the workers of a run in this process finished lately, see `Worker.save`."""
    for worker in workers_of(token):
        worker.save()


def exit_orphaned() -> NoReturn:
    """End this process, whose coordinator died: what it had handed over may be lost with it."""
    try:
        for token in installed_tokens():
            save_results(token)
    finally:
        os._exit(1)


def exit_with_parent() -> None:
    """End this worker when its coordinator dies: nobody would take its results."""
    parent = parent_process()
    if parent is None or getattr(parent, "sentinel", None) is None:  # loky gives none
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        exit_orphaned()

    threading.Thread(target=watch, name="curator-parent-watch", daemon=True).start()


def serialized(pipeline: Pipeline[Any], *, to: str = "a worker process") -> bytes:
    """The pipeline as bytes for a worker, components of the user's own script included.

    Raises
    ------
    ConfigError
        A component cannot be pickled; the message names it.
    """
    for component in (pipeline.source, *pipeline.filters, pipeline.sink):
        try:
            cloudpickle.dumps(component)
        except Exception as exc:  # pickling runs the component's own code: anything can be raised
            hint = "Open files, locks and connections on first use instead of in the constructor"
            if sys.version_info < (3, 12) and "RLock" in str(exc):
                hint += " (or, if it has a functools.cached_property, define the class in a module of its own)"
            raise ConfigError(
                f"{type(component).__name__} cannot be sent to {to}: {exc}. {hint}, or use backend='sequential'."
            ) from exc
    return bytes(cloudpickle.dumps(pipeline))
