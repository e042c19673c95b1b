"""Grids from NetCDF files."""

from __future__ import annotations

import multiprocessing
import os
import re
import threading

import netCDF4
import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from curator_core import Pipeline, Sink, run_pipeline
from curator_core.domains.grid import NetCDFSource
from curator_core.domains.grid.times import EPOCH_UNITS, label
from curator_core.errors import ComponentError, ConfigError, RunFailed
from curator_core.filters.selection import SelectFilter

FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC", "NETCDF4")


def only(source, index=0):
    """The one dataset of an item."""
    (dataset,) = source[index]
    return dataset


def source_of(path, **more):
    """The source of a single file."""
    return NetCDFSource(str(path.parent), path.name, **more)


def labels(dataset, name="time"):
    """Times, as people write them."""
    variable = dataset[name]
    assert variable.attrs["units"] == EPOCH_UNITS
    return [label(instant, variable.attrs["calendar"]) for instant in variable.values.ravel().tolist()]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same(write_netcdf, series, form):
    """What is data, what is a coordinate, and decoded values, as xarray has them."""
    path = write_netcdf(series, form=form, unlimited=("time",), attributes={"title": "a"})
    dataset = only(source_of(path))
    assert set(dataset.data_vars) == {"t", "orography"}
    assert set(dataset.coords) == {"time", "time_bnds", "lat", "lon"}
    assert dataset.attrs == {"title": "a"}
    assert labels(dataset) == ["2001-01-31T06:00:00", "2001-01-31T12:00:00"]
    assert labels(dataset, "time_bnds")[:2] == ["2001-01-31T00:00:00", "2001-01-31T06:00:00"]
    assert dataset["t"].dtype == np.float32
    assert dataset["t"].attrs == {"units": "K"}
    assert dataset["t"].encoding["scale_factor"] == np.float32(0.01)
    with xr.open_dataset(path) as expected:
        xr.testing.assert_identical(xr.decode_cf(dataset)["t"].variable, expected["t"].variable)
        assert (xr.decode_cf(dataset)["time"].values == expected["time"].values).all()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("unlimited", [(), ("time",)])
def test_a_file_that_is_cut_off_fails(write_netcdf, series, form, unlimited):
    """Wherever it ends, also where the library reads zeros; a whole one passes."""
    path = write_netcdf(series, form=form, unlimited=unlimited)
    whole = path.read_bytes()
    if "NETCDF3" in form:  # some are padded, and no value of these ends in zeros
        whole = whole.rstrip(b"\0")
    path.write_bytes(whole)
    assert only(source_of(path))["t"].shape == (2, 3, 4)
    for size in (*range(0, len(whole), len(whole) // 17 + 1), len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ComponentError, match=rf"{re.escape(str(path))}: .*(cut off|cannot be opened)"):
            list(source_of(path)[0])


def test_one_short_variable_with_records(write_netcdf):
    """Records of a single variable are not padded to four bytes."""
    values = np.arange(21, dtype=np.int16).reshape(7, 3)
    path = write_netcdf({"v": (("n", "x"), values, {})}, form="NETCDF3_CLASSIC", unlimited=("n",))
    assert only(source_of(path))["v"].values.tolist() == values.tolist()
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-1])
    with pytest.raises(ComponentError, match=r"cut off: .* variable 'v' is not whole\. Copy it again"):
        list(source_of(path)[0])


def test_what_is_no_netcdf_fails_by_name(tmp_path):
    """With its first bytes."""
    (tmp_path / "a.nc").write_bytes(b"PK\3\4 and so on")
    with pytest.raises(ComponentError, match=r"a\.nc: .*cannot be opened: .*PK") as failed:
        list(NetCDFSource(str(tmp_path))[0])
    assert failed.value.key == "a.nc"


def test_only_wanted_variables_are_read(write_netcdf, series):
    """With what says where and when they are, and nothing else: a variable that cannot be read does not matter."""
    path = write_netcdf(series | {"mask": (("lat", "lon"), np.ones((3, 4), np.int8), {})})
    with netCDF4.Dataset(path, "a") as file:
        kind = file.createCompoundType(np.dtype([("a", "f4"), ("b", "i4")]), "pair")
        file.createVariable("odd", kind, ("lat",))
    dataset = only(source_of(path, variables=["t"]))
    assert list(dataset.data_vars) == ["t"]
    assert set(dataset.coords) == {"time", "time_bnds", "lat", "lon"}
    with pytest.raises(ComponentError, match="'odd' is of a compound or ragged type: leave it out with variables="):
        list(source_of(path)[0])
    with pytest.raises(ComponentError, match="has no variable 'orografy'; it has orography, "):
        list(source_of(path, variables=["orografy"])[0])


