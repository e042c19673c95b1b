"""What an automation condition of one's own has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import (
        AssetKey,
        AssetsDefinition,
        AutomationCondition,
        AutomationContext,
        AutomationResult,
        DagsterInstance,
    )


def automated_instance(context: AutomationContext[AssetKey]) -> DagsterInstance:
    """The instance that an automation condition is evaluated on.

    Publicly a condition of one's own sees its cursor and its candidates only.
    """
    return context.asset_graph_view.instance


def automated_asset(context: AutomationContext[AssetKey]) -> AssetsDefinition:
    """The definition of the asset that an automation condition is evaluated for, where its code is.

    Publicly a condition of one's own gets no resources, which its assets have.
    """
    found: Any = context.asset_graph_view.asset_graph.get(context.key)
    definition: AssetsDefinition = found.assets_def
    return definition


def was_requested(context: AutomationContext[AssetKey]) -> bool:
    """Whether the previous evaluation of an asset's conditions requested a run of it.

    Publicly only `AutomationCondition.newly_requested` knows, which cannot be asked within a condition.
    """
    requested = context.get_previous_requested_subset(context.key)
    return requested is not None and not requested.is_empty


async def child_result(
    context: AutomationContext[AssetKey], condition: AutomationCondition[Any]
) -> AutomationResult[AssetKey]:
    """Result of the only child of an automation condition, evaluated when its parent wants it.

    Publicly conditions can be combined only so that all of them are evaluated at every tick.
    """
    child = context.for_child_condition(condition, child_indices=[0], candidate_subset=context.candidate_subset)
    return await child.evaluate_async()
