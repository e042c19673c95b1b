"""Grids from Zarr stores that xarray and zarr write."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
import uuid
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from benchmarks.object_server import BUCKET
from curator_core import Pipeline, open_dataset, run_pipeline
from curator_core.domains.grid import GridZarrSink, ZarrSource
from curator_core.errors import ComponentError, ConfigError, EmptySourceError
from curator_core.testing import SourceContract

VERSIONS = (2, 3)
WRITE_ALL = {"write_empty_chunks": True}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification"),
]


def weather(n_times=4, start=0):
    """Steps of a field with a missing value, on a grid of 2 × 3."""
    values = (np.arange(n_times * 6, dtype=np.float32) + 6 * start).reshape(n_times, 2, 3)
    values[0, 0, 0] = np.nan
    hours = 6 * (np.arange(n_times) + start)
    return xr.Dataset(
        {"t": (("time", "lat", "lon"), values, {"units": "K"})},
        {
            "time": ("time", hours, {"units": "hours since 2001-01-01", "calendar": "noleap"}),
            "lat": ("lat", [10.0, 20.0], {"units": "degrees_north"}),
            "lon": ("lon", [0.0, 1.0, 2.0], {"units": "degrees_east"}),
            "area": (("lat", "lon"), np.ones((2, 3)), {"units": "m2"}),
        },
        {"title": "weather"},
    )


def written(path, zarr_format, dataset=None, **encoding):
    """A store of one chunk a step, as xarray writes it."""
    dataset = weather() if dataset is None else dataset
    dataset.to_zarr(path, zarr_format=zarr_format, encoding={"t": {"chunks": (1, 2, 3), **encoding}}, consolidated=True)
    return path


def only(source, index=0):
    """The one dataset of an item."""
    (dataset,) = source[index]
    return dataset


@pytest.fixture(params=VERSIONS)
def store(request, tmp_path):
    return written(tmp_path / "w.zarr", request.param)


@pytest.fixture
def serve(tmp_path):
    """A web server of the files of the test's folder, without listings; gives its URL."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def list_directory(self, path):
            self.send_error(403)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestContract(SourceContract):
    def make_source(self, tmp_path):
        path = tmp_path / "w.zarr"
        return ZarrSource(str(path if path.exists() else written(path, 3)), {"time": 2})

    def is_equal(self, first, second):
        return first.identical(second)


def test_a_store_is_one_item(store):
    """With the values, coordinates and attributes that were written."""
    source = ZarrSource(str(store))
    assert (len(source), source.key(0)) == (1, "w.zarr")
    found = only(source)
    assert set(found.data_vars) == {"t"}
    assert set(found.coords) == {"time", "lat", "lon", "area"}
    xr.testing.assert_equal(xr.decode_cf(found)["t"].variable, weather()["t"].variable)
    assert found.attrs["title"] == "weather"
    assert isinstance(found["t"].variable._data, np.ndarray)


def test_steps_are_items(store):
    """Named after the first of them; the last has what is left."""
    source = ZarrSource(str(store), {"time": 3}, ["t"])
    assert [source.key(i) for i in range(2)] == ["w.zarr#2001-01-01T00:00:00", "w.zarr#2001-01-01T18:00:00"]
    np.testing.assert_array_equal(only(source, 0)["t"].values, weather()["t"].values[:3])
    np.testing.assert_array_equal(only(source, 1)["t"].values, weather()["t"].values[3:])
    with pytest.raises(ComponentError, match="'height' of item=; the dimensions are 'time', 'lat', 'lon'"):
        len(ZarrSource(str(store), {"height": 1}, ["t"]))


@pytest.mark.parametrize("zarr_format", VERSIONS)
def test_packed_values(tmp_path, zarr_format):
    """What stands for missing ones is found in either version."""
    path = written(tmp_path / "w.zarr", zarr_format, dtype="i2", scale_factor=0.5, _FillValue=-99)
    np.testing.assert_array_equal(only(ZarrSource(str(path)))["t"].values, weather()["t"].values)


def test_a_chunk_that_was_never_written_fails_its_item(store):
    """By name; the others are read."""
    shutil.rmtree(store / "t" / "c" / "2") if (store / "t" / "c").exists() else (store / "t" / "2.0.0").unlink()
    source = ZarrSource(str(store), {"time": 1})
    with pytest.raises(
        ComponentError, match=r"'t': 6 of 6 values were never written: chunks t/(c/2/0/0|2\.0\.0) of"
    ) as e:
        list(source[2])
    assert e.value.key == "w.zarr#2001-01-01T12:00:00"
    np.testing.assert_array_equal(only(source, 3)["t"].values, weather()["t"].values[3:])
    assert np.isnan(only(ZarrSource(str(store), {"time": 1}, sparse=["t"]), 2)["t"].values).all()


