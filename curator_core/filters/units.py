"""Filter that converts fields to the units that are wanted."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

from curator_core.errors import ConfigError
from curator_core.filters.conversion import converted, is_difference, require_unit
from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields
from curator_core.filters.values.stepwise import FieldFilter, Missing

logger = logging.getLogger("curator")

_OF_THE_UNIT = ("actual_range", "valid_range", "valid_min", "valid_max")
"""Attributes whose numbers are in the former unit."""


class UnitsFilter(FieldFilter):
    """Converts fields to the units that are wanted, which their attribute ``units`` says then.

    What a field is in says its attribute, or `given`. A unit that is unknown or measures something else fails the item;
    numbers are never passed on in a unit that nobody knows. Unit names are those of the CF conventions (``kg m-2 s-1``,
    ``degC``, ``hPa``, ``%``, ``1``).

    Temperatures become temperatures, and their differences (a standard deviation, a range, an anomaly, or what
    ``units_metadata`` says) differences: 1 °C is 274.15 K, or 1 K.

    Parameters
    ----------
    units
        The unit that is wanted, by field; coordinates, too, whose bounds are converted with them.
    given
        The unit that a field is in, in place of what its attribute says, which is logged; needed for values without
        attributes, such as tables.
    missing
        ``fail``: an item without one of the fields fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        A wanted unit is unknown, or `given` has a field that `units` does not have.
    """

    name: ClassVar[str] = "units"
    description: ClassVar[str] = "Fields in the units that are wanted"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self, units: Mapping[str, str], given: Mapping[str, str] | None = None, *, missing: Missing = "fail"
    ) -> None:
        self._units, self._given = dict(units), dict(given or {})
        self.missing = missing
        more = [name for name in self._given if name not in self._units]
        if more or not self._units:
            what = f"given has {more[0]!r}, of which units says nothing" if more else "units names no field"
            raise ConfigError(f"{self.name}: {what}.")

    def check(self) -> None:
        """Raise `ConfigError` where a unit is unknown, `MissingDependencyError` where a package is not installed."""
        for unit in (*self._units.values(), *self._given.values()):
            try:
                require_unit(unit)
            except FieldError as exc:
                raise ConfigError(f"{self.name}: {exc}.") from None

    def wanted(self) -> Collection[str]:
        return self._units

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        if fields.has_fixed_units:
            raise FieldError(f"the units of {fields.what} are fixed, and nobody expects others")
        known = set(fields.known())
        values: dict[str, Array] = {}
        attributes: dict[str, Attributes] = {}
        for name, wanted in self._units.items():
            if name in known:
                about = fields.attributes(name)
                said = str(about.get("units", ""))
                given = self._given.get(name, said)
                if said not in ("", given):
                    text = "%s: field %r says that it is in %r, and is taken to be in %r, as given"
                    logger.warning(text, self.name, name, said, given)
                for each in self._together(name, about, known):
                    values[each] = self._converted(fields, each, given, wanted, about)
                kept = {key: value for key, value in about.items() if key not in _OF_THE_UNIT or given == wanted}
                attributes[name] = {**kept, "units": wanted}
        return fields.replaced(values, attributes)

    def _together(self, name: str, about: Attributes, known: Collection[str]) -> Iterator[str]:
        """A field, and its bounds, which have no unit of their own."""
        yield name
        bounds = str(about.get("bounds", ""))
        if bounds in known and bounds not in self._units:
            yield bounds

    def _converted(self, fields: Fields, name: str, given: str, wanted: str, about: Attributes) -> Array:
        try:
            return converted(fields.values(name), given, wanted, is_difference=is_difference(about))
        except FieldError as exc:
            raise FieldError(f"field {name!r}: {exc}") from exc
