"""`dask_executor`: the steps of a run as tasks on a dask cluster.

dagster-dask's executor of that name does not run partitioned jobs, dynamic outputs, optional outputs and
retries with the current dask; this one takes the same configuration.
"""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagster import (
    DagsterEvent,
    Executor,
    Field,
    InitExecutorContext,
    Noneable,
    Permissive,
    Selector,
    StringSource,
    executor,
    multiple_process_executor_requirements,
)

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.run import available_cpus
from curator_dagster._compat.step_delegation import (
    CheckStepHealthResult,
    ExecutionPlan,
    PlanOrchestrationContext,
    RetryMode,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
    get_retries_config,
    get_tag_concurrency_limits_config,
    is_settled,
    report_starting,
    step_arguments,
)

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Client, Future

CLUSTERS = {
    "local": ("distributed", "LocalCluster"),
    "ssh": ("distributed", "SSHCluster"),
    "yarn": ("dask_yarn", "YarnCluster"),
    "pbs": ("dask_jobqueue", "PBSCluster"),
    "moab": ("dask_jobqueue", "MoabCluster"),
    "sge": ("dask_jobqueue", "SGECluster"),
    "lsf": ("dask_jobqueue", "LSFCluster"),
    "slurm": ("dask_jobqueue", "SLURMCluster"),
    "oar": ("dask_jobqueue", "OARCluster"),
    "kube": ("dask_kubernetes", "KubeCluster"),
}
"""Module and class by the names that dagster-dask gives them; importing it would take two seconds."""
RESOURCES_TAG = "dagster-dask/resource_requirements"
"""Tag of an op with the dask resources that its steps need, as JSON."""
CONNECT_TIMEOUT_S = 10
"""How long an existing scheduler is waited for."""
LOST_S = 8.0
"""How long a step that the scheduler lost may take to end: more than a worker gives it."""
POLL_S = 0.1
"""How often the event log is read for what steps did: a query of some milliseconds."""


# Dagster's configuration types have untyped constructors.
_CLUSTER = Selector(  # type: ignore[no-untyped-call]
    {"existing": Field({"address": StringSource}, description="Connect to a scheduler that is running.")}
    | {
        kind: Field(
            Permissive(),  # type: ignore[no-untyped-call]
            is_required=False,
            description=f"Start a {name} with these arguments.",
        )
        for kind, (_, name) in CLUSTERS.items()
    }
)
_SCHEMA = {
    "cluster": Field(
        _CLUSTER,
        default_value={"local": {}},
        description="The dask cluster; by default a local one that takes a step per CPU.",
    ),
    "max_concurrent": Field(
        Noneable(int),
        default_value=None,
        description="Steps of this run at a time; by default as many as the cluster takes.",
    ),
    "retries": get_retries_config(),  # type: ignore[no-untyped-call]
    "tag_concurrency_limits": get_tag_concurrency_limits_config(),  # type: ignore[no-untyped-call]
}


@executor(name="dask", requirements=multiple_process_executor_requirements(), config_schema=_SCHEMA)
def dask_executor(init_context: InitExecutorContext) -> Executor:
    """Dagster executor whose steps are tasks on a dask cluster.

    Each step runs in a process of its own beside the worker. Configured like dagster-dask's, for example
    ``dask_executor.configured({"cluster": {"existing": {"address": "tcp://scheduler:8786"}}})``.
    """
    config: Mapping[str, Any] = init_context.executor_config
    return _DaskExecutor(
        config["cluster"],
        retries=RetryMode.from_config(config["retries"]),
        max_concurrent=config["max_concurrent"],
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        sleep_seconds=POLL_S,
        check_step_health_interval_seconds=0,  # it costs nothing: dask has told us already
        should_verify_step=True,  # dask runs the task of a dead worker again; whether the step is, Dagster decides
    )


class _DaskExecutor(StepDelegatingExecutor):
    """Connected to its cluster while it executes."""

    def __init__(self, cluster: Mapping[str, Any], **settings: Any) -> None:  # noqa: ANN401 - the base class's
        self._cluster = cluster
        self._tasks = _StepTasks()
        super().__init__(self._tasks, **settings)

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        with _connected(self._cluster) as self._tasks.client:
            yield from super().execute(plan_context, execution_plan)