def test_a_chunk_of_a_shard_that_was_never_written(tmp_path):
    """The shard is there, and Zarr gives zeros."""
    group = zarr.open_group(tmp_path / "w.zarr", mode="w", zarr_format=3)
    array = group.create_array(
        "rain", shape=(8,), chunks=(2,), shards=(8,), dtype="f4", dimension_names=["x"], fill_value=0.0
    )
    array[:4] = [0.0, 1.0, 2.0, 3.0]
    source = ZarrSource(str(tmp_path / "w.zarr"))
    with pytest.raises(ComponentError, match=r"'rain': 4 of 8 .* chunks 2 in rain/c/0, 3 in rain/c/0 of its 4 "):
        list(source[0])
    first = ZarrSource(str(tmp_path / "w.zarr"), {"x": 4})
    assert only(first)["rain"].values.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert first.key(1) == "w.zarr#4"


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f2", "f8", "?", "U3"])
@pytest.mark.parametrize("zarr_format", VERSIONS)
def test_types(tmp_path, dtype, zarr_format):
    """What is not there is found in every type, also beside values that stand for it."""
    group = zarr.open_group(tmp_path / "w.zarr", mode="w", zarr_format=zarr_format)
    values = np.array([115, -1.17e-5, 0, 1], "f8").astype(dtype)
    values[:1] = np.iinfo(dtype).max - 12 if dtype in ("i1", "u2", "i8") else values[:1]
    names = {"dimension_names": ["x"]} if zarr_format == 3 else {}
    array = group.create_array("v", shape=(6,), chunks=(2,), dtype=values.dtype, fill_value=None, **names)
    array[:4] = values
    source = ZarrSource(str(tmp_path / "w.zarr"), {"x" if names else "v_0": 4}, fill_values={"v": None})
    assert only(source)["v"].shape == (4,)
    with pytest.raises(ComponentError, match="2 of 2 values were never written"):
        list(source[1])


@pytest.mark.parametrize("zarr_format", VERSIONS)
def test_dates_of_numpy(tmp_path, zarr_format):
    """Are times as all others."""
    group = zarr.open_group(tmp_path / "w.zarr", mode="w", zarr_format=zarr_format)
    dates = np.array(["2001-01-01T06", "NaT"], "M8[ns]")
    group.create_array("started", data=dates, fill_value=np.datetime64("NaT", "ns"))
    found = only(ZarrSource(str(tmp_path / "w.zarr")))
    np.testing.assert_array_equal(xr.decode_cf(found)["started"].values.astype("M8[ns]"), dates)


def test_a_zero_that_can_be_missing(tmp_path):
    """Zarr's default and xarray's reading of it differ: which is meant must be said."""
    array = zarr.open_group(tmp_path / "w.zarr", mode="w", zarr_format=2).create_array(
        "rain", shape=(2,), dtype="f4", fill_value=0.0, attributes={"_ARRAY_DIMENSIONS": ["x"]}, config=WRITE_ALL
    )
    array[:] = [0.0, 1.0]
    with pytest.raises(ComponentError, match=r"'rain': its fill value is 0, .* 1 of its values are 0"):
        list(ZarrSource(str(tmp_path / "w.zarr"))[0])
    for given, expected in ((None, [0.0, 1.0]), (0, [np.nan, 1.0])):
        found = only(ZarrSource(str(tmp_path / "w.zarr"), fill_values={"rain": given}))
        np.testing.assert_array_equal(found["rain"].values, expected)


@pytest.mark.parametrize("below", ["", "w.zarr/"])
@pytest.mark.parametrize("zarr_format", VERSIONS)
def test_a_zip_file(tmp_path, zarr_format, below):
    """With the store at its top, or below a folder."""
    path = written(tmp_path / "w.zarr", zarr_format)
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as file:
        for each in sorted(path.rglob("*")):
            if each.is_file():
                file.write(each, f"{below}{each.relative_to(path).as_posix()}")
    source = ZarrSource(str(tmp_path / "w.zip"), {"time": 2})
    assert source.key(1) == "w.zip#2001-01-01T12:00:00"
    np.testing.assert_array_equal(only(source, 1)["t"].values, weather()["t"].values[2:])
    assert source.fingerprint(0) == ZarrSource(str(tmp_path / "w.zip"), {"time": 2}).fingerprint(0)


