"""Runs of one backfill: the first does what is due of all of it, and those after it find it done.

Dagster makes a run of every part of a selection without a gap, and scattered failures have a gap after each. The first
run that plans takes the partitions of all others; should it end before it has done them, the next one does. Runs that
still wait in the queue when their partitions are done are ended there, without a process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter

from curator_dagster._compat.runs import (
    BACKFILL_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    backfill_partitions,
    report_run_answered,
)
from curator_dagster.curation.curation import Curation
from curator_dagster.metadata.item import ERROR

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry, OpExecutionContext

LEAD_TAG = "curator/takes_backfill"
"""Run tag: the curation whose partitions of the backfill the run takes."""

_WAITING = [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTING]
_EVENTS = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}


@dataclass
class Answers:
    """What runs have said of partitions that they took."""

    done: set[str] = field(default_factory=set)
    """Those that are materialized."""
    failed: dict[str, str] = field(default_factory=dict)
    """Those that are not, and why."""

    @classmethod
    def of(cls, instance: DagsterInstance, curation: Curation, runs: Iterable[DagsterRun]) -> Answers:
        """Read from the event log, the latest answer last."""
        found = cls()
        for run in runs:
            for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
                event = entry.get_dagster_event()
                if event.asset_key == curation.samples_key and event.partition is not None:
                    found._add(event.partition, entry)
        return found

    def _add(self, partition: str, entry: EventLogEntry) -> None:
        observed = entry.asset_observation
        if observed is None:
            self.done.add(partition)
            self.failed.pop(partition, None)
        elif ERROR in observed.metadata:
            self.failed[partition] = str(observed.metadata[ERROR].value)
            self.done.discard(partition)


def share_of(context: OpExecutionContext, curation: Curation) -> list[str]:
    """The partitions that a run has to do, without what others have done of its own; called in its turn.

    The first run of a backfill takes those of all others.
    """
    own, leaders = list(context.partition_keys), _leading_runs(context, curation)
    answers = Answers.of(context.instance, curation, leaders)
    answered = answers.done.union(answers.failed)
    others: list[str] = []
    if _may_lead(context, curation) and all(run.is_finished for run in leaders):
        backfill_id = context.run.tags[BACKFILL_TAG]
        known = answered.union(own)
        target = backfill_partitions(context.instance, backfill_id, curation.samples_key)
        others = [key for key in target if key not in known]
    if others:
        context.instance.add_run_tags(context.run_id, {LEAD_TAG: curation.name})
        context.log.info("%d partitions of other runs of this backfill are done here, too.", len(others))
    return [key for key in own if key not in answered] + others


def _leading_runs(context: OpExecutionContext, curation: Curation) -> Sequence[DagsterRun]:
    """Other runs of a run's backfill that took all of it, the oldest first; none for a run that is no backfill's."""
    if not _may_lead(context, curation):
        return []
    tags = {BACKFILL_TAG: context.run.tags[BACKFILL_TAG], LEAD_TAG: curation.name}
    found = context.instance.get_runs(RunsFilter(tags=tags), ascending=True)
    return [run for run in found if run.run_id != context.run_id]


def answers_of_others(context: OpExecutionContext, curation: Curation) -> Answers:
    """What other runs of a run's backfill did of its partitions."""
    return Answers.of(context.instance, curation, _leading_runs(context, curation))


def end_waiting_runs(context: OpExecutionContext, curation: Curation) -> None:
    """End the runs of a run's backfill that have not begun, and whose partitions are done."""
    if not _may_lead(context, curation):
        return
    instance, backfill_id = context.instance, context.run.tags[BACKFILL_TAG]
    waiting = [
        run
        for run in instance.get_runs(RunsFilter(tags={BACKFILL_TAG: backfill_id}, statuses=_WAITING))
        if run.asset_selection == {curation.samples_key} and not run.asset_check_selection
    ]
    if not waiting:
        return
    answers = Answers.of(instance, curation, [*_leading_runs(context, curation), context.run])
    keys = instance.get_dynamic_partitions(curation.name)
    position = {key: number for number, key in enumerate(keys)}
    n_ended = 0
    for run in waiting:
        first, last = (position.get(run.tags.get(tag, "")) for tag in (RANGE_START_TAG, RANGE_END_TAG))
        partitions = [] if first is None or last is None else keys[first : last + 1]
        if not partitions or not answers.done.union(answers.failed).issuperset(partitions):
            continue
        failures = [f"{key}: {answers.failed[key]}" for key in partitions if key in answers.failed]
        how = f"failed: {'; '.join(failures[:5])}" if failures else "there is nothing left to do."
        message = f"Its partitions were processed in run {context.run_id} of the same backfill; {how}"
        report_run_answered(instance, run, message, has_failed=bool(failures))
        n_ended += 1
    context.log.info("%d waiting runs of this backfill are ended: their partitions are processed.", n_ended)


def _may_lead(context: OpExecutionContext, curation: Curation) -> bool:
    """Whether a run is one of a backfill that is to be done in few runs."""
    policy = curation.backfill_policy
    if policy is not None and policy.max_partitions_per_run is not None:
        return False
    return BACKFILL_TAG in context.run.tags and context.run.parent_run_id is None
