"""``curator demo grid`` from a newcomer's seat: what is curated, refused, absent and corrected."""

import shutil

import netCDF4
import numpy as np
import pytest

from curator_core import gather_pipeline, open_dataset, run_pipeline
from curator_core.domains.grid import slot_status, write_grib_day, write_netcdf_day
from curator_core.domains.grid.weather import level_fields, surface_fields

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


@pytest.fixture
def weather(tmp_path, monkeypatch):
    """Input of three days, the second of which has no file of the surface, and the definitions of the demo."""
    from datetime import date

    from curator_dagster import grid_demo_definitions

    monkeypatch.chdir(tmp_path)
    for day in (1, 2, 3):
        write_grib_day("demo/grid/input/levels", date(2021, 1, day))
        if day != 2:
            write_netcdf_day("demo/grid/input/surface", date(2021, 1, day))
    write_netcdf_day("demo/grid/input/surface", date(2021, 1, 3), calendar="noleap", name="from-a-model-1.nc")
    return grid_demo_definitions


def test_the_datasets_have_the_values_of_the_files(weather):
    """Packed values in the units that are wanted, within half a step of their packing; no file is no value."""
    run_pipeline(weather.surface_pipeline(), on_error="skip", progress=False)
    gather_pipeline(weather.surface_pipeline(), max_missing=1)
    run_pipeline(weather.levels_pipeline(), gather=True, progress=False)
    surface, levels = (open_dataset(weather.weather_dataset(name)) for name in ("surface", "levels"))
    hours = 24.0 * 7671  # from 2000-01-01 to 2021-01-01
    expected = np.stack([surface_fields(hours + 6 * step)["t2m"] for step in range(12)]) + 273.15
    expected[4:8] = np.nan
    np.testing.assert_allclose(surface["t2m"], expected, atol=0.0051)
    assert surface["msl"].attrs["units"] == "Pa"
    assert (slot_status(weather.weather_dataset("surface"))["status"].values[:, 0] == [1] * 4 + [0] * 4 + [1] * 4).all()
    for n, level in enumerate(levels["isobaricInhPa"].values.tolist()):
        for name, values in level_fields(hours + 66, int(level)).items():
            found = levels[f"{name}_isobaricInhPa"].values[11, n]
            np.testing.assert_allclose(found, values, atol=np.ptp(values) / 2**15)
    assert float(np.hypot(levels["u_isobaricInhPa"], levels["v_isobaricInhPa"]).max()) < 80.0


@pytest.mark.campaign
@pytest.mark.timeout(900)  # a busy machine takes several times as long
def test_the_demo_shows_what_is_curated_refused_absent_and_corrected(tmp_path, demo_command, run_shown):
    """Exit status 0; the correction alone is processed, and is in the dataset; a second run has nothing to do."""
    words = ("grid", "--days", "6")
    done = demo_command(*words)
    shown = " ".join(done.stdout.split())
    for expected in (
        "Refreshing through Dagster: 4 up to date, 1 changed, 2 failed",
        "5 of 7 curated",
        "6 of 6 curated",
        "from-a-model-1.nc: ComponentError: grid_zarr: 'time' is in",
        "noleap",
        "360_day",
        "2021-01-04T00:00 to 2021-01-04T18:00: 4 of 24 steps have no file",
        "1 changed:",
        "curator versions list demo/grid/output/surface.zarr",
    ):
        assert expected in shown, shown
    page = (tmp_path / "demo" / "grid" / "weather_surface.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    with netCDF4.Dataset(tmp_path / "demo/grid/input/surface/2021-01-02.nc") as file:
        corrected = file["t2m"][:] + 273.15
    found = open_dataset(tmp_path / "demo" / "grid" / "output" / "surface.zarr")["t2m"].load()
    np.testing.assert_allclose(found[4:8], corrected, atol=1e-4)
    run_shown(done)

    again = demo_command(*words)
    assert again.stdout.count("Everything is up to date") == 2
    shutil.rmtree(tmp_path / "demo" / "grid" / "output")
    demo_command(*words)
    assert found.equals(open_dataset(tmp_path / "demo" / "grid" / "output" / "surface.zarr")["t2m"])
