"""Which variables of a file are wanted, and what each of them is: data, a coordinate, a time."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod
from typing import Self

from curator_core.domains.grid.axes import axis_of, dated_dimensions, named_variables, time_of
from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.stored import Part, StoredVariable
from curator_core.domains.grid.times import counts_time
from curator_core.errors import ConfigError


def wanted_variables(variables: Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    """The argument ``variables`` of a source with a name; ``None`` for all of them.

    Raises
    ------
    ConfigError
        It names none.
    """
    if variables is not None and not variables:
        raise ConfigError(f"{name}: variables names none; leave it out for all of them.")
    return None if variables is None else tuple(variables)


class ReadsVariables:
    """A source that can leave out variables, so that what a filter drops is not read."""

    _variables: tuple[str, ...] | None

    def reading(self, fields: Sequence[str]) -> Self:
        """A source of the same items, with these variables and their coordinates alone."""
        narrowed = copy.copy(self)
        narrowed._variables = tuple(name for name in fields if self._variables is None or name in self._variables)  # noqa: SLF001
        return narrowed


class Selection:
    """The variables that are wanted, and what says where and when their values are.

    That is, the coordinates of their dimensions, latitudes, longitudes and times along these, and what their attributes
    name: bounds, grid mappings and other coordinates.

    Parameters
    ----------
    own
        Variables of the group, by name.
    inherited
        Variables of the groups around it: coordinates can be there.
    wanted
        Names of those that are wanted; all of the group by default.

    Raises
    ------
    DecodingError
        There is no such variable.
    """

    def __init__(
        self,
        own: Mapping[str, StoredVariable],
        inherited: Mapping[str, StoredVariable],
        wanted: Collection[str] | None,
    ) -> None:
        self._known = {**inherited, **own}
        self._places = {name: frozenset(v.dims) for name, v in self._known.items() if v.dims and _is_place(v)}
        self._wanted = None if wanted is None else frozenset(wanted)
        for name in wanted or ():
            if name not in own:
                raise DecodingError(_unknown(name, list(own)))
        self.variables = self._closure(list(own if wanted is None else wanted))
        self.times = self._times()

    def _closure(self, names: list[str]) -> dict[str, StoredVariable]:
        selected: dict[str, StoredVariable] = {}
        while names:
            name = names.pop(0)
            if name not in selected and name in self._known:
                variable = selected[name] = self._known[name]
                names += self._along(variable)
        return selected

    def _along(self, variable: StoredVariable) -> list[str]:
        """Names of what belongs to a variable; not all of them have to be there."""
        names = [*variable.dims, *named_variables(variable.attributes), *self._profiles(variable)]
        if variable.is_coordinate or not variable.dims:
            return names
        dims = set(variable.dims)
        return names + [name for name, along in self._places.items() if dims >= along]

    def _profiles(self, variable: StoredVariable) -> Iterator[str]:
        """Terms of formulas that are one profile: the others are data."""
        for name in named_variables(variable.attributes, ("formula_terms",)):
            if name in self._known and len(self._known[name].dims) <= 1:
                yield name

    def _times(self) -> dict[str, tuple[str, object]]:
        """Units and calendar of the variables that count time; bounds have those of what they bound."""
        own = {n: v.attributes for n, v in self.variables.items() if counts_time(v.attributes.get("units"))}
        times = {name: (attrs["units"], attrs.get("calendar")) for name, attrs in own.items()}
        for attrs in own.values():
            for bounds in named_variables(attrs, ("bounds", "climatology")):
                if bounds in self.variables:
                    given = self.variables[bounds].attributes
                    units = given["units"] if counts_time(given.get("units")) else attrs["units"]
                    times[bounds] = (units, given.get("calendar", attrs.get("calendar")))
        return times

    def coordinates(self) -> set[str]:
        """Names of the variables that are no data."""
        if self._wanted is not None:
            found = set(self.variables) - self._wanted
        else:
            found = {name for v in self.variables.values() for name in named_variables(v.attributes)}
            found |= {name for v in self.variables.values() for name in self._profiles(v)}
            found |= {name for name, v in self.variables.items() if _is_place(v)}
        found &= set(self.variables)
        return found | {name for name, v in self.variables.items() if v.is_coordinate}

    def steps(self) -> tuple[str, str]:
        """The dimension of time, and the variable that dates it.

        Raises
        ------
        DecodingError
            There is none, or more than one.
        """
        dated = dated_dimensions({name: _Named(v.dims, v.attributes) for name, v in self.variables.items()})
        if len(dated) == 1:
            return next(iter(dated.items()))
        found = f"dimensions {', '.join(map(repr, dated))} have" if dated else "no dimension has"
        raise DecodingError(f"{found} times: choose variables that share one, or item='file'")

    def dating(self, dim: str) -> str | None:
        """The variable that dates a dimension; ``None`` where none does."""
        return time_of(dim, {name: _Named(v.dims, v.attributes) for name, v in self.variables.items()})

    def size(self, part: Part) -> int:
        """Bytes of the decoded values."""
        return sum(prod(v.part_shape(part)) * self._item_size(v) for v in self.variables.values())

    def _item_size(self, variable: StoredVariable) -> int:
        if variable.name in self.times:
            return 8
        return 4 if variable.is_text else variable.packing.decoded.itemsize


class _Named:
    """A variable, as `axes` asks for it."""

    def __init__(self, dims: tuple[str, ...], attrs: Mapping[str, object]) -> None:
        self.dims, self.attrs = dims, attrs


def _is_place(variable: StoredVariable) -> bool:
    """Whether a variable is a latitude, a longitude or a time."""
    units = str(variable.attributes.get("units", ""))
    return counts_time(units) or (
        axis_of(_Named(variable.dims, variable.attributes)) in ("latitude", "longitude")
        and variable.attributes.get("axis") is None
    )


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"it has no variable {name!r}; it has {', '.join(near + [n for n in known if n not in near]) or 'none'}"
