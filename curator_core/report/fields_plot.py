"""The picture of a dataset of grids: a map of each variable, and its mean over the steps."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.report.figure import styled
from curator_core.report.quantities import shortened

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MAX_FIELDS: Final = 4
"""Variables drawn."""
MAX_STEPS: Final = 240
"""Steps drawn: of more, evenly many are left out."""
MAX_VALUES: Final = 20_000_000
"""Numbers read for the means of a variable; of larger fields, fewer steps are drawn."""
_MAX_POINTS: Final = 200_000
_FLAT: Final = 2
_POINTS: Final = ("values", "cell", "cells", "ncells", "ncol", "nCells", "nod2", "node", "nodes")
"""Dimensions of grids whose points lie in no order, where coordinates do not say so."""
_LATITUDES: Final = ("degrees_north", "degree_north", "latitude")
_LONGITUDES: Final = ("degrees_east", "degree_east", "longitude")
_INK, _FAINT, _LINE = "#24292f", "#8b949e", "#1f5fa8"


def draw_fields(dataset: xr.Dataset, dim: str = "time") -> bytes | None:
    """Draw variables of numbers: a map of the last step that has values, and the mean over the grid, as PNG.

    Of levels, members and the like the first one that has values there is drawn. Means are weighted by the cosine of
    the latitude, where that is one of the dimensions; a step without values is a gap in the line.

    Parameters
    ----------
    dataset
        A dataset of grids, opened.
    dim
        The dimension of the steps.

    Returns
    -------
    bytes or None
        ``None`` where no variable of numbers lies along the steps.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    names = [str(name) for name, field in dataset.items() if _is_drawable(field, dim)][:MAX_FIELDS]
    if not names:
        return None
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 2.2 * len(names)))
        rows = figure.subplots(len(names), 2, squeeze=False, width_ratios=(1.1, 1))
        for (left, right), name in zip(rows, names, strict=True):
            field, last = last_there(dataset[name], dim)
            _draw_map(left, name, last, dim)
            _draw_series(right, name, field, dim)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _is_drawable(field: xr.DataArray, dim: str) -> bool:
    return dim in field.dims and field.ndim > 1 and field.dtype.kind in "iuf" and field.size > 0


