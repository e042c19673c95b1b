"""Periods of accumulations: where each starts and ends, and which one another goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.axes import time_of
from curator_core.domains.grid.times import counts_time, length_of
from curator_core.filters.values.fields import FieldError

if TYPE_CHECKING:
    import xarray as xr

START: Final = "_start"
"""End of the name of the variable in which `GRIBSource` has the starts of the periods of a variable."""
BOUNDS: Final = 2
"""Values of a cell along its last dimension."""

Instants = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Periods:
    """The periods of one variable, one a step, in microseconds from a date or from the reference time."""

    dim: str
    """The dimension of the steps."""
    starts: Instants
    ends: Instants
    written_in: str
    """The variable that has the starts, or the bounds; empty where they were declared."""

    def former(self) -> list[int | None]:
        """The step that each goes on from, having the same start; ``None`` where it is whole by itself.

        Raises
        ------
        FieldError
            They are out of order, overlap, or begin with one that goes on from a step that is not there.
        """
        found: list[int | None] = []
        for step, (start, end) in enumerate(zip(self.starts.tolist(), self.ends.tolist(), strict=True)):
            if start > end:
                raise FieldError(f"its period {step} along {self.dim!r} ends {_hours(start - end)} before it starts")
            before = step - 1
            if step and end <= self.ends[before]:
                raise FieldError(f"its steps along {self.dim!r} do not rise at {step}")
            if step and start == self.starts[before] and self.ends[before] > start:
                found.append(before)
            elif step and start < self.ends[before]:
                raise FieldError(
                    f"its periods along {self.dim!r} overlap at step {step}, and do not start together: it is no sum "
                    "since a start, but a running one"
                )
            else:
                found.append(None)
        self._require_first(found)
        return found

    def _require_first(self, former: list[int | None]) -> None:
        """Raise `FieldError` where the step before one is in another item, so that its period would be longer."""
        for step, before in enumerate(former):
            after = step + 1 if step + 1 < len(former) and (not step or former[step + 1] == step) else None
            length = int(self.ends[step] - self.starts[step])
            is_longer = after is not None and length > int(self.ends[after] - self.ends[step])
            if before is None and length and (is_longer or len(former) == 1):
                raise FieldError(
                    f"its step {step} along {self.dim!r} holds {_hours(length)}, and the step before it is not in the "
                    "item: give items all the steps of a forecast, such as those of a dataset with layout='forecast'"
                )

    def made(self, former: list[int | None]) -> Periods:
        """The periods without what belongs to the step before."""
        starts = [int(self.starts[n]) if b is None else int(self.ends[b]) for n, b in enumerate(former)]
        return Periods(self.dim, np.array(starts, np.int64), self.ends, self.written_in)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Length of each; NaN where it has none."""
        lengths = (self.ends - self.starts) / 1e6
        return np.where(lengths > 0, lengths, np.nan)


def periods_of(name: str, dataset: xr.Dataset, since: str | int) -> Periods:
    """The periods of a variable, as its dataset says or was declared.

    Parameters
    ----------
    name
        The variable.
    dataset
        As sources give it.
    since
        ``bounds``; ``reference_time``: they start with the forecast; microseconds, at whose multiples they start.

    Raises
    ------
    FieldError
        Nothing says when they start, or they are others at other reference times.
    """
    variables: Mapping[str, xr.Variable] = {str(key): found for key, found in dataset.variables.items()}
    dim = _dim_of_steps(variables[name], variables)
    ends = _microseconds(dim, variables)
    if since == "reference_time":
        if counts_time(variables[dim].attrs.get("units")):
            raise FieldError(f"its steps along {dim!r} are dates, not lead times: since='reference_time' is not theirs")
        return Periods(dim, np.zeros_like(ends), ends, "")
    if isinstance(since, int):
        if not counts_time(variables[dim].attrs.get("units")):
            ends = _valid(dim, variables)
        return Periods(dim, -(-ends // since) * since - since, ends, "")
    written = [word for word in str(variables[name].attrs.get("ancillary_variables", "")).split() if word in variables]
    starts = [word for word in written if word.endswith(START)]
    if starts and not _is_lead(variables[dim]):
        raise FieldError(
            "it has one lead time alone, and the step before it is in another item: give items all the steps of a "
            "forecast, such as those of a dataset with layout='forecast'"
        )
    if starts:
        return Periods(dim, _of_all(starts[0], variables[starts[0]], dim) * 1_000_000, ends, starts[0])
    bounds = str(variables[dim].attrs.get("bounds", ""))
    if bounds not in variables or variables[bounds].dims[:1] != (dim,) or variables[bounds].shape[1:] != (BOUNDS,):
        raise FieldError(
            f"nothing says when its accumulation starts: {dim!r} has no bounds. Say it with since=, if you know it"
        )
    scaled = np.asarray(np.rint(np.asarray(variables[bounds].values) * unit_of(variables[dim])), np.int64)
    return Periods(dim, scaled.min(axis=1), scaled.max(axis=1), bounds)


def unit_of(variable: xr.Variable) -> int:
    """Microseconds of the unit of a coordinate of steps."""
    units = variable.attrs.get("units")
    return 1 if counts_time(units) else length_of(units) or 1


def _dim_of_steps(variable: xr.Variable, variables: Mapping[str, xr.Variable]) -> str:
    """The dimension of lead times, or else that of times."""
    dims = [str(dim) for dim in variable.dims]
    ahead = [dim for dim in dims if dim in variables and _is_lead(variables[dim])]
    dated = [dim for dim in dims if dim in variables and time_of(dim, variables) == dim]
    for found in (ahead, dated):
        if len(found) == 1:
            return found[0]
    raise FieldError("it has no dimension of lead times or of times, with coordinates")


def _is_lead(variable: xr.Variable) -> bool:
    return (
        variable.attrs.get("standard_name") == "forecast_period" and length_of(variable.attrs.get("units")) is not None
    )


def _microseconds(dim: str, variables: Mapping[str, xr.Variable]) -> Instants:
    return np.asarray(np.rint(np.asarray(variables[dim].values) * unit_of(variables[dim])), np.int64)


def _valid(dim: str, variables: Mapping[str, xr.Variable]) -> Instants:
    """When the steps are, of forecasts from one reference time."""
    found = [v for v in variables.values() if dim in v.dims and counts_time(v.attrs.get("units")) and v.ndim <= BOUNDS]
    if len(found) != 1:
        raise FieldError(f"nothing says when its steps along {dim!r} are")
    return _of_all("the times of its steps", found[0], dim)


def _of_all(name: str, variable: xr.Variable, dim: str) -> Instants:
    """Values along a dimension that are the same along all others."""
    values = np.asarray(variable.transpose(..., dim).values, np.int64).reshape(-1, variable.sizes[dim])
    if not (values == values[:1]).all():
        raise FieldError(f"{name} differ from one reference time to the next: give items one of them, with item='time'")
    return np.asarray(values[0])


def _hours(length: int) -> str:
    return f"{length / 3_600_000_000:g} h"
