"""Conversion between units of measurement, by the unit names of the CF conventions.

References
----------
CF conventions 1.11, section 3.1 (units), with ``units_metadata`` for temperatures that are differences.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from curator_core.errors import MissingDependencyError
from curator_core.filters.values.fields import Array, FieldError

_DIFFERENCES: Final = ("standard_deviation", "range")
"""Cell methods whose results are differences."""
_NAMED_DIFFERENCES: Final = ("anomaly", "difference", "standard_error")
"""Words of standard names that are those of differences."""

_TEMPERATURE: Final = re.compile(r"(?:deg(?:ree)?s?[_ ]?)?(c|celsius|k|kelvin|f|fahrenheit)", re.IGNORECASE)
_PLUS: Final = re.compile(r"(?<=[A-Za-z])\+(?=\d)")


def converted(values: Array, given: str, wanted: str, *, is_difference: bool | None = False) -> Array:
    """Numbers in another unit; floating-point types stay, integers become float64.

    Parameters
    ----------
    values
        The numbers.
    given, wanted
        Names of the units, as UDUNITS or Pint write them.
    is_difference
        Whether they are differences, of which 1 °C is 1 K; ``None`` where nobody knows, which is refused if it matters.

    Raises
    ------
    FieldError
        A unit is unknown, one is no multiple of the other, or a number becomes too large for its type.
    MissingDependencyError
        Pint or cf-xarray is not installed.
    """
    if values.dtype.kind not in "iufc":
        raise FieldError(f"values of type {values.dtype} have no unit")
    source, target = _unit(given), _unit(wanted)
    if _dimensions(source) != _dimensions(target):
        raise FieldError(f"{given!r} cannot be converted to {wanted!r}: they measure different things")
    if source == target:
        return values
    if is_difference is not False and (_offset(source) or _offset(target)):
        if is_difference is None:
            raise FieldError(
                f"whether values in {given!r} are temperatures or differences of temperatures is unknown: its "
                "units_metadata says so"
            )
        source, target = _as_difference(source), _as_difference(target)
    numbers = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    try:
        found = np.asarray(_registry().Quantity(numbers, source).to(target).magnitude)
    except Exception as exc:
        raise FieldError(f"{given!r} cannot be converted to {wanted!r}: {exc}") from exc
    with np.errstate(over="ignore"):
        made = found.astype(values.dtype if values.dtype.kind in "fc" else np.float64)
    if np.isfinite(values).sum() != np.isfinite(made).sum():
        raise FieldError(f"in {wanted!r} its numbers are too large for {made.dtype}")
    return made


def is_difference(attributes: Mapping[str, Any]) -> bool | None:
    """Whether the values of a variable are differences, by its attributes; ``None`` where they say it is unknown."""
    metadata = str(attributes.get("units_metadata", ""))
    if metadata:
        return None if "unknown" in metadata else "difference" in metadata
    name = str(attributes.get("standard_name", ""))
    methods = str(attributes.get("cell_methods", "")).replace(":", " ").split()
    return any(word in name for word in _NAMED_DIFFERENCES) or any(method in methods for method in _DIFFERENCES)


def same_unit(first: str, second: str) -> bool:
    """Whether two names are those of one unit.

    Raises
    ------
    FieldError
        One is unknown.
    """
    return bool(_unit(first) == _unit(second) and _dimensions(_unit(first)) == _dimensions(_unit(second)))


def require_unit(name: str) -> None:
    """Raise `FieldError` where a unit is unknown."""
    _unit(name)


@cache
def _registry() -> Any:  # noqa: ANN401 - Pint's
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without matplotlib, whose axes would have units
            from cf_xarray.units import units  # noqa: PLC0415 - of an extra
    except ImportError as exc:
        raise MissingDependencyError.of("cf-xarray and pint", "units", "Converting units") from exc
    return units


@cache
def _unit(name: str) -> Any:  # noqa: ANN401 - as above
    if not name.strip():
        raise FieldError("it has no unit: say which with given=")
    try:
        return _registry().Unit(_spelled(name))
    except MissingDependencyError:
        raise
    except Exception as exc:
        raise FieldError(f"the unit {name!r} is unknown: say what it is with given=") from exc


def _spelled(name: str) -> str:
    """A name as Pint knows it: UDUNITS has more of them for temperatures, and a plus before exponents."""
    found = _TEMPERATURE.fullmatch(name.strip())
    if found is not None and (len(found[0]) > 1 or name.strip() == "C"):  # f and k alone are others
        return {"c": "degC", "k": "K", "f": "degF"}[found[1][0].lower()]
    return _PLUS.sub("", name)


@cache
def _dimensions(unit: Any) -> Any:  # noqa: ANN401 - as above
    """What a unit is a multiple of: angles and salinities count, which Pint takes for plain numbers."""
    registry = _registry()
    return registry.Quantity(1.0, _as_difference(unit)).to_root_units().units


@cache
def _offset(unit: Any) -> bool:  # noqa: ANN401 - as above
    """Whether 0 in a unit is not 0 in others."""
    registry = _registry()
    return bool(registry.Quantity(0.0, unit).to_root_units().magnitude != 0)


def _as_difference(unit: Any) -> Any:  # noqa: ANN401 - as above
    """The unit of differences between values in a unit."""
    registry = _registry()
    if not _offset(unit):
        return unit
    (name,) = unit._units  # noqa: SLF001 - a unit with an offset is one alone
    return registry.Unit(f"delta_{name}")
