"""Values of one grid at the points of another that has the same points: in another order, or among more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.grid.operations.horizontal import Floats, Grid, grid_of
from curator_core.filters.values import FieldError

if TYPE_CHECKING:
    import xarray as xr

_SHARE: Final = 1e-3
"""Of the spacing, by which coordinates of one place may differ: 0.25 degrees as float32 differ by 1e-4 of it."""
_CIRCLE: Final = 360.0


def aligned(given: xr.Dataset, name: str, dataset: xr.Dataset, field: str) -> Any:  # noqa: ANN401 - an array
    """A variable of one dataset as values along the dimensions of a field of another, which they broadcast with.

    Latitudes may come in another order, longitudes be counted from elsewhere, and there may be more points than the
    field has. Dimensions of length 1 that the field does not have are left out.

    Parameters
    ----------
    given, name
        A dataset, and which of its variables.
    dataset, field
        Another one, and the field.

    Raises
    ------
    FieldError
        A point of the field is not there.
    """
    variable = given.variables[name]
    theirs, ours = grid_of(given, name), grid_of(dataset, field)
    names = {} if theirs is None or ours is None else _same_points((given, theirs, name), (dataset, ours, field))
    target = dataset.variables[field]
    values = np.asarray(variable.values)
    dims: list[str] = []
    for dim in map(str, variable.dims):
        axis = len(dims)
        if dim in names:
            own, positions = names[dim]
            values = values if positions is None else values.take(positions, axis=axis)
        elif dim in target.dims:
            own, values = dim, values.take(_along(given, dataset, dim, name), axis=axis)
        elif values.shape[axis] == 1:
            values = values.squeeze(axis)
            continue
        else:
            raise FieldError(f"field {field!r} has no dimension {dim!r}, which {name!r} has, of {values.shape[axis]:,}")
        dims.append(own)
    order = [dims.index(dim) for dim in map(str, target.dims) if dim in dims]
    shape = [dataset.sizes[dim] if dim in dims else 1 for dim in target.dims]
    return values.transpose(order).reshape(shape)


_Positions = dict[str, tuple[str, npt.NDArray[np.intp] | None]]
_OnGrid = tuple["xr.Dataset", Grid, str]


def _same_points(given: _OnGrid, target: _OnGrid) -> _Positions:
    """By dimension of one grid: that of the other, and where its points are; ``None`` for all of them in order."""
    (there_in, theirs, name), (here_in, ours, field) = given, target
    if theirs.kind != ours.kind:
        raise FieldError(
            f"{name!r} is on a grid of another kind than field {field!r}: {theirs.kind}, not {ours.kind}. Regrid one"
        )
    there, here = theirs.degrees(there_in), ours.degrees(here_in)
    if ours.kind == "regular":
        rows = positions(here[0], there[0], ours.latitude)
        columns = positions(here[1], there[1], ours.longitude, period=_CIRCLE)
        return {theirs.dims[0]: (ours.dims[0], rows), theirs.dims[1]: (ours.dims[1], columns)}
    if here[0].shape != there[0].shape:
        raise FieldError(f"{name!r} is on a grid of {there[0].shape} points, and field {field!r} of {here[0].shape}")
    difference = np.abs(here[0] - there[0])
    turned = np.abs((here[1] - there[1] + _CIRCLE / 2) % _CIRCLE - _CIRCLE / 2) * np.cos(np.radians(here[0]))
    largest = float(np.nanmax(np.maximum(difference, turned)))
    if largest > _SHARE:
        raise FieldError(f"points of {name!r} lie up to {largest:.6g} degrees from those of field {field!r}")
    return {dim: (own, None) for dim, own in zip(theirs.dims, ours.dims, strict=True)}


def _along(given: xr.Dataset, dataset: xr.Dataset, dim: str, name: str) -> npt.NDArray[np.intp]:
    here, there = dataset.variables.get(dim), given.variables.get(dim)
    if here is None or there is None or here.dtype.kind not in "iuf" or there.dtype.kind not in "iuf":
        if dataset.sizes[dim] != given.sizes[dim]:
            raise FieldError(f"{name!r} has {given.sizes[dim]:,} along {dim!r}, and not {dataset.sizes[dim]:,}")
        return np.arange(given.sizes[dim])
    units = [str(each.attrs.get("units", "")) for each in (here, there)]
    if all(units) and units[0] != units[1]:
        raise FieldError(f"{dim!r} of {name!r} is in {units[1]!r}, and not in {units[0]!r}: convert it")
    return positions(np.asarray(here.values, np.float64), np.asarray(there.values, np.float64), dim)


def positions(wanted: Floats, known: Floats, name: str, period: float | None = None) -> npt.NDArray[np.intp]:
    """Where each of some coordinates is among others.

    Parameters
    ----------
    wanted, known
        Values of both.
    name
        Of the coordinate, for messages.
    period
        After which values are the same again.

    Raises
    ------
    FieldError
        One is not there.
    """
    first, others = (wanted, known) if period is None else (wanted % period, known % period)
    order = np.argsort(others, kind="stable")
    ordered = others[order]
    if period is not None:
        order = np.concatenate([order[-1:], order, order[:1]])
        ordered = np.concatenate([ordered[-1:] - period, ordered, ordered[:1] + period])
    after = np.clip(np.searchsorted(ordered, first), 1, max(len(ordered) - 1, 1))
    near = np.stack([after - 1, np.minimum(after, len(ordered) - 1)])
    nearest = np.where(np.abs(ordered[near[0]] - first) <= np.abs(ordered[near[1]] - first), near[0], near[1])
    distance = np.abs(ordered[nearest] - first)
    spacing = np.diff(np.unique(ordered))
    allowed = _SHARE * float(np.median(spacing)) if len(spacing) else _SHARE
    if len(first) and distance.max() > allowed:
        at = int(distance.argmax())
        raise FieldError(
            f"{name!r} {wanted[at]:g} is not among the points of the file, the nearest of which lies "
            f"{distance[at]:.6g} away"
        )
    return np.asarray(order[nearest], np.intp)
