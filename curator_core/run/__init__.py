"""Running pipelines: `run_pipeline`, its backends and what they share."""

from curator_core.run.api import run_pipeline
from curator_core.run.base import RunBackend, get_backend, list_backends, register_backend
from curator_core.run.config import RunConfig
from curator_core.run.partition import batch_groups, intersect_partitions
from curator_core.run.progress import WorkerProgressDisplay

__all__ = [
    "RunBackend",
    "RunConfig",
    "WorkerProgressDisplay",
    "batch_groups",
    "get_backend",
    "intersect_partitions",
    "list_backends",
    "register_backend",
    "run_pipeline",
]
