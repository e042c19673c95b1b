"""What a refresh answers for: what it listed, what it was told to do, and its own partitions."""

import json
from functools import partial

import dagster as dg
import pytest

from curator_core import Pipeline
from curator_core.testing import DatasetSink, FaultySource, FileSource, invocations
from curator_dagster import build_curation_defs
from curator_dagster._compat.notes import forget_notes, read_notes, write_note  # noqa: PLC2701 - what a refresh left

SAMPLES, DATASET = dg.AssetKey(["texts", "samples"]), dg.AssetKey(["texts", "dataset"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Place:
    """Files of one number each, a curation of them, and its runs in this process."""

    def __init__(self, folder, instance, n=4):
        self.folder, self.instance, self.raw = folder, instance, folder / "raw"
        self.raw.mkdir(parents=True)
        self.source, self.options = FileSource, {}
        self.put(**{f"f{number}": str(number) for number in range(n)})

    def put(self, **texts):
        for name, text in texts.items():
            (self.raw / f"{name}.txt").write_text(text)

    def remove(self, name):
        (self.raw / f"{name}.txt").unlink()

    def pipeline(self):
        source = FaultySource(self.source(str(self.raw)), str(self.folder / "attempts"))
        return Pipeline(source, [], DatasetSink(str(self.folder / "texts.json")), db_file=self.folder / "m.db")

    def defs(self, *others, **options):
        settings = {"executor": dg.in_process_executor, "batch_size": 100} | self.options | options
        made = build_curation_defs("texts", self.pipeline, **settings)
        return dg.Definitions.merge(made, dg.Definitions(assets=others)) if others else made

    def refresh(self, **config):
        job = self.defs().resolve_job_def("texts_refresh")
        run_config = QUIET | ({"ops": {"texts_plan": {"config": config}}} if config else {})
        return job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=run_config)

    def materialize(self, defs, assets, first=None, last=None):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=assets,
            tags=tags if first else {},
            raise_on_error=False,
            run_config=QUIET,
        )

    def attempts(self):
        return {key.removesuffix(".txt"): n for key, n in invocations(self.folder / "attempts").items()}

    def values(self):
        path = self.folder / "texts.json"
        found = json.loads(path.read_text()) if path.exists() else []
        return {entry["key"].removesuffix(".txt"): entry["values"][0] for entry in found}

    def partitions(self):
        return {key.removesuffix(".txt") for key in self.instance.get_dynamic_partitions("texts")}


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def place(tmp_path, instance):
    return Place(tmp_path / "one", instance)


def during(place, act):
    """Make the place's source do something once, while its first item is read."""
    state = {"left": 1}

    class Busy(FileSource):
        def __getitem__(self, index):
            if state["left"] and self.key(index) == "f0.txt":
                state["left"] = 0
                act()
            yield from super().__getitem__(index)

    place.source = Busy


@pytest.mark.parametrize("max_missing", [0, 0.3])
def test_an_item_that_arrives_during_a_refresh_is_the_next_ones(place, max_missing):
    """It is neither missing nor a failure; completeness is judged without it, and the next refresh does it alone."""
    place.options = {"max_missing": max_missing}
    during(place, lambda: place.put(a="77", z="99"))
    assert place.refresh().success
    assert set(place.values()) == {"f0", "f1", "f2", "f3"}
    (latest,) = place.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(DATASET, "completeness"), limit=1
    )
    assert latest.evaluation.passed
    assert place.refresh().success
    assert place.values() == {"a": 77, "f0": 0, "f1": 1, "f2": 2, "f3": 3, "z": 99}
    assert set(place.attempts().values()) == {1}


def test_an_item_that_vanishes_during_a_refresh_turns_it_red_for_nothing(place):
    """It is neither missing nor failed, whether it was processed before it went or not."""
    during(place, lambda: [place.remove("f0"), place.remove("f3")])
    assert place.refresh().success
    assert {"f1", "f2"} <= set(place.values())
    assert place.refresh().success
    assert set(place.values()) == {"f1", "f2"}


def test_an_item_that_breaks_while_it_is_changed_is_the_next_ones(place):
    """Half a file is read: the refresh is green, the last good dataset stays, and the whole file comes next."""
    assert place.refresh().success
    place.put(f0="10", f2="20")
    during(place, lambda: place.put(f2="no number yet"))
    assert place.refresh().success
    assert place.values() == {"f0": 0, "f1": 1, "f2": 2, "f3": 3}
    place.put(f2="21")
    assert place.refresh().success
    assert place.values() == {"f0": 10, "f1": 1, "f2": 21, "f3": 3}


def test_an_item_that_fails_as_it_is_still_turns_a_refresh_red(place):
    """What fails without having changed is a failure, also when others changed meanwhile."""
    place.put(f2="broken")
    during(place, lambda: place.put(late="5"))
    result = place.refresh()
    assert not result.success
    assert "f2.txt" in str([e.step_failure_data.error.message for e in result.all_events if e.is_step_failure])
    assert place.values() == {}


def test_a_limit_does_so_many_and_leaves_the_rest(place):
    """The run is green, though nothing can be published; the next one without a limit does what is left."""
    assert place.refresh(limit=3).success
    assert len(place.attempts()) == 3
    assert place.values() == {}
    assert place.refresh().success
    assert len(place.values()) == 4
    assert set(place.attempts().values()) == {1}


