"""The fan-out that every run shares: batches of items, each a step on whatever executor the run has."""

# No deferred annotations here: Dagster reads those of ops as they are.
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from dagster import (
    DagsterExecutionInterruptedError,
    DynamicOut,
    OpDefinition,
    OpExecutionContext,
    Out,
    RetryPolicy,
    op,
)

from curator_core import IndexResult, Plan
from curator_core.run import PathOwners
from curator_core.session import JournalCompactor, Listing, Session
from curator_core.store import JournalWriter, read_journals
from curator_dagster._compat.events.asset_events import latest_data_versions
from curator_dagster._compat.interrupts import terminating
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.launch import NO_CONFIG
from curator_dagster.curation.partition_block import BlockProgress, PartitionBlock, blocks_of
from curator_dagster.curation.resources import explain_missing, in_context
from curator_dagster.curation.runs import exit_with_run, tag_run
from curator_dagster.steps.backfill import answers_of_others
from curator_dagster.steps.planning import Batch, make_batches, unmirrored
from curator_dagster.steps.processing import may_have_begun, process_items, workers_of
from curator_dagster.steps.recording import Recorder
from curator_dagster.steps.run_log import RunLog
from curator_dagster.steps.turns import joint_turn

BATCH_RETRIES = RetryPolicy(max_retries=1)
"""A batch whose step fails as a whole (not one of its items), or whose process dies, is tried once more."""
REPORT_EVERY_S = 10.0
"""Time between two lines about a batch's progress in the run's log, seconds."""


@dataclass(frozen=True)
class BatchSummary:
    """How a batch ended."""

    run_id: str
    """Run that processed it."""
    n_completed: int
    """Items completed."""
    failures: dict[str, str] = field(default_factory=dict)
    """Error by key."""
    is_planned_anew: bool = False
    """Whether others were at its items since it was planned, and may have done some."""


def batches_out() -> DynamicOut:
    """Output of a planning op."""
    return DynamicOut(Batch)


def process_op(declared: Curation) -> OpDefinition:
    """The op that processes one batch."""
    settings = declared.op_settings["process"]

    @op(
        name=f"{declared.name}_process",
        out=Out(BatchSummary),
        tags=settings.tags,
        pool=settings.pool,
        retry_policy=settings.retry_policy or BATCH_RETRIES,
        config_schema=NO_CONFIG,
        required_resource_keys=set(declared.resource_keys),
        description="Process one batch of items.",
    )
    def process(context: OpExecutionContext, batch: Batch) -> BatchSummary:
        exit_with_run(context)
        curation = in_context(declared, context.resources)
        with terminating(context), failing_clearly():
            pipeline = curation.open_pipeline()
            # What the run before this one planned, or left to a backend, may be done by now.
            is_planned = context.run.parent_run_id is None and curation.backend is None
            if context.run.parent_run_id is not None:  # the op that begins a run may not be executed again
                tag_run(context, curation.name)
            with joint_turn(context, curation, pipeline, is_planned=is_planned) as (session, plan):
                if plan is not None:
                    tried = answers_of_others(context, curation).failed
                    blocks = [b for b in _blocks_left(curation, session, plan, batch) if b.partition not in tried]
                    with Recorder(context, curation, session) as recorder:
                        for results in unmirrored(context.instance, curation, session, blocks):
                            recorder.completed(results)  # a run that was killed, or is none of Dagster's
                    batch = _replanned(curation, session, batch, blocks)
                summary = process_batch(context, curation, session, batch)
                return replace(summary, is_planned_anew=plan is not None)

    explain_missing(declared, process)
    return process


def process_batch(context: OpExecutionContext, curation: Curation, session: Session, batch: Batch) -> BatchSummary:
    """Process a batch; every result is in a journal before the next item begins, and soon in the event log."""
    session.rest()
    # A step that is tried again finds what it finished before in the journals; they are long in a long run.
    is_first = not may_have_begun(context) and curation.backend is None
    completed = {
        (result.key, result.fingerprint): result
        for _, found in ([] if is_first else read_journals(*session.journals))
        for result in found
        if result.is_completed
    }
    known = [(completed.get((item.key, item.fingerprint)), item) for item in batch.items]
    done = [replace(result, index=item.index) for result, item in known if result is not None]
    todo = [item for result, item in known if result is None]
    progress, failures = BlockProgress(batch.blocks), dict[str, str]()
    report = _Report(context, batch, len(todo))
    with Recorder(context, curation, session) as recorder:
        recorder.planned(list(dict.fromkeys(progress.partition_of(item.index) for item in todo)))  # by a re-execution
        _take_over(context, curation, recorder, progress, done)
        with JournalWriter(*session.journals) as journal:
            keys = {item.index: item.key for item in todo}
            owners = PathOwners(session.sink, keys.__getitem__)
            workers = workers_of(context, curation)
            loose = JournalCompactor(session, journal.append)

            def take(result: IndexResult) -> None:
                if isinstance(result.exception, DagsterExecutionInterruptedError):
                    raise result.exception  # the run is being terminated: the item did not fail
                result = owners.checked(result)
                journal.append(result)
                if not result.is_completed:
                    failures[result.key] = result.error or "failed"
                    recorder.failed(result, progress.partition_of(result.index))
                elif (block := progress.add(result)) is not None:
                    recorder.completed(block)
                report.processed(result.key, len(failures))
                if workers is None:  # those of a backend have journals of their own
                    loose.add(result)

            with session.live(list(keys), keys.__getitem__):
                process_items(context, session, todo, take, workers=workers, needs=[curation.factory])
            loose.finish()
    return BatchSummary(context.run_id, len(batch.items) - len(failures), failures)


