"""The axis of slots: which coordinate values a dataset has a place for, and where that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.codec import Array
from curator_core.errors import ComponentError, ConfigError

TOLERANCE: Final = 1e-6
"""Share of the spacing by which two values of a coordinate may differ and still be the same."""
_MAX_GAPS: Final = 20
"""A learned axis with more empty slots than this for every value is a list of the values instead."""
EPOCH: Final = "microseconds since 1970-01-01"
"""Units of coordinates that are times."""
_GREGORIAN: Final = ("standard", "gregorian", "proleptic_gregorian")
REFORM: Final = int(np.datetime64("1582-10-15", "us").astype(np.int64))
"""From then on these calendars are the same."""
_MONTH: Final = 28 * 86_400_000_000
_MAX_SLOTS: Final = 1 << 25
"""Of an axis without an end; an item that asks for more has a damaged coordinate."""

Positions = npt.NDArray[np.int64]


class OffAxisError(ComponentError):
    """A coordinate value has no slot on the axis of the dataset."""


def labelled(value: object, attributes: Mapping[str, Any]) -> str:
    """A coordinate value as people write it."""
    units, calendar = str(attributes.get("units", "")), attributes.get("calendar", "standard")
    if units.startswith(EPOCH) and calendar in _GREGORIAN:
        return str(np.datetime64(int(str(value)), "us").astype("datetime64[s]"))
    if units.startswith(EPOCH):
        import cftime

        return f"{cftime.num2date(int(str(value)), units, str(calendar)).isoformat()} ({calendar})"
    return f"{value} {units}".strip() + (f" ({calendar})" if "since" in units else "")


def are_same_counts(one: tuple[str, str], other: tuple[str, str], values: Array) -> bool:
    """Whether some values mean the same under two pairs of units and calendar."""
    if one == other:
        return True
    is_gregorian = one[0] == other[0] == EPOCH and one[1] in _GREGORIAN and other[1] in _GREGORIAN
    return is_gregorian and bool((values >= REFORM).all())


@dataclass(frozen=True)
class SlotAxis:
    """Coordinate values of the slots: evenly spaced, or a list of them.

    Raises
    ------
    ConfigError
        There is no such axis.
    """

    name: str
    """The dimension."""
    values: Array
    """The first two values of an evenly spaced axis, or all of a list."""
    n_slots: int | None = None
    """Number of slots of an evenly spaced axis; ``None`` where it ends with the last value that an item has."""
    is_even: bool = True
    """Whether it is evenly spaced."""
    is_declared: bool = False
    """Whether it was declared, so that it does not grow by itself."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the coordinate, such as its units."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the values do not rise."""
        if not len(self.values) or (np.diff(self.values) <= 0).any():
            raise ConfigError(f"The values of the axis {self.name!r} must rise, got {self.values[:5].tolist()!r}.")

    @property
    def step(self) -> Any:  # noqa: ANN401 - a number of the values' type
        """Spacing of an evenly spaced axis."""
        return self.values[1] - self.values[0]

    def coordinates(self, n_slots: int) -> Array:
        """Values of the first slots."""
        if not self.is_even:
            return np.asarray(self.values[:n_slots])
        return np.asarray(self.values[0] + self.step * np.arange(n_slots), self.values.dtype)

    @property
    def n_declared(self) -> int | None:
        """Number of slots that there will be; ``None`` where items may add to them."""
        if not self.is_even:
            return len(self.values) if self.is_declared else None
        return self.n_slots

    def length(self, n_used: int) -> int:
        """Number of slots, given how many there are up to the last one in use."""
        if not self.is_even:
            return len(self.values) if self.is_declared else n_used
        return n_used if self.n_slots is None else self.n_slots

    def positions(self, values: Array) -> Positions:
        """Slots of some values.

        Raises
        ------
        OffAxisError
            One has none, or two have the same; the message says which, and why.
        """
        found = self._nearest(values)
        self._require_near(values, found)
        twice = np.flatnonzero(np.diff(found) == 0)
        if len(twice):
            one, two = values[twice[0]], values[twice[0] + 1]
            raise OffAxisError(
                f"The item has {self.name} {one} and {two}, which are the same slot of the dataset, "
                f"{self._label(self._values_at(found[twice])[0])}: two steps where there is one."
            )
        return found

    def _require_near(self, values: Array, found: Positions) -> None:
        """Raise `OffAxisError` where a value is not that of its slot."""
        last = self.n_slots if self.is_even else len(self.values)
        outside = found < 0 if last is None else (found < 0) | (found >= last)
        if outside.any():
            raise self._outside(values[outside][0])
        far = np.flatnonzero(found >= _MAX_SLOTS)
        if len(far):
            raise OffAxisError(
                f"{self.name} {self._label(values[far[0]])} lies {int(found[far[0]]):,} steps after the first one of "
                f"the dataset, {self._label(self.values[0])}: more than the {_MAX_SLOTS:,} that one has. Is it damaged?"
            )
        grid = self._values_at(found)
        off = np.abs(values - grid)
        if (off > self._tolerance(found)).any():
            worst = int(off.argmax())
            raise OffAxisError(
                f"{self.name} {self._label(values[worst])} has no slot: the nearest one of the dataset is "
                f"{self._label(grid[worst])}, {self._spacing()}. {self._advice()}"
            )

    def _values_at(self, positions: Positions) -> Array:
        return np.asarray(self.values[0] + self.step * positions if self.is_even else self.values[positions])

    def _nearest(self, values: Array) -> Positions:
        if self.is_even:
            shifted = values - self.values[0]
            if shifted.dtype.kind in "iu":
                return np.asarray((2 * shifted + self.step) // (2 * self.step), np.int64)
            return np.asarray(np.rint(shifted / self.step), np.int64)
        right = np.searchsorted(self.values, values)
        left = np.clip(right - 1, 0, len(self.values) - 1)
        inner = np.clip(right, 0, len(self.values) - 1)
        is_left = np.abs(values - self.values[left]) <= np.abs(values - self.values[inner])
        found = np.where(is_left, left, inner)
        tolerance = self._tolerance(found)
        found = np.where(values > self.values[-1] + tolerance, len(self.values), found)
        return np.asarray(np.where(values < self.values[0] - tolerance, -1, found), np.int64)

    def _tolerance(self, positions: Positions) -> Any:  # noqa: ANN401 - a number, or an array of them
        if self.is_even:
            return TOLERANCE * abs(float(self.step))
        return np.full(len(positions), self._list_tolerance)

    @property
    def _list_tolerance(self) -> float:
        return TOLERANCE * float(np.diff(self.values).min() if len(self.values) > 1 else 1)

    def _outside(self, value: Any) -> OffAxisError:  # noqa: ANN401 - a number
        before = value < self.values[0]
        edge = self.values[0] if before else self.coordinates(self.n_slots or len(self.values))[-1]
        where = "before the first" if before else "after the last"
        is_extended = self.is_declared and self.is_even and not before
        later = "Declare a later end in axes=, which processes no other item again, or leave the item out."
        return OffAxisError(
            f"{self.name} {self._label(value)} has no slot: it lies {where} one of the dataset, {self._label(edge)}. "
            f"{later if is_extended else self._advice()}"
        )

    def label(self, position: int) -> str:
        """The value of a slot as people write it."""
        return self._label(self.coordinates(position + 1)[position])

    def _label(self, value: object) -> str:
        return labelled(value, self.attributes)

    def _spacing(self) -> str:
        step = f"{self.step / 3.6e9:g} hours" if self.attributes.get("units") == EPOCH else f"{self.step}"
        return f"evenly spaced by {step}" if self.is_even else f"one of a list of {len(self.values)}"

    def _advice(self) -> str:
        what = f"axes={{{self.name!r}: …}}, for a dataset of its own, or leave the item out."
        if self.is_declared:
            return f"Declare another axis with {what}"
        return (
            "The axis was learned from the items that were published first, and only grows at its end: declare it with "
            f"{what}"
        )

    def extended(self, values: Array) -> SlotAxis:
        """The axis with values after its end taken in, where it is a learned list.

        It is evenly spaced from then on where all of its values are, and keep their slots: a dataset that began with
        one step has a slot for each that is missing later.
        """
        if self.is_even or self.is_declared or not len(values):
            return self
        later = np.unique(values[values > self.values[-1] + self._list_tolerance])
        found = self.learned(self.name, np.concatenate([self.values, later]), self.attributes)
        n = len(self.values)
        if found.is_even and np.array_equal(found.coordinates(n), self.values):
            return found
        return replace(self, values=np.concatenate([self.values, _apart(later)]))

    def has_same_slots(self, other: SlotAxis) -> bool:
        """Whether values have the same slots on another axis, which may end elsewhere."""
        n = min(len(self.values), len(other.values))
        is_same = (self.name, self.is_even, self.inner) == (other.name, other.is_even, other.inner)
        return is_same and bool(np.array_equal(self.values[:n], other.values[:n])) and (n > 1 or not self.is_even)

    def has_all(self, values: Array) -> bool:
        """Whether some values have slots."""
        try:
            self.positions(values)
        except OffAxisError:
            return False
        return True

    def described(self) -> dict[str, Any]:
        """What `from_description` takes, as JSON."""
        return {
            "name": self.name,
            "values": self.values.tolist(),
            "dtype": self.values.dtype.name,
            "n_slots": self.n_slots,
            "is_even": self.is_even,
            "is_declared": self.is_declared,
        }

    @classmethod
    def from_description(cls, given: Mapping[str, Any], attributes: Mapping[str, Any]) -> SlotAxis:
        """The axis that `described` describes."""
        values = np.array(given["values"], given["dtype"])
        flags = bool(given["is_even"]), bool(given["is_declared"])
        found = cls(given["name"], values, given["n_slots"], *flags, dict(attributes))
        return with_inner(found, [InnerAxis.from_description(inner) for inner in given.get("inner", ())])

    def outer_coordinates(self, n_slots: int) -> Array:
        """Values of the coordinate of the dimension, which are those of the slots where nothing lies within."""
        return self.coordinates(n_slots)

    @property
    def inner(self) -> tuple[InnerAxis, ...]:
        """Dimensions within that of the slots, the last one fastest."""
        return ()

    @classmethod
    def learned(cls, name: str, values: Array, attributes: Mapping[str, Any]) -> SlotAxis:
        """The axis on which some values have slots: evenly spaced where all are whole steps of the smallest one."""
        found = _apart(np.unique(values))
        steps = np.diff(found)
        is_month = attributes.get("units") == EPOCH and len(steps) > 0 and steps.min() >= _MONTH
        if len(steps) > 1 and not is_month:  # two months, or July to September, would be evenly spaced
            step = steps.min()
            n_steps = steps / step
            is_whole = np.abs(n_steps - np.rint(n_steps)) <= TOLERANCE
            if is_whole.all() and n_steps.sum() <= _MAX_GAPS * len(found):
                start, step = _even(found, n_steps, is_time=attributes.get("units") == EPOCH)
                even = cls(name, np.array([start, start + step], found.dtype), attributes=attributes)
                if even.has_all(found):
                    return even
        return cls(name, found, is_even=False, attributes=attributes)


@dataclass(frozen=True)
class InnerAxis:
    """A dimension within that of the slots, such as lead times of forecasts, with all of its values."""

    name: str
    """The dimension."""
    values: tuple[int, ...]
    """Whole numbers, rising."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of its coordinate."""
    total: str = ""
    """Name of the coordinate that is the time of the slot and this one together; none by default."""

    def described(self) -> list[Any]:
        """What `from_description` takes, as JSON."""
        return [self.name, list(self.values), dict(self.attributes), self.total]

    @classmethod
    def from_description(cls, given: Sequence[Any]) -> Self:
        """The one that `described` describes."""
        return cls(given[0], tuple(given[1]), given[2], given[3])


