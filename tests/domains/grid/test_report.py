"""The report of a run shows what of its dataset is there."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("xarray")
pytest.importorskip("matplotlib")

from curator_core import run_pipeline
from curator_core.domains.grid import GridZarrSink
from curator_core.errors import ComponentError
from curator_core.report import write_report
from tests.domains.grid.blocks import BlocksSource, write_block

AXES = {"time": {"start": "2020-01-01", "end": "2020-01-03T06", "frequency": "6h"}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a pipeline of ten slots, three of them a gap, to a relative path; gives the database."""
    monkeypatch.chdir(tmp_path)
    write_block(tmp_path / "in", 0, 3)
    write_block(tmp_path / "in", 5, 4)
    pipeline = BlocksSource("in").write(GridZarrSink("out/weather.zarr", AXES)).with_settings(db_file="run.db")
    run_pipeline(pipeline, gather=True, progress=False)
    return tmp_path / "run.db"


def _page(run, **options):
    write_report(run, run.with_name("page.html"), **options)
    return run.with_name("page.html").read_text(encoding="utf-8")


def test_gaps_are_on_the_page(run, tmp_path, monkeypatch):
    """A picture, and a row for each variable, also where the report is made in another folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    page = _page(run)
    assert "What is there" in page
    assert "data:image/png;base64," in page
    assert "10 steps of time" in page
    assert page.count("70.0 %") == 2


def test_a_dataset_can_be_named(run, tmp_path):
    """The default is that of the run; one that is named and not there is an error, and no page is written."""
    (tmp_path / "out" / "weather.zarr").rename(tmp_path / "moved.zarr")
    assert "What is there" not in _page(run)
    assert "10 steps of time" in _page(run, dataset=str(tmp_path / "moved.zarr"))
    run.with_name("page.html").unlink()
    with pytest.raises(ComponentError, match="no dataset of slots"):
        _page(run, dataset=str(tmp_path / "in"))
    assert not run.with_name("page.html").exists()


def test_a_damaged_dataset_is_said(run, tmp_path):
    """The rest of the page is there."""
    path = tmp_path / "out" / "weather.zarr" / "zarr.json"
    root = json.loads(path.read_text())
    root["attributes"]["format_version"] = 99
    path.write_text(json.dumps(root))
    page = _page(run)
    assert "cannot be read" in page
    assert "format version 99" in page
    assert "Where the time goes" in page


def test_the_page_has_a_map_and_the_mean_over_time(run):
    """Of a dataset of grids; the steps that are not there are a gap."""
    page = _page(run)
    assert "What it looks like" in page
    assert page.count("data:image/png;base64,") == 2


@pytest.mark.parametrize("dims", [("time", "level", "lat", "lon"), ("time", "values"), ("step", "y", "x")])
def test_fields_on_any_grid_are_drawn(dims):
    """Levels, points without a grid, projected grids without coordinates; what has no values, too."""
    import numpy as np
    import xarray as xr

    from curator_core.report import draw_fields

    sizes = {"time": 3, "step": 3, "level": 2, "lat": 4, "lon": 5, "y": 4, "x": 5, "values": 7}
    shape = tuple(sizes[dim] for dim in dims)
    data = np.arange(np.prod(shape), dtype=float).reshape(shape)
    data[-1] = np.nan
    fields = {"t": (dims, data), "absent": (dims, np.full(shape, np.nan)), "flag": ((dims[0],), np.zeros(3))}
    dataset = xr.Dataset(fields, {"lat": np.linspace(60, 30, 4), "level": ("level", [850.0, 500.0], {"units": "hPa"})})
    assert draw_fields(dataset, dims[0]).startswith(b"\x89PNG")
    assert draw_fields(dataset[["flag"]], dims[0]) is None


def test_a_map_is_of_what_is_there():
    """The last step that has values, and of it the first level that does; times may be of any calendar."""
    import numpy as np
    import xarray as xr

    from curator_core.report.fields_plot import draw_fields, last_there

    data = np.full((3, 2, 4, 5), np.nan)
    data[1, 1] = 7.0
    times = xr.date_range("2001-02-29", periods=3, calendar="360_day", use_cftime=True)
    dataset = xr.Dataset({"v": (("time", "level", "y", "x"), data)}, {"time": times, "level": [400.0, 500.0]})
    field, last = last_there(dataset["v"], "time")
    assert float(field["level"]) == float(last["level"]) == 500.0
    assert last["time"].item() == times[1]
    assert draw_fields(dataset).startswith(b"\x89PNG")
    points = xr.Dataset({"v": (("time", "values"), np.ones((1, 6)))}, {"latitude": ("values", np.arange(6.0))})
    points = points.assign_coords(longitude=("values", np.arange(6.0), {"units": "degrees_east"}))
    points["latitude"].attrs["units"] = "degrees_north"
    assert draw_fields(points).startswith(b"\x89PNG")


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"junk"), lambda file: file.unlink()])
def test_damage_is_on_the_page(run, tmp_path, damage):
    """In place of the picture; the rest of the page is there."""
    files = [file for file in (tmp_path / "out/weather.zarr/t/c").rglob("*") if file.is_file()]
    assert files
    for file in files:
        damage(file)
    page = _page(run)
    assert "It cannot be drawn: " in page
    assert "10 steps of time" in page
