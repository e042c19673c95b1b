"""Values outside a mask, of the item or of a file, whose content counts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from curator_core import Pipeline, run_pipeline
from curator_core.domains.grid import CropFilter, MaskFilter, NetCDFSink, NetCDFSource
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import curved, regular, through


@pytest.fixture
def land(tmp_path):
    """A mask in a file: half of the globe, counted from -180, from south to north, with a time of its own."""
    grid = regular(start=-180.0, descending=False)
    east = np.broadcast_to(grid["lon"].values > 0, (1, 6, 12)).astype("i1")
    coordinates = {name: grid[name].variable for name in ("lat", "lon", "lon_bnds")}
    xr.Dataset({"land": (("step", "lat", "lon"), east)}, coordinates).to_netcdf(tmp_path / "land.nc")
    return tmp_path / "land.nc"


def test_a_mask_of_a_file_lies_on_the_points_of_the_field(land):
    """Whatever their order; it may have more of them."""
    given = regular(dtype="i4")
    (found,) = through(MaskFilter("land", str(land)), given)
    expected = given["t"].where((given["lon"] > 0) & (given["lon"] < 180))
    np.testing.assert_array_equal(found["t"], expected)
    assert (found["t"].dtype, found["t"].attrs) == (np.float64, {"units": "K", "cell_methods": "time: mean"})
    (cut,) = through(CropFilter([0, 60], [-60, 60]), given)
    (found,) = through(MaskFilter("land", str(land)), cut)
    assert np.isnan(found["t"].values[0, 0]).tolist() == [True, True, True, False, False]
    with pytest.raises(ComponentError, match=r"'lat' 87.5 is not among the points of the file"):
        through(MaskFilter("land", str(land)), regular(5.0))
    with pytest.raises(ComponentError, match="on a grid of another kind than field 't'"):
        through(MaskFilter("land", str(land)), curved())


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [False, True, True, False]),
        ({"invert": True}, [True, False, False, False]),
        ({"at_least": 2}, [False, False, True, False]),
        ({"at_most": 1}, [True, True, False, False]),
        ({"values": [0, 2]}, [True, False, True, False]),
    ],
)
def test_conditions(options, kept):
    """On a field of the item itself, which stays as it is."""
    mask = ("x", [0.0, 1.0, 2.0, np.nan])
    given = xr.Dataset({"m": mask, "t": (("y", "x"), np.ones((2, 4), "f4"))})
    (found,) = through(MaskFilter("m", **options), given)
    assert (~np.isnan(found["t"].values)).tolist() == [kept, kept]
    assert found["m"].identical(given["m"])


def test_what_cannot_be_masked(land, tmp_path):
    """Is named before the run, or fails the item."""
    given = xr.Dataset({"m": ("x", [0, 0]), "t": ("x", [1.0, 2.0]), "s": ("x", ["a", "b"])})
    with pytest.raises(ComponentError, match="field 't': the mask 'm' leaves none of its values"):
        through(MaskFilter("m", fields=["t"]), given)
    with pytest.raises(ComponentError, match=r"field 's' has values of type .*, of which none can be missing"):
        through(MaskFilter("m", at_most=0, fields=["s"]), given)
    with pytest.raises(ComponentError, match="no value of the item has 'ice'"):
        through(MaskFilter("ice"), given)
    with pytest.raises(ConfigError, match=r"mask: file: '.*none.nc' cannot be read: No such file"):
        MaskFilter("m", str(tmp_path / "none.nc")).check()
    with pytest.raises(ComponentError, match=r"mask: file: .*it has no variable 'ice'"):
        through(MaskFilter("ice", str(land)), regular())
    no_number = {"at_least": float("nan")}
    for options in ({"values": []}, {"values": [1], "at_least": 0}, {"fields": []}, {"file": "s3://a/b.nc"}, no_number):
        with pytest.raises(ConfigError):
            MaskFilter("m", **options)


def test_a_file_that_changed_processes_all_items_again(land, tmp_path):
    """By content, not by time; a worker does not go on with another file than the run began with."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        regular().to_netcdf(tmp_path / "in" / f"{name}.nc")

    def pipeline():
        source, sink = NetCDFSource(str(tmp_path / "in")), NetCDFSink(str(tmp_path / "out"))
        return Pipeline(source, [MaskFilter("land", str(land))], sink, db_file=tmp_path / "records.db", resume=True)

    run_pipeline(pipeline(), progress=False)
    first = pipeline()
    land.write_bytes(land.read_bytes())
    assert first.config_hash == pipeline().config_hash
    assert first.plan().counts() == {"up to date": 2}
    worker = pickle.loads(pickle.dumps(first.filters[0]))
    with xr.open_dataset(land) as held:
        other = (1 - held).load()
    other.to_netcdf(land)
    assert pipeline().plan().counts() == {"config changed": 2}
    with pytest.raises(ComponentError, match="changed since the run began: run again"):
        through(worker, regular())
    run_pipeline(pipeline(), progress=False)
    assert pipeline().plan().counts() == {"up to date": 2}
    (found,) = NetCDFSource(str(tmp_path / "out"))[0]
    assert np.isnan(found["t"].values[0, 0]).tolist() == [False] + 5 * [True] + 6 * [False]
