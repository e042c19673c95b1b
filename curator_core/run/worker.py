"""What runs inside a worker process."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

import cloudpickle

from curator_core.engine import IndexProcessor
from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.store import JournalWriter

CHUNK_SECONDS = 0.1
"""How long a worker keeps results to itself: what a killed coordinator can lose of one worker."""

Group = list[Item]


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker process is told once."""

    payload: bytes
    """The pipeline, pickled."""
    initializer: Callable[..., None] | None = None
    """Called before anything else."""
    initargs: tuple[object, ...] = ()
    """Its arguments."""
    journals: tuple[Path, str] | None = None
    """Folder of journals and configuration hash, for groups that take long."""


_setup: WorkerSetup | None = None
_processor: IndexProcessor | None = None
_failure: ConfigError | None = None


def serialized(pipeline: Pipeline[Any]) -> bytes:
    """The pipeline as bytes, components of the user's own script included.

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
                f"{type(component).__name__} cannot be sent to a worker process: {exc}. {hint}, "
                "or use backend='sequential'."
            ) from exc
    return bytes(cloudpickle.dumps(pipeline))


def initialize(setup: WorkerSetup) -> None:
    """Receive the pipeline, once per worker; a failure is told to the coordinator by `process_groups`."""
    global _setup, _processor, _failure  # noqa: PLW0603 - one processor per worker process
    _setup = setup
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exit_with_parent()
    try:
        if setup.initializer is not None:
            setup.initializer(*setup.initargs)
        _processor = IndexProcessor(pickle.loads(setup.payload))  # noqa: S301 - written by our own coordinator
        _processor.__enter__()
    except Exception as exc:  # noqa: BLE001 - user code; the pool would only say that it is broken
        _failure = ConfigError(f"A worker process cannot start: {type(exc).__name__}: {exc}")


def process_groups(groups: list[Group]) -> list[IndexResult]:
    """Process groups of items in this worker, whole ones, for about `CHUNK_SECONDS`.

    Returns
    -------
    list[IndexResult]
        Results of the first groups, of one at least.
    """
    if _failure is not None:
        raise _failure
    if _processor is None or _setup is None:
        raise RuntimeError("The worker was not initialised.")
    deadline = time.monotonic() + CHUNK_SECONDS
    results: list[IndexResult] = []
    for group in groups:
        results += _process_group(group, _processor, _setup.journals)
        if time.monotonic() > deadline:
            break
    return results


def _process_group(group: Group, process: IndexProcessor, journals: tuple[Path, str] | None) -> list[IndexResult]:
    """Process a group in order; one that takes long goes to a journal as well, in case this run is killed."""
    results: list[IndexResult] = []
    deadline = time.monotonic() + CHUNK_SECONDS
    with ExitStack() as stack:
        journal: JournalWriter | None = None
        for item in group:
            results.append(portable(process(item)))
            if journal is not None:
                journal.append(results[-1])
            elif journals is not None and len(results) < len(group) and time.monotonic() > deadline:
                journal = stack.enter_context(JournalWriter(*journals))
                for result in results:
                    journal.append(result)
    return results


def portable(result: IndexResult) -> IndexResult:
    """The result with another exception of the same text, where its own does not survive pickling."""
    if result.exception is None:
        return result
    try:
        pickle.loads(pickle.dumps(result.exception))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - the user's exception class; its text and traceback are in the result
        return replace(result, exception=ComponentError(result.error or "failed", key=result.key))
    return result


def exit_with_parent() -> None:
    """End this worker when its coordinator dies: nobody would take its results."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="curator-parent-watch", daemon=True).start()
