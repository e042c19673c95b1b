"""curator: piles of raw scientific data into AI-ready datasets, every single item accountable.

The public names below are loaded on first use, so that importing the package costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in  # from now on modules are found under their former names, too

if TYPE_CHECKING:
    from curator_core.engine import process_index as process_index
    from curator_core.errors import CuratorError as CuratorError
    from curator_core.errors import RunFailed as RunFailed
    from curator_core.merge.curated import CuratedDataset as CuratedDataset
    from curator_core.merge.curated import CuratedItem as CuratedItem
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
    from curator_core.pipeline.splits import SplitByFolder as SplitByFolder
    from curator_core.pipeline.splits import SplitByGroup as SplitByGroup
    from curator_core.pipeline.splits import SplitByKey as SplitByKey
    from curator_core.pipeline.splits import SplitByList as SplitByList
    from curator_core.pipeline.splits import SplitByTime as SplitByTime
    from curator_core.reading.opening import open_dataset as open_dataset
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
    from curator_core.run.gathering import gather_pipeline as gather_pipeline
    from curator_core.session.plan import Plan as Plan
    from curator_core.session.plan import PlannedItem as PlannedItem
    from curator_core.sources.files import FileItem as FileItem
    from curator_core.sources.files import FileSource as FileSource
    from curator_core.store import MetricsStore as MetricsStore
    from curator_core.store import PipelineMetrics as PipelineMetrics

_HOME = {
    "CuratedDataset": "curator_core.merge.curated",
    "CuratedItem": "curator_core.merge.curated",
    "FileItem": "curator_core.sources.files",
    "FileSource": "curator_core.sources.files",
    "Filter": "curator_core.pipeline.components",
    "MergeItem": "curator_core.pipeline.components",
    "ShardedFilter": "curator_core.pipeline.components",
    "ShardedSink": "curator_core.pipeline.components",
    "Sink": "curator_core.pipeline.components",
    "Source": "curator_core.pipeline.components",
    "Variable": "curator_core.pipeline.components",
    "shard_path": "curator_core.pipeline.components",
    "current_item": "curator_core.pipeline.current",
    "process_index": "curator_core.engine",
    "CuratorError": "curator_core.errors",
    "RunFailed": "curator_core.errors",
    "gather_pipeline": "curator_core.run.gathering",
    "REQUIRED": "curator_core.pipeline.params",
    "SECRET": "curator_core.pipeline.annotations",
    "Param": "curator_core.pipeline.params",
    "Pipeline": "curator_core.pipeline.pipeline",
    "Plan": "curator_core.session.plan",
    "PlannedItem": "curator_core.session.plan",
    "open_dataset": "curator_core.reading.opening",
    "SplitByFolder": "curator_core.pipeline.splits",
    "SplitByGroup": "curator_core.pipeline.splits",
    "SplitByKey": "curator_core.pipeline.splits",
    "SplitByList": "curator_core.pipeline.splits",
    "SplitByTime": "curator_core.pipeline.splits",
    "IndexResult": "curator_core.records",
    "Item": "curator_core.records",
    "register_component": "curator_core.pipeline.registry",
    "Listener": "curator_core.run",
    "RunBackend": "curator_core.run",
    "RunConfig": "curator_core.run",
    "RunSummary": "curator_core.run",
    "WorkerProgressDisplay": "curator_core.run",
    "batch_groups": "curator_core.run",
    "get_backend": "curator_core.run",
    "intersect_partitions": "curator_core.run",
    "list_backends": "curator_core.run",
    "register_backend": "curator_core.run",
    "run_pipeline": "curator_core.run",
    "MetricsStore": "curator_core.store",
    "PipelineMetrics": "curator_core.store",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
