"""The datasets of one item as the variables of one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import xarray as xr

from curator_core.datasets.aligned.schema import SchemaError
from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import REFERENCES, named_variables
from curator_core.domains.grid.netcdf.encoding import Stored, stored
from curator_core.domains.grid.plain import flags, plain, with_units_of_bounds

Variables = dict[str, xr.Variable]

_NAMING = (*REFERENCES, "formula_terms", "ancillary_variables")


class Joined:
    """Variables of a file, to which dataset after dataset is added.

    A dimension whose coordinate is another one, such as the levels of another variable, gets a name of its own:
    ``level_2``; so do its bounds and what else lies along it.
    """

    def __init__(self, datasets: Iterable[xr.Dataset]) -> None:
        self.variables: Variables = {}
        """By name, in types that are stored."""
        self.attributes: dict[str, object] = {}
        """Of the first dataset that has each."""
        self.data: set[str] = set()
        """Names of those that are no coordinates."""
        self.sizes: dict[str, int] = {}
        """Length of every dimension."""
        for dataset in datasets:
            self._add(dataset)
        if not self.data:
            raise SchemaError("The item has no variable: an empty result of an item that is there is an error.")

    def coordinates_of(self, name: str) -> list[str]:
        """Coordinates of a variable that neither its dimensions nor its attributes name."""
        about = self.variables[name]
        named = {one for v in self.variables.values() for one in named_variables(v.attrs, _NAMING)}
        dims = set(about.dims)
        others = (n for n in self.variables if n not in self.data and n not in named and n not in self.sizes)
        return [other for other in others if dims >= set(self.variables[other].dims)]

    def encoded(self, encoding: Mapping[str, Mapping[str, Any]], *, in_seconds: bool) -> dict[str, Stored]:
        """All variables as they are to be written, each with the coordinates that nothing else names.

        Parameters
        ----------
        encoding
            How variables are stored, by name.
        in_seconds
            Whether times are counted in seconds.

        Raises
        ------
        SchemaError
            Values cannot be read again as they are.
        """
        known = {
            name: stored(name, variable, encoding.get(name, {}), in_seconds=in_seconds)
            for name, variable in self.variables.items()
        }
        for name in self.data:
            others = self.coordinates_of(name)
            if others:
                given = str(known[name].attributes.get("coordinates", "")).split()
                known[name].attributes["coordinates"] = " ".join(dict.fromkeys([*given, *others]))
        return known

    def _add(self, dataset: xr.Dataset) -> None:
        given = with_units_of_bounds({str(name): variable for name, variable in dataset.variables.items()})
        variables = {name: flags(plain(name, variable)) for name, variable in given.items()}
        for name, variable in given.items():
            variables[name].encoding = dict(variable.encoding)
            if 0 in variable.shape:
                raise SchemaError(f"{name!r} has no values: its shape is {variable.shape}.")
        names: dict[str, str] = {}
        for dim, size in dataset.sizes.items():
            names[str(dim)] = self._dimension(str(dim), size, variables.get(str(dim)))
        data = {str(name) for name in dataset.data_vars}
        for name in (n for n in variables if n not in data and n not in names):
            names[name] = self._coordinate(name, _renamed(variables[name], names))
        for name in (n for n in variables if n not in data):
            self.variables.setdefault(names[name], _renamed(variables[name], names))
        for name in data & variables.keys():
            if name in self.sizes or name in self.variables:
                raise SchemaError(
                    f"Its values of {name!r} come in several pieces, which are no whole grid together: a file has one "
                    "variable of a name. GridZarrSink takes them; so does a source that reads less at once."
                )
        for name in (n for n in variables if n in data):
            self.variables[name] = _renamed(variables[name], names)
        self.data |= data
        self.attributes = {**{str(key): value for key, value in dataset.attrs.items()}, **self.attributes}

    def _dimension(self, dim: str, size: int, coordinate: xr.Variable | None) -> str:
        for name in _names(dim):
            if name not in self.sizes and name not in self.variables:
                break
            if name not in self.sizes:  # of something else
                continue
            known = self.variables.get(name)
            if self.sizes[name] == size and _same(known, coordinate, {dim: name}):
                break
        self.sizes[name] = size
        return name

    def _coordinate(self, wanted: str, variable: xr.Variable) -> str:
        for name in _names(wanted):
            if name not in self.sizes and (name not in self.variables or _same(self.variables[name], variable, {})):
                return name
        raise AssertionError(wanted)  # pragma: no cover - there are names without end


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _same(known: xr.Variable | None, other: xr.Variable | None, names: Mapping[str, str]) -> bool:
    if known is None or other is None:
        return known is other
    dims = tuple(names.get(str(dim), str(dim)) for dim in other.dims)
    units = [v.attrs.get(key) for v in (known, other) for key in ("units", "calendar")]
    return (
        known.dims == dims
        and units[:2] == units[2:]
        and known.dtype == other.dtype
        and np.array_equal(known.values, other.values, equal_nan=known.dtype.kind == "f")
    )


def _renamed(variable: xr.Variable, names: Mapping[str, str]) -> xr.Variable:
    """The same along dimensions, and with coordinates, that have other names in the file."""
    about = dict(variable.attrs)
    for key in _NAMING:
        if isinstance(about.get(key), str):
            words = (
                names.get(word.removesuffix(":"), word.removesuffix(":")) + ":" * word.endswith(":")
                if not (key == "formula_terms" and word.endswith(":"))
                else word
                for word in about[key].split()
            )
            about[key] = " ".join(words)
    dims = tuple(names.get(str(dim), str(dim)) for dim in variable.dims)
    return variable_of(dims, variable.values, about, variable.encoding)
