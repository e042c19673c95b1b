"""Amounts and rates of accumulations, in NetCDF and GRIB."""

from __future__ import annotations

import eccodes
import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import DeaccumulationFilter, GRIBSource, NetCDFSource
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.test_grib import message
from tests.filters.grids import through

HOUR = 3_600_000_000
AMOUNTS = np.random.default_rng(3).random((6, 2)).astype(np.float32)


def sums(bounds, amounts=AMOUNTS, **attributes):
    """A dataset of sums over periods in hours, of what falls in each hour from the first on."""
    bounds = np.array(bounds, np.int64)
    first = bounds.min()
    values = np.stack([amounts[start - first : end - first].sum(axis=0) for start, end in bounds])
    dated = {"units": "microseconds since 1970-01-01", "calendar": "standard"}
    about = {"units": "m", "cell_methods": "time: sum", **attributes}
    coordinates = {
        "time": ("time", bounds[:, 1] * HOUR, {**dated, "bounds": "time_bnds"}),
        "time_bnds": (("time", "nv"), bounds * HOUR, dated),
    }
    return xr.Dataset({"tp": (("time", "x"), values, about)}, coordinates)


def amounts_of(given, **options):
    """What the filter makes of a dataset."""
    (found,) = through(DeaccumulationFilter(["tp"], clamp=1e-6, **options), given)
    return found


