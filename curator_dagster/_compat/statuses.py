"""What Dagster goes by for the status of an asset, for assets that an op materializes by itself.

An asset that Dagster executes gets all of this from the executor; there is no public way to it from an op.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dagster import (
        AssetExecutionContext,
        AssetKey,
        AssetSpec,
        DagsterInstance,
        EventLogRecord,
        OpExecutionContext,
    )
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetNode


def provenance_tags(context: OpExecutionContext, spec: AssetSpec) -> dict[str, str]:
    """Tags of a materialization that say what it was made of: the newest of everything upstream, as it is now.

    Without them, Dagster goes by times: whatever upstream is recorded again, unchanged, makes the asset *unsynced*.

    Parameters
    ----------
    context
        Of the op that materializes the asset.
    spec
        The asset, as it was declared; what a code location made of it since goes before.
    """
    node = _as_loaded(context, spec.key)
    code_version = spec.code_version if node is None else node.code_version
    upstream: Iterable[AssetKey] = (dep.asset_key for dep in spec.deps) if node is None else node.parent_keys
    tags = {CODE_VERSION_TAG: code_version or context.run_id, DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    for key in upstream:
        record = context.instance.get_latest_data_version_record(key)
        version = None if record is None else extract_data_version_from_entry(record.event_log_entry)
        tags[get_input_data_version_tag(key)] = (version or DEFAULT_DATA_VERSION).value
        tags[get_input_event_pointer_tag(key)] = NULL_EVENT_POINTER if record is None else str(record.storage_id)
    return tags


def look_upstream_again(context: AssetExecutionContext) -> None:
    """Take what is upstream of an asset as it is now: its step may have waited for others since it began."""
    context.op_execution_context.get_step_execution_context().fetch_external_input_asset_version_info()


def _as_loaded(context: OpExecutionContext, asset: AssetKey) -> BaseAssetNode | None:
    """An asset as its code location has it; ``None`` where a job runs without one, as in a test."""
    repository = context.get_step_execution_context()._execution_data.repository_def  # noqa: SLF001
    return None if repository is None or not repository.asset_graph.has(asset) else repository.asset_graph.get(asset)


def is_answered(instance: DagsterInstance, asset: AssetKey) -> bool:
    """Whether the run that meant to materialize an unpartitioned asset last did, or found it right."""
    planned = instance.get_latest_planned_materialization_info(asset)
    if planned is None:
        return True
    last = _last_materialization(instance, asset)
    return last is not None and last.run_id == planned.run_id


def confirm(instance: DagsterInstance, asset: AssetKey, run_id: str) -> bool:
    """Let the latest materialization of an asset count as made now, by a run that found it right.

    Freshness policies look at the time of the latest materialization, which Dagster keeps beside the asset's key.
    Publicly only another materialization moves it on, and that launches what is downstream with
    `AutomationCondition.eager`, which asks for no data version.

    Returns
    -------
    bool
        Whether there is one, in an event log that can do so.
    """
    store = getattr(instance.event_log_storage, "store_asset_event", None)
    last = _last_materialization(instance, asset)
    if store is None or last is None:
        return False
    planned = instance.get_latest_planned_materialization_info(asset)
    entry = last.event_log_entry._replace(timestamp=time.time())
    if planned is not None and planned.run_id == run_id:  # it answers for what it planned, or the asset shows as failed
        entry = entry._replace(run_id=run_id)
    store(entry, last.storage_id)
    newest = instance.fetch_materializations(asset, limit=1).records[0]
    if newest.storage_id > last.storage_id:  # another run was quicker: the latest is the latest
        store(newest.event_log_entry, newest.storage_id)
    return True


def _last_materialization(instance: DagsterInstance, asset: AssetKey) -> EventLogRecord | None:
    """As it is kept beside the asset's key."""
    records = instance.get_asset_records([asset])
    return records[0].asset_entry.last_materialization_record if records else None