def test_over_the_web(store, serve, tmp_path):
    """By consolidated metadata, and refused without; a chunk that is lost is named there, too."""
    source = ZarrSource(f"{serve}/w.zarr", {"time": 1})
    np.testing.assert_array_equal(only(source, 3)["t"].values, weather()["t"].values[3:])
    shutil.rmtree(store / "t" / "c" / "1") if (store / "t" / "c").exists() else (store / "t" / "1.0.0").unlink()
    with pytest.raises(ComponentError, match="never written"):
        list(source[1])
    weather().drop_vars("area").to_zarr(tmp_path / "plain.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(ComponentError, match="cannot be listed over the web: consolidate"):
        len(ZarrSource(f"{serve}/plain.zarr"))


def test_a_consolidated_copy_that_is_old(tmp_path):
    """The array has the steps that it has, and not those that were copied once."""
    path = written(tmp_path / "w.zarr", 3)
    zarr.open_array(path / "t").append(np.ones((1, 2, 3), np.float32))
    zarr.open_array(path / "time").append([24])
    assert len(ZarrSource(str(path), {"time": 1})) == 5


def test_appending_changes_no_other_item(store):
    """Nor does writing the same again; a chunk that is corrected changes its own."""
    before = ZarrSource(str(store), {"time": 1})
    marks = [before.fingerprint(i) for i in range(4)]
    weather(2, start=4).drop_vars("area").to_zarr(store, append_dim="time")
    after = ZarrSource(str(store), {"time": 1})
    assert [after.fingerprint(i) for i in range(4)] == marks
    assert len(after) == 6
    zarr.open_group(store)["t"][2] = 7.0
    corrected = ZarrSource(str(store), {"time": 1})
    changed = [corrected.fingerprint(i) != after.fingerprint(i) for i in range(6)]
    assert changed == [False, False, True, False, False, False]


def test_groups(tmp_path):
    """One must be named where there are several; coordinates around it come along."""
    path = tmp_path / "w.zarr"
    weather()[["lat", "lon"]].to_zarr(path, zarr_format=3, consolidated=False)
    inner = weather().drop_vars(["lat", "lon", "area"])
    inner.to_zarr(path, group="forecast", zarr_format=3, consolidated=False)
    with pytest.raises(ComponentError, match="name one of '/', '/forecast' with group="):
        len(ZarrSource(str(path)))
    found = only(ZarrSource(str(path), group="/forecast"))
    assert set(found.coords) == {"time", "lat", "lon"}
    with pytest.raises(ComponentError, match="no Zarr group 'hindcast' in it"):
        len(ZarrSource(str(path), group="hindcast"))


def test_what_is_no_store(tmp_path):
    """Is said before anything runs."""
    with pytest.raises(EmptySourceError, match="does not exist"):
        ZarrSource(str(tmp_path / "w.zarr")).check()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ComponentError, match="there is no Zarr group at its top"):
        ZarrSource(str(tmp_path / "folder")).check()
    xr.Dataset({"t": ("time", np.zeros(0))}).to_zarr(tmp_path / "none.zarr")
    with pytest.raises(EmptySourceError, match="'time' has no steps"):
        ZarrSource(str(tmp_path / "none.zarr"), {"time": 2}).check()
    with pytest.raises(ConfigError, match="url is empty text"):
        ZarrSource("")
    with pytest.raises(ConfigError, match="how many steps of one dimension"):
        ZarrSource("a", {"time": 1, "lat": 1})


def test_a_damaged_chunk(store):
    """Fails its item with the name of the variable."""
    (chunk,) = [path for path in (store / "t").rglob("*") if path.name == "1.0.0" or path.parts[-3:] == ("1", "0", "0")]
    chunk.write_bytes(b"no chunk")
    with pytest.raises(ComponentError, match="variable 't' cannot be read"):
        list(ZarrSource(str(store), {"time": 1})[1])


def test_a_store_becomes_a_dataset(tmp_path):
    """Step by step."""
    store = written(tmp_path / "w.zarr", 3)
    sink = GridZarrSink(str(tmp_path / "out" / "w.zarr"))
    pipeline = Pipeline(ZarrSource(str(store), {"time": 1}, ["t"]), sink=sink, db_dir=str(tmp_path / "db"))
    run_pipeline(pipeline, gather=True, progress=False)
    found = open_dataset(tmp_path / "out" / "w.zarr")
    np.testing.assert_array_equal(found["t"].values, weather()["t"].values)


def test_in_a_bucket(tmp_path, object_store_server, monkeypatch):
    """With identities by ETags, and zipped, too."""
    store = written(tmp_path / "w.zarr", 3)
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    prefix = f"grids-{uuid.uuid4().hex}"
    for path in store.rglob("*"):
        if path.is_file():
            object_store_server.put(f"{prefix}/w.zarr/{path.relative_to(store).as_posix()}", path.read_bytes())
    zipped = shutil.make_archive(str(store.parent / "zipped"), "zip", store)
    object_store_server.put(f"{prefix}/w.zip", Path(zipped).read_bytes())
    for name in ("w.zarr", "w.zip"):
        source = ZarrSource(f"s3://{BUCKET}/{prefix}/{name}", {"time": 2})
        assert source.key(1) == f"{name}#2001-01-01T12:00:00"
        np.testing.assert_array_equal(only(source, 1)["t"].values, weather()["t"].values[2:])
        assert source.fingerprint(0) != source.fingerprint(1)
