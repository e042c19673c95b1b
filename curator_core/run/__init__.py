"""Running pipelines: `run_pipeline`, its backends and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.cpus import available_cpus as available_cpus
    from curator_core.engine import IndexProcessor as IndexProcessor
    from curator_core.engine.accumulating import check_accumulating as check_accumulating
    from curator_core.engine.failure import describe as describe
    from curator_core.engine.item_paths import ItemPaths as ItemPaths
    from curator_core.engine.item_paths import full_path as full_path
    from curator_core.run.api import run_pipeline as run_pipeline
    from curator_core.run.backends.dask import DaskBackend as DaskBackend
    from curator_core.run.backends.loky import LokyBackend as LokyBackend
    from curator_core.run.backends.prefect import PrefectBackend as PrefectBackend
    from curator_core.run.backends.process_pool import ProcessPoolBackend as ProcessPoolBackend
    from curator_core.run.backends.sequential import SequentialBackend as SequentialBackend
    from curator_core.run.backends.thread_pool import ThreadPoolBackend as ThreadPoolBackend
    from curator_core.run.base import RunBackend as RunBackend
    from curator_core.run.base import get_backend as get_backend
    from curator_core.run.base import list_backends as list_backends
    from curator_core.run.base import register_backend as register_backend
    from curator_core.run.config import BackendChoice as BackendChoice
    from curator_core.run.config import RunConfig as RunConfig
    from curator_core.run.gathering import gather_pipeline as gather_pipeline
    from curator_core.run.listeners import Listener as Listener
    from curator_core.run.listeners import RunSummary as RunSummary
    from curator_core.run.partition import batch_groups as batch_groups
    from curator_core.run.partition import intersect_partitions as intersect_partitions
    from curator_core.run.partition import pipeline_groups as pipeline_groups
    from curator_core.run.processing import Processing as Processing
    from curator_core.run.progress import WorkerProgressDisplay as WorkerProgressDisplay
    from curator_core.run.scheduling.owners import PathOwners as PathOwners
    from curator_core.run.segments import segment_encoder as segment_encoder
    from curator_core.run.signals import interruptible_run as interruptible_run
    from curator_core.run.workers.sealed import new_key as new_key
    from curator_core.run.workers.sealed import opened as opened
    from curator_core.run.workers.sealed import seal as seal
    from curator_core.run.workers.sealed import sealed as sealed
    from curator_core.run.workers.sealed import unseal as unseal
    from curator_core.run.workers.worker import Worker as Worker
    from curator_core.run.workers.worker import exit_with_parent as exit_with_parent

_LATE = {
    "run_pipeline": "curator_core.run.api",
    "RunBackend": "curator_core.run.base",
    "get_backend": "curator_core.run.base",
    "list_backends": "curator_core.run.base",
    "register_backend": "curator_core.run.base",
    "RunConfig": "curator_core.run.config",
    "Listener": "curator_core.run.listeners",
    "RunSummary": "curator_core.run.listeners",
    "batch_groups": "curator_core.run.partition",
    "intersect_partitions": "curator_core.run.partition",
    "WorkerProgressDisplay": "curator_core.run.progress",
    "IndexProcessor": "curator_core.engine",
    "check_accumulating": "curator_core.engine.accumulating",
    "describe": "curator_core.engine.failure",
    "ItemPaths": "curator_core.engine.item_paths",
    "full_path": "curator_core.engine.item_paths",
    "Worker": "curator_core.run.workers.worker",
    "exit_with_parent": "curator_core.run.workers.worker",
    "new_key": "curator_core.run.workers.sealed",
    "opened": "curator_core.run.workers.sealed",
    "seal": "curator_core.run.workers.sealed",
    "sealed": "curator_core.run.workers.sealed",
    "unseal": "curator_core.run.workers.sealed",
    "available_cpus": "curator_core.cpus",
    "BackendChoice": "curator_core.run.config",
    "pipeline_groups": "curator_core.run.partition",
    "PathOwners": "curator_core.run.scheduling.owners",
    "segment_encoder": "curator_core.run.segments",
    "Processing": "curator_core.run.processing",
    "interruptible_run": "curator_core.run.signals",
    "DaskBackend": "curator_core.run.backends.dask",
    "LokyBackend": "curator_core.run.backends.loky",
    "PrefectBackend": "curator_core.run.backends.prefect",
    "ProcessPoolBackend": "curator_core.run.backends.process_pool",
    "SequentialBackend": "curator_core.run.backends.sequential",
    "ThreadPoolBackend": "curator_core.run.backends.thread_pool",
    "gather_pipeline": "curator_core.run.gathering",
}
"""Where names are that are loaded when they are first asked for."""

__all__ = [
    "BackendChoice",
    "DaskBackend",
    "IndexProcessor",
    "ItemPaths",
    "Listener",
    "LokyBackend",
    "PathOwners",
    "PrefectBackend",
    "ProcessPoolBackend",
    "Processing",
    "RunBackend",
    "RunConfig",
    "RunSummary",
    "SequentialBackend",
    "ThreadPoolBackend",
    "Worker",
    "WorkerProgressDisplay",
    "available_cpus",
    "batch_groups",
    "check_accumulating",
    "describe",
    "exit_with_parent",
    "full_path",
    "gather_pipeline",
    "get_backend",
    "interruptible_run",
    "intersect_partitions",
    "list_backends",
    "new_key",
    "opened",
    "pipeline_groups",
    "register_backend",
    "run_pipeline",
    "seal",
    "sealed",
    "segment_encoder",
    "unseal",
]
__getattr__ = names_in(__name__, _LATE)