def test_keys_choose_items_and_force_does_them_again(place):
    """Of what is due, or of everything with force; once, and no others."""
    assert place.refresh(keys=["f1.txt"]).success
    assert place.attempts() == {"f1": 1}
    assert place.refresh().success
    assert place.refresh(keys=["f1.txt", "f2.txt"]).success
    assert set(place.attempts().values()) == {1}
    assert place.refresh(keys=["f2.txt"], force=True).success
    assert place.refresh().success
    assert place.attempts() == {"f0": 1, "f1": 1, "f2": 2, "f3": 1}
    assert place.refresh(force=True).success
    assert place.attempts() == {"f0": 2, "f1": 2, "f2": 3, "f3": 2}
    assert len(place.values()) == 4


def test_failed_items_can_be_left_alone(place):
    """With retry_failed false an item that failed and did not change is not tried again."""
    place.put(f2="broken")
    assert not place.refresh().success
    place.put(f4="4")
    assert place.refresh(retry_failed=False).success
    assert place.attempts() == {"f0": 1, "f1": 1, "f2": 1, "f3": 1, "f4": 1}


def test_a_limit_of_nothing_is_refused(place):
    """Before the run begins."""
    with pytest.raises(dg.DagsterInvalidConfigError, match="at least 1, not 0"):
        place.refresh(limit=0)
    assert place.attempts() == {}


def test_selected_partitions_can_be_forced(place):
    """From the UI's launchpad: these again, and no others."""
    assert place.refresh().success
    job = place.defs().resolve_implicit_global_asset_job_def().get_subset(asset_selection={SAMPLES})
    config = {"ops": {"texts_samples": {"ops": {"texts_plan_selected": {"config": {"force": True}}}}}}
    tags = {"dagster/asset_partition_range_start": "f1.txt", "dagster/asset_partition_range_end": "f2.txt"}
    assert job.execute_in_process(instance=place.instance, tags=tags, run_config=QUIET | config).success
    assert place.attempts() == {"f0": 1, "f1": 2, "f2": 2, "f3": 1}


def test_two_curations_of_one_name_leave_each_others_partitions(tmp_path, instance, caplog):
    """Each is told of the other, and removes what vanished of its own."""
    first, second = Place(tmp_path / "one", instance), Place(tmp_path / "two", instance, n=0)
    for place in (first, second):
        place.options = {"prune": True}
    second.put(x="1", y="2")
    assert first.refresh().success
    assert second.refresh().success
    assert first.partitions() == {"f0", "f1", "f2", "f3", "x", "y"}
    second.remove("y")
    first.remove("f3")
    assert second.refresh().success
    assert first.partitions() == {"f0", "f1", "f2", "f3", "x"}
    assert first.refresh().success
    assert first.partitions() == {"f0", "f1", "f2", "x"}
    notes = read_notes(instance, "sources/texts")
    assert sorted(str(tmp_path / name) in str(notes) for name in ("one", "two")) == [True, True]


def test_a_curation_alone_removes_whatever_vanished(place):
    """What was registered and never processed, too; it may be that of another, however long nobody saw it."""
    place.options = {"prune": True}
    place.instance.add_dynamic_partitions("texts", ["typed by hand"])
    write_note(place.instance, "sources/texts", "another", {"source": "Old()", "seen": 1.0})
    assert place.refresh().success
    assert place.partitions() == {"f0", "f1", "f2", "f3", "typed by hand"}
    forget_notes(place.instance, "sources/texts")
    assert place.refresh().success
    assert place.partitions() == {"f0", "f1", "f2", "f3"}


def test_what_is_upstream_is_waited_for(place):
    """In the graph, and in a run that does both; wrong keys are refused with the definitions."""
    done = []

    @dg.asset
    def raw() -> None:
        done.append("raw")

    place.options = {"deps": [raw, dg.AssetKey(["other", "raw"])]}
    defs = place.defs(raw)
    parents = defs.resolve_asset_graph().get(SAMPLES).parent_keys
    assert parents == {dg.AssetKey("raw"), dg.AssetKey(["other", "raw"])}
    assert place.refresh().success
    place.put(f1="5")
    during(place, lambda: done.append("samples"))
    place.put(f0="5")
    assert place.materialize(place.defs(raw), [raw.key, SAMPLES], "f0.txt", "f1.txt").success
    assert done == ["raw", "samples"]
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="'texts': deps has a twice"):
        place.defs(deps=["a", "a"])
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="'texts': deps"):
        place.defs(deps=[3])


def test_a_schedule_has_a_time_zone(place):
    """And one that does not exist is refused with the definitions."""
    (schedule,) = place.defs(schedule="30 2 * * *", timezone="Europe/Berlin").schedules
    assert schedule.execution_timezone == "Europe/Berlin"
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="Mars"):
        place.defs(schedule="30 2 * * *", timezone="Mars/Olympus")


def test_the_definitions_read_nothing(tmp_path):
    """A factory that cannot be called is none until something runs."""
    build_curation_defs("texts", partial(Pipeline, tmp_path), deps=["raw"], schedule="@daily", timezone="Asia/Tokyo")