def test_coordinates_that_attributes_name(write_netcdf):
    """Curvilinear latitudes, their bounds, a grid mapping and a profile of a formula come along; others do not."""
    plane = np.ones((2, 3))
    path = write_netcdf(
        {
            "tos": (("y", "x"), plane, {"coordinates": "nav_lat nav_lon missing", "grid_mapping": "crs: x y"}),
            "nav_lat": (("y", "x"), plane, {"bounds": "corners"}),
            "nav_lon": (("y", "x"), plane, {}),
            "corners": (("y", "x", "four"), np.ones((2, 3, 4)), {}),
            "crs": ((), np.int32(-2147483647), {"grid_mapping_name": "rotated"}),
            "lev": (("lev",), [1.0], {"formula_terms": "a: hyam ps: ps"}),
            "hyam": (("lev",), [1.0], {}),
            "ps": (("y", "x"), plane, {}),
            "u": (("lev", "y", "x"), np.ones((1, 2, 3)), {}),
            "points": (("cell",), [1.0, 2.0], {"units": "degrees_north"}),
        }
    )
    everything = only(source_of(path))
    assert set(everything.coords) == {"nav_lat", "nav_lon", "corners", "crs", "lev", "hyam", "points"}
    assert set(everything.data_vars) == {"tos", "ps", "u"}
    assert set(only(source_of(path, variables=["tos"])).variables) == {"tos", "nav_lat", "nav_lon", "corners", "crs"}
    assert set(only(source_of(path, variables=["u"])).variables) == {"u", "lev", "hyam"}


def test_every_step_is_an_item(write_netcdf, series):
    """Named after its time, of length one, with what has no time."""
    path = write_netcdf(series, "run/a.nc", unlimited=("time",))
    source = NetCDFSource(str(path.parents[1]), item="time")
    assert [source.key(i) for i in range(len(source))] == [
        "run/a.nc#2001-01-31T06:00:00",
        "run/a.nc#2001-01-31T12:00:00",
    ]
    whole = only(source_of(path))
    for step in range(2):
        dataset = only(source, step)
        assert dict(dataset.sizes) == {"time": 1, "nv": 2, "lat": 3, "lon": 4}
        xr.testing.assert_identical(dataset, whole.isel(time=[step]))


def test_a_dimension_may_be_dated_by_another_variable(write_netcdf):
    """As where its own coordinate counts nothing."""
    path = write_netcdf(
        {
            "time_counter": (("time_counter",), [0.0], {"axis": "T"}),
            "time_centered": (
                ("time_counter",),
                [15.0],
                {"units": "days since 2001-01-01", "calendar": "360_day", "standard_name": "time"},
            ),
            "tos": (("time_counter", "x"), [[1.0, 2.0]], {"coordinates": "time_centered"}),
        }
    )
    source = source_of(path, item="time")
    assert source.key(0) == "a.nc#2001-01-16T00:00:00"
    assert labels(only(source), "time_centered") == ["2001-01-16T00:00:00"]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"time": (("time",), [6.0, 6.0], {"units": "hours since 2001-01-31"})}, "2 parts have the key"),
        ({"time": (("time",), [6.0, 12.0], {"units": "hours"})}, "no dimension has times.*item='file'"),
        ({"day": (("day",), [1], {"units": "days since 2001-01-31"})}, "'time', 'day' have times: choose variables"),
        ({"time": (("time",), [1, -2147483647], {"units": "days since 2001-01-31"})}, "time of step 1 is missing"),
        ({"time": (("time",), [1, 2], {"units": "days since 2001-01-31", "calendar": "utc"})}, "calendar 'utc'"),
    ],
)
def test_steps_that_cannot_be_named(write_netcdf, series, changes, match):
    """The file is one item, which says why."""
    changed = {
        name: (dims, np.asarray(values, "i4") if name == "time" and "missing" in match else values, attributes)
        for name, (dims, values, attributes) in (series | changes).items()
    }
    source = source_of(write_netcdf(changed), item="time")
    assert len(source) == 1
    with pytest.raises(ComponentError, match=rf"a\.nc: .*{match}"):
        list(source[0])


