"""Questions about the files that items wrote."""

from __future__ import annotations


def test_parts_of_an_output(recorded):
    """Each place once, of present items alone: those of a filter, or first paths of the sink; the output left out."""
    shards = {f"/stats_shard_00000{index}.json" for index in (0, 2)}
    assert set(recorded.part_paths(1, 1, elsewhere_than="/stats.json")) == shards
    assert set(recorded.part_paths(1, 1, elsewhere_than="/stats_shard_000000.json")) == {"/stats_shard_000002.json"}
    assert set(recorded.part_paths(1, None, elsewhere_than="")) == {"/out/a.json", "/out/c.json"}
    assert set(recorded.part_paths(1, 2, elsewhere_than="")) == set()


def test_shards_are_told_from_other_outputs(recorded):
    """Paths that are named as shards are, whoever wrote them."""
    assert set(recorded.sharded_paths(1)) == {"/stats_shard_000000.json", "/stats_shard_000002.json"}


def test_owners_of_paths(recorded):
    """The key of the item that wrote a path; of so many paths at most."""
    assert recorded.path_owners(1, 10) == {"/out/a.json": "a", "/out/c.json": "c"}
    assert len(recorded.path_owners(1, 1)) == 1
    assert recorded.is_owned(1, "/out/a.json", "a")
    assert not recorded.is_owned(1, "/out/a.json", "c")
    assert not recorded.is_owned(1, "/out/gone.json", "gone")


def test_positions_at_which_items_were_written(recorded):
    """Whether a completed item has another position now, and which position a vanished one had."""
    assert recorded.has_shifted(1)
    assert not recorded.has_shifted(2)
    assert list(recorded.vanished_positions(1)) == [(-1, 5)]
