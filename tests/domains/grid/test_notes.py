"""What `curator plan` says of the axis before anything runs."""

from __future__ import annotations

import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core import open_dataset, run_pipeline  # noqa: E402 - needs xarray
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import MergeError  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, BlocksSource, block, write_block  # noqa: E402 - as above


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


def test_another_end_is_published_though_no_item_changed(tmp_path):
    """The dataset reaches as far as is declared, also where nothing is due; not where an item would lose its slots."""
    write_block(tmp_path / "in", 0, 3)

    def pipeline(**axis):
        axes = {"time": {"start": "2020-01-01", "frequency": "6h", **axis}}
        sink = GridZarrSink(str(tmp_path / "d.zarr"), axes)
        made = BlocksSource(str(tmp_path / "in")).write(sink)
        return made.with_settings(resume=True, db_file=str(tmp_path / "j.db"))

    for end, n_slots in (("2020-01-01T12", 3), ("2020-01-02", 5), ("2020-01-01T18", 4), (None, 3)):
        made = pipeline(**({} if end is None else {"end": end}))
        run_pipeline(made, gather=True, progress=False)
        assert open_dataset(tmp_path / "d.zarr").sizes["time"] == n_slots
        assert made.remaining_indices() == made.summary()["to_gather"] == []
    short = pipeline(end="2020-01-01T06")
    assert short.summary()["to_gather"] == [str(tmp_path / "d.zarr")]
    with pytest.raises(MergeError, match=r"ends with 2020-01-01T06:00:00, and the item '000000\.nc'"):
        run_pipeline(short, gather=True, progress=False)
