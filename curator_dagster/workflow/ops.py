"""The ops of a workflow's job: a step each, or three for a parallel one, and the condition of a loop."""

# No deferred annotations here: Dagster reads those of ops as they are.
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dagster import (
    DynamicOut,
    DynamicOutput,
    In,
    MetadataValue,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    op,
)

from curator_core.errors import ExperimentsNotFoundError
from curator_core.run import BackendChoice
from curator_core.storage import make_folder
from curator_core.workflow import (
    Loop,
    Position,
    Progress,
    Step,
    StepSequence,
    WorkflowStatus,
    iteration_told,
    read_jobs,
    run_step,
)
from curator_dagster._compat.interrupts import terminating
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.launch import NO_CONFIG
from curator_dagster.curation.runs import exit_with_run
from curator_dagster.metadata.item import PREFIX, failures_table
from curator_dagster.steps.fanout import BATCH_RETRIES, BatchSummary
from curator_dagster.workflow.batches import WorkflowBatch, batches_of, n_batches_of, work_of
from curator_dagster.workflow.folder import RESOURCE, StepContext, is_past

FAILED_TAG = f"{PREFIX}failed_steps"
"""Run tag: steps that failed, where the next one does not depend on it."""
HERE = BackendChoice("sequential", 1)
"""An op is a worker itself."""


@dataclass(frozen=True)
class StepVisit:
    """A step in one iteration of its loop."""

    course: StepSequence
    """The workflow; `asking` has the conditions of its loops."""
    asking: StepSequence
    """The same with them."""
    place: Position
    """Which step, and in which iteration."""
    name: str
    """Name of its op."""
    batch_size: int | None
    """Experiments or items per op of a parallel step."""

    @property
    def step(self) -> Step:
        """The step itself."""
        return self.course.step(self.place)

    @property
    def title(self) -> str:
        """What people call it."""
        iteration = f", iteration {self.place.iteration + 1}" if self.place.iteration else ""
        return f"Step {self.step.name!r}{iteration}"

    def step_context(self, context: OpExecutionContext) -> StepContext:
        """The context of the step, in an op that runs it."""
        return StepContext(context, self.course, self.place)


def course_without_conditions(course: StepSequence) -> StepSequence:
    """The steps, with loops that go on to their last iteration."""
    elements = tuple(replace(found, until=None) if isinstance(found, Loop) else found for found in course.elements)
    return replace(course, elements=elements)


def step_op(visit: StepVisit) -> OpDefinition:
    """The op that carries out a step."""

    @op(
        name=visit.name,
        ins={"after": In(Nothing)},
        out=Out(Nothing),
        required_resource_keys={RESOURCE},
        config_schema=NO_CONFIG,
        description=f"{visit.title}.",
    )
    def carry_out(context: OpExecutionContext) -> Iterator[Output[None]]:
        exit_with_run(context)
        step_context = visit.step_context(context)
        with terminating(context), failing_clearly(), step_context.locked() as folder:
            progress = step_context.begin(folder)
            if progress is None:
                context.log.info("%s was done before.", visit.title)
            else:
                with _recorded_failure(visit, step_context, folder):
                    iteration, attempt = visit.place.iteration, progress.attempt
                    run_step(visit.step, folder, iteration=iteration, workers=HERE, attempt=attempt)
                step_context.finish(folder)
            metadata = _facts(visit.step.folder(folder))
        yield Output(None, metadata=metadata)

    return carry_out


def plan_op(visit: StepVisit) -> OpDefinition:
    """The op that divides a parallel step into batches."""

    @op(
        name=f"{visit.name}__plan",
        ins={"after": In(Nothing)},
        out=DynamicOut(WorkflowBatch),
        required_resource_keys={RESOURCE},
        config_schema=NO_CONFIG,
        description=f"{visit.title}: divide what is open into batches.",
    )
    def plan(context: OpExecutionContext) -> Iterator[DynamicOutput[WorkflowBatch]]:
        exit_with_run(context)
        step_context, batches, is_planned = visit.step_context(context), list[WorkflowBatch](), False
        with terminating(context), failing_clearly(), step_context.locked() as folder:
            progress = step_context.begin(folder)
            if progress is None:
                context.log.info("%s was done before.", visit.title)
            else:
                make_folder(visit.step.folder(folder))
                with _recorded_failure(visit, step_context, folder):
                    groups = work_of(visit.step, folder).groups()
                    batches = batches_of(groups, progress.attempt, n_batches_of(groups, visit.batch_size))
                    is_planned = True
                if not is_planned:
                    step_context.finish(folder)
        context.log.info("%d to do in %d batches", sum(len(batch.items) for batch in batches), len(batches))
        for batch in batches:
            yield DynamicOutput(batch, mapping_key=str(batch.number))

    return plan


def batch_op(visit: StepVisit) -> OpDefinition:
    """The op that does a batch of a parallel step."""

    @op(
        name=f"{visit.name}__batch",
        out=Out(BatchSummary),
        required_resource_keys={RESOURCE},
        config_schema=NO_CONFIG,
        retry_policy=BATCH_RETRIES,
        description=f"{visit.title}: do one batch.",
    )
    def do_batch(context: OpExecutionContext, batch: WorkflowBatch) -> Iterator[Output[BatchSummary]]:
        exit_with_run(context)
        step_context = visit.step_context(context)
        with terminating(context), failing_clearly(), iteration_told(visit.place.iteration):
            folder = step_context.job_dir
            summary = BatchSummary(context.run_id, 0)
            with _recorded_failure(visit, step_context, folder, is_writing=False):
                summary = work_of(visit.step, folder).do(context, batch)
        yield Output(summary, metadata=_counts([summary]))

    return do_batch


