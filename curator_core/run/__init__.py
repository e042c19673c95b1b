"""Running pipelines: `run_pipeline`, its backends and what they share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from curator_core.run.api import run_pipeline
from curator_core.run.base import RunBackend, get_backend, list_backends, register_backend
from curator_core.run.config import RunConfig
from curator_core.run.listeners import Listener, RunSummary
from curator_core.run.partition import batch_groups, intersect_partitions
from curator_core.run.progress import WorkerProgressDisplay

if TYPE_CHECKING:
    from curator_core.run.backends.dask import DaskBackend as DaskBackend
    from curator_core.run.backends.loky import LokyBackend as LokyBackend
    from curator_core.run.backends.prefect import PrefectBackend as PrefectBackend
    from curator_core.run.backends.process_pool import ProcessPoolBackend as ProcessPoolBackend
    from curator_core.run.backends.sequential import SequentialBackend as SequentialBackend
    from curator_core.run.backends.thread_pool import ThreadPoolBackend as ThreadPoolBackend
    from curator_core.session.gather import gather_pipeline as gather_pipeline

_LATE = {
    "DaskBackend": "run.backends.dask",
    "LokyBackend": "run.backends.loky",
    "PrefectBackend": "run.backends.prefect",
    "ProcessPoolBackend": "run.backends.process_pool",
    "SequentialBackend": "run.backends.sequential",
    "ThreadPoolBackend": "run.backends.thread_pool",
    "gather_pipeline": "session.gather",
}
"""Where names are that are loaded when they are first asked for."""

__all__ = [
    "DaskBackend",
    "Listener",
    "LokyBackend",
    "PrefectBackend",
    "ProcessPoolBackend",
    "RunBackend",
    "RunConfig",
    "RunSummary",
    "SequentialBackend",
    "ThreadPoolBackend",
    "WorkerProgressDisplay",
    "batch_groups",
    "gather_pipeline",
    "get_backend",
    "intersect_partitions",
    "list_backends",
    "register_backend",
    "run_pipeline",
]


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"curator_core.{_LATE[name]}"), name)
    globals()[name] = found
    return found
