"""The listing of a source, and the items and groups that are made from it when they are asked for."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from curator_core.errors import ConfigError
from curator_core.garbage import gc_paused
from curator_core.records import Item
from curator_core.run import RunConfig
from curator_core.session.listing import Listing
from curator_core.testing import NumbersSource


class OddKeys(NumbersSource):
    """One key far down the list is no good."""

    def __init__(self, n, bad):
        super().__init__(n)
        self.bad = bad

    def key(self, index):
        return self.bad if index == 12_345 else super().key(index)


@pytest.mark.parametrize("bad", ["", 5, None, b"key", "\udcff"])
def test_wrong_key_is_named(bad):
    """A key that is no text, empty or no UTF-8 is told with its index, in a list of many, too."""
    with pytest.raises(ConfigError, match="the key of item 12345 must be a string"):
        Listing.of(OddKeys(20_000, bad))


class OddLength(NumbersSource):
    """A number of items that is none."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


@pytest.mark.parametrize("length", [4.0, -1, None, 2**70])
def test_length_that_is_none_is_told_by_its_source(length):
    """A source that cannot say how many items it has is named."""
    with pytest.raises(ConfigError, match="OddLength does not tell how many items"):
        Listing.of(OddLength(length))


class Vanishing(NumbersSource):
    """Item 1 is gone when its fingerprint is taken."""

    def fingerprint(self, index):
        if index == 1:
            raise FileNotFoundError
        return f"f{index}"


def test_fingerprint_of_an_item_that_vanished():
    """An item that vanished after it was listed has no fingerprint; the others have theirs."""
    assert Listing.of(Vanishing(3)).fingerprints == ["f0", None, "f2"]


def test_fingerprint_that_is_set_on_the_source():
    """A source whose fingerprint is an attribute of the object is asked, too."""
    source: Any = NumbersSource(2)
    source.fingerprint = str
    assert Listing.of(source).fingerprints == ["0", "1"]


def test_items_are_made_when_asked_for():
    """Items of a selection: counted, taken, cut and walked through like a list of them."""
    items = Listing(["a", "b", "c"], [None, "1", None]).items([2, 1])
    expected = [Item(2, "c"), Item(1, "b", "1")]
    assert (len(items), list(items), items[-1]) == (2, expected, expected[-1])
    assert list(items[1:]) == expected[1:]
    with pytest.raises(IndexError):
        items[2]


@pytest.mark.parametrize(
    ("groups", "expected"), [(None, [["c"], ["b"], ["a"]]), ([[1, 0], [2]], [["b", "a"], ["c"]]), ([], [])]
)
def test_groups_are_made_when_asked_for(groups, expected):
    """Groups hold their items in their order; without a constraint each item is alone."""
    config = RunConfig(items=Listing(["a", "b", "c"], [None] * 3).items([2, 1, 0]), groups=groups)
    found = config.item_groups()
    assert [[item.key for item in group] for group in found] == expected
    assert len(found) == len(expected)
    assert [[item.key for item in group] for group in found[1:]] == expected[1:]


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_goes_on_as_it_was(enabled):
    """The search for cycles is as before once the pause is over, after an error, too."""
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with gc_paused():
            assert not gc.isenabled()
        with pytest.raises(KeyError), gc_paused():
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
