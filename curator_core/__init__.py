"""curator: piles of raw scientific data into AI-ready datasets, every single item accountable.

The public names below are loaded on first use, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import curator_core.moved  # noqa: F401 - from now on modules are found under their former names, too

if TYPE_CHECKING:
    from curator_core.engine import process_index as process_index
    from curator_core.errors import CuratorError as CuratorError
    from curator_core.errors import RunFailed as RunFailed
    from curator_core.pipeline.annotations import SECRET as SECRET
    from curator_core.pipeline.components import Filter as Filter
    from curator_core.pipeline.components import MergeItem as MergeItem
    from curator_core.pipeline.components import ShardedFilter as ShardedFilter
    from curator_core.pipeline.components import ShardedSink as ShardedSink
    from curator_core.pipeline.components import Sink as Sink
    from curator_core.pipeline.components import Source as Source
    from curator_core.pipeline.components import Variable as Variable
    from curator_core.pipeline.components import shard_path as shard_path
    from curator_core.pipeline.current import current_item as current_item
    from curator_core.pipeline.params import REQUIRED as REQUIRED
    from curator_core.pipeline.params import Param as Param
    from curator_core.pipeline.pipeline import Pipeline as Pipeline
    from curator_core.pipeline.registry import register_component as register_component
    from curator_core.records import IndexResult as IndexResult
    from curator_core.records import Item as Item
    from curator_core.run import Listener as Listener
    from curator_core.run import RunBackend as RunBackend
    from curator_core.run import RunConfig as RunConfig
    from curator_core.run import RunSummary as RunSummary
    from curator_core.run import WorkerProgressDisplay as WorkerProgressDisplay
    from curator_core.run import batch_groups as batch_groups
    from curator_core.run import get_backend as get_backend
    from curator_core.run import intersect_partitions as intersect_partitions
    from curator_core.run import list_backends as list_backends
    from curator_core.run import register_backend as register_backend
    from curator_core.run import run_pipeline as run_pipeline
    from curator_core.session.gather import gather_pipeline as gather_pipeline
    from curator_core.session.plan import Plan as Plan
    from curator_core.session.plan import PlannedItem as PlannedItem
    from curator_core.sources.files import FileItem as FileItem
    from curator_core.sources.files import FileSource as FileSource
    from curator_core.store import MetricsStore as MetricsStore
    from curator_core.store import PipelineMetrics as PipelineMetrics

_HOME = {
    "FileItem": "sources.files",
    "FileSource": "sources.files",
    "Filter": "pipeline.components",
    "MergeItem": "pipeline.components",
    "ShardedFilter": "pipeline.components",
    "ShardedSink": "pipeline.components",
    "Sink": "pipeline.components",
    "Source": "pipeline.components",
    "Variable": "pipeline.components",
    "shard_path": "pipeline.components",
    "current_item": "pipeline.current",
    "process_index": "engine",
    "CuratorError": "errors",
    "RunFailed": "errors",
    "gather_pipeline": "session.gather",
    "REQUIRED": "pipeline.params",
    "SECRET": "pipeline.annotations",
    "Param": "pipeline.params",
    "Pipeline": "pipeline.pipeline",
    "Plan": "session.plan",
    "PlannedItem": "session.plan",
    "IndexResult": "records",
    "Item": "records",
    "register_component": "pipeline.registry",
    "Listener": "run",
    "RunBackend": "run",
    "RunConfig": "run",
    "RunSummary": "run",
    "WorkerProgressDisplay": "run",
    "batch_groups": "run",
    "get_backend": "run",
    "intersect_partitions": "run",
    "list_backends": "run",
    "register_backend": "run",
    "run_pipeline": "run",
    "MetricsStore": "store",
    "PipelineMetrics": "store",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'curator_core' has no attribute {name!r}")
    found = getattr(import_module(f"curator_core.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
