"""The fan-out that every run shares: batches of items, each a step on whatever executor the run has."""

# No deferred annotations here: Dagster reads those of ops as they are.
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dagster import DynamicOut, Failure, OpDefinition, OpExecutionContext, Out, RetryPolicy, op

from curator_core.engine import IndexProcessor
from curator_core.errors import CuratorError
from curator_core.run.worker import exit_with_parent
from curator_core.store import JournalWriter, journal_directory, read_journals
from curator_dagster.curation import Curation
from curator_dagster.planning import Batch
from curator_dagster.recording import Recorder

BATCH_RETRIES = RetryPolicy(max_retries=1)
"""A batch whose step fails as a whole (not one of its items) is tried once more."""


@dataclass(frozen=True)
class BatchSummary:
    """How a batch ended."""

    n_completed: int
    """Items completed."""
    failures: dict[str, str] = field(default_factory=dict)
    """Error by key."""


def batches_out() -> DynamicOut:
    """Output of a planning op."""
    return DynamicOut(Batch)


def process_op(curation: Curation) -> OpDefinition:
    """The op that processes one batch."""

    @op(
        name=f"{curation.name}_process",
        out=Out(BatchSummary),
        retry_policy=BATCH_RETRIES,
        description="Process one batch of items.",
    )
    def process(context: OpExecutionContext, batch: Batch) -> BatchSummary:
        with failing_clearly():
            return process_batch(context, curation, batch)

    return process


def process_batch(context: OpExecutionContext, curation: Curation, batch: Batch) -> BatchSummary:
    """Process a batch; every result is in a journal, then in the event log, before the next one begins."""
    exit_with_parent()
    pipeline = curation.open_pipeline()
    config_hash = pipeline.config_hash
    assert pipeline.db_path is not None  # noqa: S101 - a curation always tracks
    journals = journal_directory(pipeline.db_path)
    # A step that is tried again finds what it finished before in the journals.
    done = {
        (r.key, r.fingerprint) for _, found in read_journals(journals, config_hash) for r in found if r.is_completed
    }
    todo = [item for item in batch.items if (item.key, item.fingerprint) not in done]
    first, last = batch.items[0].key, batch.items[-1].key
    context.log.info("Batch %d of %d: %d items, %s … %s", batch.number + 1, batch.n_batches, len(todo), first, last)
    failures = {}
    recorder = Recorder(context, curation, pipeline)
    with JournalWriter(journals, config_hash) as journal, IndexProcessor(pipeline) as process:
        for item in todo:
            result = process(item)
            journal.append(result)
            if result.is_completed:
                recorder.completed(result)
            else:
                failures[item.key] = result.error or "failed"
                recorder.failed(result)
    return BatchSummary(len(batch.items) - len(failures), failures)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """An error of curator becomes a `Failure` with its one clear sentence."""
    try:
        yield
    except CuratorError as exc:
        raise Failure(f"{type(exc).__name__}: {exc}", allow_retries=False) from exc
