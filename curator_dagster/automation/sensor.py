"""What requests a refresh: the sensor that watches the source, and the schedule."""

# No deferred annotations here: Dagster reads those of sensors and schedules as they are.
import hashlib
import json
import marshal
import math
from dataclasses import asdict, dataclass

from dagster import (
    DagsterInstance,
    DagsterInvalidDefinitionError,
    DagsterRunStatus,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    schedule,
    sensor,
)

from curator_core.errors import EmptySourceError
from curator_core.session import Listing, Session
from curator_dagster._compat.pools import repository_of
from curator_dagster.automation.repeats import failed_run, pause_s
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.instance_checks import Needing, lacking, pools_without_slots
from curator_dagster.curation.resources import in_context
from curator_dagster.curation.runs import REQUESTED_ON_TAG, fail_dead_runs, this_host
from curator_dagster.steps.dataset import is_up_to_date

DEFAULT_INTERVAL_S = 30
"""Seconds between two looks at the source, at least."""

_MARSHAL_VERSION = 2
"""Equal values give equal bytes, whichever Python wrote them; later versions refer to objects seen before."""

_IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def new_data_sensor(
    curation: Curation, job: JobDefinition, *, interval_s: float = DEFAULT_INTERVAL_S, is_started: bool = False
) -> SensorDefinition:
    """The sensor ``{name}_new_data``: one listing a tick, one refresh for everything that changed.

    Parameters
    ----------
    curation
        What to watch.
    job
        Its refresh job.
    interval_s
        Seconds between two ticks, at least.
    is_started
        It runs from the moment it is loaded; otherwise somebody turns it on.

    Raises
    ------
    DagsterInvalidDefinitionError
        The interval is not positive.
    """
    if not 0 < interval_s < math.inf:
        raise DagsterInvalidDefinitionError(
            f"Curation {curation.name!r}: watch must be a number of seconds above 0, or True or False, "
            f"not {interval_s!r}."
        )

    @sensor(
        name=f"{curation.name}_new_data",
        job_name=job.name,  # by its name: Dagster replaces jobs that take resources, with a warning for each sensor
        required_resource_keys=set(curation.resource_keys),
        minimum_interval_seconds=math.ceil(interval_s),
        default_status=DefaultSensorStatus.RUNNING if is_started else DefaultSensorStatus.STOPPED,
        description=f"Requests one {job.name} for all items of {curation.name} that are new, changed or gone.",
    )
    def new_data(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        with failing_clearly():
            return _look(context, in_context(curation, context.resources))

    return new_data


def job_schedule(
    of: Needing, job_name: str, cron: str, *, timezone: str = "UTC", is_started: bool = False
) -> ScheduleDefinition:
    """The schedule ``{name}_schedule``: a run of a job whenever `cron` says, unless one is in progress.

    Parameters
    ----------
    of
        The curation or the workflow.
    job_name
        Its job.
    cron
        Cron expression.
    timezone
        Its time zone.
    is_started
        It runs from the moment it is loaded; otherwise somebody turns it on.

    Raises
    ------
    DagsterInvalidDefinitionError
        `cron` is no cron expression, or there is no such time zone.
    """

    @schedule(
        name=f"{of.name}_schedule",
        cron_schedule=cron,
        execution_timezone=timezone,
        job_name=job_name,  # by its name: Dagster replaces jobs that take resources, with a warning for each sensor
        default_status=DefaultScheduleStatus.RUNNING if is_started else DefaultScheduleStatus.STOPPED,
        description=f"Requests {job_name}, unless one is in progress.",
    )
    def scheduled(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        with failing_clearly():
            busy = refresh_in_progress(context.instance, job_name)
            if busy is not None and fail_dead_runs(
                context.instance, of.name
            ):  # a killed one would be waited for for ever
                busy = refresh_in_progress(context.instance, job_name)
            if busy is not None:  # it may wait for a pool before it can say so itself
                return SkipReason(" ".join([busy, *pools_without_slots(context.instance, of)]))
        return RunRequest(tags={REQUESTED_ON_TAG: this_host()})

    return scheduled


def refresh_in_progress(instance: DagsterInstance, job_name: str) -> str | None:
    """Which refresh is queued or in progress, in words; ``None`` when none is."""
    runs = instance.get_runs(RunsFilter(job_name=job_name, statuses=_IN_PROGRESS), limit=1)
    if not runs:
        return None
    return (
        f"Run {runs[0].run_id} of {job_name} is {runs[0].status.value.lower()}: nothing more is requested until it "
        "ended. If its process is gone, terminate the run."
    )


def list_anew(curation: Curation) -> Session:
    """What the source lists now, and what is recorded; only read.

    Raises
    ------
    EmptySourceError
        Nothing is listed.
    CuratorError
        The pipeline cannot be built, or its source cannot be listed.
    """
    pipeline = curation.open_pipeline()
    return Session(pipeline, listing=curation.list_source(pipeline))


@dataclass(frozen=True)
class _Cursor:
    """What the sensor remembers: a few bytes, however many items there are."""

    n_requests: int
    """Refreshes requested so far."""
    signature: str
    """Of the listing that was dealt with last."""
    n_repeats: int = 0
    """How often its refresh was requested again."""
    judged: str = ""
    """The latest refresh of which it is known that it left nothing."""

    @classmethod
    def of(cls, context: SensorEvaluationContext, job_name: str) -> "_Cursor":
        """The last tick's cursor; after a reset, one that no earlier request is mistaken for."""
        try:
            found = json.loads(context.cursor or "")
            n_requests, n_repeats = (int(found.get(name, 0)) for name in ("n_requests", "n_repeats"))
            return cls(n_requests, str(found["signature"]), n_repeats, str(found.get("judged", "")))
        except (ValueError, KeyError, TypeError):  # none yet, or reset by hand to look again
            return cls(context.instance.get_runs_count(RunsFilter(job_name=job_name)), "")

    def __str__(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value})


def _look(context: SensorEvaluationContext, curation: Curation) -> SensorResult | SkipReason:
    if refresh_in_progress(context.instance, curation.refresh_name) is not None:
        fail_dead_runs(context.instance, curation.name)  # a killed one would be waited for for ever
        busy = refresh_in_progress(context.instance, curation.refresh_name)
        if busy is not None:  # it may wait for a pool before it can say so itself
            return SkipReason(" ".join([busy, *pools_without_slots(context.instance, curation)]))
    try:
        session = list_anew(curation)
    except EmptySourceError as exc:
        return SkipReason(str(exc))
    seen = _Cursor.of(context, curation.refresh_name)
    listing = session.listing
    signature = _signature(listing, session.config_hash)
    n_repeats, failed = 0, None
    if signature == seen.signature:
        refreshes = RunsFilter(job_name=curation.refresh_name)
        failed = failed_run(context.instance, refreshes, sensor=f"{curation.name}_new_data", judged=seen.judged)
        if failed is None:
            return SkipReason(f"{len(listing):,} items, nothing changed.")
        n_repeats = seen.n_repeats + 1
    with session:
        plan, is_done = session.plan, is_up_to_date(context.instance, curation, session)
    if is_done:  # the items themselves made it fail, if it did
        judged = "" if failed is None else failed.dagster_run.run_id
        context.update_cursor(str(_Cursor(seen.n_requests, signature, judged=judged)))
        return SkipReason(f"{len(listing):,} items, all changes are processed already.")
    if failed is not None and (wait_s := pause_s(failed, seen.n_repeats)) > 0:
        return SkipReason(
            f"Run {failed.dagster_run.run_id} of {curation.refresh_name} ended before it was done; another one is "
            f"requested in {wait_s:.0f} s."
        )
    # The same number for the same state: if this tick dies after its run was launched, the next asks for that
    # run again, and Dagster sees that it exists. A change back to an earlier state gets a number of its own.
    n_requests = seen.n_requests + 1
    for sentence in lacking(context.instance, curation, repository_of(context)):
        context.log.warning(sentence)
    counts = ", ".join(f"{n:,} {reason}" for reason, n in plan.counts().items())
    tags = {"curator/items": counts, REQUESTED_ON_TAG: this_host()}
    request = RunRequest(run_key=f"{n_requests}-{signature[:16]}", tags=tags)
    return SensorResult([request], cursor=str(_Cursor(n_requests, signature, n_repeats)))


def _signature(listing: Listing, config_hash: str) -> str:
    """Hash of all that decides what a refresh has to do."""
    content = marshal.dumps([config_hash, listing.keys, listing.fingerprints], _MARSHAL_VERSION)
    return hashlib.sha256(content).hexdigest()
