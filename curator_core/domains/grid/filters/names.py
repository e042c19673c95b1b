"""Filter that gives variables the names of one table, and the attributes of the CF conventions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from curator_core.domains.grid.axes import axis_of
from curator_core.domains.grid.filters.quantities import QUANTITIES, Level, Quantity
from curator_core.errors import ConfigError
from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.kinds import DatasetFields
from curator_core.filters.values.stepwise import FieldFilter

if TYPE_CHECKING:
    import xarray as xr

Table = Literal["ecmwf", "weatherbench", "cf"]

_TABLES: Final = ("ecmwf", "weatherbench", "cf")
_PRESSURES: Final = ("isobaricInhPa", "isobaricInPa")
_SINGLE_LEVELS: Final = ("surface", "meanSea", "heightAboveGround", "entireAtmosphere", "depthBelowLandLayer")
_STANDARD: Final = {"time": "time", "latitude": "latitude", "longitude": "longitude", "member": "realization"}
_WEATHERBENCH_DIMS: Final = {"lat": "latitude", "lon": "longitude", "isobaricInhPa": "level"}
_UNITS: Final = (("**", ""), ("m/s", "m s-1"), ("(0 - 1)", "1"), (" of water equivalent", ""))
"""How ecCodes writes units, and how CF does."""


class NamesFilter(FieldFilter):
    """Gives variables the names of one table: of ECMWF, of WeatherBench, or the standard names of CF.

    A variable is recognised by any of its names (``t2m``, ``2t``, ``2m_temperature``; ``t_isobaricInhPa`` of
    `GRIBSource`), or by a standard name that one quantity alone has on its kind of level, or at its height. One with
    another standard name, unit or kind of level than the quantity of its name is not that quantity: rain in ``kg m-2``
    is not ``tp``, whose metres would be other numbers. A short name alone, without any of these, says nothing.

    What is recognised gets the attribute ``standard_name``, coordinates where they have none; units are written as CF
    does (``m s-1``, ``1``). Values are never changed.

    Parameters
    ----------
    table
        ``ecmwf``: short names, such as ``2t``. ``weatherbench``: ``2m_temperature``; dimensions are ``latitude``,
        ``longitude`` and ``level`` then. ``cf``: standard names. Or the new name of each variable, by the former one.
    unknown
        ``keep``: what is not recognised keeps its name. ``fail``: an item that has such a variable fails.

    Raises
    ------
    ConfigError
        There is no such table, or two variables would get one name.
    """

    name: ClassVar[str] = "names"
    description: ClassVar[str] = "Variables of grids with the names of one table"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, table: Table | Mapping[str, str], *, unknown: Literal["keep", "fail"] = "keep") -> None:
        self._own = dict(table) if isinstance(table, Mapping) else {}
        self._table = "" if isinstance(table, Mapping) else table
        self._is_strict = unknown == "fail"
        if not self._own and self._table not in _TABLES:
            raise ConfigError(
                f"{self.name}: table must be one of {', '.join(_TABLES)}, or names by name; not {table!r}."
            )
        if repeated := [new for new, n in Counter(self._own.values()).items() if n > 1]:
            raise ConfigError(f"{self.name}: table gives two variables the name {repeated[0]!r}.")

    def wanted(self) -> Collection[str]:
        return self._own

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        if not isinstance(fields, DatasetFields):
            raise FieldError(f"{fields.what} have no names of weather: this is for datasets of grids")
        dataset = fields.replaced({})
        quantities = {name: _quantity(name, dataset) for name in fields.names()}
        names = {name: self._new_name(name, found) for name, found in quantities.items()}
        if self._table == "weatherbench":
            names |= {old: new for old, new in _WEATHERBENCH_DIMS.items() if old in dataset.dims}
        names |= {name: new for name, new in self._own.items() if name in fields.known()}
        self._require_apart(names, fields)
        attributes = {name: _described(dataset[name], quantities.get(name)) for name in fields.known()}
        changed = fields.replaced({}, {n: a for n, a in attributes.items() if a != fields.attributes(n)})
        return DatasetFields(changed).renamed({old: new for old, new in names.items() if old != new})

    def _new_name(self, name: str, quantity: Quantity | None) -> str:
        found = "" if quantity is None else self._name_of(quantity)
        if not found and self._is_strict and name not in self._own:
            raise FieldError(
                f"{name!r} is no quantity with a name in {self._table or 'the table'}: select others, or give a mapping"
            )
        return found or name

    def _name_of(self, quantity: Quantity) -> str:
        known = {"ecmwf": quantity.ecmwf, "weatherbench": quantity.weatherbench, "cf": quantity.standard_name}
        return known.get(self._table, "")

    def _require_apart(self, names: Mapping[str, str], fields: Fields) -> None:
        """Raise `FieldError` where two variables would have one name."""
        taken: dict[str, str] = {}
        for name in fields.known():
            new = names.get(name, name)
            if new in taken:
                raise FieldError(
                    f"{taken[new]!r} and {name!r} would both be {new!r}: select one of them, or give a mapping"
                )
            taken[new] = name


def _quantity(name: str, dataset: xr.Dataset) -> Quantity | None:
    """The quantity of a variable; ``None`` where nothing says it, or what does is contradicted."""
    variable = dataset[name]
    level = _level(name, variable)
    if level == "":
        return None
    about = variable.attrs
    standard, units = str(about.get("standard_name", "")), _cf_units(str(about.get("units", "")))
    near = [found for found in QUANTITIES if level in (None, found.level) and (not units or units in found.units)]
    near = [found for found in near if not standard or standard in found.standard_names]
    bare = name.removesuffix(f"_{about.get('GRIB_typeOfLevel', '')}")
    named = [found for found in near if {name, bare} & {found.ecmwf, found.netcdf, found.weatherbench}]
    if named:
        is_said = name == named[0].weatherbench or bool(standard) or level is not None
        return _only(named) if is_said or (units and named[0].level == "single") else None
    if not standard or "GRIB_paramId" in about:  # whose name says more: a mean, a spread of members
        return None
    height = _height(variable)
    return _only(near if height is None else [found for found in near if found.height == height])


def _only(found: Sequence[Quantity]) -> Quantity | None:
    return found[0] if len(found) == 1 else None


def _level(name: str, variable: xr.DataArray) -> Level | Literal[""] | None:
    """The kind of level of a variable; ``None`` where nothing says it, empty where it is another one."""
    kind = str(variable.attrs.get("GRIB_typeOfLevel", ""))
    if kind in _PRESSURES or name.endswith(tuple(f"_{each}" for each in _PRESSURES)):
        return "pressure"
    if kind:
        return "single" if kind in _SINGLE_LEVELS else ""
    vertical = [dim for dim in variable.dims if dim in variable.coords and axis_of(variable[dim]) == "vertical"]
    if not vertical:
        return None
    units = str(variable[vertical[0]].attrs.get("units", "")).lower()
    return "pressure" if units in ("pa", "hpa", "mbar", "millibar", "millibars") else ""


def _height(variable: xr.DataArray) -> float | None:
    """Height above the ground, in m, where a single one is given."""
    found = [c for c in variable.coords.values() if c.ndim == 0 and c.attrs.get("standard_name") == "height"]
    return float(found[0]) if len(found) == 1 and found[0].attrs.get("units") == "m" else None


def _cf_units(units: str) -> str:
    for old, new in _UNITS:
        units = units.replace(old, new)
    return units


def _described(variable: xr.DataArray, quantity: Quantity | None) -> dict[str, Any]:
    """Attributes with those of CF."""
    found = {str(key): value for key, value in variable.attrs.items()}
    if isinstance(units := found.get("units"), str):
        found["units"] = _cf_units(units)
    is_coordinate = variable.dims == (variable.name,)
    standard = "" if quantity is None else quantity.standard_name
    if is_coordinate:
        standard = _STANDARD.get(axis_of(variable) or "", "")
    if not standard or (is_coordinate and "standard_name" in found):
        return found
    return {**found, "standard_name": standard}
