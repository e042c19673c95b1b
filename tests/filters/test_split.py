"""Splits by key, and the item that is being processed."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator_core import Filter, current_item, process_index
from curator_core.errors import ConfigError, PipelineStateError
from curator_core.filters.statistics.split import split_of
from curator_core.records import Item
from curator_core.testing import JsonSink, NumbersSource


class Keyed(Filter[object]):
    """Gives the key of the item instead of its values; may process an item of another pipeline meanwhile."""

    def __init__(self, inner=None):
        self.inner = inner

    def __call__(self, items):
        for _ in items:
            if self.inner is not None:
                process_index(self.inner, Item(0, "000000"))
            yield current_item().key


def test_splits_stay_what_they_are():
    """The division is part of the contract: these keys belong where they always did."""
    assert "".join(split_of(f"f{n}.txt", seed=7)[0] for n in range(24)) == "tvtvttttttttvtttvttttttt"


def test_fractions_hold_on_average():
    """Of many keys each split has its part, and the order of the fractions is of no account."""
    fractions = {"train": 0.7, "validation": 0.2, "test": 0.1}
    found = [split_of(str(n), fractions, seed=1) for n in range(20_000)]
    assert {name: round(found.count(name) / 20_000, 2) for name in fractions} == fractions
    assert found == [split_of(str(n), dict(reversed(fractions.items())), seed=1) for n in range(20_000)]
    assert found != [split_of(str(n), fractions, seed=2) for n in range(20_000)]


def test_a_split_of_nothing_has_no_items():
    """A fraction of 0 gets no item, wherever its name stands in the alphabet."""
    assert {split_of(str(n), {"a": 0.0, "b": 1.0, "c": 0}) for n in range(100)} == {"b"}


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 2, "b": -1}, {"a": float("nan")}])
def test_fractions_that_are_none_are_refused(fractions):
    """They must divide a whole."""
    with pytest.raises(ConfigError, match="fractions"):
        split_of("key", fractions)


def test_the_current_item(tmp_path):
    """A filter knows its item, also after another pipeline ran inside it; nobody does afterwards."""
    inner = NumbersSource(1).filter(Keyed()).write(JsonSink(str(tmp_path / "inner")))
    outer = NumbersSource(5).filter(Keyed(inner)).write(JsonSink(str(tmp_path)))
    (path,) = process_index(outer, Item(3, "000003")).output_paths
    assert Path(path).read_text() == '["000003"]'
    with pytest.raises(PipelineStateError, match="No item is being processed"):
        current_item()
