"""Processes of runs and of their steps."""

from __future__ import annotations

from dagster import DagsterEventType, DagsterInstance, DagsterRun

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


def run_process(instance: DagsterInstance, run: DagsterRun) -> tuple[int, float] | None:
    """Id of the process that executes a run and the time at which the run started; ``None`` before that.

    Events have it; publicly nothing does.
    """
    started = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
    pid = started[-1].get_dagster_event().pid if started else None
    return None if pid is None else (pid, started[-1].timestamp)


def report_run_dead(instance: DagsterInstance, run: DagsterRun, message: str) -> None:
    """Mark a run as failed whose process is gone.

    Publicly only the daemon's run monitoring does it, for runs that it launched.
    """
    instance.report_run_failed(run, message)