def test_steps_of_a_file_that_changed(write_netcdf, series):
    """Nothing is read as another step than it was listed as."""
    source = source_of(write_netcdf(series), item="time")
    assert len(source) == 2
    write_netcdf(series | {"time": (("time",), [0.0, 6.0], {"units": "hours since 2001-01-31"})})
    with pytest.raises(ComponentError, match="its times are others than when it was listed"):
        list(source[1])


def test_a_time_that_was_never_written_fails(write_netcdf, series):
    """Where it is the coordinate of a dimension; elsewhere it is marked."""
    missing = (("time",), [6.0, 9.969209968386869e36], {"units": "hours since 2001-01-31"})
    with pytest.raises(ComponentError, match="'time': the time of step 1 is missing, or was never written"):
        list(source_of(write_netcdf(series | {"time": missing}))[0])
    dataset = xr.decode_cf(only(source_of(write_netcdf(series | {"reftime": missing}))))
    assert np.isnat(dataset["reftime"].values).tolist() == [False, True]


def test_a_place_that_is_missing_fails(write_netcdf, series):
    """Of a dimension."""
    path = write_netcdf(series | {"lat": (("lat",), [60.0, np.nan, 40.0], {})})
    with pytest.raises(ComponentError, match="'lat': a coordinate of its dimension is missing"):
        list(source_of(path)[0])


def test_groups(write_netcdf, series):
    """One with variables is named where there are several; coordinates of those around it are found."""
    path = write_netcdf({name: series[name] for name in ("time", "lat", "lon")}, attributes={"title": "a"})
    write_netcdf({"t": series["t"]}, group="forecast/members")
    with pytest.raises(ComponentError, match=r"several groups .*'/', '/forecast/members' with group="):
        list(source_of(path)[0])
    for group in ("/forecast/members", "forecast/members/"):
        dataset = only(source_of(path, group=group))
        assert list(dataset.data_vars) == ["t"]
        assert set(dataset.coords) == {"time", "lat", "lon"}
        assert dataset.attrs == {"title": "a"}
    assert set(only(source_of(path, group="/")).variables) == {"time", "lat", "lon"}
    with pytest.raises(ComponentError, match="no group 'forecasts'"):
        list(source_of(path, group="forecasts")[0])
    with pytest.raises(ComponentError, match="'/forecast' has no variables"):
        list(source_of(path, group="forecast")[0])


def test_fill_values_that_files_do_not_say(write_netcdf):
    """And those that they should not."""
    path = write_netcdf({"v": (("x",), np.int16([1, -9, -8]), {"_FillValue": np.int16(-8)})})
    assert only(source_of(path, fill_values={"v": -9}))["v"].values.tolist()[2] == -8
    assert np.isnan(only(source_of(path, fill_values={"v": -9}))["v"].values[1])
    assert only(source_of(path, fill_values={"v": None}))["v"].values.dtype == np.int16


def test_an_item_that_is_too_large_is_not_read(write_netcdf, series):
    """A small file can hold it: a dimension is only a number."""
    with netCDF4.Dataset(write_netcdf(series), "a") as file:
        file.createDimension("huge", 2**40)
        path = file.filepath()
        file.createVariable("v", "f4", ("huge",), chunksizes=(1024,))
    with pytest.raises(ComponentError, match=r"takes 4,398\.0 GB in memory, and max_size allows 4\.0 GB"):
        list(NetCDFSource(os.path.dirname(path))[0])  # noqa: PTH120
    assert only(NetCDFSource(os.path.dirname(path), variables=["t"], max_size="1 kB"))["t"].shape  # noqa: PTH120


def test_text_enumerations_and_repeated_dimensions(write_netcdf):
    """Characters, strings, names of values; a dimension that comes twice has two names."""
    path = write_netcdf(
        {
            "member": (("member",), np.array(["a", "longer"], object), {}),
            "square": (("x", "x"), [[1.0, 2.0], [3.0, 4.0]], {}),
        }
    )
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("n", 3)
        file.createVariable("code", "S1", ("member", "n"))[:] = np.array([[b"a", b"b", b""], [b"c", b"", b""]], "S1")
        kind = file.createEnumType(np.int8, "cloud_t", {"clear": 0, "cumulus": 2})
        file.createVariable("cloud", kind, ("member",))[:] = [0, 2]
    dataset = only(source_of(path))
    assert dataset["member"].values.tolist() == ["a", "longer"]
    assert dataset["code"].values.tolist() == ["ab", "c"]
    assert dataset["code"].dims == ("member",)
    assert dataset["cloud"].values.tolist() == [0, 2]
    assert dataset["cloud"].attrs["flag_meanings"] == "clear cumulus"
    assert dataset["square"].dims == ("x", "x_2")


