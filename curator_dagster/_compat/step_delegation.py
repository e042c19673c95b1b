"""Executors whose steps are executed elsewhere.

`StepDelegatingExecutor` and what belongs to it carry Dagster's own executors for Kubernetes, Docker and Celery.
Publicly an executor can only be written from nothing, on parts that are not public either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import DagsterEvent, DagsterEventType
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CheckStepHealthResult",
    "ExecutionPlan",
    "PlanOrchestrationContext",
    "RetryMode",
    "StepDelegatingExecutor",
    "StepHandler",
    "StepHandlerContext",
    "get_retries_config",
    "get_tag_concurrency_limits_config",
    "is_settled",
    "report_starting",
    "step_arguments",
]

_ATTEMPT_STARTS = DagsterEventType.STEP_WORKER_STARTING


_ATTEMPT_ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
    DagsterEventType.RESOURCE_INIT_FAILURE,  # the executor makes a failure or a retry of it
}


def step_arguments(context: StepHandlerContext) -> Sequence[str]:
    """Arguments of the command ``dagster`` that executes a step, without what comes before them.

    The command is internal, though every step-delegating executor uses it.
    """
    command = context.execute_step_args.get_command_args()
    return command[command.index("api") :]


def report_starting(context: StepHandlerContext, step_key: str, message: str) -> DagsterEvent:
    """Log that a step is handed to a worker; `is_settled` takes it for the start of an attempt."""
    return DagsterEvent.step_worker_starting(context.get_step_context(step_key), message, metadata={})


def is_settled(context: StepHandlerContext, step_key: str) -> bool:
    """Whether the event log has the outcome of the latest attempt at a step.

    Publicly a run's events can be had only all together.
    """
    records = context.instance.all_logs(context.dagster_run.run_id, of_type={_ATTEMPT_STARTS, *_ATTEMPT_ENDS})
    kinds = [entry.dagster_event_type for entry in records if entry.step_key == step_key]
    return bool(kinds) and kinds[-1] in _ATTEMPT_ENDS
