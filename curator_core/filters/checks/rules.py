"""What can be expected of a field, and what of it does not hold."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array, FieldError, Fields

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finding:
    """What of a field does not pass."""

    n_bad: int
    """How many numbers, at least 1."""
    text: str
    """For people, with the first place."""


class Rule(ABC):
    """One expectation; made from what a configuration says."""

    check: ClassVar[str]
    """What a configuration calls it."""

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - each checks its own
        self.expected = expected

    @abstractmethod
    def find(self, fields: Fields, name: str) -> Finding | None:
        """What of a field does not pass; ``None`` where everything does."""

    def _found(self, fields: Fields, name: str, bad: Mask, what: str) -> Finding | None:
        n_bad = int(np.count_nonzero(bad))
        if not n_bad:
            return None
        first = tuple(int(at) for at in np.unravel_index(int(bad.argmax()), bad.shape))
        value = fields.values(name)[first]
        place = fields.place(name, first)
        return Finding(n_bad, f"{n_bad:,} of {bad.size:,} {what}, the first {value!s} at {place}")


class InRange(Rule):
    """No number lies outside two ends, of which one may be open; NaN is not looked at."""

    check = "range"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        ends = list(expected) if isinstance(expected, Sequence) and not isinstance(expected, str) else []
        if len(ends) != 2 or not all(end is None or isinstance(end, int | float) for end in ends):  # noqa: PLR2004
            raise ConfigError(f"range must be a low and a high end, or null for none, not {expected!r}")
        super().__init__(ends)

    def find(self, fields: Fields, name: str) -> Finding | None:
        values, (low, high) = _numbers(fields, name), self.expected
        bad = np.zeros(values.shape, np.bool_)
        if low is not None:
            bad |= values < low
        if high is not None:
            bad |= values > high
        ends = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
        return self._found(fields, name, bad, f"numbers lie outside {ends}")


class Allowed(Rule):
    """Every value is one of a list; NaN is not looked at."""

    check = "allowed"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if isinstance(expected, str) or not isinstance(expected, Sequence) or not expected:
            raise ConfigError(f"allowed must be a list of values, not {expected!r}")
        super().__init__(list(expected))

    def find(self, fields: Fields, name: str) -> Finding | None:
        values = fields.values(name)
        if values.dtype.kind in "OUST":
            known = {*self.expected, None} if fields.missing(name) is not None else set(self.expected)
            bad = np.fromiter((value not in known for value in values.ravel().tolist()), np.bool_, values.size)
            bad = bad.reshape(values.shape)
        else:
            bad = ~np.isin(values, np.asarray(self.expected)) & ~_nan(values)
        return self._found(fields, name, bad, f"values are none of {', '.join(map(str, self.expected))}")


class Monotonic(Rule):
    """Each number is larger, or smaller, than the one before; along the only dimension, or the first."""

    check = "monotonic"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if expected not in ("increasing", "decreasing", "either"):
            raise ConfigError(f"monotonic must be increasing, decreasing or either, not {expected!r}")
        super().__init__(expected)

    def find(self, fields: Fields, name: str) -> Finding | None:
        values = _numbers(fields, name)
        if values.ndim == 0 or len(values) < 2:  # noqa: PLR2004 - nothing to compare
            return None
        later, earlier = values[1:], values[:-1]
        rises, falls = later > earlier, later < earlier
        wanted = {"increasing": rises, "decreasing": falls}.get(self.expected)
        if wanted is None:
            wanted = rises if np.count_nonzero(rises) >= np.count_nonzero(falls) else falls
        bad = np.concatenate([np.zeros_like(wanted[:1]), ~wanted])
        word = {"increasing": "larger", "decreasing": "smaller"}.get(self.expected, "beyond")
        return self._found(fields, name, bad, f"numbers are not {word} than the one before")


class FewMissing(Rule):
    """No more than a share of the numbers is NaN."""

    check = "max_nan"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if not isinstance(expected, int | float) or not 0 <= expected <= 1:
            raise ConfigError(f"max_nan must lie between 0 and 1, not {expected!r}")
        super().__init__(float(expected))

    def find(self, fields: Fields, name: str) -> Finding | None:
        values = fields.values(name)
        bad = _nan(values)
        n_bad = int(np.count_nonzero(bad))
        if n_bad <= self.expected * bad.size:
            return None
        text = f"{n_bad:,} of {bad.size:,} numbers are NaN, {n_bad / bad.size:.3%}"
        return Finding(n_bad, f"{text}, the first at {fields.place(name, [int(i) for i in _first(bad)])}")


class Matches(Rule):
    """Every text matches a regular expression as a whole; missing ones are not looked at."""

    check = "pattern"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        try:
            self._pattern = re.compile(expected)
        except (re.error, TypeError) as exc:
            raise ConfigError(f"pattern must be a regular expression, not {expected!r}: {exc}") from None
        super().__init__(expected)

    def find(self, fields: Fields, name: str) -> Finding | None:
        values = fields.values(name)
        if values.dtype.kind not in "OUT":
            raise FieldError(f"field {name!r} is no text, but {values.dtype}")
        matches = self._pattern.fullmatch
        found = (isinstance(text, str) and matches(text) is None for text in values.ravel().tolist())
        bad = np.fromiter(found, np.bool_, values.size).reshape(values.shape)
        return self._found(fields, name, bad, f"texts do not match {self.expected}")


class FewNull(Rule):
    """No more than a share of the values is missing, where that is no NaN: of tables."""

    check = "max_null"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if not isinstance(expected, int | float) or not 0 <= expected <= 1:
            raise ConfigError(f"max_null must lie between 0 and 1, not {expected!r}")
        super().__init__(float(expected))

    def find(self, fields: Fields, name: str) -> Finding | None:
        missing = fields.missing(name)
        n_bad = 0 if missing is None else int(np.count_nonzero(missing))
        if missing is None or n_bad <= self.expected * missing.size:
            return None
        text = f"{n_bad:,} of {missing.size:,} values are missing, {n_bad / missing.size:.3%}"
        return Finding(n_bad, f"{text}, the first at {fields.place(name, [int(i) for i in _first(missing)])}")


class InUnits(Rule):
    """The attribute ``units`` says what is expected, however it is spelled."""

    check = "units"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if not isinstance(expected, str) or not expected:
            raise ConfigError(f"units must be the name of a unit, not {expected!r}")
        super().__init__(expected)

    def find(self, fields: Fields, name: str) -> Finding | None:
        found = str(fields.attributes(name).get("units", "")).strip()
        if found == self.expected or (found and _is_same_unit(found, self.expected)):
            return None
        return Finding(1, f"its units are {found!r}" if found else "it has no units")


RULES: Final[Mapping[str, type[Rule]]] = MappingProxyType(
    {rule.check: rule for rule in (InRange, Allowed, Monotonic, FewMissing, FewNull, Matches, InUnits)}
)
"""Rules by what a configuration calls them."""


def _is_same_unit(found: str, expected: str) -> bool:
    from curator_core.filters.conversion import same_unit  # noqa: PLC0415 - of an extra, needed for spellings alone

    try:
        return same_unit(found, expected)
    except FieldError:  # one is unknown, and the texts differ
        return False


def _numbers(fields: Fields, name: str) -> Array:
    values = fields.values(name)
    if values.dtype.kind not in "biuf":
        raise FieldError(f"field {name!r} is no number, but {values.dtype}")
    return values


def _nan(values: Array) -> Mask:
    return np.isnan(values) if values.dtype.kind in "fc" else np.zeros(values.shape, np.bool_)


def _first(bad: Mask) -> tuple[Any, ...]:
    return np.unravel_index(int(bad.argmax()), bad.shape)
