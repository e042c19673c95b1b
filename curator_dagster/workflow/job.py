"""`build_workflow_job`: a workflow as a job of Dagster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import DagsterInvalidDefinitionError, ExecutorDefinition, JobDefinition, graph

from curator_core.errors import ConfigError
from curator_core.workflow import Loop, Position, StepSequence, Workflow, all_steps, check_calls, steps_of
from curator_dagster._compat.names import is_reserved
from curator_dagster.curation.runs import CURATION_TAG
from curator_dagster.definitions import curation_executor
from curator_dagster.workflow.folder import RESOURCE, folder_resource
from curator_dagster.workflow.ops import (
    StepVisit,
    batch_op,
    collect_op,
    course_without_conditions,
    plan_op,
    step_op,
    until_op,
)

Outputs = list[Any]
"""What a step waits for: outputs of ops, as Dagster's composition hands them out."""


def build_workflow_job(
    workflow: Workflow,
    *,
    rootdir: str | Path,
    project_job: str | None = None,
    name: str | None = None,
    executor_def: ExecutorDefinition | None = None,
    batch_size: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> JobDefinition:
    """A job whose ops are the steps of a workflow, one after the other; loops are unrolled.

    A parallel step is a fan-out: an op divides what is open into batches, each batch is an op, one collects. So
    Dagster's executor provides the workers.

    Parameters
    ----------
    workflow
        The workflow.
    rootdir
        Folder of jobs, an absolute path: ops may run in other working folders, on other hosts. The default of the
        run config ``resources: workflow: config: rootdir``.
    project_job
        Name of the job's folder, the default of ``resources: workflow: config: project_job``. By default every run
        has a folder of its own, named by its id, and a re-execution of some of its ops goes on there.
    name
        Name of the job; that of the workflow by default.
    executor_def
        Carries the work; `curation_executor` by default.
    batch_size
        Experiments or items per op of a parallel step; sized from the number of CPUs by default.
    tags
        Tags of the job, besides ``curator/curation`` with its name.

    Raises
    ------
    DagsterInvalidDefinitionError
        A setting is wrong.
    """
    if not Path(rootdir).is_absolute():
        raise DagsterInvalidDefinitionError(
            f"rootdir must be an absolute path, as ops may run in other working folders, not {str(rootdir)!r}."
        )
    if batch_size is not None and batch_size < 1:
        raise DagsterInvalidDefinitionError(f"batch_size must be at least 1, not {batch_size}.")
    try:
        check_calls(all_steps(workflow.steps))
    except ConfigError as exc:
        raise DagsterInvalidDefinitionError(str(exc)) from exc
    job_name = _valid(name or workflow.name or "workflow")
    start = workflow.course.first()
    if start is None:
        raise DagsterInvalidDefinitionError(f"The workflow {workflow.name!r} has no step, so there is no job of it.")
    first = workflow.course.step(start)
    first_op = _valid(first.name) + ("__plan" if first.parallel else "")

    @graph(name=job_name)
    def steps() -> None:
        _compose(workflow.course, batch_size)

    return steps.to_job(
        name=job_name,
        resource_defs={RESOURCE: folder_resource(str(rootdir), project_job, first_op)},
        executor_def=executor_def if executor_def is not None else curation_executor(),
        tags={CURATION_TAG: job_name} | dict(tags or {}),  # from when it is requested, for limits of concurrency
        description=f"The workflow {workflow.name!r}." if workflow.name else None,
    )


def _compose(course: StepSequence, batch_size: int | None) -> None:
    ready: Outputs = []
    names = _Names()
    plain = course_without_conditions(course)
    for position, element in enumerate(course.elements):
        left: Outputs = []
        for iteration in range(element.n_iterations if isinstance(element, Loop) else 1):
            for number in range(len(steps_of(element))):
                place = Position(position + len(course.before), iteration, number)
                name = names.of(plain.step(place).name, iteration)
                visit = StepVisit(plain, course, place, name, batch_size)
                ready = _added(visit, ready)
            if isinstance(element, Loop) and element.until is not None and iteration + 1 < element.n_iterations:
                asked = until_op(visit, names.of(f"{plain.step(place).name}__until", iteration))(after=ready)
                left.append(asked.enough)
                ready = [asked.again]
        ready += left


def _added(visit: StepVisit, ready: Outputs) -> Outputs:
    """The step's ops in the graph that is being composed."""
    after: dict[str, Any] = {"after": ready} if ready else {}
    if not visit.step.parallel:
        return [step_op(visit)(**after)]
    batches = plan_op(visit)(**after).map(batch_op(visit))
    return [collect_op(visit)(batches.collect())]


class _Names:
    """Names of ops that differ, and that Dagster takes."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, step: str, iteration: int) -> str:
        """A name for a step in an iteration of its loop."""
        wanted = _valid(step) + (f"__iteration_{iteration + 1}" if iteration else "")
        return next(found for found in _numbered(wanted) if self._took(found))

    def _took(self, name: str) -> bool:
        ops = {name, f"{name}__plan", f"{name}__batch"}
        is_free = self._taken.isdisjoint(ops)
        if is_free:
            self._taken |= ops
        return is_free


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _valid(name: str) -> str:
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"{found}_" if is_reserved(found) else found
