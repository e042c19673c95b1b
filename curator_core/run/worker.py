"""What runs inside a worker process."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import connection, parent_process
from typing import Any

import cloudpickle

from curator_core.engine import IndexProcessor
from curator_core.errors import ConfigError
from curator_core.pipeline import Pipeline
from curator_core.records import IndexResult, Item

_processor: IndexProcessor | None = None


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
            raise ConfigError(
                f"{type(component).__name__} cannot be sent to a worker process: {exc}. Open files, locks and "
                "connections on first use instead of in the constructor, or use backend='sequential'."
            ) from exc
    return bytes(cloudpickle.dumps(pipeline))


def initialize(payload: bytes, initializer: Callable[..., None] | None, initargs: Sequence[object]) -> None:
    """Receive the pipeline, once per worker."""
    global _processor  # noqa: PLW0603 - one processor per worker process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exit_with_parent()
    if initializer is not None:
        initializer(*initargs)
    _processor = IndexProcessor(pickle.loads(payload))  # noqa: S301 - written by our own coordinator
    _processor.__enter__()


def process_items(items: list[Item]) -> list[IndexResult]:
    """Process a chunk of items in this worker."""
    if _processor is None:
        raise RuntimeError("The worker was not initialised.")
    return [portable(_processor(item)) for item in items]


def portable(result: IndexResult) -> IndexResult:
    """The result without its exception, where that does not survive pickling."""
    if result.exception is None:
        return result
    try:
        pickle.loads(pickle.dumps(result.exception))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - the user's exception class; its text and traceback are in the result
        return replace(result, exception=None)
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
