"""Grouping of indices."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator_core import batch_groups, intersect_partitions
from curator_core.errors import ConfigError, PartitionConflictError
from curator_core.run.partition import pipeline_groups
from curator_core.testing import JsonSink, NumbersSource


@st.composite
def groupings(draw, max_size=24):
    """Groups of consecutive runs of 0..n-1."""
    n = draw(st.integers(1, max_size))
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=n)) if n > 1 else [])
    edges = [0, *cuts, n]
    return [list(range(a, b)) for a, b in pairwise(edges)]


@given(groups=groupings())
def test_without_a_constraint_of_the_other_side(groups):
    """One side's groups hold when the other has none."""
    assert intersect_partitions(groups, None) == groups
    assert intersect_partitions(None, groups) == groups
    assert intersect_partitions(None, None) is None


@given(coarse=groupings(), data=st.data())
def test_nested_groups(coarse, data):
    """When each group of one side lies in one of the other, the larger groups satisfy both."""
    fine = []
    for group in coarse:
        cut = data.draw(st.integers(0, len(group)))
        fine += [part for part in (group[:cut], group[cut:]) if part]
    for first, second in ((coarse, fine), (fine, coarse)):
        assert intersect_partitions(first, second) == coarse


@given(first=groupings(16), second=groupings(16))
def test_any_two_sides(first, second):
    """The result satisfies both sides, or the conflict is told."""
    n = min(first[-1][-1], second[-1][-1]) + 1
    first = [g for group in first if (g := [i for i in group if i < n])]
    second = [g for group in second if (g := [i for i in group if i < n])]
    try:
        found = intersect_partitions(first, second)
    except PartitionConflictError:
        crossing = [(a, b) for a in map(set, first) for b in map(set, second) if a & b and not (a <= b or b <= a)]
        assert crossing
        return
    assert sorted(i for group in found for i in group) == list(range(n))
    assert [min(group) for group in found] == sorted(min(group) for group in found)
    for group in first + second:
        assert any(set(group) <= set(whole) for whole in found)


def test_conflict_names_the_indices():
    """A conflict says which indices, and what to change."""
    with pytest.raises(PartitionConflictError, match=r"\[0, 1, 2\] together, the sink \[2, 3\].*share \[2\]"):
        intersect_partitions([[0, 1, 2], [3]], [[0], [1], [2, 3]])
    with pytest.raises(ValueError, match="Change the chunking"):
        intersect_partitions([[0, 1], [2]], [[0], [1, 2]])


@given(groups=groupings(40), n_workers=st.integers(1, 8))
def test_batches(groups, n_workers):
    """Whole groups, every index once, at most so many batches, and no batch much larger than it must be."""
    batches = batch_groups(groups, n_workers)
    assert len(batches) <= n_workers
    assert sorted(i for batch in batches for i in batch) == [i for group in groups for i in group]
    for group in groups:
        (owner,) = [batch for batch in batches if group[0] in batch]
        at = owner.index(group[0])
        assert owner[at : at + len(group)] == group
    total, largest = sum(map(len, groups)), max(map(len, groups))
    assert max(map(len, batches)) <= total / n_workers + largest


def test_no_groups_no_batches():
    """Nothing to pack is no batch."""
    assert batch_groups([], 4) == []


class Lossy(NumbersSource):
    """Groups that leave an index out."""

    def partition_indices(self, indices):
        return [list(indices)[1:]]


def test_groups_must_be_complete(tmp_path):
    """A component whose groups lose an index is named before anything runs."""
    with pytest.raises(ConfigError, match=r"Lossy.partition_indices\(\) must return every index"):
        pipeline_groups(Lossy(3), JsonSink(str(tmp_path)), [0, 1, 2])


class Given(NumbersSource):
    """Groups as they were given."""

    def __init__(self, n, make):
        super().__init__(n)
        self.make = make

    def partition_indices(self, indices):
        return self.make(indices)


@pytest.mark.parametrize(
    "make",
    [
        lambda _: [np.array([0, 1]), np.array([2])],
        lambda indices: iter([iter(indices[:2]), iter(indices[2:])]),
        lambda _: ([np.int64(0), 1], (), {2}),
    ],
)
def test_groups_in_other_kinds_of_sequences(make, tmp_path):
    """Arrays, iterators and NumPy's integers are groups as well, in any number of readings."""
    assert pipeline_groups(Given(3, make), JsonSink(str(tmp_path)), [0, 1, 2]) == [[0, 1], [2]]


@pytest.mark.parametrize("make", [lambda _: 5, lambda _: "ab", lambda _: [["0"]], lambda _: [[0.0, 1.0, 2.0]], {}.pop])
def test_groups_that_are_none(make, tmp_path):
    """What is no list of lists of indices is told by the component that returned it."""
    with pytest.raises(ConfigError, match=r"Given.partition_indices\(\) must return lists"):
        pipeline_groups(Given(3, make), JsonSink(str(tmp_path)), [0, 1, 2])
