"""Filter that takes means, sums and extremes of the times of an item over days, months and the like."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.operations.grid_filter import (
    GridFilter,
    as_floats,
    other_values,
    rebuilt,
    require_mean,
    with_method,
    without_references,
)
from curator_core.domains.grid.operations.periods import Periods, Steps, is_period, length_of, periods_of, steps_of
from curator_core.domains.grid.times import EPOCH_UNITS, counts_time, label
from curator_core.errors import ConfigError
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("curator")

Statistic = Literal["mean", "sum", "min", "max"]
_CF_NAMES: Final = {"mean": "mean", "sum": "sum", "min": "minimum", "max": "maximum"}
_RATE: Final = re.compile(
    r"(?:/\s*|per )(?:s|sec|second|h|hr|hour|day|d|month|year)s?\b|\b(?:s|h|hr|day|d)\s*(?:\*\*|\^)?-1\b"
)
_WHOLE: Final = 1 - 1e-9
_SHOWN: Final = 3


class ResampleFilter(GridFilter):
    """Means, sums or extremes of the times of each item over days, months or the like, in the calendar of the item.

    Periods are those that lie in one item: read files that hold whole ones. A step is from its bounds where the file
    has them, and lies in the period of its middle; means count each by its length. The new times are the begin of each
    period, with bounds, and ``cell_methods`` says what was taken. Coordinates along the times are left out.

    Parameters
    ----------
    period
        ``day``, ``month``, ``year``, or hours of which a day has a whole number: ``6h``.
    statistic
        What is taken of each field that has the times: ``mean``, ``sum``, ``min`` or ``max``.
    incomplete
        What is done with a period that the steps of the item do not cover: ``fail``, so does the item, ``mask``, its
        values are missing, ``drop``, it is left out. The log names those that are masked or left out.
    step
        Length of a step of files without bounds, such as ``6h``; by default the shortest distance of its times.
    stamp
        What times without bounds are: ``start`` or ``end`` of what they stand for, as sums and means often have it.
    min_valid
        Least share of a period that must have values for a mean or an extreme; a sum is of all.

    Raises
    ------
    ConfigError
        There is no such period or step, or a share is none.
    """

    name: ClassVar[str] = "resample"
    description: ClassVar[str] = "Means, sums or extremes over days, months and the like"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        period: str,
        statistic: Statistic = "mean",
        *,
        incomplete: Literal["fail", "mask", "drop"] = "fail",
        step: str | None = None,
        stamp: Literal["start", "end"] = "start",
        min_valid: float = 1.0,
    ) -> None:
        if not is_period(period):
            raise ConfigError(f"{self.name}: {period!r} is no period: take day, month, year, or hours such as 6h.")
        if step is not None and length_of(step) is None:
            raise ConfigError(f"{self.name}: {step!r} is no step: take hours such as 6h, or day.")
        if not 0.0 < min_valid <= 1.0 or (statistic == "sum" and min_valid < 1.0):
            raise ConfigError(f"{self.name}: min_valid must be above 0 and at most 1, of a sum 1, got {min_valid!r}.")
        self._period, self._statistic, self._incomplete = period, statistic, incomplete
        self._step, self._stamp, self._min_valid = step, stamp, min_valid

    def changed(self, dataset: xr.Dataset) -> xr.Dataset | None:
        steps = steps_of(dataset, self._step, is_end=self._stamp == "end")
        periods = periods_of(steps, self._period)
        is_whole = self._whole(steps, periods)
        kept = np.flatnonzero(is_whole) if self._incomplete == "drop" else np.arange(len(is_whole))
        if not is_whole.any():
            raise FieldError(f"no {self._period} is whole: read files that hold whole ones")
        made: dict[str, xr.Variable] = {}
        for name in map(str, dataset.data_vars):
            variable = dataset.variables[name].to_base_variable()
            if steps.dim in variable.dims and name not in steps.names:
                made[name] = self._taken(name, variable, steps, periods, is_whole)[{steps.dim: kept}]
            elif name not in steps.names:
                made[name] = variable
        coordinates = {
            str(n): v.to_base_variable() for n, v in dataset.coords.variables.items() if steps.dim not in v.dims
        }
        gone = {str(name) for name in dataset.coords} - coordinates.keys() | set(steps.names)
        for variable in (*made.values(), *coordinates.values()):
            variable.attrs = without_references(variable.attrs, gone)
        return rebuilt(dataset, {**coordinates, **_times(steps, periods.bounds[kept]), **made})

    def _whole(self, steps: Steps, periods: Periods) -> npt.NDArray[np.bool_]:
        """Which periods the steps cover.

        Raises
        ------
        FieldError
            They do not cover one, and that fails.
        """
        is_whole = np.asarray(periods.covered >= _WHOLE, np.bool_)
        if is_whole.all():
            return is_whole
        short = np.flatnonzero(~is_whole)
        shown = ", ".join(
            f"{label(int(periods.bounds[at, 0]), steps.calendar)} ({periods.covered[at]:.0%})" for at in short[:_SHOWN]
        )
        text = f"{len(short)} of {len(is_whole)} periods are not whole: {shown}" + (
            ", …" if len(short) > _SHOWN else ""
        )
        if self._incomplete == "fail":
            raise FieldError(f"{text}. Read files that hold whole ones, or mask or drop them with incomplete=")
        done = "masked" if self._incomplete == "mask" else "left out"
        logger.warning("%s: %s, which are %s", self.name, text, done)
        return is_whole

    def _taken(
        self, name: str, variable: xr.Variable, steps: Steps, periods: Periods, is_whole: npt.NDArray[np.bool_]
    ) -> xr.Variable:
        if counts_time(variable.attrs.get("units")):
            raise FieldError(f"field {name!r} counts times along {steps.dim!r}: leave it out with select")
        if self._statistic in ("mean", "sum"):
            require_mean(name, variable, "take min or max, or leave it out with select")
        if self._statistic == "sum" and _RATE.search(str(variable.attrs.get("units", ""))):
            raise FieldError(f"field {name!r} in {variable.attrs['units']!r} is a rate, of which a sum is no amount")
        axis = variable.dims.index(steps.dim)
        given = as_floats(name, variable)
        values = np.moveaxis(given, axis, 0)[steps.order].astype(np.float64)
        lengths = (steps.bounds[:, 1] - steps.bounds[:, 0]).astype(np.float64)
        found = self._reduced(values, lengths, periods)
        found[~is_whole] = np.nan
        about = with_method(other_values(variable), f"{steps.dim}: {_CF_NAMES[self._statistic]}")
        return variable_of(variable.dims, np.moveaxis(found, 0, axis).astype(given.dtype), about, variable.encoding)

    def _reduced(self, values: Any, lengths: Any, periods: Periods) -> Any:  # noqa: ANN401 - arrays
        is_valid = ~np.isnan(values)
        weight = lengths.reshape(-1, *[1] * (values.ndim - 1))
        valid = np.add.reduceat(weight * is_valid, periods.first, axis=0)
        total = np.add.reduceat(weight, periods.first, axis=0)
        if self._statistic in ("min", "max"):
            empty = np.inf if self._statistic == "min" else -np.inf
            extreme = np.minimum if self._statistic == "min" else np.maximum
            found = extreme.reduceat(np.where(is_valid, values, empty), periods.first, axis=0)
        elif self._statistic == "sum":
            found = np.add.reduceat(values, periods.first, axis=0)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = np.add.reduceat(np.where(is_valid, values, 0.0) * weight, periods.first, axis=0) / valid
        return np.where((valid > 0) & (valid >= self._min_valid * total * _WHOLE), found, np.nan)


def _times(steps: Steps, bounds: npt.NDArray[np.int64]) -> dict[str, xr.Variable]:
    about = {**steps.attributes, "bounds": f"{steps.dim}_bnds"}
    if about.get("standard_name") == "forecast_reference_time":
        about["standard_name"] = "time"
    return {
        steps.dim: variable_of(steps.dim, bounds[:, 0], about),
        f"{steps.dim}_bnds": variable_of(
            (steps.dim, "bnds"), bounds, {"units": EPOCH_UNITS, "calendar": steps.calendar}
        ),
    }