@dataclass(frozen=True)
class ProductAxis(SlotAxis):
    """Slots of several dimensions, such as reference times and lead times: one for each of their combinations.

    The value of a slot is that of the outer dimension, of times in seconds, times the number of slots within one of
    its steps, plus the position there.
    """

    within: tuple[InnerAxis, ...] = ()
    """The dimensions within, the last one fastest."""

    @property
    def inner(self) -> tuple[InnerAxis, ...]:
        return self.within

    @property
    def _n_within(self) -> int:
        return prod(len(inner.values) for inner in self.within)

    @property
    def _outer(self) -> SlotAxis:
        return SlotAxis(self.name, self.values, self.n_slots, self.is_even, self.is_declared, self.attributes)

    def coordinates(self, n_slots: int) -> Array:
        n = self._n_within
        outer = self._outer.coordinates(-(-n_slots // n))
        return np.asarray((outer[:, None] // unit_of(self.attributes) * n + np.arange(n)).ravel()[:n_slots])

    def outer_coordinates(self, n_slots: int) -> Array:
        return self._outer.coordinates(n_slots // self._n_within)

    @property
    def n_declared(self) -> int | None:
        found = self._outer.n_declared
        return None if found is None else found * self._n_within

    def length(self, n_used: int) -> int:
        return self._outer.length(-(-n_used // self._n_within)) * self._n_within

    def positions(self, values: Array) -> Positions:
        outer, within = np.divmod(values, self._n_within)
        outer *= unit_of(self.attributes)
        unique, inverse = np.unique(outer, return_inverse=True)
        return np.asarray(self._outer.positions(unique)[inverse] * self._n_within + within, np.int64)

    def label(self, position: int) -> str:
        outer, within = divmod(position, self._n_within)
        at = np.unravel_index(within, [len(inner.values) for inner in self.within])
        named = [
            f"{inner.name} {inner.values[int(n)]} {inner.attributes.get('units', '')}".strip()
            for inner, n in zip(self.within, at, strict=True)
        ]
        return ", ".join([self._outer.label(outer), *named])

    def extended(self, values: Array) -> SlotAxis:
        outer = np.unique(values // self._n_within) * unit_of(self.attributes)
        return with_inner(self._outer.extended(outer), self.within)

    def has_same_slots(self, other: SlotAxis) -> bool:
        own = [(inner.name, inner.values) for inner in self.within]
        same = isinstance(other, ProductAxis) and own == [(inner.name, inner.values) for inner in other.within]
        return same and self._outer.has_same_slots(with_inner(other, ()))

    def described(self) -> dict[str, Any]:
        return {**self._outer.described(), "inner": [inner.described() for inner in self.within]}


def unit_of(attributes: Mapping[str, Any]) -> int:
    """What values of a dimension with others within are multiples of: of times, seconds."""
    return 1_000_000 if str(attributes.get("units", "")).startswith(EPOCH) else 1


def with_inner(axis: SlotAxis, inner: Sequence[InnerAxis]) -> SlotAxis:
    """An axis with other dimensions within."""
    given = axis.name, axis.values, axis.n_slots, axis.is_even, axis.is_declared, axis.attributes
    return ProductAxis(*given, tuple(inner)) if inner else SlotAxis(*given)


def _even(values: Array, n_steps: Array, *, is_time: bool) -> tuple[Any, Any]:
    """First value and spacing of values that are so many steps apart, as nearly as they are written."""
    step, start = np.diff(values).min(), values[0]
    if values.dtype.kind == "f" or (np.diff(values) % step == 0).all():
        return start, step
    step = round(int(values[-1] - start) / int(np.rint(n_steps).sum()))
    second = round(step, -6)
    if is_time and abs(step - second) <= TOLERANCE * step:  # fractions of a day, or of an hour, that were rounded
        whole = round(int(start), -6)
        return (whole if abs(whole - int(start)) <= TOLERANCE * step else int(start)), second
    return int(start), step


def _apart(values: Array) -> Array:
    """Rising values without those that are the same as the one before, within the tolerance of what is usual."""
    steps = np.diff(values)
    if len(steps) < 2:  # noqa: PLR2004 - nothing is usual then
        return values
    return np.asarray(values[np.concatenate([[True], steps > TOLERANCE * float(np.median(steps))])])
