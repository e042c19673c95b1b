"""The metrics store as a resource of other assets."""

from dagster import AssetKey, EnvVar, MaterializeResult, asset, materialize

from curator_dagster import MetricsStoreResource

SAMPLES = AssetKey(["numbers", "samples"])


def test_an_asset_downstream_reads_what_was_recorded(project, monkeypatch):
    """After a refresh with a bad item it gets every item's record; neither the data nor the database is touched."""
    project.put(b="x")
    assert project.refresh().returncode != 0
    database = project.folder / "metrics.db"
    before = database.read_bytes()
    read = project.invocations()

    @asset(deps=[SAMPLES])
    def slowest(curation: MetricsStoreResource) -> MaterializeResult:
        by_time = sorted(curation.rows(), key=lambda row: row["wall_time_ns"] or 0)
        with curation.open() as store:
            counts = store.counts(store.run().run_id)
        return MaterializeResult(
            metadata={"keys": [row["key"] for row in by_time], "failures": curation.failures(), "counts": counts}
        )

    monkeypatch.setenv("NUMBERS_DB", str(database))
    with project.instance() as instance:
        done = materialize(
            [slowest], instance=instance, resources={"curation": MetricsStoreResource(db_file=EnvVar("NUMBERS_DB"))}
        )
        assert done.success
        metadata = done.asset_materializations_for_node("slowest")[0].metadata
    assert sorted(metadata["keys"].value) == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert metadata["failures"].value == {"b.txt": "ValueError: invalid literal for int() with base 10: 'x'"}
    assert metadata["counts"].value == {"completed": 3, "error": 1}
    assert project.invocations() == read
    assert database.read_bytes() == before


def test_a_database_that_is_not_there_is_named(tmp_path):
    """The step fails with a sentence that says where it should be and what writes it; nothing is created."""

    @asset
    def report(curation: MetricsStoreResource) -> None:
        curation.rows()

    missing = tmp_path / "nowhere.db"
    done = materialize(
        [report], resources={"curation": MetricsStoreResource(db_file=str(missing))}, raise_on_error=False
    )
    (failed,) = done.get_step_failure_events()
    assert f"There is no metrics database {missing}. The refresh job" in failed.step_failure_data.error.cause.message
    assert not missing.exists()
