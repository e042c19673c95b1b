"""`build_curation_defs`: a pipeline as a Dagster code location."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from dagster import Definitions, ExecutorDefinition, SensorDefinition, multiprocess_executor

from curator_core import Pipeline
from curator_dagster._compat.runs import STEP_MODULES
from curator_dagster.assets import Upstream, dataset_asset, samples_asset
from curator_dagster.automation.condition import dataset_automation
from curator_dagster.automation.sensor import DEFAULT_INTERVAL_S, new_data_sensor, refresh_schedule
from curator_dagster.checks.spec import Check, DatasetChecks
from curator_dagster.curation.curation import Curation
from curator_dagster.refresh import refresh_job
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


def build_curation_defs(
    name: str,
    pipeline: Pipeline[Any] | Callable[[], Pipeline[Any]],
    *,
    executor: ExecutorDefinition | None = None,
    batch_size: int | None = None,
    partition_size: int = 1,
    prune: bool = False,
    max_missing: float = 0,
    checks: bool | Sequence[Check] = True,
    group_name: str | None = None,
    watch: bool | float | None = None,
    schedule: str | None = None,
    timezone: str = "UTC",
    deps: Sequence[Upstream] = (),
    start_automation: bool = False,
    backend: str | None = None,
    backend_options: Mapping[str, Any] | None = None,
) -> Definitions:
    """Assets, a refresh job and what requests it for one pipeline; no data is read.

    Parameters
    ----------
    name
        Prefix of everything: the assets ``{name}/samples`` and ``{name}/dataset``, the job
        ``{name}_refresh``, the dynamic partitions definition ``{name}``.
    pipeline
        A pipeline with a sink, or a function without arguments that returns one.
    executor
        Carries the work; `curation_executor` by default. Dagster has one executor for the assets of a code
        location: give all curations in it, and your own definitions, the same object.
    batch_size
        Items per step; sized from the number of CPUs by default.
    partition_size
        Items per partition. Dagster advises at most 100,000 partitions of an asset: for larger sources, a
        partition stands for a block of neighbouring items.
    prune
        Remove the partitions of items that vanished from the source.
    max_missing
        Publish the dataset although this many items failed: a number, or a fraction below 1.
    checks
        Asset checks of the dataset: the built-in ones by default, none if false. A list is exactly what there
        is: names of built-in checks, functions that get the dataset's path and return a ``bool`` or an
        ``AssetCheckResult``, and asset checks of Dagster's own.
    group_name
        Asset group.
    watch
        The sensor ``{name}_new_data`` looks at the source every 30 seconds, or at this interval in seconds, and
        requests a refresh when something changed; ``False`` for no such sensor.
    schedule
        Cron expression of a schedule ``{name}_schedule`` for the refresh job.
    timezone
        Time zone of the cron expression, such as ``Europe/Berlin``.
    deps
        Assets upstream of ``{name}/samples``: keys, definitions, or what else Dagster takes as ``deps``. A run that
        does both waits for them.
    start_automation
        Sensors and schedule run from the moment they are loaded; otherwise each is turned on in the UI.
    backend
        Run backend that processes the items, such as ``"slurm"``: one step hands it all that are due, and records
        what comes back.
    backend_options
        Its options, see `run_pipeline`; for ``"slurm"`` the keys ``cluster`` and ``resources``.

    Returns
    -------
    dagster.Definitions
        To be merged with others, or used as a code location.

    Raises
    ------
    DagsterInvalidDefinitionError
        A setting is wrong.
    """
    curation = Curation.of(
        name,
        pipeline,
        batch_size=batch_size,
        partition_size=partition_size,
        prune=prune,
        max_missing=max_missing,
        group_name=group_name,
        backend=backend,
        backend_options=backend_options,
    )
    runner = executor if executor is not None else curation_executor()
    process = process_op(curation)
    checking = DatasetChecks.of(curation, chosen=checks)
    refresh = refresh_job(curation, process, runner, checking)
    interval_s = DEFAULT_INTERVAL_S if watch is None or watch is True else watch
    sensors: list[SensorDefinition] = [dataset_automation(curation, is_started=start_automation)]
    if interval_s is not False:
        sensors.append(new_data_sensor(curation, refresh, interval_s=interval_s, is_started=start_automation))
    schedules = []
    if schedule is not None:
        schedules.append(refresh_schedule(curation, refresh, schedule, timezone=timezone, is_started=start_automation))
    return Definitions(
        assets=[samples_asset(curation, process, deps), dataset_asset(curation)],
        asset_checks=checking.definitions,
        jobs=[refresh],
        sensors=sensors,
        schedules=schedules,
        executor=runner,
    )
