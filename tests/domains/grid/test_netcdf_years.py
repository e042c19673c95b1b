"""NetCDF files by year: whatever happened, bytes are those of a build from scratch, and values those of xarray."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core import open_dataset, run_pipeline
from curator_core.domains.grid import NetCDFSource, NetCDFYearsSink
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.merge.verify import count_nonfinite, verify_dataset
from curator_core.pipeline.components import MergeItem
from curator_core.pipeline.pipeline import Pipeline
from curator_core.testing import SinkContract
from tests.domains.grid.blocks import LATITUDES, LONGITUDES, Bench, block, tree

STEPS = np.datetime64("2000-11-01", "ns") + np.arange(36) * np.timedelta64(30, "D")  # of four years


class TestNetCDFYearsSink(SinkContract):
    def make_sink(self, tmp_path):
        return NetCDFYearsSink(str(tmp_path / "years"))

    def make_items(self, index):
        return [block(index * 2, 2)]


def steps(positions, version=0, names=("t", "n"), **attributes) -> xr.Dataset:
    """Steps at some positions, in any order, with attributes of the file."""
    random = np.random.default_rng([version, *positions])
    shape = len(positions), len(LATITUDES), len(LONGITUDES)
    known = {
        "t": (("time", "lat", "lon"), random.random(shape).astype("f4"), {"units": "K", "history": f"v{version}"}),
        "n": (("time",), random.integers(0, 99, len(positions)).astype("i2")),
        "p": (("lat", "time"), random.random((len(LATITUDES), len(positions)))),
        "land": (("lat", "lon"), np.ones(shape[1:], "f4")),
    }
    coordinates = {"time": STEPS[list(positions)], "lat": LATITUDES, "lon": ("lon", LONGITUDES, {"units": "degrees"})}
    return xr.Dataset({name: known[name] for name in (*names, "land")}, coordinates, attributes)


def positions_of(item: int) -> list[int]:
    """Six items of five or six steps each; two share every year, one between the steps of the other."""
    first, is_odd = item // 2 * 12, item % 2
    return list(range(first, first + 12))[::-1][is_odd::2]


def expected(item: int, version: int) -> xr.Dataset:
    return steps(positions_of(item), version, ("t", "n", "p") if item != 3 else ("t", "n"), history=f"{item} {version}")


@pytest.mark.parametrize("seed", range(2))
def test_bytes_are_those_of_a_build_from_scratch(tmp_path, seed):
    """Random additions, corrections and removals; years without a change are linked."""
    random = np.random.default_rng(seed)
    bench = Bench(NetCDFYearsSink(str(tmp_path / "out"), encoding={"p": {"chunksizes": {"time": 2}}}), tmp_path)
    held: dict[int, int] = {}
    previous = None
    for number in range(3):
        wanted = {i: held.get(i, 0) + (random.random() < 0.3) for i in range(6) if random.random() < 0.75} or {0: 1}
        changed = {i for i, version in wanted.items() if held.get(i) != version}
        found = []
        for parts, before in ((changed, previous), (set(wanted), None)):
            items = [
                MergeItem(n, f"k{i}", None, f"{v}", bench.part(expected(i, v)) if i in parts else None)
                for n, (i, v) in enumerate(wanted.items())
            ]
            found.append(tmp_path / f"{number}-{len(found)}")
            bench.sink.merge_items(items, before and str(before), str(found[-1]))
        assert tree(found[0]) == tree(found[1])
        require_values(found[0], wanted)
        if previous is not None:
            require_links(previous, held, found[0], wanted)
        held, previous = wanted, found[0]


def require_values(folder, wanted):
    """What xarray makes of all items is in the files; a file has the steps of its year alone."""
    items = [expected(i, v).sortby("time") for i, v in wanted.items()]
    fields = [item.drop_vars("land") for item in items]
    whole = xr.concat(fields, "time", combine_attrs="drop_conflicts", join="outer").sortby("time")
    whole = whole.assign(land=items[0]["land"])
    for path in folder.glob("*.nc"):
        with xr.open_dataset(path) as found:
            of_year = whole.sel(time=path.stem)
            assert found["time"].values.tolist() == of_year["time"].values.tolist()
            assert found["n"].dtype == np.int16
            assert found["t"].attrs["units"] == "K"
            for name in set(found.data_vars):
                np.testing.assert_array_equal(found[name].values, of_year[name].transpose(*found[name].dims).values)
    assert sum(xr.open_dataset(path).sizes["time"] for path in folder.glob("*.nc")) == whole.sizes["time"]


def require_links(before, held, after, wanted):
    """A year whose items did not change is the same file."""
    for year in ("2000", "2001", "2002", "2003"):
        of_year = {i for i in range(6) if year in STEPS[positions_of(i)].astype("M8[Y]").astype(str)}
        items = [{i: v for i, v in known.items() if i in of_year} for known in (held, wanted)]
        if items[0] and items[0] == items[1]:
            assert (before / f"{year}.nc").stat().st_ino == (after / f"{year}.nc").stat().st_ino


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (steps([3, 4]), r"2001\.nc: 'a' and 'b' both give 't' at 2001-01-30T00:00:00: leave"),
        (steps([4]).isel(lon=slice(4)), r"'a' and 'b' do not go together.*'lon' has the length 6, and 4"),
        (steps([4]).assign_coords(lat=LATITUDES + 1), "'lat' has other values"),
        (steps([4]).assign(t=steps([4])["t"].assign_attrs(units="C")), "units of 't' is 'K', and 'C'"),
        (steps([4]).assign(t=steps([4])["t"].astype("f8")), "'t' has dtype '<f4', and '<f8'"),
        (steps([4], names=("t",)), "'n' is not there at 2001-03-01T00:00:00, which other variables have"),
        (steps([4]).convert_calendar("noleap"), "calendar of 'time' is 'standard', and 'noleap'"),
    ],
)
def test_items_that_do_not_go_together_are_both_named(tmp_path, second, message):
    """Nothing is published where two items contradict each other in one file."""
    bench = Bench(NetCDFYearsSink(str(tmp_path / "out")), tmp_path)
    with pytest.raises(MergeError, match=message):
        bench.publish("merged", {"a": bench.part(steps([2, 3])), "b": bench.part(second)})


def test_variables_of_several_items_share_a_file(tmp_path):
    """A file per variable: coordinates are the same, attributes that differ are left out."""
    bench = Bench(NetCDFYearsSink(str(tmp_path / "out")), tmp_path)
    one, other = steps([3, 4], names=("t",), history="a", title="x"), steps([3], names=("p",), history="b")
    with xr.open_dataset(bench.publish("merged", {"a": bench.part(one), "b": bench.part(other)}) / "2001.nc") as found:
        assert found.attrs == {"Conventions": "CF-1.11", "title": "x"}
        np.testing.assert_array_equal(found["t"].values, one["t"].values)
        np.testing.assert_array_equal(found["p"].values[:, 0], other["p"].values[:, 0])
        assert np.isnan(found["p"].values[:, 1]).all()


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian"])
def test_years_are_those_of_the_calendar(tmp_path, write_netcdf, calendar):
    """The last and the first step of a year lie in its file, bounds with them, in any calendar."""
    length = 360 if calendar == "360_day" else 365
    days = np.array([0, length - 0.25, length, 2 * length - 0.25])
    time = (("time",), days, {"units": "days since 1501-01-01", "calendar": calendar, "bounds": "b"})
    write_netcdf({"time": time, "b": (("time", "nv"), np.stack([days, days], 1), {}), "t": (("time",), days, {})})
    bench = Bench(NetCDFYearsSink(str(tmp_path / "out")), tmp_path)
    bench.publish("years", {"a": bench.part(*NetCDFSource(str(tmp_path))[0])})
    for year, wanted in (("1501", days[:2]), ("1502", days[2:])):
        with xr.open_dataset(tmp_path / f"years/{year}.nc") as found:
            assert found["time"].dt.year.values.tolist() == [int(year)] * 2
            assert found["time"].dt.calendar == calendar
            np.testing.assert_array_equal(found["t"].values, wanted)
            np.testing.assert_array_equal(found["b"].values[:, 1], found["time"].values)


def run(tmp_path, pattern, **options):
    sink = NetCDFYearsSink(str(tmp_path / "years"))
    pipeline = NetCDFSource(str(tmp_path), pattern).write(sink)
    return run_pipeline(
        pipeline.with_settings(resume=True, db_file=tmp_path / "run.db"), gather=True, progress=False, **options
    )


def test_a_pipeline_with_several_processes_and_a_correction(tmp_path):
    """Another backend gives the same files; after a correction the other years are the same ones."""
    found = []
    for folder, options in (("a", {}), ("b", {"backend": "process_pool", "n_jobs": 2})):
        root = tmp_path / folder
        root.mkdir()
        for item in range(6):
            expected(item, 0).to_netcdf(root / f"{item}.nc")
        run(root, "?.nc", **options)
        found.append(root)
    files = [{n: b for n, b in tree(root / "years").items() if n.endswith(".nc")} for root in found]
    assert files[0] == files[1]
    before = {path.name: path.stat().st_ino for path in (found[1] / "years").glob("*.nc")}
    expected(5, 1).to_netcdf(found[1] / "5.nc")
    run(found[1], "?.nc")
    after = {path.name: path.stat().st_ino for path in (found[1] / "years").glob("*.nc")}
    assert before["2000.nc"] == after["2000.nc"]
    assert before["2001.nc"] == after["2001.nc"]
    assert before["2003.nc"] != after["2003.nc"]
    require_values(found[1] / "years", dict.fromkeys(range(5), 0) | {5: 1})
    assert not verify_dataset(found[1] / "years")
    with open_dataset(found[1] / "years") as opened:
        assert opened.sizes["time"] == 36
    with pytest.raises(ComponentError, match="whose numbers are not counted"):
        list(count_nonfinite(found[1] / "years"))
    (found[1] / "years/2001.nc").write_bytes(b"")
    assert "bytes of" in str(verify_dataset(found[1] / "years")[0])


def test_what_has_no_year_fails(tmp_path):
    """No time, one that is missing or there twice, an encoding of nothing: each is said."""
    sink = NetCDFYearsSink(str(tmp_path / "out"))
    for dataset, message in (
        (steps([1]).isel(time=0), "needs one dimension of time, and the item has none"),
        (steps([1]).assign(t=steps([1])["t"].assign_attrs({"a/b": 1})), "NetCDF cannot write it"),
        (steps([1, 1]), "the time 2000-12-01T00:00:00 twice"),
        (steps([1, 2]).assign_coords(time=np.array(["NaT", "2001-01-01"], "M8[us]")), "A time is missing"),
    ):
        with pytest.raises(ComponentError, match=message):
            sink(iter([dataset]), 0)
    bench = Bench(NetCDFYearsSink(str(tmp_path / "out"), encoding={"q": {"dtype": "f4"}}), tmp_path)
    with pytest.raises(MergeError, match="No item has 'q', of which encoding speaks"):
        bench.publish("merged", {"a": bench.part(steps([1]))})
    with pytest.raises(ConfigError, match="compression_level"):
        NetCDFYearsSink("a", compression_level=10)
    with pytest.raises(ConfigError, match="name of a folder"):
        NetCDFYearsSink(str(tmp_path / "a.nc")).check()
    pipeline = NetCDFSource(str(tmp_path)).write(sink)
    pipeline.save(tmp_path / "pipeline.yaml")
    assert "netcdf_years" in (tmp_path / "pipeline.yaml").read_text()
    assert Pipeline.load(tmp_path / "pipeline.yaml").config_hash == pipeline.config_hash