def test_threads_take_turns(write_netcdf, series):
    """The library is used by one at a time; and a process that is forked meanwhile can read."""
    paths = [write_netcdf(series, f"{i}.nc") for i in range(8)]
    source = NetCDFSource(str(paths[0].parent))
    results: list[float] = []

    def read():
        results.extend(float(np.nansum(only(source, i)["t"].values)) for _ in range(5) for i in range(8))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    child = multiprocessing.get_context("fork").Process(target=read)
    child.start()
    for thread in threads:
        thread.join(60)
    child.join(60)
    assert child.exitcode == 0
    assert len(results) == 4 * 5 * 8
    assert len(set(results)) == 1


class NamesSink(Sink[xr.Dataset]):
    """Writes nothing."""

    def __call__(self, items, index):
        assert [list(item.data_vars) for item in items] == [["t"]]
        return []


def test_statistics_from_a_pipeline_file(write_netcdf, series, tmp_path):
    """By two processes, of every step of two files."""
    for name in ("a", "b"):
        write_netcdf(series, f"in/{name}.nc")
    output = tmp_path / "statistics.parquet"
    (tmp_path / "grid.yaml").write_text(
        f"""
        curator: 1
        source: {{component: netcdf, params: {{root: {tmp_path}/in, variables: [t], item: time}}}}
        filters: [{{component: statistics, params: {{output_path: {output}}}}}]
        """
    )
    pipeline = Pipeline.load(tmp_path / "grid.yaml").write(NamesSink())
    run_pipeline(pipeline, backend="process_pool", n_jobs=2, progress=False, gather=True)
    (row,) = pq.read_table(output).to_pylist()
    assert (row["field"], row["count"], row["n_nonfinite"], row["n_samples"]) == ("t", 46, 2, 4)
    assert row["min"] == 273.0


def test_arguments_are_checked(tmp_path):
    """Before anything is read."""
    with pytest.raises(ConfigError, match=r"item must be .file. \| .time., not .day."):
        NetCDFSource(str(tmp_path), item="day")
    with pytest.raises(ConfigError, match="variables names none"):
        NetCDFSource(str(tmp_path), variables=[])


def test_what_is_dropped_is_never_read(write_netcdf, series, tmp_path):
    """A variable that cannot be read does not matter to a pipeline whose first filter chooses others."""
    path = write_netcdf(series)
    with netCDF4.Dataset(path, "a") as file:
        kind = file.createCompoundType(np.dtype([("a", "f4"), ("b", "i4")]), "pair")
        file.createVariable("odd", kind, ("lat",))
    kept = []

    class Keep(Sink):
        def __call__(self, items, index):
            kept.extend(items)
            return []

    for item, n_items in (("file", 1), ("time", 2)):
        pipeline = Pipeline(source_of(path, item=item), [SelectFilter(["t"], rename={"t": "t2m"})], Keep())
        run_pipeline(pipeline.with_settings(db_dir=str(tmp_path / item)), progress=False)
        assert len(kept) == n_items
        assert {name for dataset in kept for name in dataset.data_vars} == {"t2m"}
        kept.clear()
    for step, said in (
        (SelectFilter(["sst"]), "no variable 'sst'"),
        (SelectFilter(drop=["odd"]), "'odd' is of a compound"),
    ):
        refused = Pipeline(source_of(path), [step], Keep(), db_dir=str(tmp_path / "refused"))
        with pytest.raises(RunFailed, match=said):
            run_pipeline(refused, progress=False)


def test_a_file_mended_in_its_place_is_read_anew(write_netcdf):
    """Damaged, cut off and then mended in its place: HDF5 leaves files open that it fails to open."""
    path = write_netcdf({"t": (("n",), np.array([1.0, 2.0]), {})})
    whole = path.read_bytes()
    source = source_of(path)
    for damaged in (whole[:48] + b"\xff" * 16 + whole[64:], whole[:-100], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ComponentError, match="cannot be opened"):
            list(source[0])
    path.write_bytes(whole)
    (dataset,) = source[0]
    assert dataset["t"].values.tolist() == [1.0, 2.0]
