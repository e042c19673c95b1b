"""When the dataset is merged by itself; with the daemon in test_daemon.py."""

import pytest
from dagster import (
    AssetKey,
    AssetSelection,
    AutomationCondition,
    AutomationResult,
    DagsterRunStatus,
    Definitions,
    evaluate_automation_conditions,
)

DATASET = AssetKey(["numbers", "dataset"])
FILES = ["a.txt", "b.txt", "c.txt", "d.txt"]


class Automation:
    """Evaluates the dataset's condition as its sensor does, and counts how often the source is listed."""

    def __init__(self, watched):
        self.watched = watched
        self.cursor = None
        self.n_listings = 0
        template = watched.pipeline

        def counted():
            pipeline = template()
            listed = pipeline.source._listed

            def listing():
                self.n_listings += pipeline.source._files is None
                return listed()

            pipeline.source._listed = listing
            return pipeline

        self.pipeline = counted
        watched.instance.add_dynamic_partitions("numbers", FILES)

    def fires(self, defs=None):
        self.n_listings = 0
        template, self.watched.pipeline = self.watched.pipeline, self.pipeline
        result = evaluate_automation_conditions(
            self.watched.defs if defs is None else defs,
            self.watched.instance,
            asset_selection=AssetSelection.assets(DATASET),
            cursor=self.cursor,
        )
        self.watched.pipeline = template
        self.cursor = result.cursor
        assert result.total_requested == result.get_num_requested(DATASET) <= 1
        return result.total_requested == 1

    def merge(self, tags=None):
        job = self.watched.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.watched.instance, asset_selection=[DATASET], raise_on_error=False, tags=tags
        ).success


@pytest.fixture
def automation(watched):
    return Automation(watched)


@pytest.fixture
def processed(watched, automation):
    """All samples are done, nothing is merged."""
    assert watched.run_samples("a.txt", "d.txt")
    return automation


def test_without_samples_nothing_is_merged(automation):
    """And the source is not even listed."""
    assert not automation.fires()
    assert automation.n_listings == 0


def test_updated_samples_are_merged_once(processed):
    """It fires when they are updated, not again before they are updated again; the source is listed once."""
    assert processed.fires()
    assert processed.n_listings == 1
    assert not processed.fires()
    assert processed.n_listings == 0
    assert processed.merge()
    assert not processed.fires()
    assert not processed.fires()
    assert processed.n_listings == 0


def test_a_merge_that_was_killed_is_requested_again_after_a_pause(watched, processed, monkeypatch):
    """Nothing changed since, but the dataset is not published either; one that is needs no other run."""
    assert processed.fires()
    job = watched.defs.resolve_implicit_global_asset_job_def()
    tags = {"dagster/sensor_name": "numbers_automation"}
    watched.instance.create_run_for_job(job, status=DagsterRunStatus.FAILURE, tags=tags)
    assert not processed.fires()
    assert processed.n_listings == 0
    monkeypatch.setattr("curator_dagster.automation.repeats.REPEAT_AFTER_S", 0.0)
    assert processed.fires()
    assert processed.merge()
    assert not processed.fires()
    assert not processed.fires()
    assert processed.n_listings == 0


def test_a_changed_sample_is_merged(watched, processed):
    """Content decides: the same sample recorded again is no reason, changed it is one."""
    assert processed.merge()
    assert not processed.fires()
    assert watched.run_samples("b.txt")
    assert not processed.fires()
    assert not processed.fires()
    assert processed.n_listings == 0
    watched.project.put(b="30")
    assert watched.run_samples("b.txt")
    assert processed.fires()


def test_what_a_refresh_published_is_not_merged_again(watched, automation):
    """The refresh job merges for itself."""
    assert watched.refresh()
    assert not automation.fires()


def test_what_may_be_missing_is_not_waited_for(watched, automation):
    """Dagster's own `eager` waits for every partition; this one for all but ``max_missing``."""
    watched.project.put(b="x")
    watched.run_samples("a.txt", "d.txt")
    assert not automation.fires()
    assert not automation.fires()
    assert automation.n_listings == 0
    automation.cursor = None
    watched.settings["max_missing"] = 1
    assert automation.fires()


