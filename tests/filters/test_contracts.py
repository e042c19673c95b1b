"""Filters of every domain do what every filter must."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.filters.casting import CastFilter
from curator_core.filters.duplicates import DuplicatesFilter
from curator_core.filters.nonfinite import NonFiniteFilter
from curator_core.filters.permutation import PermutationFilter
from curator_core.filters.selection import SelectFilter
from curator_core.pipeline.current import PROCESSED
from curator_core.records import Item
from curator_core.testing import FilterContract


class OfArrays(FilterContract):
    """Values are arrays by name; an item is being processed."""

    @pytest.fixture(autouse=True)
    def _processed(self):
        token = PROCESSED.set(Item(0, "a"))
        yield
        PROCESSED.reset(token)

    def make_items(self, index):
        return [{"x": np.arange(3.0) + index, "y": np.arange(3)}, {"x": np.array([1.0, np.inf, index])}]

    def is_equal(self, first, second):
        return str(first) == str(second)


class TestNonFinite(OfArrays):
    def make_filter(self, tmp_path):
        return NonFiniteFilter("fill", ["x"], allow={"x": "nan"}, max_fraction={"x": 0.5}, fill_value=0.0)


class TestSelect(OfArrays):
    def make_filter(self, tmp_path):
        return SelectFilter(["x"], rename={"x": "z"})


class TestCast(OfArrays):
    def make_filter(self, tmp_path):
        return CastFilter({"x": "float32", "*": "float16"}, max_relative={"x": 0.01})


class TestPermutation(OfArrays):
    def make_filter(self, tmp_path):
        return PermutationFilter(seed=3)


class TestDuplicates(OfArrays):
    def make_filter(self, tmp_path):
        return DuplicatesFilter(str(tmp_path / "twice.json"), "coordinate", along=["x"], action="report")
