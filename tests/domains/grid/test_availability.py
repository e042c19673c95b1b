"""What of a dataset is there, as a table and as a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - needs xarray
from tests.domains.grid.blocks import Bench, block  # noqa: E402 - as above


@pytest.fixture
def made(tmp_path):
    """A bench of a sink with an axis of 130 steps."""
    axes = {"time": {"start": "2020-01-01", "frequency": "6h", "end": "2020-02-02T06"}}
    return Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, chunks={"time": 8}), tmp_path)


def test_states_are_counted_by_variable_and_period(made):
    """Of three steps each: there, without the variable, not there, and to be replaced."""
    late = block(120, 4)
    late["t"].attrs["GRIB_expver"] = "0005"
    parts = {"a": made.part(block(0, 7)), "b": made.part(block(7, 2, names=["n"])), "c": made.part(late)}
    path = made.publish("a.zarr", parts)
    found = made.sink.availability(str(path))
    assert (found.variables, len(found.periods), found.periods[1]) == (["n", "t"], 44, "2020-01-01T18:00:00")
    assert found.n_slots.tolist() == [3] * 43 + [1]
    assert found.counts.sum() == 2 * 130
    assert found.counts[1, 2].tolist() == [0, 1, 2, 0, 0]
    assert found.counts[1, 40].tolist() == [0, 0, 0, 0, 3]
    np.testing.assert_allclose(found.shares[1, :4], [1, 1, 1 / 3, 0])
    rows = {row["variable"]: row for row in found.totals()}
    assert rows["t"] == {
        "variable": "t",
        "never_written": 117,
        "present": 7,
        "missing": 2,
        "failed": 0,
        "provisional": 4,
        "values_percent": round(100 * 11 / 130, 2),
    }


def test_slots_with_some_of_their_values_count_in_part(made):
    """A level of two."""

    def item(step, levels):
        field = block(step, 1, names=["t"]).expand_dims(level=np.array(levels, float))
        return field.transpose("time", "level", ...)

    path = made.publish("a.zarr", {"a": made.part(item(0, [1, 2])), "b": made.part(item(1, [2]))})
    assert made.sink.availability(str(path)).shares[0, 0] == pytest.approx(0.5)


def test_the_picture_is_one(made):
    """As wide as the periods are, and small enough to be stored with an event."""
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    from curator_core.report import draw_availability

    late = block(120, 4)
    late["t"].attrs["GRIB_expver"] = "0005"
    path = made.publish("a.zarr", {"a": made.part(block(0, 7)), "c": made.part(late)})
    png = draw_availability(made.sink.availability(str(path)))
    found = np.asarray(image.open(io.BytesIO(png)).convert("RGB"))
    assert len(png) < 60_000
    is_blue = (found[..., 2].astype(int) - found[..., 0]) > 40
    assert 0.02 < is_blue.mean() < 0.3


def test_dagster_shows_both(made):
    """With the metadata of the dataset."""
    pytest.importorskip("dagster")
    from dagster import TableMetadataValue

    from curator_core.merge import DatasetFacts
    from curator_dagster.metadata.dataset import dataset_metadata
    from tests.domains.grid.blocks import BlocksSource

    (made.folder / "in").mkdir()
    pipeline = BlocksSource(str(made.folder / "in")).write(made.sink)
    path = made.publish("d.zarr", {"a": made.part(block(0, 7))})
    assert path == made.folder / "d.zarr"
    facts = DatasetFacts(pipeline)
    shown = dataset_metadata(facts)
    table = next(value for name, value in shown.items() if name.endswith("availability"))
    assert isinstance(table, TableMetadataValue)
    assert {record.data["variable"]: record.data["present"] for record in table.records} == {"n": 7, "t": 7}
    assert any(name.endswith("availability_plot") for name in shown)
