"""Example data: made-up weather, as NetCDF files of the surface and GRIB files of pressure levels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

import eccodes
import netCDF4
import numpy as np
import numpy.typing as npt

from curator_core.storage.atomic import published
from curator_core.storage.disk import make_folder

HOURS: Final = (0, 6, 12, 18)
"""Steps of a day."""
_LATITUDES: Final = np.linspace(90.0, -90.0, 37)
_LONGITUDES: Final = np.arange(0.0, 360.0, 5.0)
_LEVELS_HPA: Final[Mapping[int, tuple[float, float]]] = {850: (14_300.0, 281.0), 500: (54_500.0, 258.0)}
"""Geopotential (m2 s-2) and temperature (K) at 45° of each level."""
_EPOCH: Final = date(2000, 1, 1)
_WAVES: Final = ((0, 410.0, 300.0), (1, 290.0, 700.0), (3, 170.0, 500.0), (5, 110.0, 900.0), (6, 70.0, 600.0))
"""Number around the globe, period in hours, and amplitude in m2 s-2 of each wave."""
_PACKING: Final = {"t2m": (0.01, 0.0), "msl": (0.01, 1000.0)}
_ATTRIBUTES: Final = {
    "t2m": {"units": "degC", "long_name": "2 metre temperature", "standard_name": "air_temperature"},
    "msl": {"units": "hPa", "long_name": "mean sea level pressure", "standard_name": "air_pressure_at_mean_sea_level"},
}
_AXES: Final = {
    "latitude": (_LATITUDES, {"units": "degrees_north", "standard_name": "latitude"}),
    "longitude": (_LONGITUDES, {"units": "degrees_east", "standard_name": "longitude"}),
}

Field = npt.NDArray[np.float64]


def write_netcdf_day(
    folder: str | Path, day: date, *, calendar: str = "standard", warmer: float = 0.0, name: str | None = None
) -> Path:
    """Write a day of 2 metre temperature (°C) and mean sea level pressure (hPa), four steps, packed in 16 bits.

    Parameters
    ----------
    folder
        Folder to write to; created when missing. A file of that name is replaced.
    day
        The day, which decides about all values.
    calendar
        Calendar of the file's times.
    warmer
        What is added to the temperature, K.
    name
        Name of the file; ``2021-01-31.nc`` and the like by default.

    Returns
    -------
    Path
        The file, on a grid of 5°.
    """
    fields = [surface_fields(_hours_since_epoch(day) + hour) for hour in HOURS]
    make_folder(Path(folder))
    target = Path(folder) / (name or f"{day.isoformat()}.nc")
    with published(target) as temporary, netCDF4.Dataset(temporary, "w") as file:
        file.title = "Made-up weather"
        file.createDimension("time", len(HOURS))
        time = file.createVariable("time", "i4", ("time",))
        time.setncatts({"units": f"hours since {day.isoformat()}", "calendar": calendar, "standard_name": "time"})
        time[:] = HOURS
        for axis, (values, attributes) in _AXES.items():
            file.createDimension(axis, len(values))
            file.createVariable(axis, "f4", (axis,))[:] = values
            file[axis].setncatts(attributes)
        for variable, (scale, offset) in _PACKING.items():
            packed = file.createVariable(variable, "i2", ("time", *_AXES), fill_value=-32768, zlib=True, complevel=1)
            packed.setncatts({"scale_factor": scale, "add_offset": offset, **_ATTRIBUTES[variable]})
            packed[:] = np.stack([field[variable] for field in fields]) + (warmer if variable == "t2m" else 0.0)
    return target


def write_grib_day(folder: str | Path, day: date) -> Path:
    """Write a day of geopotential, temperature and wind at 850 and 500 hPa, 32 messages of GRIB 2, packed in 16 bits.

    Parameters
    ----------
    folder
        Folder to write to; created when missing. A file of that name is replaced.
    day
        The day, which decides about all values, and names the file, such as ``2021-01-31.grib``.

    Returns
    -------
    Path
        The file, on a grid of 5°.
    """
    make_folder(Path(folder))
    target = Path(folder) / f"{day.isoformat()}.grib"
    sample = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
    keys: dict[str, int | float] = {"Ni": len(_LONGITUDES), "Nj": len(_LATITUDES)}
    keys |= {"dataDate": int(day.strftime("%Y%m%d")), "bitsPerValue": 16}
    keys |= {"latitudeOfFirstGridPointInDegrees": 90.0, "latitudeOfLastGridPointInDegrees": -90.0}
    keys |= {"longitudeOfFirstGridPointInDegrees": 0.0, "longitudeOfLastGridPointInDegrees": 355.0}
    keys |= {"iDirectionIncrementInDegrees": 5.0, "jDirectionIncrementInDegrees": 5.0}
    try:
        for key, value in keys.items():
            eccodes.codes_set(sample, key, value)
        with published(target) as temporary, Path(temporary).open("wb") as file:
            for hour in HOURS:
                for level in _LEVELS_HPA:
                    for name, values in level_fields(_hours_since_epoch(day) + hour, level).items():
                        for key, own in {"dataTime": hour * 100, "level": level, "shortName": name}.items():
                            eccodes.codes_set(sample, key, own)
                        eccodes.codes_set_values(sample, values.ravel())
                        eccodes.codes_write(sample, file)
    finally:
        eccodes.codes_release(sample)
    return target


def surface_fields(hours: float) -> dict[str, Field]:
    """Temperature (°C) and pressure (hPa), ``(37, 72)``, at a time in hours since 2000: ``t2m``, ``msl``."""
    waves, latitude, longitude = _waves(hours), np.radians(_LATITUDES)[:, None], np.radians(_LONGITUDES)[None]
    season = np.cos(2 * np.pi * (hours / 24 - 196) / 365.25)  # warmest in the north in the middle of July
    local = 2 * np.pi * hours / 24 + longitude
    day = -4.0 * np.cos(local - np.pi / 6) * np.cos(latitude)  # warmest at 14 h
    t2m = 27.0 - 48.0 * np.sin(latitude) ** 2 + 9.0 * season * np.sin(latitude) + day + waves / 250.0
    return {"t2m": t2m, "msl": 1013.0 + 4.0 * np.cos(4 * latitude) + waves / 120.0}


def level_fields(hours: float, level: int) -> dict[str, Field]:
    """Geopotential (m2 s-2), temperature (K), wind (m s-1), ``(37, 72)``, of a level (hPa): ``z``, ``t``, ``u``, ``v``.

    The wind is that of the geopotential's gradient on a rotating Earth (the geostrophic wind), with the rotation of 20°
    nearer to the equator.
    """
    z_45, t_45 = _LEVELS_HPA[level]
    latitude = np.radians(_LATITUDES)[:, None]
    slope = 0.5 - np.sin(latitude) ** 2
    z = z_45 + (2500.0 if level > 700 else 6000.0) * slope + _waves(hours - level / 100)  # noqa: PLR2004 - lower ones lag
    t = t_45 + 30.0 * slope + _waves(hours - level / 100 + 6) / 300.0
    radius_m, rotation = (
        6.371e6,
        2 * 7.292e-5 * np.sin(np.maximum(np.abs(latitude), np.radians(20))) * np.sign(latitude + 1e-9),
    )
    dz_dy = np.gradient(z, latitude[:, 0], axis=0) / radius_m
    padded = np.concatenate([z[:, -1:], z, z[:, :1]], axis=1)
    dz_dx = (padded[:, 2:] - padded[:, :-2]) / (2 * np.radians(5.0) * radius_m * np.maximum(np.cos(latitude), 0.1))
    return {"z": z, "t": t, "u": -dz_dy / rotation, "v": dz_dx / rotation}


def _waves(hours: float) -> Field:
    """Sum of waves, which travel, in m2 s-2, ``(37, 72)``: strongest at 45°, none at the poles and the equator."""
    latitude, longitude = np.radians(_LATITUDES)[:, None], np.radians(_LONGITUDES)[None]
    shape = np.sin(2 * latitude) ** 2
    waves = [
        amplitude * np.cos(number * longitude - 2 * np.pi * hours / period + number * latitude / 2)
        for number, period, amplitude in _WAVES
    ]
    return np.asarray(shape * np.sum(waves, axis=0))


def _hours_since_epoch(day: date) -> float:
    return 24.0 * (day - _EPOCH).days
