"""The kinds of parameters that a domain is made of: what values each takes, and its JSON form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from curator_core.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PICKLES = ("store_function", "load_function", "load_kwargs")


def plain(value: object) -> object:
    """The Python value of a NumPy scalar or array without axes, or of an enumeration's number or text.

    Anything else is given as it is, as are NumPy's times, whose numbers mean nothing without their unit.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value if value.dtype.kind in "mM" else value.item()
    if type(value) in (int, float, str, bool):
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return str.__str__(value) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class _Common:
    to_disk: bool = False
    """Whether values are files of their own, and the table holds their paths."""

    foreign: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Pickled functions of f3dasm: written back as they were read, never opened."""


@dataclass(frozen=True)
class Parameter(_Common):
    """A parameter of which nothing but the name is known; base class of all kinds."""

    kind: ClassVar[str] = "object"

    def accept(self, value: object) -> object:
        """The value as this parameter holds it.

        Raises
        ------
        ConfigError
            The value is not of the parameter's kind. Bounds are not checked: they say where to sample.
        """
        return plain(value)

    def recognised(self, text: str) -> object:
        """The value that an unquoted cell of a foreign CSV file stands for; ``None`` if the text alone decides."""
        return None

    def joined(self, other: Parameter, name: str) -> Parameter:
        """One parameter for the values of both, which have the same `name`."""
        if type(self) is not type(other):
            raise _unlike(self, other, name)
        return replace(self, to_disk=self.to_disk or other.to_disk, foreign=self.foreign or other.foreign)

    def to_dict(self) -> dict[str, object]:
        """The parameter's object in ``domain.json``."""
        common: dict[str, object] = {"type": self.kind, "to_disk": self.to_disk}
        common |= {name: self.foreign.get(name) for name in _PICKLES}
        inherited = {one.name for one in fields(_Common)}
        return common | {
            one.name: _jsonable(getattr(self, one.name)) for one in fields(self) if one.name not in inherited
        }


@dataclass(frozen=True)
class ConstantParameter(Parameter):
    """An input with the same value in every experiment."""

    kind: ClassVar[str] = "constant"
    value: object

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _simple(self.value, "A constant"))

    def accept(self, value: object) -> object:
        found = plain(value)
        are_nan = found != found and self.value != self.value  # noqa: PLR0124 - NaN
        if found != self.value and not are_nan:
            raise ConfigError(f"{value!r} is not the constant {self.value!r}")
        return self.value

    def recognised(self, text: str) -> object:
        return self.value if text == str(self.value) else None

    def joined(self, other: Parameter, name: str) -> Parameter:
        if isinstance(other, ConstantParameter) and other.value == self.value:
            return self
        return CategoricalParameter([self.value]).joined(other, name)


@dataclass(frozen=True)
class ContinuousParameter(Parameter):
    """An input that takes real numbers between two bounds, on a logarithmic scale if `log`."""

    kind: ClassVar[str] = "float"
    lower_bound: float = -math.inf
    upper_bound: float = math.inf
    log: bool = False

    def __post_init__(self) -> None:
        low, high = _number(self.lower_bound, "lower_bound"), _number(self.upper_bound, "upper_bound")
        if not low < high:
            raise ConfigError(f"upper_bound must be above lower_bound, not {low!r} to {high!r}.")
        if self.log and low <= 0:
            raise ConfigError(f"A logarithmic scale needs a lower_bound above 0, not {low!r}.")
        object.__setattr__(self, "lower_bound", low)
        object.__setattr__(self, "upper_bound", high)

    def accept(self, value: object) -> object:
        found = plain(value)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise ConfigError(f"{value!r} is no number")
        return _float(found, f"{str(value)[:20]}… is beyond all real numbers")

    def joined(self, other: Parameter, name: str) -> Parameter:
        if not isinstance(other, ContinuousParameter) or self.log != other.log:
            raise _unlike(self, other, name)
        low, high = min(self.lower_bound, other.lower_bound), max(self.upper_bound, other.upper_bound)
        return ContinuousParameter(low, high, self.log)


@dataclass(frozen=True)
class DiscreteParameter(Parameter):
    """An input that takes integers between two bounds, every `step`-th."""

    kind: ClassVar[str] = "int"
    lower_bound: int = 0
    upper_bound: int = 1
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("lower_bound", "upper_bound", "step"):
            object.__setattr__(self, name, _integer(getattr(self, name), name))
        if not self.lower_bound < self.upper_bound:
            raise ConfigError(
                f"upper_bound must be above lower_bound, not {self.lower_bound!r} to {self.upper_bound!r}."
            )
        if self.step <= 0:
            raise ConfigError(f"step must be above 0, not {self.step!r}.")

    def accept(self, value: object) -> object:
        return _integer(value, None)

    def joined(self, other: Parameter, name: str) -> Parameter:
        if not isinstance(other, DiscreteParameter) or self.step != other.step:
            raise _unlike(self, other, name)
        low, high = min(self.lower_bound, other.lower_bound), max(self.upper_bound, other.upper_bound)
        return DiscreteParameter(low, high, self.step)