def last_there(field: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """The field along its steps and its grid, and its last step that has values, as far as a few reads show."""
    others = [name for name in field.dims if name != dim]
    grid = others[-1:] if _has_points(field, str(others[-1])) else others[-2:]
    levels = [name for name in others if name not in grid]
    size = max(1, int(np.prod([field.sizes[name] for name in grid])))
    places = np.ndindex(field.sizes[dim], *(field.sizes[name] for name in levels))
    for back, *place in itertools.islice(places, max(1, MAX_VALUES // size)):
        found = field.isel(dict(zip(levels, place, strict=True))).transpose(dim, *grid)
        last = found.isel({dim: -1 - back}).load()
        if np.isfinite(last.values).any():
            return found, last
    first = field.isel(dict.fromkeys(levels, 0)).transpose(dim, *grid)
    return first, first.isel({dim: -1}).load()


def _has_points(field: xr.DataArray, dim: str) -> bool:
    """Whether the grid is a list of points: each has its latitude, or the dimension says so."""
    return len(field.dims) == _FLAT or dim in _POINTS or _along(field, dim, _LATITUDES) is not None


def _along(field: xr.DataArray, dim: str, meanings: tuple[str, ...]) -> npt.NDArray[Any] | None:
    """Latitudes or longitudes of the points along a dimension, of which they are not the axis."""
    for name, coordinate in field.coords.items():
        said = {str(coordinate.attrs.get(key)) for key in ("units", "standard_name")}
        if coordinate.dims == (dim,) and name != dim and said.intersection(meanings):
            found: npt.NDArray[Any] = coordinate.values
            return found
    return None


def _draw_map(axes: Axes, name: str, field: xr.DataArray, dim: str) -> None:
    axes.grid(visible=False)
    axes.set_title(f"{shortened(name, 30)}{_at(field, dim)}", loc="left", color=_INK)
    drawn: Any
    if field.ndim == _FLAT:
        field = field[tuple(slice(None, None, -(-length // 500)) for length in field.shape)]
        y, x = (_coordinate(field, str(other)) for other in field.dims)
        drawn = axes.pcolormesh(x, y, field.values, shading="nearest", cmap="RdYlBu_r")
    else:
        every = slice(None, None, -(-field.size // _MAX_POINTS))
        north, east = (_along(field, str(field.dims[0]), meanings) for meanings in (_LATITUDES, _LONGITUDES))
        if north is None or east is None:  # nothing says where the points are
            axes.plot(np.arange(field.size)[every], field.values[every], ".", ms=1, color=_LINE)
            return
        drawn = axes.scatter(east[every], north[every], c=field.values[every], s=2, cmap="RdYlBu_r")
    axes.figure.colorbar(drawn, ax=axes, pad=0.02)


def _coordinate(field: xr.DataArray, dim: str) -> npt.NDArray[Any]:
    """Numbers along a dimension of a map, by which it is drawn where they rise or fall."""
    if dim in field.coords and field[dim].dtype.kind in "iuf":
        found: npt.NDArray[Any] = field[dim].values
        steps = np.diff(found)
        if (steps > 0).all() or (steps < 0).all():
            return found
    return np.arange(field.sizes[dim])


def _at(field: xr.DataArray, dim: str) -> str:
    """Where the map lies: its step, and its level where that has a unit."""
    known = {str(name): field[name] for name in field.coords if not field[name].ndim}
    step = [_said(known[dim].values[()])] if dim in known else []
    levels = [
        f"{coordinate.values[()]:g} {coordinate.attrs['units']}"
        for coordinate in known.values()
        if coordinate.attrs.get("units") in ("hPa", "Pa", "m")
    ]
    return "".join(f", {text}" for text in step + levels)


def _said(value: Any) -> str:  # noqa: ANN401 - a time of NumPy or cftime, or a number
    if isinstance(value, np.number):
        return f"{value:g}"
    text = str(value) if isinstance(value, np.datetime64) else str(value.isoformat())
    return text[:16].replace("T", " ")


def _weights(latitude: xr.DataArray) -> xr.DataArray:
    return latitude.copy(data=np.cos(np.radians(latitude.values)))


def _draw_series(axes: Axes, name: str, field: xr.DataArray, dim: str) -> None:
    from matplotlib import dates

    if field.sizes[dim] == 1:
        axes.set_axis_off()
        return
    n_steps = max(2, min(MAX_STEPS, MAX_VALUES // max(1, field[0].size)))
    chosen = field.isel({dim: slice(None, None, -(-field.sizes[dim] // n_steps))})
    rest = [other for other in chosen.dims if other != dim]
    latitude = next((str(other) for other in rest if other in ("lat", "latitude") and other in chosen.coords), None)
    weighted = chosen if latitude is None else chosen.weighted(_weights(chosen[latitude]))
    means = weighted.mean(rest).values
    steps = chosen[dim].values if dim in chosen.coords else np.arange(len(means))
    is_plain = steps.dtype.kind in "iufM"
    marker = "." if len(means) < 60 else None  # noqa: PLR2004
    axes.plot(steps if is_plain else np.arange(len(means)), means, color=_LINE, lw=1.2, marker=marker)
    units = str(field.attrs.get("units", ""))
    axes.set_title(", ".join(filter(None, (f"mean of {shortened(name, 24)}", units))), loc="left", color=_INK)
    axes.tick_params(colors=_FAINT)
    if steps.dtype.kind == "M":
        locator: Any = dates.AutoDateLocator
        labels: Any = dates.ConciseDateFormatter  # both untyped
        axes.xaxis.set_major_locator(locator(maxticks=7))
        axes.xaxis.set_major_formatter(labels(axes.xaxis.get_major_locator()))
    elif not is_plain:  # times in another calendar
        places = range(0, len(steps), -(-len(steps) // 4))
        axes.set_xticks(list(places), [_said(steps[place])[:10] for place in places])
