"""What Dagster shows of a curation's assets while they are refreshed and after, and what is launched because of it."""

import asyncio
import datetime as dt
import os
import time

import pytest
from dagster import (
    AssetKey,
    AssetPartitionStatus,
    AssetSelection,
    AutomationCondition,
    DagsterEventType,
    Definitions,
    FreshnessPolicy,
    asset,
    evaluate_automation_conditions,
)
from dagster._core.definitions.data_version import CachingStaleStatusResolver  # noqa: PLC2701 - what the UI asks
from dagster._core.definitions.freshness_evaluator import (  # noqa: PLC2701 - what the daemon asks
    TimeWindowFreshnessPolicyEvaluator,
)
from dagster._core.loader import LoadingContextForTest  # noqa: PLC2701 - as above
from dagster._core.test_utils import freeze_time  # noqa: PLC2701 - as above

from curator_dagster import CurationTranslator
from curator_dagster.steps import recording

SAMPLES, DATASET = AssetKey(["numbers", "samples"]), AssetKey(["numbers", "dataset"])
WINDOW_S = 3600.0
FAILED = AutomationCondition.execution_failed()
POLICY = FreshnessPolicy.time_window(fail_window=dt.timedelta(seconds=WINDOW_S))


@asset(deps=[SAMPLES, DATASET], automation_condition=AutomationCondition.eager())
def report():
    """Something downstream of both, launched by Dagster."""


class Given(CurationTranslator):
    """Gives the assets more attributes."""

    def __init__(self, **attributes):
        self.attributes = attributes

    def get_asset_spec(self, props):
        return super().get_asset_spec(props).replace_attributes(**self.attributes)