def finish_reexecution(
    context: OpExecutionContext,
    curation: Curation,
    session: Session,
    summaries: Sequence[BatchSummary],
    partitions: Collection[str] | None = None,
    *,
    kept: Collection[str] = (),
) -> tuple[list[BatchSummary], Listing | None]:
    """Process in this step what is left of a run that this one re-executes.

    Gives the summaries of all that this run did, and the listing that it set out with; ``None`` where it is no
    re-execution.

    Dagster re-executes the steps that failed or were interrupted. A step whose items failed did not fail itself,
    and steps that had not begun when the run was killed are forgotten.

    Parameters
    ----------
    context, curation, session
        Of the collecting op.
    summaries
        Of the batches, those of the run before included.
    partitions
        The partitions of the run; all by default.
    kept
        Keys of items that the run before was to leave as they are.
    """
    now = [summary for summary in summaries if summary.run_id == context.run_id]
    if context.run.parent_run_id is None:
        return now, None
    tried = {key for summary in now for key in summary.failures}
    session.take_over()
    plan = session.plan
    left = {item.index for item in plan.due if item.key not in tried and item.key not in kept}
    found = [_reduced(b, left) for b in blocks_of(plan, curation.partition_size, session.config_hash)]
    blocks = [b for b in found if b.due and (partitions is None or b.partition in partitions)]
    if blocks:
        context.log.info(
            "%d partitions are left of the run before; their items are processed in this step, one after another. "
            "A new run spreads them over the executor.",
            len(blocks),
        )
    batches = make_batches(curation, session, blocks, n_batches=1)
    return [*now, *(process_batch(context, curation, session, batch) for batch in batches)], session.listing


def _blocks_left(curation: Curation, session: Session, plan: Plan, batch: Batch) -> list[PartitionBlock]:
    """Partitions of a batch as others left them; what it was not to process stays out."""
    takes_all = {block.partition: block.is_whole for block in batch.blocks}
    planned = {item.key for item in batch.items}
    own = {item.index for item in plan.due if item.key in planned}
    found = [b for b in blocks_of(plan, curation.partition_size, session.config_hash) if b.partition in takes_all]
    return [block if takes_all[block.partition] else _reduced(block, own) for block in found]


def _replanned(curation: Curation, session: Session, batch: Batch, blocks: Sequence[PartitionBlock]) -> Batch:
    again = make_batches(curation, session, blocks, n_batches=1) or [Batch(0, 1, (), ())]
    return replace(again[0], number=batch.number, n_batches=batch.n_batches)


def _reduced(block: PartitionBlock, indices: Collection[int]) -> PartitionBlock:
    due = tuple(index for index in block.due if index in indices)
    return replace(block, due=due, is_whole=due == block.due)


def _take_over(
    context: OpExecutionContext,
    curation: Curation,
    recorder: Recorder,
    progress: BlockProgress,
    done: Sequence[IndexResult],
) -> None:
    """Record what an earlier attempt finished, unless it did so itself."""
    logged = latest_data_versions(context.instance, curation.samples_key) if done else {}
    for result in done:
        found = progress.add(result)
        if found is not None and logged.get(found.block.partition) != found.block.version:
            recorder.completed(found)


class _Report:
    """Lines in the run's log: which batch this is, and from time to time how far it is."""

    def __init__(self, context: OpExecutionContext, batch: Batch, n_items: int) -> None:
        self._log = RunLog(context)
        self._batch = f"Batch {batch.number + 1} of {batch.n_batches}"
        self._n_items = n_items
        self._n_done = 0
        self._next = time.monotonic() + REPORT_EVERY_S
        keys = f", {batch.items[0].key} … {batch.items[-1].key}" if batch.items else ""
        self._log.info("%s: %d items%s", self._batch, n_items, keys)

    def processed(self, key: str, n_failed: int) -> None:
        """An item is done."""
        self._n_done += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_EVERY_S
            failed = f", {n_failed} failed" if n_failed else ""
            self._log.info("%s: %d of %d items%s, now after %s", self._batch, self._n_done, self._n_items, failed, key)
