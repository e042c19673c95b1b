"""The kit for backends: what a backend of your own is made of.

`RunBackend` alone is enough for a backend that calls ``pipeline[i]``. `ChunkedBackend` hands out chunks to workers that
have copies of the pipeline, and takes care of their size, of workers that die, and of interrupts: on the futures of
something that is there already (`FuturesPool`, `ExecutorPool`), or on anything else (`WorkerPool`). The names are
loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curator_core.records import IndexResult as IndexResult
    from curator_core.records import Item as Item
    from curator_core.records import WorkerUsage as WorkerUsage
    from curator_core.run.base import RunBackend as RunBackend
    from curator_core.run.base import get_backend as get_backend
    from curator_core.run.base import list_backends as list_backends
    from curator_core.run.base import register_backend as register_backend
    from curator_core.run.config import RunConfig as RunConfig
    from curator_core.run.config import n_workers as n_workers
    from curator_core.run.options import MAX_WORKERS as MAX_WORKERS
    from curator_core.run.options import TIMEOUT as TIMEOUT
    from curator_core.run.options import Option as Option
    from curator_core.run.partition import batch_groups as batch_groups
    from curator_core.run.scheduling.chunks import ChunkQueue as ChunkQueue
    from curator_core.run.scheduling.crash_recovery import CrashRecovery as CrashRecovery
    from curator_core.run.scheduling.dispatch import ChunkedBackend as ChunkedBackend
    from curator_core.run.scheduling.dispatch import ExecutorPool as ExecutorPool
    from curator_core.run.scheduling.dispatch import FuturesPool as FuturesPool
    from curator_core.run.scheduling.dispatch import TimeoutWatchdog as TimeoutWatchdog
    from curator_core.run.scheduling.dispatch import WorkerPool as WorkerPool
    from curator_core.run.signals import signals_delivered as signals_delivered
    from curator_core.run.workers.ability import temporary_files_needed as temporary_files_needed
    from curator_core.run.workers.ability import temporary_folder as temporary_folder
    from curator_core.run.workers.heartbeats import Heartbeats as Heartbeats
    from curator_core.run.workers.heartbeats import WorkerStatus as WorkerStatus
    from curator_core.run.workers.worker import Chunk as Chunk
    from curator_core.run.workers.worker import WorkerSetup as WorkerSetup
    from curator_core.run.workers.worker import begin_process as begin_process
    from curator_core.run.workers.worker import exit_orphaned as exit_orphaned
    from curator_core.run.workers.worker import install as install
    from curator_core.run.workers.worker import process_chunk as process_chunk
    from curator_core.run.workers.worker import uninstall as uninstall

_HOME = {
    "IndexResult": "records",
    "Item": "records",
    "WorkerUsage": "records",
    "RunBackend": "run.base",
    "get_backend": "run.base",
    "list_backends": "run.base",
    "register_backend": "run.base",
    "RunConfig": "run.config",
    "n_workers": "run.config",
    "MAX_WORKERS": "run.options",
    "TIMEOUT": "run.options",
    "Option": "run.options",
    "batch_groups": "run.partition",
    "ChunkQueue": "run.scheduling.chunks",
    "CrashRecovery": "run.scheduling.crash_recovery",
    "ChunkedBackend": "run.scheduling.dispatch",
    "ExecutorPool": "run.scheduling.dispatch",
    "FuturesPool": "run.scheduling.dispatch",
    "TimeoutWatchdog": "run.scheduling.dispatch",
    "WorkerPool": "run.scheduling.dispatch",
    "signals_delivered": "run.signals",
    "temporary_files_needed": "run.workers.ability",
    "temporary_folder": "run.workers.ability",
    "Heartbeats": "run.workers.heartbeats",
    "WorkerStatus": "run.workers.heartbeats",
    "Chunk": "run.workers.worker",
    "WorkerSetup": "run.workers.worker",
    "begin_process": "run.workers.worker",
    "exit_orphaned": "run.workers.worker",
    "install": "run.workers.worker",
    "process_chunk": "run.workers.worker",
    "uninstall": "run.workers.worker",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"curator_core.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
