"""The axis of items without a time: each has one slot, in the order of the source, named by its key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from curator_core.datasets.aligned.axis import Positions, SlotAxis
from curator_core.datasets.aligned.codec import Array
from curator_core.errors import ConfigError, MergeError

KEYS: Final[Mapping[str, str]] = {"long_name": "key of the item"}
"""Attributes of the coordinate."""


@dataclass(frozen=True)
class KeyAxis(SlotAxis):
    """Slots of items, of which each has one: the position of an item among those that are in the dataset.

    Other than on an axis of times, an item that comes before others moves them.
    """

    def __post_init__(self) -> None:
        """There is nothing to compare: keys differ."""

    def coordinates(self, n_slots: int) -> Array:
        return self.values[:n_slots]

    @property
    def n_declared(self) -> int | None:
        return None

    def length(self, n_used: int) -> int:
        return len(self.values)

    def positions(self, values: Array) -> Positions:
        """Slots of items, by their keys."""
        known = {key: n for n, key in enumerate(self.values.tolist())}
        return np.array([known[key] for key in values], np.int64)

    def label(self, position: int) -> str:
        return repr(self.values[position])

    def extended(self, values: Array) -> SlotAxis:
        return self

    def has_same_slots(self, other: SlotAxis) -> bool:
        n = min(len(self.values), len(other.values))
        is_same = isinstance(other, KeyAxis) and self.name == other.name
        return is_same and self.values[:n].tolist() == other.values[:n].tolist()

    def described(self) -> dict[str, Any]:
        """The name alone: the keys are those of the items."""
        return {"name": self.name, "is_keyed": True}


def key_axis(name: str, keys: Sequence[str] = ()) -> KeyAxis:
    """The axis of the items with some keys, in their order; without keys, one that is declared."""
    values = np.empty(len(keys), object)
    values[:] = list(keys)
    return KeyAxis(name, values, is_even=False, is_declared=True, attributes=KEYS)


def require_kind(axis: SlotAxis, declared: SlotAxis | None, place: str) -> None:
    """Raise `ConfigError` where one of two axes has slots of items, and the other one of values.

    Parameters
    ----------
    axis
        Of a published dataset.
    declared
        The one that is declared, if any.
    place
        Where the dataset is.
    """
    wanted = declared.name if isinstance(declared, KeyAxis) else None
    held = axis.name if isinstance(axis, KeyAxis) else None
    if wanted == held:
        return
    known = (
        f"has values of {axis.name!r} as its slots"
        if held is None
        else f"was published with axes={{{held!r}: {{'values': 'keys'}}}}"
    )
    raise ConfigError(f"{place} {known}. Say so in axes=, or choose another output, for which all items are processed.")


def require_processed(slot: str, wanted: str | None, declared: SlotAxis | None, *, is_keyed: bool) -> None:
    """Raise `MergeError` where all items were processed for other slots than are declared now.

    Parameters
    ----------
    slot
        The dimension of the slots that the items have.
    wanted
        The one that is declared, if any.
    declared
        The axis that is declared, if any.
    is_keyed
        Whether the items have one slot each, named by their keys.
    """
    if wanted in (None, slot) and is_keyed == isinstance(declared, KeyAxis):
        return
    made = f"axes={{{slot!r}: {{'values': 'keys'}}}}" if is_keyed else f"slots along {slot!r}"
    raise MergeError(
        f"The items were processed with {made}, and axes= of the sink has another axis now: declare it as it was, or "
        "process all items again, with --no-resume."
    )


def part_axis(axis: SlotAxis | None) -> SlotAxis | None:
    """The axis by which a worker writes an item: where every item has one slot, as the first of many."""
    return SlotAxis(axis.name, np.array([0, 1])) if isinstance(axis, KeyAxis) else axis