def test_a_failed_item_that_was_repaired_is_a_reason(watched, automation):
    """Too much was missing; now it is not."""
    watched.project.put(b="x")
    watched.run_samples("a.txt", "d.txt")
    assert not automation.fires()
    watched.project.put(b="30")
    assert watched.run_samples("b.txt")
    assert automation.fires()


def test_partitions_of_vanished_items_do_not_block(watched, processed):
    """A partition that was never materialized and whose item is gone is nobody's business."""
    watched.instance.add_dynamic_partitions("numbers", ["gone.txt"])
    assert processed.fires()


@pytest.mark.parametrize("what", ["refresh", "samples", "dataset"])
def test_nothing_fires_while_something_is_in_progress(watched, processed, what):
    """Neither while the source is refreshed, nor samples processed, nor the dataset merged; afterwards it does."""
    if what == "refresh":
        job, selection, partition = watched.defs.resolve_job_def("numbers_refresh"), None, None
    else:
        job = watched.defs.resolve_implicit_global_asset_job_def()
        selection, partition = {AssetKey(["numbers", what])}, "b.txt" if what == "samples" else None
    run = watched.instance.create_run_for_job(
        job,
        asset_selection=frozenset(selection) if selection else None,
        status=DagsterRunStatus.STARTED,
        tags={"dagster/partition": partition} if partition else None,
    )
    assert not processed.fires()
    assert processed.n_listings == 0
    watched.instance.report_run_failed(run)
    assert processed.fires()


def test_a_merge_that_failed_is_not_requested_for_ever(watched, processed):
    """Only the next update of a sample is a reason for another."""
    assert processed.fires()
    output = watched.project.folder / "output" / "numbers.json"
    output.mkdir(parents=True)
    assert not processed.merge()
    assert not processed.fires()
    output.rmdir()
    assert watched.run_samples("b.txt")
    assert processed.fires()


def test_what_came_since_a_merge_was_requested_is_left_to_the_next_refresh(watched, processed):
    """The run stood in the queue while files were added: nothing is red for it; what failed still is."""
    automated = {"dagster/from_automation_condition": "true"}
    assert processed.fires()
    watched.project.put(b="30", e="8", f="9")
    assert processed.merge(automated)
    assert watched.instance.get_latest_materialization_event(DATASET) is None
    assert not processed.merge()
    assert watched.refresh()
    assert watched.project.dataset() == {"a.txt": [1, 2], "b.txt": [30], "c.txt": [4, 5, 6], "d.txt": [7]} | {
        "e.txt": [8],
        "f.txt": [9],
    }
    assert not processed.fires()
    watched.project.put(g="x")
    watched.instance.add_dynamic_partitions("numbers", ["g.txt"])
    watched.run_samples("g.txt")
    assert not processed.merge(automated)


def test_a_folder_that_is_gone_is_waited_for(watched, processed):
    """An unmounted source is no reason to merge, and forgets nothing."""
    folder = watched.project.input
    folder.rename(folder.with_name("elsewhere"))
    assert not processed.fires()
    folder.with_name("elsewhere").rename(folder)
    assert processed.fires()


def test_it_holds_until_a_condition_beside_it_does(watched, processed):
    """It can be combined: what is due stays due while the other condition is false."""
    from curator_dagster import dataset_condition
    from curator_dagster.curation.curation import Curation

    class Gate(AutomationCondition):
        is_open = False

        def evaluate(self, context):
            return AutomationResult(context, context.candidate_subset if self.is_open else context.get_empty_subset())

    condition = dataset_condition(Curation.of("numbers", watched.pipeline))
    for gated in (condition & Gate(), Gate() & condition):
        processed.cursor = None
        Gate.is_open = False
        samples, dataset = watched.defs.assets
        gated_dataset = dataset.map_asset_specs(
            lambda spec, gated=gated: spec.replace_attributes(automation_condition=gated)
        )
        defs = Definitions([samples, gated_dataset])
        assert not processed.fires(defs)
        assert not processed.fires(defs)
        Gate.is_open = True
        assert processed.fires(defs)
        assert not processed.fires(defs)
