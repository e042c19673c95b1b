"""Filter that makes amounts of each step, or rates, of accumulations since a start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from curator_core.domains.grid.axes import named_variables
from curator_core.domains.grid.filters.periods import START, Periods, periods_of, unit_of
from curator_core.domains.grid.times import counts_time, duration
from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array, FieldError, Fields
from curator_core.filters.values.kinds import DatasetFields
from curator_core.filters.values.stepwise import FieldFilter

if TYPE_CHECKING:
    import xarray as xr

_THICKNESS: Final = "lwe_thickness_of_"
_INTEGRAL: Final = "integral_wrt_time_of_"
_WATTS: Final = {"J m-2": "W m-2", "J m**-2": "W m-2", "J": "W", "J kg-1": "W kg-1"}
_NOT_OF_THE_STEP: Final = ("actual_range", "valid_range", "valid_min", "valid_max")


class DeaccumulationFilter(FieldFilter):
    """Makes the amount of each step, or its rate, of a field that is accumulated since a start.

    The start of a period is in the bounds of the coordinate, with ``sum`` in ``cell_methods``, or in the step range of
    a GRIB message with the step type ``accum``; it is never guessed. Where accumulation begins anew, another sum
    begins; a step without a length, such as the analysis, has no amount and is NaN. An item that begins within a sum
    fails: items have all the steps of a forecast.

    Parameters
    ----------
    fields
        Names of the accumulations.
    result
        ``amount``: in the unit of the field, with ``sum`` in ``cell_methods``. ``rate``: per second, with ``mean``;
        joules become watts.
    clamp
        How far below 0, in the unit of the field, an amount may be to be taken for 0: what packing loses. In one
        number, or by field. A field that falls by more fails its item, by name.
    budget
        Largest share of a field's amounts that may be taken for 0.
    signed
        Fields whose amounts may be negative, such as net radiation.
    since
        ``bounds``: as above. Where nothing says it: ``reference_time``, every step since the start of the forecast; or
        a length of time, such as ``24h``, at whose multiples since 1970 it begins anew.

    Raises
    ------
    ConfigError
        A number is negative, or `since` is no length of time.
    """

    name: ClassVar[str] = "deaccumulation"
    description: ClassVar[str] = "Amounts or rates of each step, of accumulations since a start"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        fields: Sequence[str],
        *,
        result: Literal["amount", "rate"] = "amount",
        clamp: float | Mapping[str, float] = 0.0,
        budget: float = 0.01,
        signed: Sequence[str] = (),
        since: str = "bounds",
    ) -> None:
        self._fields, self._signed = tuple(fields), frozenset(signed)
        self._is_rate, self._clamp, self._budget = result == "rate", clamp, budget
        numbers = [budget, *(clamp.values() if isinstance(clamp, Mapping) else [clamp])]
        if not self._fields or any(not number >= 0 for number in numbers):
            raise ConfigError(f"{self.name}: name fields; clamp and budget must be at least 0.")
        if more := self._signed - set(self._fields):
            raise ConfigError(f"{self.name}: signed has {min(more)!r}, which fields has not.")
        self._since = since if since in ("bounds", "reference_time") else _length(since, self.name)

    def wanted(self) -> Collection[str]:
        return self._fields

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        if not isinstance(fields, DatasetFields):
            raise FieldError(f"{fields.what} have no periods: this is for datasets of grids")
        dataset = fields.replaced({})
        found = {name: self._periods(name, dataset) for name in self._fields if name in fields.names()}
        if not found:
            return fields
        bounds = {periods.written_in for periods, _ in found.values() if not periods.written_in.endswith(START)} - {""}
        for other in fields.names():
            if bounds and other not in found and _has_periods(dataset, other, bounds):
                raise FieldError(f"{other!r} has the periods of {min(found)!r}, too: name it, or select fields before")
        for name, (periods, former) in found.items():
            dataset = self._made(dataset, name, periods, former)
        return dataset

    def _periods(self, name: str, dataset: xr.Dataset) -> tuple[Periods, list[int | None]]:
        try:
            self._require_sum(dataset.variables[name].attrs)
            periods = periods_of(name, dataset, self._since)
            return periods, periods.former()
        except FieldError as exc:
            raise FieldError(f"field {name!r}: {exc}") from exc

    def _require_sum(self, about: Mapping[Any, Any]) -> None:
        step_type, methods = str(about.get("GRIB_stepType", "")), str(about.get("cell_methods", ""))
        said = step_type or methods
        if said and step_type != "accum" and "sum" not in methods.split():
            raise FieldError(f"it is no accumulation, but {said!r}")
        if not said and self._since == "bounds":
            raise FieldError("neither cell_methods nor GRIB_stepType says that it is a sum. Say it with since=")

    def _made(self, dataset: xr.Dataset, name: str, periods: Periods, former: list[int | None]) -> xr.Dataset:
        variable = dataset.variables[name]
        axis = variable.dims.index(periods.dim)
        values = np.moveaxis(np.asarray(variable.values, np.float64), axis, 0)
        before = [step if b is None else b for step, b in enumerate(former)]
        has_before = np.array([b is not None for b in former]).reshape(-1, *[1] * (values.ndim - 1))
        amounts = values - np.where(has_before, values[before], 0.0)
        made = periods.made(former)
        seconds = made.seconds.reshape(has_before.shape)
        amounts[np.isnan(made.seconds)] = np.nan
        amounts = self._clamped(name, amounts, made)
        if self._is_rate:
            amounts /= seconds
        kind = variable.dtype if variable.dtype.kind == "f" else np.float64
        about = self._attributes(variable.attrs, periods.dim)
        found = (variable.dims, np.moveaxis(amounts, 0, axis).astype(kind), about)
        return _with_periods(dataset.assign({name: found}), name, made)

    def _clamped(self, name: str, amounts: Array, periods: Periods) -> Array:
        if name in self._signed:
            return amounts
        clamp = self._clamp.get(name, 0.0) if isinstance(self._clamp, Mapping) else self._clamp
        negative = amounts < 0
        worst = float(np.nanmin(amounts, initial=0.0))
        share = np.count_nonzero(negative) / max(1, amounts.size)
        if worst < -clamp:
            step = int(np.nonzero((amounts == worst).reshape(len(amounts), -1).any(axis=1))[0][0])
            raise FieldError(
                f"field {name!r} falls by {-worst:g} from step {step - 1} to {step} along {periods.dim!r}, more than "
                f"clamp allows ({clamp:g}); {np.count_nonzero(negative):,} of {amounts.size:,} amounts are negative. "
                "Does its accumulation begin anew there, or is it signed=?"
            )
        if share > self._budget:
            raise FieldError(
                f"field {name!r}: {np.count_nonzero(negative):,} of {amounts.size:,} amounts are negative, by up to "
                f"{-worst:g}: more than the share of {self._budget:g} that budget allows"
            )
        return np.where(negative, 0.0, amounts)

    def _attributes(self, about: Mapping[Any, Any], dim: str) -> dict[str, Any]:
        found = {str(key): value for key, value in about.items() if key not in _NOT_OF_THE_STEP}
        found["cell_methods"] = f"{dim}: {'mean' if self._is_rate else 'sum'}"
        if not self._is_rate:
            return found
        units = str(found.get("units", ""))
        if units:
            found["units"] = _WATTS.get(units, f"{units.replace(' of water equivalent', '')} s-1".removeprefix("1 "))
        standard = str(found.pop("standard_name", ""))
        if standard.startswith(_INTEGRAL):
            found["standard_name"] = standard.removeprefix(_INTEGRAL)
        elif standard.startswith(_THICKNESS) and standard.endswith("_amount"):
            found["standard_name"] = f"lwe_{standard.removeprefix(_THICKNESS).removesuffix('_amount')}_rate"
        if "GRIB_stepType" in found:
            found["GRIB_stepType"] = "avg"
        return found


def _has_periods(dataset: xr.Dataset, name: str, bounds: Collection[str]) -> bool:
    """Whether a variable that is of no moment lies along a dimension with some bounds."""
    variable = dataset.variables[name]
    methods = str(variable.attrs.get("cell_methods", ""))
    for dim in map(str, variable.dims):
        along = dataset.variables.get(dim)
        is_bounded = along is not None and set(named_variables(along.attrs, ("bounds",))) & set(bounds)
        if is_bounded and f"{dim}:" in methods.split() and f"{dim}: point" not in methods:
            return True
    return False


def _with_periods(dataset: xr.Dataset, name: str, periods: Periods) -> xr.Dataset:
    """The dataset with the periods of a variable, where its were, or where they belong."""
    dim, coordinate = periods.dim, dataset.variables[periods.dim]
    lengths = periods.ends - periods.starts
    if periods.written_in.endswith(START) or not counts_time(coordinate.attrs.get("units")):
        place = periods.written_in or f"{name}{START}"
        if not place.endswith(START):
            return _with_bounds(dataset, periods)
        ahead = np.rint(np.asarray(coordinate.values) * unit_of(coordinate)).astype(np.int64)
        starts = (ahead - lengths) // 1_000_000
        held = dataset.variables.get(place)
        dims, shape = ((dim,), starts.shape) if held is None else (held.dims, held.shape)
        about = {"units": "seconds", "long_name": "start of the period, after the reference time"}
        values = np.broadcast_to(starts, shape) if dims[-1:] == (dim,) else starts
        made = dataset.assign_coords({place: (dims, np.array(values), about)})
        others = str(made.variables[name].attrs.get("ancillary_variables", "")).split()
        made[name].attrs["ancillary_variables"] = " ".join(dict.fromkeys([*others, place]))
        return made
    return _with_bounds(dataset, periods)


def _with_bounds(dataset: xr.Dataset, periods: Periods) -> xr.Dataset:
    dim, coordinate = periods.dim, dataset.variables[periods.dim]
    place = periods.written_in or str(coordinate.attrs.get("bounds", f"{dim}_bnds"))
    held = dataset.variables.get(place)
    bounds = np.stack([periods.starts, periods.ends], axis=1)
    unit = unit_of(coordinate)
    values = bounds if unit == 1 else bounds / unit
    if held is None:
        about = {key: coordinate.attrs[key] for key in ("units", "calendar") if key in coordinate.attrs}
        made = dataset.assign_coords({place: ((dim, "nv"), values, about)})
        made[dim].attrs["bounds"] = place
        return made
    return dataset.assign_coords({place: (held.dims, values.astype(held.dtype), held.attrs)})


def _length(text: str, component: str) -> int:
    try:
        found = duration(text)
    except ValueError:
        found = 0
    if not found:
        raise ConfigError(
            f"{component}: since must be 'bounds', 'reference_time' or a length such as '24h', not {text!r}."
        )
    return found
