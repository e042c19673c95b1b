"""Concurrency pools, and what a code location defines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, OpExecutionContext, RepositoryDefinition, SensorEvaluationContext


def pool_limit(instance: DagsterInstance, pool: str) -> int | None:
    """How many steps a pool takes at a time; ``None`` without a limit.

    Publicly only the command line and the UI say so.
    """
    storage = instance.event_log_storage
    return storage.get_concurrency_info(pool).limit if storage.supports_global_concurrency_limits else None


def repository_of(context: OpExecutionContext | SensorEvaluationContext) -> RepositoryDefinition | None:
    """Definitions of the code location that a run or a tick belongs to; ``None`` where there is none, in a test.

    Publicly the context of an op raises an error then.
    """
    step = getattr(context, "_step_execution_context", None)
    return context.repository_def if step is None else step.job.get_repository_definition()


def defined_assets(repository: RepositoryDefinition) -> set[AssetKey]:
    """Keys of the assets that a code location defines.

    Publicly its graph also has those that are named as upstream only.
    """
    graph = repository.asset_graph
    return {key for key in graph.get_all_asset_keys() if not graph.get(key).assets_def.is_auto_created_stub}
