"""Filter that adds fields of the place and time of every value, for models to learn from.

References
----------
J. W. Spencer, Fourier series representation of the position of the sun, Search 2, 172 (1971): declination, and the
equation of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.grid_filter import GridFilter
from curator_core.domains.grid.operations.horizontal import Floats, Grid, required_grids
from curator_core.domains.grid.operations.periods import times_of
from curator_core.domains.grid.times import calendar_of, decode
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

Forcing = Literal[
    "cos_latitude",
    "sin_latitude",
    "cos_longitude",
    "sin_longitude",
    "cos_julian_day",
    "sin_julian_day",
    "cos_local_time",
    "sin_local_time",
    "insolation",
]

_DAY: Final = 86_400_000_000
_YEAR: Final = 365.25
_OF_PLACE: Final = ("latitude", "longitude")
_HOURS: Final = 24.0


class ForcingsFilter(GridFilter):
    """Adds fields that follow from latitude, longitude and time, as float32.

    Cosine and sine of latitude and longitude; of the day of the year, from 0 on 1 January, in 365.25 days; of the local
    solar time, in 24 hours; and ``insolation``, the cosine of the zenith angle of the sun, 0 at night.

    Parameters
    ----------
    forcings
        Names of those that are added.

    Raises
    ------
    ConfigError
        None is named, or one twice.
    """

    name: ClassVar[str] = "forcings"
    description: ClassVar[str] = "Fields of place and time: latitude, longitude, day of the year, insolation"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, forcings: Sequence[Forcing]) -> None:
        if not forcings or len(set(forcings)) < len(forcings):
            raise ConfigError(f"{self.name}: forcings must name fields, each once, got {list(forcings)!r}.")
        self._forcings = tuple(forcings)

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        taken = [name for name in self._forcings if name in dataset.variables]
        if taken:
            raise FieldError(f"it has a field {taken[0]!r} already")
        made: dict[str, xr.Variable] = {}
        for name in self._forcings:
            function, _, what = name.partition("_")
            dims, values = self._values(dataset, what if function in ("cos", "sin") else name)
            if function in ("cos", "sin"):
                values = np.cos(values) if function == "cos" else np.sin(values)
            made[name] = variable_of(dims, values.astype(np.float32), {"units": "1", "long_name": _named(name)})
        return dataset.assign(made)

    def _values(self, dataset: xr.Dataset, what: str) -> tuple[tuple[str, ...], Floats]:
        """Angles, radians, or the insolation, and their dimensions."""
        if what in _OF_PLACE:
            grid, latitudes, longitudes = _places(dataset)
            return grid.dims, np.radians(latitudes if what == "latitude" else longitudes)
        dim, days, hours = _moments(dataset)
        if what == "julian_day":
            return (dim,), 2 * np.pi * days / _YEAR
        grid, latitudes, longitudes = _places(dataset)
        expand = (slice(None), *[None] * latitudes.ndim)
        if what == "local_time":
            local = (hours[expand] + longitudes[None] / 360 * _HOURS) % _HOURS
            return (dim, *grid.dims), 2 * np.pi * local / _HOURS
        return (dim, *grid.dims), insolation(days[expand], hours[expand], latitudes[None], longitudes[None])


def insolation(days: Any, hours: Any, latitudes: Any, longitudes: Any) -> Floats:  # noqa: ANN401 - arrays
    """Cosine of the zenith angle of the sun, 0 where it has set.

    Parameters
    ----------
    days
        Since the begin of the year, with their fraction.
    hours
        Of the day, UTC.
    latitudes, longitudes
        Degrees.
    """
    turn = 2 * np.pi * days / 365
    declination = (
        0.006918
        - 0.399912 * np.cos(turn)
        + 0.070257 * np.sin(turn)
        - 0.006758 * np.cos(2 * turn)
        + 0.000907 * np.sin(2 * turn)
        - 0.002697 * np.cos(3 * turn)
        + 0.00148 * np.sin(3 * turn)
    )
    late = (
        0.000075
        + 0.001868 * np.cos(turn)
        - 0.032077 * np.sin(turn)
        - 0.014615 * np.cos(2 * turn)
        - 0.040849 * np.sin(2 * turn)
    )
    angle = 2 * np.pi * (hours / _HOURS - 0.5) + np.radians(longitudes) + late
    phi = np.radians(latitudes)
    found = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    return np.asarray(np.clip(found, 0.0, None), np.float64)


def _places(dataset: xr.Dataset) -> tuple[Grid, Floats, Floats]:
    grids = list(required_grids(dataset))
    if len(grids) > 1:
        raise FieldError(f"its fields are on {len(grids)} grids: choose those of one first")
    latitudes, longitudes = grids[0].degrees(dataset)
    if grids[0].kind == "regular":
        latitudes, longitudes = np.meshgrid(latitudes, longitudes, indexing="ij")
    return grids[0], latitudes, longitudes


def _moments(dataset: xr.Dataset) -> tuple[str, Floats, Floats]:
    """The dimension of time; days since the begin of the year, and hours of the day."""
    dim, _, variable = times_of(dataset)
    calendar = calendar_of(variable.attrs.get("calendar"))
    instants = np.asarray(variable.values, np.int64)
    hours = (instants % _DAY) / _DAY * _HOURS
    days = np.array([date.timetuple().tm_yday - 1 for date in np.atleast_1d(decode(instants, calendar))], np.float64)
    return dim, days + hours / _HOURS, hours


def _named(name: str) -> str:
    words = name.replace("_", " ").replace("julian day", "day of the year").split(" ", 1)
    full = {"cos": "cosine of", "sin": "sine of"}.get(words[0])
    return "cosine of solar zenith angle, 0 at night" if full is None else f"{full} {words[1]}"