class _StepTasks(StepHandler):
    """Launches steps as tasks, and knows how they fare."""

    client: Client

    def __init__(self) -> None:
        self._futures: dict[str, Future[None]] = {}
        self._lost_since: dict[Key, float] = {}

    @property
    def name(self) -> str:
        return "dask"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        from curator_dagster.executors.step_process import run_step  # noqa: PLC0415 - dask takes long to load

        (step,) = step_handler_context.step_tags
        # Tasks of other runs have other keys, and another attempt is another task.
        key = f"{step}-{step_handler_context.dagster_run.run_id}-{uuid.uuid4().hex}"
        resources = _resources_of(step, step_handler_context.step_tags[step])
        needing = f" for a worker that has {resources}" if resources else ""
        yield report_starting(step_handler_context, step, f"Submitted to dask as {key}{needing}.")
        self._futures[step] = self.client.submit(
            run_step, step_arguments(step_handler_context), key=key, pure=False, resources=resources
        )

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        (step,) = step_handler_context.step_tags
        future = self._futures.get(step)
        if (future is not None and future.status == "pending") or is_settled(step_handler_context, step):
            return CheckStepHealthResult.healthy()
        if future is not None and future.status not in {"finished", "error"}:
            # Its worker is stopping it, and it may still tell how it ended: a step must not end twice.
            since = self._lost_since.setdefault(future.key, time.monotonic())
            if time.monotonic() - since < LOST_S:
                return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy(_ending(future))

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        (step,) = step_handler_context.step_tags
        if step in self._futures:
            self.client.cancel([self._futures[step]], force=True)
        yield from ()


def _resources_of(step: str, tags: Mapping[str, str]) -> dict[str, float]:
    """Resources of dask that the tags of a step ask for."""
    given = tags.get(RESOURCES_TAG, "{}")
    try:
        found = json.loads(given)
    except ValueError:
        found = given
    if not isinstance(found, dict) or not all(isinstance(n, int | float) and n >= 0 for n in found.values()):
        raise ConfigError(
            f"The tag {RESOURCES_TAG} of {step} must name numbers of resources, such as {{'GPU': 1}}, not {given}."
        )
    return found


def _ending(future: Future[None] | None) -> str:
    """Why a task ended before its step did."""
    if future is None:
        return "the process of the run that launched it is gone."
    if future.status == "error":
        return str(future.exception())
    if future.status == "finished":  # dask started it again, which `should_verify_step` told it not to do
        return "the dask worker that ran it was lost."
    return "the dask scheduler was lost, or lost it."


@contextmanager
def _connected(cluster: Mapping[str, Any]) -> Iterator[Client]:
    ((kind, options),) = cluster.items()
    try:
        from distributed import Client  # noqa: PLC0415 - takes long to load, and may be missing
    except ModuleNotFoundError as exc:
        raise MissingDependencyError.of("distributed", "dask", "curator_dagster.dask_executor") from exc
    with ExitStack() as stack:
        if kind == "existing":
            target = options["address"]
        else:
            defaults = _local_defaults() if kind == "local" else {}
            target = stack.enter_context(_cluster_class(kind)(**defaults | options))
            if CLUSTERS[kind][0] == "dask_jobqueue" and (n_workers := options.get("n_workers")):
                # Jobs end at their time limit or are taken away: dask submits others only where it adapts.
                target.adapt(minimum=n_workers, maximum=n_workers)
        try:
            client = stack.enter_context(Client(target, timeout=CONNECT_TIMEOUT_S, set_as_default=False))
        except (OSError, ValueError) as exc:
            raise ConfigError(f"There is no dask scheduler at {target!r}, which dask_executor needs: {exc}") from exc
        yield client


def _local_defaults() -> dict[str, Any]:
    # Steps have processes of their own, so the workers need none.
    n_workers = available_cpus()
    return {"processes": False, "n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}


def _cluster_class(kind: str) -> Any:  # noqa: ANN401 - a class of a library that may be missing
    module, name = CLUSTERS[kind]
    handler = signal.getsignal(signal.SIGINT)
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as exc:
        package = module.replace("_", "-")
        raise MissingDependencyError(
            f"curator_dagster.dask_executor with a {kind!r} cluster needs {package}: pip install {package}"
        ) from exc
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:  # dask-jobqueue takes Ctrl-C for itself when it is loaded
            signal.signal(signal.SIGINT, handler)
