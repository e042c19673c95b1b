"""The kit for backends: what a backend of your own is made of.

`RunBackend` alone is enough for a backend that calls ``pipeline[i]``. `ChunkedBackend` hands out chunks to workers that
have copies of the pipeline, and takes care of their size, of workers that die, and of interrupts: on the futures of
something that is there already (`FuturesPool`, `ExecutorPool`), or on anything else (`WorkerPool`). The names are
loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

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
    "IndexResult": "curator_core.records",
    "Item": "curator_core.records",
    "WorkerUsage": "curator_core.records",
    "RunBackend": "curator_core.run.base",
    "get_backend": "curator_core.run.base",
    "list_backends": "curator_core.run.base",
    "register_backend": "curator_core.run.base",
    "RunConfig": "curator_core.run.config",
    "n_workers": "curator_core.run.config",
    "MAX_WORKERS": "curator_core.run.options",
    "TIMEOUT": "curator_core.run.options",
    "Option": "curator_core.run.options",
    "batch_groups": "curator_core.run.partition",
    "ChunkQueue": "curator_core.run.scheduling.chunks",
    "CrashRecovery": "curator_core.run.scheduling.crash_recovery",
    "ChunkedBackend": "curator_core.run.scheduling.dispatch",
    "ExecutorPool": "curator_core.run.scheduling.dispatch",
    "FuturesPool": "curator_core.run.scheduling.dispatch",
    "TimeoutWatchdog": "curator_core.run.scheduling.dispatch",
    "WorkerPool": "curator_core.run.scheduling.dispatch",
    "signals_delivered": "curator_core.run.signals",
    "temporary_files_needed": "curator_core.run.workers.ability",
    "temporary_folder": "curator_core.run.workers.ability",
    "Heartbeats": "curator_core.run.workers.heartbeats",
    "WorkerStatus": "curator_core.run.workers.heartbeats",
    "Chunk": "curator_core.run.workers.worker",
    "WorkerSetup": "curator_core.run.workers.worker",
    "begin_process": "curator_core.run.workers.worker",
    "exit_orphaned": "curator_core.run.workers.worker",
    "install": "curator_core.run.workers.worker",
    "process_chunk": "curator_core.run.workers.worker",
    "uninstall": "curator_core.run.workers.worker",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
