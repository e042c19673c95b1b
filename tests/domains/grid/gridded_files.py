"""NetCDF files of steps on one grid, written in many ways, and what netCDF4 reads of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

N_SLOTS = 12
HOURS = 6
LATITUDES = np.array([60.0, 0.0])
LONGITUDES = np.array([0.0, 120.0, 240.0])
LEVELS = np.array([850, 500], np.int32)
DIMS = {"t": ("lat", "lon"), "u": ("level", "lat", "lon"), "n": (), "p": ("lat", "lon")}
UNITS = (
    ("hours since 2020-01-01", "f8", 1.0),
    ("days since 2019-12-31", "f8", 1 / 24),
    ("seconds since 2020-01-01", "i4", 3600.0),
    ("minutes since 2020-01-01 00:00", "i4", 60.0),
)
ABSENT = {"n": np.iinfo(np.int32).min}


@dataclass(frozen=True)
class Steps:
    """What a file has."""

    slots: tuple[int, ...]
    names: tuple[str, ...]
    seed: int = 0
    """Decides the values, and how they are written."""
    is_plain: bool = False
    """Written as the dataset has it."""
    is_broken: bool = False

    def corrected(self, seed: int) -> Steps:
        """The same steps with other values."""
        return replace(self, seed=seed, is_broken=False)


def write(path: Path, steps: Steps) -> None:
    """Write a file, which appears under its name when it is whole."""
    partial = path.with_suffix(".new")
    if steps.is_broken:
        partial.write_bytes(b"CDF\x01 broken %d" % steps.seed)
    else:
        random = np.random.default_rng([steps.seed, *steps.slots])
        form = str(random.choice(["NETCDF3_CLASSIC", "NETCDF4"], p=[0.8, 0.2]))
        with netCDF4.Dataset(partial, "w", format=form) as file:
            _write(file, steps, random)
    partial.replace(path)


def _write(file: Any, steps: Steps, random: np.random.Generator) -> None:
    is_turned, is_rolled, is_late_first = random.random(3) < (0 if steps.is_plain else 0.3)
    latitudes = LATITUDES[::-1] if is_turned else LATITUDES
    longitudes = np.where(LONGITUDES >= 180, LONGITUDES - 360, LONGITUDES) if is_rolled else LONGITUDES
    levels = LEVELS if steps.is_plain or random.random() < 0.7 else random.permutation(LEVELS)[: random.integers(1, 3)]
    slots = np.array(steps.slots)[:: -1 if is_late_first else 1]
    unit, kind, factor = UNITS[0 if steps.is_plain else random.integers(len(UNITS))]
    start = 24 if "12-31" in unit else 0
    axes = {
        "time": (kind, (slots * HOURS + start) * factor, {"units": unit, "calendar": "standard"}),
        "level": ("i4", levels, {"units": "hPa", "positive": "down"}),
        "lat": ("f4", latitudes, {"units": "degrees_north"}),
        "lon": ("f8", longitudes, {"units": "degrees_east"}),
    }
    for name, (dtype, values, attributes) in axes.items():
        file.createDimension(name, None if name == "time" else len(values))
        file.createVariable(name, dtype, (name,)).setncatts(attributes)
        file[name][:] = np.rint(values) if dtype == "i4" else values
    for name in steps.names:
        shape = len(slots), *(len(axes[dim][1]) for dim in DIMS[name])
        _write_field(file, name, random.integers(-500, 500, shape), random, is_plain=steps.is_plain)


def _write_field(file: Any, name: str, counts: Any, random: np.random.Generator, *, is_plain: bool) -> None:
    dims = ("time", *DIMS[name])
    if name == "n":
        file.createVariable(name, "i4", dims)[:] = counts
        return
    is_packed = name == "t" and not is_plain and random.random() < 0.5
    kind = "i2" if is_packed else "f8" if name == "p" else "f4"
    variable = file.createVariable(name, kind, dims, fill_value=-9999)
    variable.units = "K"
    if is_packed:
        variable.scale_factor, variable.add_offset = np.float32(0.25), np.float32(256)
    if name == "t" and not is_plain and random.random() < 0.2:
        variable.GRIB_expver = "0005"
    variable[:] = np.ma.masked_where(random.random(counts.shape) < 0.1, 256 + 0.25 * counts)


def cells(path: Path) -> Iterator[tuple[int, str, Any, int, bool]]:
    """By slot and variable: values as the dataset has them, how many, and whether they are provisional."""
    with netCDF4.Dataset(path) as file:
        time = file["time"]
        dates = netCDF4.num2date(time[:], time.units, time.calendar, only_use_cftime_datetimes=False)
        seconds = [(date - type(date)(2020, 1, 1)).total_seconds() for date in dates]
        slots = [round(s / 3600 / HOURS) for s in seconds]
        places = {
            "level": _places(file["level"][:], LEVELS),
            "lat": _places(file["lat"][:], LATITUDES),
            "lon": _places(np.mod(file["lon"][:], 360), LONGITUDES),
        }
        for name in (name for name in DIMS if name in file.variables):
            found = file[name][:]
            is_late = "GRIB_expver" in file[name].ncattrs()
            for row, slot in zip(np.ma.filled(found, np.nan) if name != "n" else found, slots, strict=True):
                yield slot, name, _placed(np.asarray(row), [places[dim] for dim in DIMS[name]], name), row.size, is_late


def _places(values: Sequence[float], held: Any) -> list[int]:
    return [int(np.abs(held - value).argmin()) for value in values]


def _placed(row: Any, places: list[list[int]], name: str) -> Any:
    if not places:
        return row
    shape = [len({"level": LEVELS, "lat": LATITUDES, "lon": LONGITUDES}[dim]) for dim in DIMS[name]]
    found = np.full(shape, np.nan, row.dtype)
    found[np.ix_(*places)] = row
    return found
