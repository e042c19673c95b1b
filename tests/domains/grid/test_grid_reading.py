"""Reading a dataset of grids: the version that was opened, to the end, and no fill values for what was lost."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("scipy")

from curator_core import open_dataset, run_pipeline  # noqa: E402 - needs xarray
from curator_core.datasets.versions import list_versions  # noqa: E402 - as above
from curator_core.domains.grid.dataset import slot_status  # noqa: E402 - as above
from curator_core.domains.grid.netcdf.year_sinks import NetCDFYearsSink  # noqa: E402 - as above
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import (  # noqa: E402 - as above
    ComponentError,
    ConfigError,
    DatasetExpiredError,
    UnknownNameError,
)
from curator_core.merge.verify import verify_dataset  # noqa: E402 - as above
from curator_core.pipeline.components import MergeItem  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, BlocksSource, block, write_block  # noqa: E402 - as above

AXES = {"time": {"start": "2020-01-01", "frequency": "6h"}}


@pytest.fixture
def publish(tmp_path):
    """Function that writes a file of three steps and publishes them all."""

    def make(first, seed=0):
        write_block(tmp_path / "input", first, 3, seed)
        sink = GridZarrSink(str(tmp_path / "d.zarr"), AXES, chunks={"time": 2}, shards={"time": 4})
        pipeline = BlocksSource(str(tmp_path / "input")).write(sink)
        run_pipeline(pipeline.with_settings(db_file=tmp_path / "run.db", resume=True), gather=True, progress=False)
        return tmp_path / "d.zarr"

    return make


def values(first, seed=0):
    return block(first, 3, seed)["t"].values


def test_what_was_opened_is_read_to_the_end(publish):
    """A correction is published meanwhile: values of before, in a copy for another process too, until it expires."""
    path = publish(0)
    before = open_dataset(path)
    publish(0, seed=1)
    np.testing.assert_array_equal(before["t"].values, values(0))
    np.testing.assert_array_equal(open_dataset(path)["t"].values, values(0, 1))
    former = list_versions(path)[1].id
    assert not verify_dataset(path)
    np.testing.assert_array_equal(open_dataset(path, version=former)["t"].values, values(0))
    lazy = open_dataset(path, version=former)
    copy = pickle.loads(pickle.dumps(open_dataset(path)))
    publish(0, seed=2)
    np.testing.assert_array_equal(copy["t"].values, values(0, 1))
    with pytest.raises(DatasetExpiredError, match="is not kept any more"):
        lazy["t"].values  # noqa: B018 - read there


def test_attributes_are_those_of_the_data(publish):
    """What curator says of its datasets is left out; coordinates are those of xarray."""
    found = open_dataset(publish(0))
    assert found.attrs == {"title": "blocks", "Conventions": "CF-1.11"}
    assert set(found.coords) == {"time", "lat", "lon"}
    assert found["t"].attrs == {"units": "K", "standard_name": "air_temperature"}
    assert float(found["t"].sel(time="2020-01-01T06", lat=30, lon=60)) == values(0)[1, 1, 1]


@pytest.mark.parametrize("sink", [GridZarrSink, NetCDFYearsSink])
def test_a_split_is_the_steps_of_its_items(tmp_path, sink, caplog):
    """A step of which another split has a variable is in none, which is said; so is a split that is not there."""
    blocks = {"a": block(0, 3, names="t"), "b": block(3, 3, names="tp"), "c": block(6, 2, names="p")}
    blocks["d"] = block(7, 2, names="t")
    bench, out = Bench(sink(str(tmp_path / "x.zarr")), tmp_path), str(tmp_path / "d")
    splits = {"a": "train", "b": "test", "c": "train", "d": ""}
    items = [
        MergeItem(n, key, None, key, bench.part(each), splits[key]) for n, (key, each) in enumerate(blocks.items())
    ]
    bench.sink.merge_items(items, None, out)
    train, test = (open_dataset(out, split=name).load() for name in ("train", "test"))
    np.testing.assert_array_equal(train["time"], [*blocks["a"]["time"].values, blocks["c"]["time"].values[0]])
    np.testing.assert_array_equal(train["t"][:3], blocks["a"]["t"])
    np.testing.assert_array_equal(test["t"], blocks["b"]["t"])
    assert "1 steps of 'time' have values of items in other splits than 'train', too" in caplog.text
    with pytest.raises(UnknownNameError, match=r"'validation'. Known: test, train"):
        open_dataset(out, split="validation")
    bench.sink.merge_items([replace(item, split="") for item in items], None, str(tmp_path / "e"))
    with pytest.raises(ConfigError, match="has no splits: give its pipeline a rule"):
        open_dataset(tmp_path / "e", split="train")


def test_states_have_their_times(publish):
    """As a dataset of their own."""
    publish(0)
    found = slot_status(publish(6))
    assert found["status"].sel(variable="t").values.tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert found["time"].values[3] == np.datetime64("2020-01-01T18")
    assert found["status"].attrs["flag_meanings"].split()[found["status"].values[3, 0]] == "never_written"


def test_a_lost_file_is_an_error(publish):
    """Zarr itself reads it as NaN; the chunk of steps that nobody gave is no file."""
    publish(0)
    path = publish(12)
    found = open_dataset(path)
    assert np.isnan(found["t"].values[4:8]).all()
    (path / "t/c/0/0/0").unlink()
    with pytest.raises(ComponentError, match=r"damaged: t/c/0/0/0 is missing"):
        open_dataset(path)["t"].values  # noqa: B018 - read there
    assert [d.file for d in verify_dataset(path)] == ["t/c/0/0/0"]
    shutil.rmtree(path)
    with pytest.raises(ComponentError, match="no Zarr group"):
        open_dataset(path)


def test_a_repository_is_a_place_as_well(tmp_path, monkeypatch):
    """Published, extended, corrected, verified, and read through the mirror: the version that was opened, too."""
    pytest.importorskip("icechunk")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = str(tmp_path / "d.icechunk")

    def publish(first, seed=0):
        write_block(tmp_path / "input", first, 3, seed)
        pipeline = BlocksSource(str(tmp_path / "input")).write(GridZarrSink(path, AXES, chunks={"time": 2}))
        run_pipeline(pipeline.with_settings(db_file=tmp_path / "run.db", resume=True), gather=True, progress=False)
        return open_dataset(path)

    before = publish(0)
    found = publish(6)
    np.testing.assert_array_equal(found["t"].values[6:], values(6))
    np.testing.assert_array_equal(before["t"].values, values(0))
    assert slot_status(path)["status"].sel(variable="t").values.tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(publish(0, seed=1)["t"].values[:3], values(0, 1))
    assert verify_dataset(path) == []
