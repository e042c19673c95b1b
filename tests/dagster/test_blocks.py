"""Partitions that stand for a block of items each."""

from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

from curator_core import Plan
from curator_core.session.listing import Listing
from curator_dagster.curation.partition_block import blocks_of, partition_keys

SAMPLES = AssetKey(["numbers", "samples"])


def materializations(project):
    with project.instance() as instance:
        records = instance.fetch_materializations(AssetRecordsFilter(SAMPLES), limit=1000, ascending=True).records
        return [record.asset_materialization for record in records]


def value(materialization, name):
    return materialization.metadata[f"curator/{name}"].value


def test_a_block_keeps_its_name_while_it_fills_up():
    """Names tell the indices; only the last block may be short."""
    few, more = (Listing([f"item {i}" for i in range(n)], [None] * n) for n in (25, 31))
    assert partition_keys(few, 10) == ["000000000-000000009", "000000010-000000019", "000000020-000000029"]
    assert partition_keys(more, 10) == [*partition_keys(few, 10), "000000030-000000039"]


def test_the_version_of_a_block_changes_exactly_when_one_of_its_items_does():
    """Another fingerprint of one item touches its block alone."""
    keys = [f"item {i}" for i in range(25)]
    before = ["same"] * 25
    after = [*before[:12], "other", *before[13:]]
    first, second = (
        list(blocks_of(Plan(Listing(keys, found), bytearray(25), {}, [], [None] * 25), 10, "hash"))
        for found in (before, after)
    )
    assert [a.version == b.version for a, b in zip(first, second, strict=True)] == [True, False, True]


def test_a_refresh_materializes_blocks_and_redoes_only_changed_items(project):
    """Five items in blocks of two; one changes: its item is processed, its block is materialized again."""
    project.put(e="8")
    assert project.refresh(NUMBERS_PARTITION_SIZE="2").returncode == 0
    found = materializations(project)
    assert sorted(m.partition for m in found) == [f"00000000{i}-00000000{i + 1}" for i in (0, 2, 4)]
    assert [(value(m, "n_items"), value(m, "n_processed")) for m in sorted(found, key=lambda m: m.partition)] == [
        (2, 2),
        (2, 2),
        (1, 1),
    ]
    project.put(c="9 9")
    assert project.refresh(NUMBERS_PARTITION_SIZE="2").returncode == 0
    (changed,) = materializations(project)[3:]
    assert (changed.partition, value(changed, "n_items"), value(changed, "n_processed")) == (
        "000000002-000000003",
        2,
        1,
    )
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1, "e.txt": 1}
    assert project.dataset()["c.txt"] == [9, 9]


def test_a_failed_item_keeps_its_block_from_being_materialized_but_not_its_neighbour_from_being_done(project):
    """The block shows as failed; once the item is mended, it alone is processed."""
    project.put(c="x")
    done = project.refresh(NUMBERS_PARTITION_SIZE="2")
    assert done.returncode != 0
    assert [m.partition for m in materializations(project)] == ["000000000-000000001"]
    with project.instance() as instance:
        storage = instance.event_log_storage
        attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(SAMPLES)
        assert set(attempts) == {"000000002-000000003"}
    project.put(c="5")
    assert project.refresh(NUMBERS_PARTITION_SIZE="2").returncode == 0
    assert project.invocations() == {"a.txt": 1, "b.txt": 1, "c.txt": 2, "d.txt": 1}


def test_a_range_of_blocks_is_one_run(project, monkeypatch):
    """Selected from the UI: every block once."""
    location = project.load(monkeypatch, NUMBERS_PARTITION_SIZE=2, NUMBERS_EXECUTOR="in_process")
    keys = ["000000000-000000001", "000000002-000000003"]
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("numbers", keys)
        job = location.defs.resolve_implicit_global_asset_job_def()
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
        assert job.execute_in_process(instance=instance, asset_selection=[SAMPLES], tags=tags).success
    assert sorted(m.partition for m in materializations(project)) == keys
    assert set(project.invocations().values()) == {1}