@dataclass(frozen=True, eq=False)
class CategoricalParameter(Parameter):
    """An input that takes one of some values."""

    kind: ClassVar[str] = "category"
    categories: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = [_simple(one, "A category") for one in self.categories]
        if len(set(found)) != len(found):
            raise ConfigError(f"The categories {found!r} contain one twice.")
        object.__setattr__(self, "categories", found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CategoricalParameter) and set(self.categories) == set(other.categories)

    def __hash__(self) -> int:
        return hash(frozenset(self.categories))

    def accept(self, value: object) -> object:
        found = plain(value)
        same = [one for one in self.categories if type(one) is type(found) and one == found]
        equal = same or [one for one in self.categories if one == found]
        if not equal:
            raise ConfigError(f"{value!r} is none of the categories {self.categories!r}")
        return equal[0]

    def recognised(self, text: str) -> object:
        return next((one for one in self.categories if str(one) == text), None)

    def joined(self, other: Parameter, name: str) -> Parameter:
        more = [other.value] if isinstance(other, ConstantParameter) else None
        more = other.categories if isinstance(other, CategoricalParameter) else more
        if more is None:
            raise _unlike(self, other, name)
        return CategoricalParameter([*self.categories, *(one for one in more if one not in self.categories)])


@dataclass(frozen=True, eq=False)
class ArrayParameter(Parameter):
    """An input that is an array of real numbers; bounds are one number or one per element."""

    kind: ClassVar[str] = "array"
    shape: tuple[int, ...] = ()
    lower_bound: float | NDArray[np.float64] = -math.inf
    upper_bound: float | NDArray[np.float64] = math.inf

    def __post_init__(self) -> None:
        shape = tuple(_integer(size, "shape") for size in self.shape)
        if not shape or min(shape) <= 0:
            raise ConfigError(f"The shape of an array is one or more sizes above 0, not {self.shape!r}.")
        object.__setattr__(self, "shape", shape)
        low, high = self._bound("lower_bound"), self._bound("upper_bound")
        if not np.all(low < high):
            raise ConfigError(f"upper_bound must be above lower_bound, not {low!r} to {high!r}.")

    def _bound(self, name: str) -> NDArray[np.float64]:
        given = getattr(self, name)
        try:
            bound = np.broadcast_to(np.asarray(given, dtype=np.float64), self.shape)
        except (ValueError, TypeError) as exc:
            raise ConfigError(f"{name} {given!r} does not fit an array of shape {self.shape}.") from exc
        object.__setattr__(self, name, float(bound.flat[0]) if np.unique(bound).size == 1 else bound)
        return bound

    def joined(self, other: Parameter, name: str) -> Parameter:
        if not isinstance(other, ArrayParameter) or self.shape != other.shape:
            raise _unlike(self, other, name)
        low, high = np.minimum(self.lower_bound, other.lower_bound), np.maximum(self.upper_bound, other.upper_bound)
        return replace(self, lower_bound=low, upper_bound=high)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayParameter) or self.shape != other.shape:
            return False
        return np.array_equal(self.lower_bound, other.lower_bound) and np.array_equal(
            self.upper_bound, other.upper_bound
        )

    def __hash__(self) -> int:
        return hash(self.shape)

    def accept(self, value: object) -> object:
        try:
            found = np.asarray(_elements(value) if isinstance(value, str) else value, dtype=np.float64)
        except (ValueError, TypeError):
            raise ConfigError(f"{value!r} is no array of numbers") from None
        if isinstance(value, str) and found.size == math.prod(self.shape):
            found = found.reshape(self.shape)
        if found.shape != self.shape:
            raise ConfigError(f"{value!r} has the shape {found.shape}, not {self.shape}")
        return found


KINDS: dict[str, type[Parameter]] = {
    cls.kind: cls
    for cls in (
        Parameter,
        ConstantParameter,
        ContinuousParameter,
        DiscreteParameter,
        CategoricalParameter,
        ArrayParameter,
    )
}
"""Class of each kind, by the name that ``domain.json`` gives it."""


def parameter_from_dict(content: object, where: str) -> Parameter:
    """Build a parameter from its object in ``domain.json``; `where` names it in errors."""
    if not isinstance(content, Mapping) or "type" not in content:
        raise ConfigError(f"{where} is no parameter: it has no 'type'.")
    kind = content["type"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnknownNameError.of(f"kind of parameter in {where}:", kind, KINDS)
    cls = KINDS[kind]
    settings = {one.name: content[one.name] for one in fields(cls) if one.name in content and one.name != "foreign"}
    foreign = {name: content[name] for name in _PICKLES if isinstance(content.get(name), str)}
    for name in ("to_disk", "log"):
        if not isinstance(settings.get(name, False), bool):
            raise ConfigError(f"{where}: {name} must be true or false, not {settings[name]!r}.")
    try:
        return cls(**settings, foreign=foreign)
    except (ConfigError, TypeError) as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _number(value: object, name: str) -> float:
    found = plain(value)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or found != found:  # noqa: PLR0124 - NaN; an integer may be beyond all floats
        raise ConfigError(f"{name} must be a number, not {value!r}.")
    return _float(cast("float", found), f"{name} is beyond all real numbers.")


def _float(number: float, problem: str) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ConfigError(problem) from None


def _integer(value: object, name: str | None) -> int:
    found = plain(value)
    if isinstance(found, float) and found.is_integer():
        found = int(found)  # f3dasm passes integers through tables of floats
    if isinstance(found, bool) or not isinstance(found, int):
        raise ConfigError(f"{name} must be an integer, not {value!r}." if name else f"{value!r} is no integer")
    return found


def _simple(value: object, what: str) -> object:
    found = plain(value)
    if found is not None and not isinstance(found, bool | int | float | str):
        raise ConfigError(f"{what} is a number, a text or a truth value, not {value!r}.")
    return found


def _elements(text: str) -> list[float]:
    """The numbers of an array as JSON or NumPy writes it, in order."""
    return [float(word) for word in re.sub(r"[\[\],]", " ", text).split()]


def _jsonable(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _unlike(one: Parameter, other: Parameter, name: str) -> ConfigError:
    return ConfigError(f"Input {name!r} cannot be both {one!r} and {other!r}; rename one of the two.")