class Seen:
    """The curation as Dagster sees it."""

    def __init__(self, watched):
        self.watched = watched
        self.instance = watched.instance
        self.cursor = None

    @property
    def graph(self):
        return self.watched.defs.resolve_asset_graph()

    def launches(self):
        """How often `report` is launched now, the daemon having looked before."""
        result = evaluate_automation_conditions(
            Definitions.merge(self.watched.defs, Definitions(assets=[report])),
            self.instance,
            asset_selection=AssetSelection.assets(report),
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        return result.total_requested

    def partitions(self):
        """Statuses of the partitions that are not just materialized."""
        keys = self.instance.get_dynamic_partitions("numbers")
        found = self.instance.get_status_by_partition(SAMPLES, keys, self.graph.get(SAMPLES).partitions_def)
        return {key: s and s.value for key, s in found.items() if s is not AssetPartitionStatus.MATERIALIZED}

    def status(self):
        """FRESH is *synced*, STALE *unsynced*."""
        resolver = CachingStaleStatusResolver(self.instance, self.graph, LoadingContextForTest(self.instance))
        return resolver.get_status(DATASET).value

    def is_failed(self):
        """Whether the dataset shows as failed."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(self.watched.settings, "translator", Given(automation_condition=FAILED))
            defs, selection = self.watched.defs, AssetSelection.assets(DATASET)
            return evaluate_automation_conditions(defs, self.instance, asset_selection=selection).total_requested == 1

    def freshness(self, key, now):
        """What the policy will say of an asset."""
        evaluator, context = TimeWindowFreshnessPolicyEvaluator(), LoadingContextForTest(self.instance)
        with freeze_time(now):
            return asyncio.run(evaluator.evaluate_freshness(context, self.graph.get(key))).value

    def planned(self):
        """What the latest run meant to materialize."""
        (run,) = self.instance.get_runs(limit=1)
        events = self.instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        data = [event.get_dagster_event().asset_materialization_planned_data for event in events]
        return sorted((each.asset_key.path[-1], each.partition or "") for each in data)

    def dataset_tags(self):
        return self.instance.get_latest_materialization_event(DATASET).asset_materialization.tags

    def materialize_dataset(self):
        job = self.watched.defs.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=self.instance, asset_selection=[DATASET]).success


@pytest.fixture
def seen(watched):
    """After a first refresh, and what the daemon made of it."""
    watched.settings["translator"] = Given(freshness_policy=POLICY)
    assert watched.refresh()
    found = Seen(watched)
    found.launches()
    return found


def test_a_refresh_is_seen_while_it_runs_and_launches_what_is_downstream_once(project, watched, seen, monkeypatch):
    """What is due is in progress until it is done, and only that; nothing downstream is launched before the end."""
    monkeypatch.setattr(recording, "MAX_DELAY_S", 0.0)
    source = type(watched.pipeline().source)
    read, looks = source.__getitem__, []

    def reading(self, index):
        looks.append((seen.partitions(), seen.launches()))
        yield from read(self, index)

    monkeypatch.setattr(source, "__getitem__", reading)
    project.put(b="30", d="70", e="8")
    assert watched.refresh()
    in_progress = [found for found, _ in looks]
    assert in_progress == [
        dict.fromkeys(keys, "IN_PROGRESS") for keys in (["b.txt", "d.txt", "e.txt"], ["d.txt", "e.txt"], ["e.txt"])
    ]
    assert [launched for _, launched in looks] == [0, 0, 0]
    assert seen.planned() == [("dataset", ""), *(("samples", f"{name}.txt") for name in "bde")]
    assert seen.partitions() == {}
    assert (seen.launches(), seen.launches()) == (1, 0)
    assert watched.refresh()
    assert (seen.planned(), seen.launches()) == ([], 0)


def test_what_fails_shows_as_failed_until_it_is_right_again(project, watched, seen):
    """Also when the file is put back as it was, so that nothing is due; the dataset likewise."""
    times = (project.input / "b.txt").stat()
    project.put(b="x", d="70")
    assert not watched.refresh()
    assert seen.planned() == [("dataset", ""), ("samples", "b.txt"), ("samples", "d.txt")]
    assert (seen.partitions(), seen.is_failed()) == ({"b.txt": "FAILED"}, True)
    project.put(b="3")
    os.utime(project.input / "b.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert watched.refresh()
    assert (seen.partitions(), seen.is_failed()) == ({}, False)


def test_a_failure_within_the_tolerance_leaves_the_dataset_as_it_is(project, watched, seen):
    """The same item fails again: the run is red, its partition too, but not the dataset, which is up to date."""
    watched.settings["max_missing"] = 1
    project.put(b="x")
    assert not watched.refresh()
    assert not seen.is_failed()
    assert not watched.refresh()
    assert seen.planned() == [("dataset", ""), ("samples", "b.txt")]
    assert (seen.partitions(), seen.is_failed()) == ({"b.txt": "FAILED"}, False)


def test_a_refresh_of_a_quiet_source_keeps_a_freshness_policy_and_launches_nothing(watched, seen):
    """Both assets count as made when they were found right; what is downstream does not notice."""
    (before,) = seen.instance.fetch_materializations(DATASET, limit=10).records
    then = time.time() + WINDOW_S
    assert [seen.freshness(key, then) for key in (SAMPLES, DATASET)] == ["FAIL", "FAIL"]
    assert watched.refresh()
    assert [seen.freshness(key, then) for key in (SAMPLES, DATASET)] == ["PASS", "PASS"]
    assert [seen.freshness(key, then + WINDOW_S) for key in (SAMPLES, DATASET)] == ["FAIL", "FAIL"]
    (after,) = seen.instance.fetch_materializations(DATASET, limit=10).records
    assert (after.storage_id, after.timestamp) == (before.storage_id, before.timestamp)
    (checked,) = seen.instance.fetch_observations(DATASET, limit=10).records
    assert checked.asset_observation.metadata["dagster/last_updated_timestamp"].value > before.timestamp
    assert seen.launches() == 0


@pytest.mark.parametrize("settings", [{}, {"translator": Given(code_version="7"), "partition_size": 2}], ids=len)
def test_who_published_the_dataset_makes_no_difference(project, watched, settings):
    """It is synced until a sample changed; a sample that is launched again as it is changes nothing."""
    watched.settings = settings
    seen, partition = Seen(watched), "b.txt" if "partition_size" not in settings else "000000000-000000001"
    assert watched.refresh()
    by_refresh = seen.dataset_tags()
    seen.materialize_dataset()
    by_asset = seen.dataset_tags()
    assert by_refresh.keys() == by_asset.keys()
    for name in ("dagster/data_version", "dagster/input_event_pointer/numbers/samples"):
        assert by_refresh[name] == by_asset[name]
    for publish in (watched.refresh, seen.materialize_dataset):
        assert watched.run_samples(partition)
        assert seen.status() == "FRESH"
        project.put(b="30" if publish is seen.materialize_dataset else "31")
        assert watched.run_samples(partition)
        assert seen.status() == "STALE"
        publish()
        assert seen.status() == "FRESH"


def test_an_asset_says_what_refreshes_it(watched):
    """The job, and what requests it."""
    watched.settings = {"schedule": "0 5 * * *"}
    for key in (SAMPLES, DATASET):
        assert (
            watched.defs.resolve_asset_graph()
            .get(key)
            .description.endswith(
                "Refreshed by job `numbers_refresh`, on request of sensor `numbers_new_data` and schedule "
                "`numbers_schedule` (0 5 * * *)."
            )
        )
    watched.settings = {"watch": False}
    assert watched.defs.resolve_asset_graph().get(DATASET).description.endswith("Refreshed by job `numbers_refresh`.")
