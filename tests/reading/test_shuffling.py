"""The order in which samples are read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator_core.errors import ConfigError
from curator_core.reading.shuffling import STREAMS, ShardOrder

SETTINGS = {
    "n_samples": st.integers(0, 400),
    "batch_size": st.integers(1, 50),
    "is_shuffled": st.booleans(),
    "seed": st.integers(0, 5),
    "world_size": st.integers(1, 5),
    "drop_last": st.booleans(),
    "run_length": st.integers(1, 40),
    "buffer_size": st.integers(1, 200),
}


@given(settings=st.fixed_dictionaries(SETTINGS), epoch=st.integers(0, 3), skip=st.integers(0, 10))
def test_every_sample_comes_once(settings, epoch, skip):
    """On one rank; dropped are incomplete batches alone, and then all ranks have equally many; from any batch on."""
    found, n_batches = [], set()
    for rank in range(settings["world_size"]):
        order = ShardOrder(**settings, rank=rank)
        batches = [batch.tolist() for batch in order.batches(epoch)]
        assert len(batches) == order.n_batches()
        assert all(len(batch) == order.batch_size for batch in batches[: None if order.drop_last else -1])
        assert [batch.tolist() for batch in order.batches(epoch, skip)] == batches[skip:]
        found += [index for batch in batches for index in batch]
        n_batches.add(len(batches))
    if settings["drop_last"]:
        assert len(n_batches) == 1
        assert len(set(found)) == len(found)
        assert set(found) <= set(range(settings["n_samples"]))
        assert (
            len(found)
            > settings["n_samples"] - settings["world_size"] * settings["batch_size"] - settings["world_size"]
        )
    else:
        assert sorted(found) == list(range(settings["n_samples"]))
        if not settings["is_shuffled"]:
            assert found == sorted(found)


def test_orders_differ_by_seed_and_epoch_alone():
    """Equal settings, equal batches."""

    def first(seed, epoch):
        return next(ShardOrder(10_000, 50, seed=seed).batches(epoch)).tolist()

    assert first(1, 2) == first(1, 2)
    assert len({tuple(first(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_a_batch_comes_from_few_places_but_from_many_samples():
    """Each of up to eight workers, which take batches in turn, reads from places of its own."""
    order = ShardOrder(100_000, 32, run_length=50, buffer_size=8000)
    batches = list(order.batches(0))
    for worker in range(STREAMS):
        near = np.concatenate(batches[worker::STREAMS][:20]) // 50
        assert len(set(near.tolist())) <= 21  # runs of a thousand samples
    lengths = [len(set((batch // 50).tolist())) for batch in batches[:100]]
    assert np.mean(lengths) > 10
    places = [
        {run for batch in batches[worker:400:STREAMS] for run in (batch // 50).tolist()} for worker in range(STREAMS)
    ]
    assert sum(map(len, places)) - len(set.union(*places)) <= STREAMS


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"world_size": 0}, {"run_length": 0}, {"buffer_size": -1}])
def test_numbers_out_of_range(wrong):
    """By name."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ShardOrder(**{"n_samples": 4, "batch_size": 2} | wrong)
    for rank in (-1, 2):
        with pytest.raises(ConfigError, match=r"rank must be in 0\.\.1"):
            ShardOrder(4, 2, rank=rank, world_size=2)
