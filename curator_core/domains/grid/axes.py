"""What the variables of a grid are for: coordinates, bounds, which one is the time.

References
----------
CF conventions 1.11, chapters 4 (coordinate types), 5 (coordinate systems) and 7 (data representative of cells).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from curator_core.domains.grid.times import counts_time

Axis = Literal["time", "latitude", "longitude", "vertical", "member"]

_OF_LETTER: Mapping[str, Axis] = {"T": "time", "Y": "latitude", "X": "longitude", "Z": "vertical", "E": "member"}
_OF_NAME: Mapping[str, Axis] = {
    "time": "time",
    "latitude": "latitude",
    "longitude": "longitude",
    "grid_latitude": "latitude",
    "grid_longitude": "longitude",
    "projection_y_coordinate": "latitude",
    "projection_x_coordinate": "longitude",
    "realization": "member",
}
_NORTH = {f"{degree}{north}" for degree in ("degree", "degrees") for north in ("_north", "_n", "n")}
_EAST = {f"{degree}{east}" for degree in ("degree", "degrees") for east in ("_east", "_e", "e")}
_PRESSURE = {"pa", "hpa", "mbar", "millibar", "millibars", "bar", "decibar", "dbar", "atm"}

REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures", "quantization")
"""Attributes that name variables which say where and when the values of another one are."""


class HasAttributes(Protocol):
    """A variable with its dimensions."""

    @property
    def dims(self) -> Any:  # noqa: ANN401 - xarray's are tuples of hashables
        """Names of its dimensions."""

    @property
    def attrs(self) -> Any:  # noqa: ANN401 - xarray's are mappings
        """Its attributes."""


def axis_of(variable: HasAttributes) -> Axis | None:
    """Which axis a coordinate variable is on, by its attributes; ``None`` where they do not say."""
    attributes = variable.attrs
    units = str(attributes.get("units", "")).strip()
    if counts_time(units):
        return "time"
    if units.lower() in _NORTH:
        return "latitude"
    if units.lower() in _EAST:
        return "longitude"
    named = _OF_NAME.get(str(attributes.get("standard_name", "")))
    if named is not None:
        return named
    if "positive" in attributes or units.lower() in _PRESSURE:
        return "vertical"
    return _OF_LETTER.get(str(attributes.get("axis", "")).upper())


def named_variables(attributes: Mapping[str, Any], names: tuple[str, ...] = REFERENCES) -> Iterator[str]:
    """Names that stand in attributes of a variable which refer to others, whether there are such variables or not."""
    for name in names:
        given = attributes.get(name)
        if isinstance(given, str):
            yield from (word for word in given.split() if not word.endswith(":"))
            yield from (word.removesuffix(":") for word in given.split() if word.endswith(":"))


def time_of(dim: str, variables: Mapping[str, HasAttributes]) -> str | None:
    """The variable that dates a dimension: its coordinate, or else the only other one along it that counts time.

    Of several others, the one whose standard name is ``time``.
    """
    along = [n for n, v in variables.items() if tuple(v.dims) == (dim,) and counts_time(v.attrs.get("units"))]
    if dim in along:
        return dim
    named = [name for name in along if variables[name].attrs.get("standard_name") == "time"]
    for choice in (named, along):
        if len(choice) == 1:
            return choice[0]
    return None


def dated_dimensions(variables: Mapping[str, HasAttributes]) -> dict[str, str]:
    """The variable that dates it, of every dimension that has one."""
    dims = dict.fromkeys(dim for variable in variables.values() for dim in variable.dims)
    found = {dim: time_of(dim, variables) for dim in dims}
    return {dim: name for dim, name in found.items() if name is not None}
