"""`build_curation_defs`: a pipeline as a Dagster code location."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from dagster import (
    Definitions,
    ExecutorDefinition,
    JobDefinition,
    ScheduleDefinition,
    SensorDefinition,
    multiprocess_executor,
)

from curator_dagster._compat.runs import STEP_MODULES
from curator_dagster.assets import dataset_asset, samples_asset
from curator_dagster.automation.condition import dataset_automation, dataset_condition
from curator_dagster.automation.sensor import DEFAULT_INTERVAL_S, job_schedule, new_data_sensor
from curator_dagster.checks.spec import DatasetChecks
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.settings import CurationSettings, PipelineOrFactory, with_settings
from curator_dagster.metadata.location import definitions_metadata
from curator_dagster.refresh import refresh_jobs
from curator_dagster.steps.fanout import process_op

CORE_MODULES = tuple(f"curator_core.{part}" for part in ("engine", "gather", "run", "store"))
"""What every step uses of the core."""


def curation_executor(preload: Sequence[str] = (), *, max_concurrent: int | None = None) -> ExecutorDefinition:
    """Dagster's multiprocess executor, its processes forked from a server that has loaded what they need.

    Parameters
    ----------
    preload
        Modules to load there, such as the one with your pipeline; Dagster and curator always are.
    max_concurrent
        Steps at a time; the number of CPUs by default.
    """
    return _forkserver_executor(tuple(preload), max_concurrent)


@cache  # one object: Dagster merges definitions only when their executor is the same
def _forkserver_executor(preload: tuple[str, ...], max_concurrent: int | None) -> ExecutorDefinition:
    config: dict[str, Any] = {"start_method": {"forkserver": {"preload_modules": preload_modules(preload)}}}
    if max_concurrent is not None:
        config["max_concurrent"] = max_concurrent
    return multiprocess_executor.configured(config)


def preload_modules(preload: Sequence[str] = ()) -> list[str]:
    """Modules that the fork server of `curation_executor` loads."""
    return [*STEP_MODULES, "curator_dagster.definitions", *CORE_MODULES, *preload]


@with_settings(CurationSettings)
def build_curation_defs(name: str, pipeline: PipelineOrFactory, settings: CurationSettings) -> Definitions:
    """Assets, a refresh job and what requests it, and a job that tries again what failed; no data is read.

    Parameters
    ----------
    name
        Prefix of everything: the assets ``{name}/samples`` and ``{name}/dataset``, the jobs
        ``{name}_refresh`` and ``{name}_retry``, the dynamic partitions definition ``{name}``.
    pipeline
        A pipeline with a sink, or a function that returns one. Parameters of it that are annotated with a resource
        are given the resource of that key in runs, sensors and checks; it is not called before.
    settings
        Each by keyword, such as ``max_missing=0.01, schedule="@daily"``: all those of `CurationSettings`.

    Returns
    -------
    dagster.Definitions
        To be merged with others, or used as a code location.

    Raises
    ------
    DagsterInvalidDefinitionError
        A setting is wrong.
    """
    curation = Curation.of(name, pipeline, condition=dataset_condition, **vars(settings))
    runner = curation.executor if curation.executor is not None else curation_executor()
    process = process_op(curation)
    checking = DatasetChecks.of(curation, chosen=curation.checks)
    refresh, retry = refresh_jobs(curation, process, runner, checking)
    return Definitions(
        assets=[samples_asset(curation, process), dataset_asset(curation)],
        asset_checks=checking.definitions,
        jobs=[refresh, retry],
        sensors=_sensors(curation, refresh),
        schedules=_schedules(curation, refresh),
        executor=runner if curation.executor_for == "all" else None,
        metadata=definitions_metadata(name, "curation"),
    )


def _sensors(curation: Curation, refresh: JobDefinition) -> list[SensorDefinition]:
    is_started, watch = curation.start_automation, curation.watch
    merging = dataset_automation(curation, is_started=is_started)
    if watch is False:
        return [merging]
    interval_s = DEFAULT_INTERVAL_S if watch is None or watch is True else watch
    return [merging, new_data_sensor(curation, refresh, interval_s=interval_s, is_started=is_started)]


def _schedules(curation: Curation, refresh: JobDefinition) -> list[ScheduleDefinition]:
    if curation.schedule is None:
        return []
    started = curation.start_automation
    return [job_schedule(curation, refresh.name, curation.schedule, timezone=curation.timezone, is_started=started)]
