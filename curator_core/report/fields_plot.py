"""The picture of a dataset of grids: a map of each variable, and its mean over the steps."""

from __future__ import annotations

import io
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
_INK, _FAINT, _LINE = "#24292f", "#8b949e", "#1f5fa8"


def draw_fields(dataset: xr.Dataset, dim: str = "time") -> bytes | None:
    """Draw variables of numbers: the map of the last step that has values, and the mean over the grid, as PNG.

    Of levels, members and the like the first is drawn. Means are weighted by the cosine of the latitude, where that is
    one of the dimensions; a step without values is a gap in the line.

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
    fields = {str(name): _first_level(field, dim) for name, field in dataset.items() if _is_drawable(field, dim)}
    drawn = dict(list(fields.items())[:MAX_FIELDS])
    if not drawn:
        return None
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 2.2 * len(drawn)))
        rows = figure.subplots(len(drawn), 2, squeeze=False, width_ratios=(1.1, 1))
        for (left, right), (name, field) in zip(rows, drawn.items(), strict=True):
            _draw_map(left, name, _last_step(field, dim))
            _draw_series(right, name, field, dim)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _is_drawable(field: xr.DataArray, dim: str) -> bool:
    return dim in field.dims and field.ndim > 1 and field.dtype.kind in "iuf" and field.size > 0


def _first_level(field: xr.DataArray, dim: str) -> xr.DataArray:
    """The field along its steps and the two dimensions of its grid, or the one of its points."""
    others = [name for name in field.dims if name != dim]
    n_grid = 1 if others[-1] in ("values", "cell", "ncells", "nod2") or len(others) == 1 else 2
    return field.isel(dict.fromkeys(others[:-n_grid], 0)).transpose(dim, ...)


def _last_step(field: xr.DataArray, dim: str) -> xr.DataArray:
    """The last step that has values; of the last ones, where none has."""
    for step in range(field.sizes[dim] - 1, max(-1, field.sizes[dim] - 1 - MAX_STEPS), -1):
        found = field.isel({dim: step})
        if np.isfinite(found.values).any():
            break
    return found.load()


def _draw_map(axes: Axes, name: str, field: xr.DataArray) -> None:
    axes.grid(visible=False)
    colours: dict[str, Any] = {"cmap": "RdYlBu_r"}
    if field.ndim == _FLAT:
        field = field[tuple(slice(None, None, -(-length // 500)) for length in field.shape)]
        y, x = (_coordinate(field, str(name)) for name in field.dims)
        drawn: Any = axes.pcolormesh(x, y, field.values, shading="nearest", **colours)
    else:
        y, x = (_points(field, names) for names in (("latitude", "lat"), ("longitude", "lon")))
        step = -(-field.size // _MAX_POINTS)
        drawn = axes.scatter(x[::step], y[::step], c=field.values[::step], s=2, **colours)
    axes.figure.colorbar(drawn, ax=axes, pad=0.02)
    axes.set_title(f"{shortened(name, 30)}{_at(field)}", loc="left", color=_INK)


def _coordinate(field: xr.DataArray, dim: str) -> npt.NDArray[Any]:
    """Numbers along a dimension of a map, by which it is drawn where they rise or fall."""
    if dim in field.coords and field[dim].dtype.kind in "iuf":
        found: npt.NDArray[Any] = field[dim].values
        steps = np.diff(found)
        if (steps > 0).all() or (steps < 0).all():
            return found
    return np.arange(field.sizes[dim])


def _points(field: xr.DataArray, names: tuple[str, ...]) -> npt.NDArray[Any]:
    """Latitudes or longitudes of points; their numbers, where there are none."""
    found = next((field[name].values for name in names if name in field.coords), np.arange(field.size))
    return found if found.shape == field.shape else np.arange(field.size)


def _at(field: xr.DataArray) -> str:
    """Where the map lies along the dimensions that were left out."""
    known = {str(name): field[name] for name in field.coords if not field[name].ndim}
    shown = [_said(name, known[name]) for name in ("time", *known) if name in known and _is_place(name, known[name])]
    return "".join(f", {text}" for text in dict.fromkeys(shown))


def _is_place(name: str, coordinate: xr.DataArray) -> bool:
    return name == "time" or coordinate.attrs.get("units") in ("hPa", "Pa", "m")


def _said(name: str, coordinate: xr.DataArray) -> str:
    value = coordinate.values[()]
    if name == "time":
        return str(value)[:16].replace("T", " ")
    return f"{value:g} {coordinate.attrs.get('units', '')}"


def _weights(latitude: xr.DataArray) -> xr.DataArray:
    return latitude.copy(data=np.cos(np.radians(latitude.values)))


def _draw_series(axes: Axes, name: str, field: xr.DataArray, dim: str) -> None:
    from matplotlib import dates

    n_steps = max(2, min(MAX_STEPS, MAX_VALUES // max(1, field[0].size)))
    chosen = field.isel({dim: slice(None, None, -(-field.sizes[dim] // n_steps))})
    rest = [other for other in chosen.dims if other != dim]
    latitude = next((str(other) for other in rest if other in ("lat", "latitude")), None)
    weighted = chosen if latitude is None else chosen.weighted(_weights(chosen[latitude]))
    means = weighted.mean(rest).values
    places = chosen[dim].values if dim in chosen.coords and chosen[dim].dtype.kind in "iufM" else np.arange(len(means))
    axes.plot(places, means, color=_LINE, lw=1.2, marker="." if len(means) < 60 else None)  # noqa: PLR2004
    units = str(field.attrs.get("units", ""))
    axes.set_title(", ".join(filter(None, (f"mean of {shortened(name, 24)}", units))), loc="left", color=_INK)
    axes.tick_params(colors=_FAINT)
    if np.asarray(places).dtype.kind == "M":
        labels: Any = dates.ConciseDateFormatter  # untyped
        axes.xaxis.set_major_formatter(labels(axes.xaxis.get_major_locator()))
