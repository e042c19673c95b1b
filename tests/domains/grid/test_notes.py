"""What `curator plan` says of the axis before anything runs."""

from __future__ import annotations

import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - needs xarray
from tests.domains.grid.blocks import Bench, block  # noqa: E402 - as above


def test_the_axis_and_the_memory(tmp_path):
    """Before and after the first publication: longer, shorter, without an end, not declared."""

    def notes(**axis):
        axes = {"time": {"start": "2020-01-01", "frequency": "6h", **axis}} if axis else None
        return GridZarrSink(str(tmp_path / "d.zarr"), axes).notes()

    assert notes() == ["The axis is learned from the items that are published first, and then grows at its end alone."]
    assert notes(end="2020-01-02") == [
        "The axis 'time' begins with 2020-01-01T00:00:00 and has 5 slots, up to 2020-01-02T00:00:00."
    ]
    axes = {"time": {"start": "2020-01-01", "frequency": "6h"}}
    made = Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, chunks={"time": 1024}, shards={"time": 1024}), tmp_path)
    made.publish("d.zarr", {"a": made.part(block(0, 5))})
    longer, memory = notes(end="2020-01-03")
    assert longer == (
        "The axis 'time' of 5 slots gets 4 slots more, up to 2020-01-03T00:00:00; no item is processed again for that."
    )
    assert memory == "Publishing takes up to 0.2 MiB of memory: a shard of 't', and a chunk."
    assert notes(end="2020-01-01T12")[0].startswith(
        "The axis 'time' would end with 2020-01-01T12:00:00 and lose 2 of 5"
    )
    assert notes(end="2020-01-02")[0].startswith("The axis 'time' of 5 slots stays, up to 2020-01-02T00:00:00")
    assert notes()[0] == "The axis 'time' has 5 slots, up to 2020-01-02T00:00:00, and grows at its end."
