"""Old runs: their records, events and files go; what Dagster knows of assets and partitions stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus

from curator_dagster._compat.events.retention import (
    BACKFILL_ID_TAG,
    RUN_KEY_TAG,
    delete_events,
    delete_files,
    delete_record,
    needed_runs,
    open_backfills,
    runs_in_events,
    runs_in_files,
)
from curator_dagster.curation.runs import CURATION_TAG

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RunRecord

ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
"""What a run that may be deleted has come to."""

RUNS_AT_ONCE = 50
"""Runs whose events are deleted in one transaction: others want to write in between."""


@dataclass(frozen=True)
class OldRun:
    """A run that ended, and that nothing needs any more."""

    run_id: str
    """Its id."""
    job: str
    """Its job."""
    ended: datetime
    """When it ended."""


def old_runs(
    instance: DagsterInstance, *, older_than: timedelta | None = None, keep: int = 0, of_all_jobs: bool = False
) -> list[OldRun]:
    """Runs that can be deleted, the newest first.

    Never those to which a partition or an asset owes that it shows as failed, those of a backfill that goes on, and
    those that belong to a run that stays, because they re-executed it or were re-executed.

    Parameters
    ----------
    instance
        The Dagster instance.
    older_than
        Only those that ended so long ago.
    keep
        Never so many of a job, the newest ones.
    of_all_jobs
        Also runs that belong to no curation. Those that a sensor requested with a run key stay even so: without the
        run, the sensor would request it again.
    """
    limit = datetime.now(UTC) - (older_than or timedelta(0))
    needed, backfills = needed_runs(instance), open_backfills(instance)
    n_newer: Counter[str] = Counter()
    old, staying = list[tuple[str, OldRun]](), set[str]()
    for record in instance.get_run_records():  # the newest first
        run = record.dagster_run
        n_newer[run.job_name] += 1
        is_free = run.status in ENDED and run.run_id not in needed and run.tags.get(BACKFILL_ID_TAG) not in backfills
        is_meant = CURATION_TAG in run.tags or (of_all_jobs and RUN_KEY_TAG not in run.tags)
        found = OldRun(run.run_id, run.job_name, _end(record))
        if is_free and is_meant and found.ended <= limit and n_newer[run.job_name] > keep:
            old.append((_family(run), found))
        else:
            staying.add(_family(run))
    return [run for family, run in old if family not in staying]


def _family(run: DagsterRun) -> str:
    return run.root_run_id or run.run_id


def _end(record: RunRecord) -> datetime:
    return (
        record.update_timestamp.replace(tzinfo=UTC)
        if record.end_time is None
        else datetime.fromtimestamp(record.end_time, UTC)
    )


def delete_runs(instance: DagsterInstance, run_ids: Sequence[str]) -> int:
    """Delete runs: their records, what their steps left in files, and all of their events that say nothing of now.

    The latest materialization and observation of every asset and partition stay, so that all of them show as before,
    and no refresh does anything again. A deletion that is interrupted can be repeated.

    Parameters
    ----------
    instance
        The Dagster instance.
    run_ids
        Runs that ended, see `old_runs`.

    Returns
    -------
    int
        Size of the files that were deleted, bytes.

    Raises
    ------
    ConfigError
        The event log is no SQL database.
    """
    freed = 0
    for some in _parts(run_ids):
        delete_events(instance, some)
        for run_id in some:
            freed += delete_files(instance, run_id)
            delete_record(instance, run_id)  # last, so that an interrupted deletion is done again
    return freed


def delete_leftovers(instance: DagsterInstance) -> int:
    """Delete what is left of runs of which there is no record; returns the size of files, bytes.

    It was the latest of a partition when they were deleted, or whoever deleted them left it.
    """
    for some in _parts(sorted(runs_in_events(instance))):
        delete_events(instance, some)
    return sum(delete_files(instance, run_id) for run_id in runs_in_files(instance))


def _parts(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(run_ids), RUNS_AT_ONCE):
        yield run_ids[start : start + RUNS_AT_ONCE]


def prune_runs(
    instance: DagsterInstance, *, older_than: timedelta | None = None, keep: int = 0, of_all_jobs: bool = False
) -> int:
    """Delete old runs, and the files of runs that were deleted by other means; returns the number of runs.

    What `curator dagster prune` does, for a job of your own. Parameters are those of `old_runs`.

    Raises
    ------
    ConfigError
        The event log is no SQL database.
    """
    run_ids = [run.run_id for run in old_runs(instance, older_than=older_than, keep=keep, of_all_jobs=of_all_jobs)]
    delete_runs(instance, run_ids)
    delete_leftovers(instance)
    return len(run_ids)
