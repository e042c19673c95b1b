"""A refresh whose items a run backend processes, from one step."""

import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInvalidDefinitionError

from curator_core import MetricsStore
from curator_dagster import build_curation_defs

SAMPLES = AssetKey(["numbers", "samples"])


@pytest.fixture
def pooled(watched, monkeypatch):
    """The numbers, processed by threads of the step."""
    monkeypatch.setattr(type(watched), "defs", property(made))
    return watched


def made(watched):
    from dagster import in_process_executor

    options = {"backend": "thread_pool", "backend_options": {"max_workers": 2}}
    return build_curation_defs("numbers", watched.pipeline, executor=in_process_executor, **options)


def test_partitions_show_what_became_of_items_and_only_failed_ones_are_done_again(pooled):
    """As with steps that process items themselves."""
    pooled.project.put(b="x")
    assert not pooled.refresh()
    assert sorted(pooled.instance.get_materialized_partitions(SAMPLES)) == ["a.txt", "c.txt", "d.txt"]
    (seen,) = pooled.instance.fetch_observations(AssetRecordsFilter(SAMPLES), limit=10).records
    assert seen.partition_key == "b.txt"
    pooled.project.put(b="3")
    assert pooled.refresh()
    assert pooled.project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}
    assert len(pooled.project.dataset()) == 4
    with MetricsStore(pooled.project.folder / "metrics.db") as store:
        assert {record.status for record in store.items(store.latest_run().run_id).values()} == {"completed"}


def test_any_selection_of_partitions_is_processed_by_the_backend(pooled):
    """A backfill is one step, too."""
    assert pooled.refresh()
    for name in "bc":
        pooled.project.put(**{name: "8 9"})
    assert pooled.run_samples("b.txt", "c.txt")
    assert pooled.project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 2, "d.txt": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "slrm"}, "Unknown backend 'slrm'.*slurm"),
        ({"backend": "slurm", "backend_options": {"partition": "x"}}, "Unknown option.*'partition'.*cluster"),
        ({"backend": "slurm", "batch_size": 3}, "leave out batch_size"),
        ({"backend_options": {"cluster": {}}}, "need a backend"),
    ],
)
def test_wrong_settings_are_told_when_the_definitions_are_loaded(watched, settings, message):
    """Not in the first run."""
    with pytest.raises(DagsterInvalidDefinitionError, match=message):
        build_curation_defs("numbers", watched.pipeline, **settings)