def test_sums_since_a_start_become_amounts():
    """With their bounds; the sum of a first step is whole by itself."""
    found = amounts_of(sums([(0, n) for n in range(1, 7)]))
    np.testing.assert_allclose(found["tp"].values, AMOUNTS, atol=1e-6)
    assert found["tp"].dtype == np.float32
    assert (found["time_bnds"].values // HOUR).tolist() == [[n, n + 1] for n in range(6)]
    assert found["tp"].attrs == {"units": "m", "cell_methods": "time: sum"}


def test_accumulation_that_begins_anew():
    """As the bounds say: in the middle, after a step that is missing, and where there was none before."""
    found = amounts_of(sums([(0, 1), (0, 3), (3, 4), (3, 5), (5, 6)]))
    expected = [AMOUNTS[0], AMOUNTS[1:3].sum(axis=0), AMOUNTS[3], AMOUNTS[4], AMOUNTS[5]]
    np.testing.assert_allclose(found["tp"].values, expected, atol=1e-6)
    assert (found["time_bnds"].values // HOUR).tolist() == [[0, 1], [1, 3], [3, 4], [4, 5], [5, 6]]


def test_amounts_stay_and_an_empty_period_has_none():
    """Nothing is subtracted from what is an amount already."""
    hourly = sums([(n, n + 1) for n in range(6)])
    np.testing.assert_array_equal(amounts_of(hourly)["tp"].values, hourly["tp"].values)
    found = amounts_of(sums([(0, 0), (0, 1), (0, 2)]))
    assert np.isnan(found["tp"].values[0]).all()
    np.testing.assert_allclose(found["tp"].values[1:], AMOUNTS[:2], atol=1e-6)


def test_rates():
    """Per second, in the unit and with the standard name of one."""
    name = "integral_wrt_time_of_surface_net_downward_shortwave_flux"
    given = sums([(0, n) for n in range(1, 7)], units="J m**-2", standard_name=name)
    found = amounts_of(given, result="rate")["tp"]
    np.testing.assert_allclose(found.values, AMOUNTS / 3600, atol=1e-9)
    assert found.attrs == {
        "units": "W m-2",
        "standard_name": "surface_net_downward_shortwave_flux",
        "cell_methods": "time: mean",
    }


def test_starts_that_were_declared():
    """Sums since midnight without a bound, as of ERA5-Land: that of midnight is the day's."""
    hours = np.arange(22, 28)
    given = sums([(0, 1)]).drop_vars("time_bnds").isel(time=np.zeros(6, int))
    falls = np.arange(1.0, 28.0)
    values = [falls[:n].sum() if n <= 24 else falls[24:n].sum() for n in hours.tolist()]
    about = {key: value for key, value in given["time"].attrs.items() if key != "bounds"}
    given = given.assign_coords(time=("time", hours * HOUR, about))
    given["tp"] = (("time", "x"), np.stack([values, values], 1), {"units": "m"})
    with pytest.raises(ComponentError, match="neither cell_methods nor GRIB_stepType"):
        amounts_of(given)
    with pytest.raises(ComponentError, match=r"its step 0 along 'time' holds 22 h, and the step before it is not in"):
        amounts_of(given, since="24h")
    with pytest.raises(ComponentError, match=r"its step 0 along 'time' holds 24 h"):
        amounts_of(given.isel(time=slice(2, None)), since="24h")
    day = given.isel(time=slice(3, None))
    np.testing.assert_allclose(amounts_of(day, since="24h")["tp"].values[:, 0], falls[24:27])
    assert (amounts_of(day, since="24h")["time_bnds"].values // HOUR).tolist() == [[24, 25], [25, 26], [26, 27]]


def test_what_falls_fails_by_name():
    """Beyond what packing loses, or more often than allowed; what may be negative is said."""
    given = sums([(0, n) for n in range(1, 7)])
    given["tp"].values[4, 1] = given["tp"].values[3, 1] - 0.5
    with pytest.raises(ComponentError, match=r"'tp' falls by 0\.5 from step 3 to 4 along 'time', more than clamp"):
        amounts_of(given)
    assert amounts_of(given, signed=["tp"])["tp"].values[4, 1] == pytest.approx(-0.5)
    (found,) = through(DeaccumulationFilter(["tp"], clamp={"tp": 0.6}, budget=0.1), given)
    assert found["tp"].values[4, 1] == 0
    with pytest.raises(ComponentError, match=r"1 of 12 amounts are negative.*share of 0\.01 that budget allows"):
        through(DeaccumulationFilter(["tp"], clamp=0.6), given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (sums([(0, 3), (1, 4)]), "overlap at step 1"),
        (sums([(0, 6)]), "holds 6 h, and the step before it is not in the item"),
        (sums([(0, 3), (0, 4), (0, 5)]), "its step 0 along 'time' holds 3 h"),
        (sums([(0, 1), (0, 2)], cell_methods="time: mean"), "it is no accumulation, but 'time: mean'"),
        (sums([(0, 1), (0, 2)]).drop_vars("time_bnds"), "nothing says when its accumulation starts"),
        (sums([(0, 1), (0, 2)]).assign(gust=("time", [1.0, 2.0], {"cell_methods": "time: maximum"})), "'gust' has"),
        (sums([(0, 1), (0, 2)]).rename(tp="rain"), "no value of the item has 'tp'"),
    ],
)
def test_nothing_is_guessed(given, message):
    """An item fails where its periods are not known, or are no sums."""
    with pytest.raises(ComponentError, match=message):
        amounts_of(given)


def test_arguments_are_checked():
    """Before anything runs."""
    for arguments in ({"fields": []}, {"fields": ["a"], "clamp": -1}, {"fields": ["a"], "signed": ["b"]}):
        with pytest.raises(ConfigError, match="deaccumulation"):
            DeaccumulationFilter(**arguments)
    with pytest.raises(ConfigError, match="a length such as '24h', not 'often'"):
        DeaccumulationFilter(["a"], since="often")


def _rain(edition, start, end, values, template=8):
    handle = eccodes.codes_new_from_message(message(edition, typeOfLevel="surface", level=0))
    if edition == 2:
        eccodes.codes_set(handle, "productDefinitionTemplateNumber", template)
        if template != 8:
            eccodes.codes_set(handle, "numberOfForecastsInEnsemble", 2)
    for key, value in {"shortName": "tp", "stepType": "accum", "stepRange": f"{start}-{end}"}.items():
        eccodes.codes_set(handle, key, value)
    if template == 12:
        eccodes.codes_set(handle, "derivedForecast", 0)
    eccodes.codes_set(handle, "bitsPerValue", 24)
    eccodes.codes_set_values(handle, values)
    content = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return content


@pytest.mark.parametrize(
    ("edition", "template", "name"), [(1, 8, "tp"), (2, 8, "tp"), (2, 11, "tp"), (2, 12, "tp_ens_mean")]
)
def test_step_ranges_of_grib(tmp_path, edition, template, name):
    """Of all templates of periods: one forecast, a member, what is derived of members. Restarts are in them, too."""
    falls = np.random.default_rng(1).random((4, 40))
    total = np.stack([falls[0], falls[:2].sum(0), falls[2], falls[2:].sum(0)])
    ranges = [(0, 3), (0, 6), (6, 9), (6, 12)]
    messages = [_rain(edition, *span, values, template) for span, values in zip(ranges, total, strict=True)]
    (tmp_path / "a.grib").write_bytes(b"".join(reversed(messages)))
    (given,) = GRIBSource(str(tmp_path))[0]
    assert (given[f"{name}_start"].values[0] // 3600).tolist() == [0, 0, 6, 6]
    step = DeaccumulationFilter([name], clamp=1e-4)
    (found,) = through(step, given)
    np.testing.assert_allclose(found[name].values.reshape(-1, 40), falls, atol=1e-5)
    assert (found[f"{name}_start"].values[0] // 3600).tolist() == [0, 3, 6, 9]
    assert found[name].attrs["cell_methods"] == "lead_time: sum"
    (tmp_path / "a.grib").write_bytes(messages[1])
    with pytest.raises(ComponentError, match="one lead time alone, and the step before it is in another item"):
        through(step, *GRIBSource(str(tmp_path))[0])


def test_lead_times_of_netcdf(write_netcdf, tmp_path):
    """Sums since the reference time, with bounds in hours; and as declared."""
    falls = np.random.default_rng(1).random((3, 2)).astype(np.float32)
    variables = {
        "forecast_reference_time": ((), 0.0, {"units": "hours since 2001-01-01"}),
        "step": (("step",), [6, 12, 24], {"units": "hours", "standard_name": "forecast_period", "bounds": "step_bnds"}),
        "step_bnds": (("step", "nv"), [[0, 6], [0, 12], [0, 24]], {}),
        "tp": (("step", "x"), falls.cumsum(axis=0), {"units": "kg m-2", "cell_methods": "step: sum"}),
    }
    write_netcdf(variables)
    (given,) = NetCDFSource(str(tmp_path))[0]
    found = amounts_of(given, result="rate")
    np.testing.assert_allclose(found["tp"].values * [[21600], [21600], [43200]], falls, rtol=1e-5)
    assert found["step_bnds"].values.tolist() == [[0, 6], [6, 12], [12, 24]]
    assert found["tp"].attrs["units"] == "kg m-2 s-1"
    del variables["step_bnds"], variables["step"][2]["bounds"]
    write_netcdf(variables)
    found = amounts_of(*NetCDFSource(str(tmp_path))[0], since="reference_time")
    np.testing.assert_allclose(found["tp"].values, falls, rtol=1e-5)
    assert found["tp_start"].values.tolist() == [0, 21600, 43200]