def collect_op(visit: StepVisit) -> OpDefinition:
    """The op that ends a parallel step."""

    @op(
        name=visit.name,
        out=Out(Nothing),
        required_resource_keys={RESOURCE},
        config_schema=NO_CONFIG,
        description=f"{visit.title}: collect what its batches did.",
    )
    def collect(context: OpExecutionContext, summaries: list[BatchSummary]) -> Iterator[Output[None]]:
        exit_with_run(context)
        step_context = visit.step_context(context)
        with terminating(context), failing_clearly(), step_context.locked() as folder:
            found = step_context.current(folder)
            if is_past(found, visit.place):
                context.log.info("Nothing of this step is left to do.")
            else:
                progress = found.at(visit.place)
                progress.write(folder)
                with _recorded_failure(visit, step_context, folder), iteration_told(visit.place.iteration):
                    summaries = _finished(visit, context, progress, folder, summaries)
                step_context.finish(folder)
            metadata = _facts(visit.step.folder(folder)) | _counts(summaries)
        yield Output(None, metadata=metadata)

    return collect


def until_op(visit: StepVisit, name: str) -> OpDefinition:
    """The op that asks whether a loop has done enough; `visit` is that of the last step of an iteration."""

    @op(
        name=name,
        ins={"after": In(Nothing)},
        out={"again": Out(Nothing, is_required=False), "enough": Out(Nothing, is_required=False)},
        required_resource_keys={RESOURCE},
        config_schema=NO_CONFIG,
        description=f"After iteration {visit.place.iteration + 1}: is it enough, or does the loop go on?",
    )
    def ask(context: OpExecutionContext) -> Iterator[Output[None]]:
        exit_with_run(context)
        step_context = visit.step_context(context)
        with terminating(context), failing_clearly(), step_context.locked() as folder:
            found, again = step_context.current(folder), visit.course.following(visit.place, folder)
            assert again is not None  # noqa: S101 - the last iteration is not asked about
            following: Position | None = found.place if found.status is not WorkflowStatus.DONE else None
            if not is_past(found, again):
                following = visit.asking.following(visit.place, folder)
                found.at(following).write(folder)
        is_again = following is not None and following.element == visit.place.element
        yield Output(None, "again" if is_again else "enough")

    return ask


def _finished(
    visit: StepVisit, context: OpExecutionContext, progress: Progress, folder: Path, summaries: Sequence[BatchSummary]
) -> list[BatchSummary]:
    """End a parallel step; what a run before this one forgot, as its batches had not begun, is done here."""
    now = [summary for summary in summaries if summary.run_id == context.run_id]
    work = work_of(visit.step, folder)
    if context.run.parent_run_id is not None:
        tried = {key for summary in now for key in summary.failures}
        left = [rest for group in work.groups() if (rest := [item for item in group if item.key not in tried])]
        now += [work.do(context, batch) for batch in batches_of(left, progress.attempt, 1)]
    work.finish(now)
    return now


@contextmanager
def _recorded_failure(
    visit: StepVisit, step_context: StepContext, folder: Path, *, is_writing: bool = True
) -> Iterator[None]:
    """A failure of the step is written down; it ends here where the next step does not depend on it."""
    try:
        yield
    except Exception as exc:
        is_alone, found = visit.asking.after_failure(visit.place, folder) is not None, step_context.current(folder)
        if is_writing:
            (found.failed_alone(visit.step.name, exc) if is_alone else found.failed(exc)).write(folder)
        if not is_alone:
            raise
        context = step_context.context
        context.log.error("%s failed; the next one does not depend on it.\n%s", visit.title, traceback.format_exc())  # noqa: TRY400 - Dagster's log has no `exception` that keeps the traceback
        known = context.instance.get_run_by_id(context.run_id)
        names = [] if known is None else known.tags.get(FAILED_TAG, "").split(", ")
        names = sorted({name for name in names if name} | {visit.name})
        context.instance.add_run_tags(context.run_id, {FAILED_TAG: ", ".join(names)})


def _facts(folder: Path) -> dict[str, MetadataValue[Any]]:
    """The table of a step, if it has one."""
    found: dict[str, MetadataValue[Any]] = {f"{PREFIX}path": MetadataValue.path(str(folder))}
    try:
        statuses = [status.value for status in read_jobs(folder).values()]
    except ExperimentsNotFoundError:
        return found
    found[f"{PREFIX}n_experiments"] = MetadataValue.int(len(statuses))
    return found | {f"{PREFIX}n_{status}": MetadataValue.int(n) for status, n in sorted(Counter(statuses).items())}


def _counts(summaries: Sequence[BatchSummary]) -> dict[str, MetadataValue[Any]]:
    failures = {key: error for summary in summaries for key, error in summary.failures.items()}
    found: dict[str, MetadataValue[Any]] = {
        f"{PREFIX}n_processed": MetadataValue.int(sum(summary.n_completed for summary in summaries) + len(failures)),
        f"{PREFIX}n_failed": MetadataValue.int(len(failures)),
    }
    return found | ({f"{PREFIX}failed": failures_table(failures)} if failures else {})
