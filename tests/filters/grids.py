"""Small values of every kind, for tests of filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curator_core import Sink, Source

xr: Any = pytest.importorskip("xarray")


def grid(n_times=3):
    """Two fields, one on levels, as sources of grids give them."""
    steps = 21_600_000_000 * np.arange(n_times)
    t = 280 + np.arange(n_times * 4, dtype=np.float32).reshape(n_times, 2, 2)
    return xr.Dataset(
        {
            "t": (("time", "level", "x"), t, {"units": "K", "standard_name": "air_temperature"}),
            "rain": (("time", "x"), np.linspace(0, 1, n_times * 2).reshape(n_times, 2), {"units": "kg m-2"}),
        },
        {
            "time": ("time", steps, {"units": "microseconds since 1970-01-01", "calendar": "standard"}),
            "level": ("level", [850, 500], {"units": "hPa", "positive": "down", "bounds": "level_bnds"}),
            "level_bnds": (("level", "nv"), [[900.0, 800.0], [550.0, 450.0]]),
        },
        {"title": "a"},
    )


class Grids(Source[Any]):
    """Grids, one an item, of as many steps as a file says."""

    def __init__(self, path: str):
        self._path = path

    def _n_times(self):
        return [int(word) for word in Path(self._path).read_text().split()]

    def __len__(self):
        return len(self._n_times())

    def __getitem__(self, index):
        yield grid(self._n_times()[index])


class Nowhere(Sink[Any]):
    """Takes the items and writes nothing."""

    def __call__(self, items, index):
        for _ in items:
            pass
        return []


def through(step, *values):
    """What a filter gives of the values of one item."""
    return list(step(iter(values)))
