"""Runs of one backfill of scattered partitions, which Dagster makes one of each."""

import time

import pytest
from dagster import AssetKey, BackfillPolicy, DagsterEventType, DagsterRunStatus
from dagster._core.execution.backfill import PartitionBackfill  # noqa: PLC2701 - what the partitions dialog makes

from .conftest import QUIET
from .test_sensor import job_origin

SAMPLES = AssetKey(["numbers", "samples"])
pytestmark = pytest.mark.filterwarnings(
    "ignore:Function `AssetSelection.sources`:DeprecationWarning"
)  # in Dagster itself
TAGS = {"dagster/backfill": "scattered"}


class Backfill:
    """A backfill of some partitions, and its runs."""

    def __init__(self, watched, *keys):
        self.watched, self.instance = watched, watched.instance
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id="scattered",
            asset_graph=watched.defs.resolve_asset_graph(),
            partition_names=keys,
            asset_selection=[SAMPLES],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=watched.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        watched.instance.add_backfill(backfill)

    @staticmethod
    def tags(key):
        return TAGS | {"dagster/asset_partition_range_start": key, "dagster/asset_partition_range_end": key}

    @property
    def job(self):
        return self.watched.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={SAMPLES})

    def run(self, key, **fields):
        inner = {"ops": {"numbers_samples": {"ops": {"numbers_plan_selected": {"config": fields}}}}}
        return self.job.execute_in_process(
            instance=self.instance, tags=self.tags(key), raise_on_error=False, run_config=QUIET | inner
        )

    def other(self, key, status, selection=frozenset({SAMPLES}), **tags):
        """A run that is not executed here."""
        return self.instance.create_run_for_job(
            self.watched.defs.resolve_implicit_global_asset_job_def(),
            status=status,
            tags=self.tags(key) | tags,
            asset_selection=selection,
            remote_job_origin=job_origin(self.job.name),
        ).run_id

    def status(self, run_id):
        return self.instance.get_run_by_id(run_id).status

    def materialized(self, result):
        entries = self.instance.all_logs(result.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
        return [entry.get_dagster_event().partition for entry in entries]


@pytest.fixture
def scattered(watched):
    """Three of six failed, every second one; two of them are repaired."""
    watched.project.put(a="x", c="x", e="x", f="8")
    assert not watched.refresh()
    watched.project.put(a="1", c="3")
    return watched


def test_the_first_run_does_what_is_due_of_all(scattered):
    """Runs that wait are ended; those that began find it done, and try nothing again that failed."""
    backfill = Backfill(scattered, "a.txt", "c.txt", "e.txt")
    good, bad = (backfill.other(key, DagsterRunStatus.QUEUED) for key in ("c.txt", "e.txt"))
    more = backfill.other("c.txt", DagsterRunStatus.QUEUED, frozenset({SAMPLES, AssetKey(["numbers", "dataset"])}))
    first = backfill.run("a.txt")
    assert not first.success
    assert sorted(backfill.materialized(first)) == ["a.txt", "c.txt"]
    assert backfill.status(good) == DagsterRunStatus.SUCCESS
    assert backfill.status(bad) == DagsterRunStatus.FAILURE
    assert backfill.instance.get_run_by_id(bad).tags["dagster/failure_reason"] == "STEP_FAILURE"
    assert backfill.status(more) == DagsterRunStatus.QUEUED, "a run that does more than samples"
    late_good, late_bad = backfill.run("c.txt"), backfill.run("e.txt")
    assert late_good.success
    assert backfill.materialized(late_good) == []
    assert not late_bad.success
    assert "'x'" in str(late_bad.all_events)
    once = {"b.txt": 1, "d.txt": 1, "f.txt": 1}
    assert scattered.project.invocations() == {"a.txt": 2, "c.txt": 2, "e.txt": 2, **once}


@pytest.mark.parametrize("leader", [DagsterRunStatus.CANCELED, DagsterRunStatus.STARTED])
def test_what_a_run_left_is_taken_by_the_next(scattered, leader):
    """If it ended; while it goes on, it keeps the others' partitions."""
    scattered.project.put(e="5")
    backfill = Backfill(scattered, "a.txt", "c.txt", "e.txt")
    backfill.other("a.txt", leader, **{"curator/takes_backfill": "numbers"})
    assert backfill.run("c.txt").success
    taken = {key for key, n in scattered.project.invocations().items() if n == 2}
    assert taken == ({"c.txt"} if leader == DagsterRunStatus.STARTED else {"a.txt", "c.txt", "e.txt"})


def test_a_run_does_its_own_where_runs_are_to_be_small(scattered):
    """The curation's backfill policy says how many partitions a run may have."""
    scattered.settings["backfill_policy"] = BackfillPolicy.multi_run(1)
    assert Backfill(scattered, "a.txt", "c.txt").run("a.txt").success
    assert scattered.project.invocations()["c.txt"] == 1


def test_a_backfill_processes_again_once(scattered):
    """Each of its runs is told to force, and each partition is processed by one of them."""
    backfill = Backfill(scattered, "b.txt", "d.txt", "f.txt")
    assert all(backfill.run(key, force=True).success for key in ("b.txt", "d.txt", "f.txt"))
    assert {key for key, n in scattered.project.invocations().items() if n == 2} == {"b.txt", "d.txt", "f.txt"}


def test_a_partition_that_is_not_listed_fails_and_says_so(watched):
    """Typed by hand; what was selected beside it is processed."""
    watched.instance.add_dynamic_partitions("numbers", ["a.txt", "typed"])
    assert not watched.run_samples("a.txt", "typed")
    assert watched.project.invocations() == {"a.txt": 1}
    (record,) = watched.instance.fetch_observations(SAMPLES, limit=5).records
    assert record.partition_key == "typed"
    assert "lists no item 'typed'" in record.asset_observation.description
