"""Rows in a random order that is always the same."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.errors import ComponentError, PipelineStateError
from curator_core.filters.permutation import PermutationFilter
from curator_core.pipeline.current import PROCESSED
from curator_core.records import Item
from tests.filters.grids import grid, through


def permuted(value, key="a", index=0, **options):
    """A value whose rows are in the order of an item with this key."""
    token = PROCESSED.set(Item(index, key))
    try:
        (found,) = through(PermutationFilter(**options), value)
    finally:
        PROCESSED.reset(token)
    return found


def test_the_order_depends_on_seed_and_key_alone():
    """Not on the position of the item; all rows are there, and those of one entry stay together."""
    value = {"x": np.arange(50), "y": np.arange(50) * 2}
    first = permuted(value)
    assert sorted(first["x"].tolist()) == list(range(50))
    assert (first["y"] == 2 * first["x"]).all()
    assert permuted(value, index=7)["x"].tolist() == first["x"].tolist()
    assert permuted(value, key="b")["x"].tolist() != first["x"].tolist()
    assert permuted(value, seed=1)["x"].tolist() != first["x"].tolist()
    assert value["x"].tolist() == list(range(50))


def test_the_order_stays_what_it_is():
    """It is part of what a dataset is made of."""
    assert permuted(np.arange(8)).tolist() == [0, 6, 5, 1, 3, 2, 4, 7]


def test_a_dataset():
    """Along the dimension that is named, or time; coordinates go along."""
    found = permuted(grid(6))
    assert found["time"].values.tolist() != grid(6)["time"].values.tolist()
    assert found.sortby("time").identical(grid(6))
    assert permuted(grid(), along="level").sortby("level", ascending=False).identical(grid())
    with pytest.raises(ComponentError, match="no dimension 'lev'; it has time, level, x, nv"):
        permuted(grid(), along="lev")


def test_what_has_no_rows():
    """Is refused; so is a value of no item."""
    with pytest.raises(ComponentError, match="arrays have no rows"):
        permuted(1.0)
    with pytest.raises(ComponentError, match="'b' has not the 2 rows of the others"):
        permuted({"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(PipelineStateError):
        through(PermutationFilter(), np.arange(3))
