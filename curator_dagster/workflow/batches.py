"""Parallel steps of a workflow in batches: open experiments, or items of a pipeline that are due."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dagster import DagsterExecutionInterruptedError, OpExecutionContext

from curator_core import IndexResult, Item, Pipeline, batch_groups
from curator_core.run import available_cpus, pipeline_groups
from curator_core.session import Listing, Session
from curator_core.store import JournalWriter, read_journals
from curator_core.workflow import (
    Step,
    check_evaluated,
    claim_open,
    collect_results,
    open_rows,
    read_jobs,
    step_pipeline,
    write_failures,
)
from curator_dagster.assets import raise_failed
from curator_dagster.steps.fanout import BatchSummary
from curator_dagster.steps.planning import BATCHES_PER_CPU
from curator_dagster.steps.processing import may_have_begun, process_items, workers_of
from curator_dagster.steps.recording import MAX_LOGGED_FAILURES
from curator_dagster.steps.run_log import RunLog


@dataclass(frozen=True)
class WorkflowBatch:
    """What one op of a parallel step does."""

    number: int
    """Position among the batches of the step."""
    n_batches: int
    """How many there are."""
    attempt: str
    """Identifies this execution of the step."""
    items: tuple[Item, ...] = ()
    """Rows of the table, whose numbers are the indices; or items of the pipeline."""


class Work(Protocol):
    """What there is to do in a parallel step."""

    def groups(self) -> list[list[Item]]:
        """What is to do now; a group is done by one op, in order."""

    def do(self, context: OpExecutionContext, batch: WorkflowBatch) -> BatchSummary:
        """Do what of a batch is still to do."""

    def finish(self, summaries: Sequence[BatchSummary]) -> None:
        """Take over what the batches did; an error if not all is done."""


def work_of(step: Step, job_dir: Path) -> Work:
    """What there is to do in a parallel step.

    Raises
    ------
    CuratorError
        The pipeline cannot work as configured.
    """
    return _Items(step.block) if isinstance(step.block, Pipeline) else _Experiments(step, job_dir)


def batches_of(groups: Sequence[Sequence[Item]], attempt: str, n_batches: int) -> list[WorkflowBatch]:
    """Pack groups into batches."""
    by_index = {item.index: item for group in groups for item in group}
    packed = batch_groups([[item.index for item in group] for group in groups], n_batches)
    return [
        WorkflowBatch(number, len(packed), attempt, tuple(by_index[index] for index in indices))
        for number, indices in enumerate(packed)
    ]


def n_batches_of(groups: Sequence[Sequence[Item]], batch_size: int | None) -> int:
    """Number of batches of about `batch_size` items; sized from the number of CPUs by default."""
    n_items = sum(map(len, groups))
    return available_cpus() * BATCHES_PER_CPU if batch_size is None else -(-n_items // batch_size)


class _Experiments:
    """Open rows of a table."""

    def __init__(self, step: Step, job_dir: Path) -> None:
        self._step = step
        self._job_dir = job_dir
        self._folder = step.folder(job_dir)

    def groups(self) -> list[list[Item]]:
        collect_results(self._folder)  # of a run that was killed
        return [[Item(row, f"row {row}", None)] for row in open_rows(self._folder)]

    def do(self, context: OpExecutionContext, batch: WorkflowBatch) -> BatchSummary:
        wanted = [item.index for item in batch.items]
        # A row that another run evaluates now, or that has a result, is not free.
        with claim_open(self._folder, max(1, len(wanted)), among=frozenset(wanted)) as rows:
            pipeline = self._pipeline(rows, batch.attempt)
            items = Listing.of(pipeline.source).items(range(len(rows))) if rows else []
            summary = _processed(context, pipeline, items)
            row_of = {item.key: rows[item.index] for item in items}
            write_failures(self._folder, {row_of[key]: error for key, error in summary.failures.items()})
            return summary

    def finish(self, summaries: Sequence[BatchSummary]) -> None:
        collect_results(self._folder)
        rows = list(read_jobs(self._folder))
        pipeline = self._pipeline(rows, "")
        with Session(pipeline) as session:
            session.take_over()  # times and memory, into the metrics of the step
        check_evaluated(self._folder, rows)

    def _pipeline(self, rows: Sequence[int], attempt: str) -> Pipeline[Any]:
        return step_pipeline(self._step, self._job_dir, rows, attempt).with_settings(resume=True)


class _Items:
    """Items of a pipeline that are not up to date."""

    def __init__(self, pipeline: Pipeline[Any]) -> None:
        # A copy, which lists the source as it is now.
        self._pipeline = copy.deepcopy(pipeline).with_settings(resume=True, track_metrics=True)
        self._pipeline.check()

    def groups(self) -> list[list[Item]]:
        with Session(self._pipeline) as session:
            sink = session.sink
            session.take_over()
            plan = session.plan
        due = {planned.index: planned.item for planned in plan.due}
        groups = pipeline_groups(self._pipeline.source, sink, list(due))
        return [[due[index] for index in group] for group in (groups or [[index] for index in due])]

    def do(self, context: OpExecutionContext, batch: WorkflowBatch) -> BatchSummary:
        pipeline, done = self._pipeline, set[tuple[str, str | None]]()
        if may_have_begun(context):
            with Session(pipeline) as session:
                due = {planned.key for planned in session.plan.due}
                journals = read_journals(*session.journals)
            done = {(item.key, item.fingerprint) for item in batch.items if item.key not in due}
            for _, results in journals:
                done |= {(result.key, result.fingerprint) for result in results if result.is_completed}
        items = [item for item in batch.items if (item.key, item.fingerprint) not in done]
        summary = _processed(context, pipeline, items)
        return BatchSummary(context.run_id, len(batch.items) - len(summary.failures), summary.failures)

    def finish(self, summaries: Sequence[BatchSummary]) -> None:
        with Session.open(self._pipeline) as session:
            session.await_workers()
            session.take_over()
            raise_failed(summaries)
            session.gather()


def _processed(context: OpExecutionContext, pipeline: Pipeline[Any], items: Sequence[Item]) -> BatchSummary:
    """Every result is in a journal before the next item begins."""
    failures, log = dict[str, str](), RunLog(context)
    with Session(pipeline) as session, JournalWriter(*session.journals) as journal:

        def take(result: IndexResult) -> None:
            if isinstance(result.exception, DagsterExecutionInterruptedError):
                raise result.exception  # the run is being terminated: the item did not fail
            journal.append(result)
            if not result.is_completed:
                failures[result.key] = result.error or "failed"
                if len(failures) <= MAX_LOGGED_FAILURES:
                    log.error("%s failed: %s\n%s", result.key, result.error, result.traceback)

        process_items(context, session, items, take, workers=workers_of(context))
    return BatchSummary(context.run_id, len(items) - len(failures), failures)
