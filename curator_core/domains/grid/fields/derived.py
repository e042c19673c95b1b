"""Filter that computes a field of others.

References
----------
O. A. Alduchov, R. E. Eskridge, J. Appl. Meteor. 35, 601 (1996), equation 21: saturation vapour pressure over water,
610.94 Pa exp(17.625 t / (243.04 + t)) at t °C. M. G. Lawrence, Bull. Amer. Meteor. Soc. 86, 225 (2005), equation 8: the
dew point from it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.grid_filter import GridFilter
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

Quantity = Literal["wind_speed", "relative_humidity", "dew_point_temperature"]

_INPUTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "wind_speed": ("u", "v"),
        "relative_humidity": ("temperature", "dew_point"),
        "dew_point_temperature": ("temperature", "relative_humidity"),
    }
)
_A, _B = 17.625, 243.04
_ZERO: Final = 273.15
_KELVIN, _CELSIUS = ("K", "kelvin"), ("degC", "celsius", "Celsius", "degree_Celsius", "degrees_Celsius", "degree_C")


class DerivedFilter(GridFilter):
    """Adds a field that is computed of two others: speed of the wind, relative humidity, or the dew point.

    Humidity is that over water, by the formula of Magnus. A field that is missing makes the result missing.

    Parameters
    ----------
    quantity
        ``wind_speed`` of ``u`` and ``v``; ``relative_humidity`` of ``temperature`` and ``dew_point``;
        ``dew_point_temperature`` of ``temperature`` and ``relative_humidity``.
    inputs
        Field by what it is: ``{u: u10, v: v10}``. Temperatures are in K or degC, humidity in % or 1, as their attribute
        ``units`` says; components of the wind in one unit.
    field
        Name of the new field; by default the quantity.

    Raises
    ------
    ConfigError
        The inputs are others than the quantity is computed of.
    """

    name: ClassVar[str] = "derived"
    description: ClassVar[str] = "A field computed of others: wind speed, humidity, dew point"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, quantity: Quantity, inputs: Mapping[str, str], field: str | None = None) -> None:
        needed = _INPUTS[quantity]
        if set(inputs) != set(needed):
            raise ConfigError(f"{self.name}: {quantity} is computed of {' and '.join(needed)}; inputs has others.")
        self._quantity, self._inputs = quantity, [inputs[what] for what in needed]
        self._field = quantity if field is None else field

    def wanted(self) -> Collection[str]:
        return self._inputs

    def changed(self, dataset: xr.Dataset) -> xr.Dataset:
        if not all(name in dataset.variables for name in self._inputs):
            return dataset
        if self._field in dataset.variables:
            raise FieldError(f"it has a field {self._field!r} already: give the new one another name with field=")
        first, second = (dataset.variables[name] for name in self._inputs)
        if first.dims != second.dims or first.shape != second.shape:
            raise FieldError(f"{self._inputs[0]!r} has the dimensions {first.dims}, {self._inputs[1]!r} {second.dims}")
        with np.errstate(invalid="ignore", divide="ignore"):
            values, units = self._computed(first, second)
        about = {"standard_name": self._quantity, "units": units}
        methods = {str(each.attrs.get("cell_methods", "")) for each in (first, second)}
        if len(methods) == 1 and (known := methods.pop()) and self._quantity == "wind_speed":
            raise FieldError(
                f"{self._inputs[0]!r} is {known!r}: the speed of a mean wind is no mean speed. Derive it before"
            )
        dtype = np.result_type(first.dtype, second.dtype, np.float32)
        return dataset.assign({self._field: variable_of(first.dims, values.astype(dtype), about)})

    def _computed(self, first: xr.Variable, second: xr.Variable) -> tuple[Any, str]:
        one, other = (np.asarray(each.values, np.float64) for each in (first, second))
        if self._quantity == "wind_speed":
            units = [str(each.attrs.get("units", "")) for each in (first, second)]
            if units[0] != units[1] or not units[0]:
                raise FieldError(f"{self._inputs[0]!r} is in {units[0]!r}, {self._inputs[1]!r} in {units[1]!r}")
            return np.hypot(one, other), units[0]
        celsius = self._celsius(self._inputs[0], one, first)
        if self._quantity == "relative_humidity":
            dew = self._celsius(self._inputs[1], other, second)
            return 100.0 * np.exp(_A * dew / (_B + dew) - _A * celsius / (_B + celsius)), "%"
        share = self._share(self._inputs[1], other, second)
        sum_ = np.log(share) + _A * celsius / (_B + celsius)
        found = _B * sum_ / (_A - sum_)
        is_kelvin = str(first.attrs["units"]) in _KELVIN
        return found + (_ZERO if is_kelvin else 0.0), "K" if is_kelvin else "degC"

    def _celsius(self, name: str, values: Any, variable: xr.Variable) -> Any:  # noqa: ANN401 - an array
        units = str(variable.attrs.get("units", ""))
        if units not in (*_KELVIN, *_CELSIUS):
            raise FieldError(f"{name!r} is in {units!r}, and K or degC is needed: convert it with units")
        return values - (_ZERO if units in _KELVIN else 0.0)

    def _share(self, name: str, values: Any, variable: xr.Variable) -> Any:  # noqa: ANN401 - as above
        units = str(variable.attrs.get("units", ""))
        if units not in ("%", "percent", "1"):
            raise FieldError(f"{name!r} is in {units!r}, and % or 1 is needed: convert it with units")
        if (values <= 0).any():
            n_dry = int(np.count_nonzero(values <= 0))
            raise FieldError(f"{name!r} has {n_dry:,} values of 0 or less, of which there is no dew point")
        return values / (1.0 if units == "1" else 100.0)
