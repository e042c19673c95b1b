"""Runs: their processes, how they end, and the backfill that they belong to."""

from __future__ import annotations

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun

STEP_MODULES = (
    "dagster._core.executor.multiprocess",
    "dagster._core.instance.factory",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.legacy_storage",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.definitions.repository_definition.repository_data_builder",
    "dagster._core.workspace.autodiscovery",
    "watchdog.observers.polling",
    "dotenv",
    "upath.implementations.local",
)
"""What the process of a step imports of Dagster: forked from a server that has it, it starts a second earlier.

Publicly Dagster names nothing to preload.
"""

BACKFILL_TAG = "dagster/backfill"
"""Tag of a run that a backfill requested: the backfill's id. There are no public names of these tags."""
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags with the first and the last partition of such a run."""


GRPC_INFO_TAG = ".dagster/grpc_info"
"""Tag of a run that was started through a code server. There is no public name of it."""


def run_process(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """Id of the process that executes a run and the time at which the run started; ``None`` before that.

    Events have it; publicly nothing does.
    """
    started = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
    pid = started[-1].get_dagster_event().pid if started else None
    return None if pid is None else (pid, started[-1].timestamp)


def is_started_by_code_server(run: DagsterRun) -> bool:
    """Whether Dagster's default launcher started a run: as a process of the code server beside it.

    Publicly a run does not say who launched it; the hidden tag says by which server.
    """
    return GRPC_INFO_TAG in run.tags


def report_run_dead(instance: DagsterInstance, run: DagsterRun, message: str) -> None:
    """Mark a run as failed whose process is gone.

    Publicly only the daemon's run monitoring does it, for runs that it launched.
    """
    instance.report_run_failed(run, message)


def report_run_answered(instance: DagsterInstance, run: DagsterRun, message: str, *, has_failed: bool) -> None:
    """Mark a run as ended that has not begun, and whose work another run has done; or has tried, and failed.

    Publicly a run that waits can only be cancelled, or deleted. A failed one is retried by Dagster where failed steps
    are, and not as one that was killed.
    """
    from dagster._core.events import JobFailureData, RunFailureReason  # noqa: PLC0415 - a code location needs none

    if has_failed:
        instance.report_run_failed(run, message, JobFailureData(None, RunFailureReason.STEP_FAILURE))
    else:
        event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name, message=message)
        instance.report_dagster_event(event, run.run_id)


def backfill_partitions(instance: DagsterInstance, backfill_id: str, asset: AssetKey) -> list[str]:
    """The partitions of an asset that a backfill is to materialize; none once it is being cancelled.

    Publicly a run knows its own partitions only.
    """
    from dagster._core.execution.backfill import BulkActionStatus  # noqa: PLC0415 - a code location needs none

    backfill = instance.get_backfill(backfill_id)
    data = None if backfill is None else backfill.asset_backfill_data
    if backfill is None or data is None or backfill.status != BulkActionStatus.REQUESTED:
        return []
    subset = data.target_subset.partitions_subsets_by_asset_key.get(asset)
    return [] if subset is None else list(subset.get_partition_keys())
