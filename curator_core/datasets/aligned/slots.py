"""The table of slots: which item gave each of them, variable by variable, and in which state it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError
from curator_core.formats.arrays import TEXT, Array, ArraySpec

NOBODY: Final = -1
_PREFER: Final = "prefer="


class Status(IntEnum):
    """State of a slot of a variable."""

    NEVER_WRITTEN = 0
    """No item has the step."""
    PRESENT = 1
    """An item gave it."""
    MISSING = 2
    """Items have the step, and none the variable."""
    FAILED = 3
    """What an item gave before it changed; as it is now it was not processed, or failed."""
    PROVISIONAL = 4
    """An item gave it, and says that it will be replaced."""


FLAGS: Final[Mapping[str, Any]] = {
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.name.lower() for status in Status),
}
"""CF's attributes of the states."""


def slots_of_split(
    owner: npt.NDArray[np.int64], splits: Sequence[str], split: str
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which slots are of a split: those that items give, all of which are in it.

    Parameters
    ----------
    owner
        Position of the item that gives each value, ``(n_slots, n_values)``; `NOBODY` where there is none.
    splits
        Split of each item.
    split
        The one that is meant.

    Returns
    -------
    is_in
        Whether a slot is of the split, ``(n_slots,)``.
    is_mixed
        Whether it has values of items in the split, and of others, ``(n_slots,)``.
    """
    is_given = owner != NOBODY
    is_ours = np.array([*(name == split for name in splits), False])[owner]  # the last one is nobody's
    has_others = (is_given & ~is_ours).any(axis=1)
    return is_ours.any(axis=1) & ~has_others, is_ours.any(axis=1) & has_others


@dataclass(frozen=True)
class Duplicates:
    """Which of two items gives a slot that both have.

    Raises
    ------
    ConfigError
        There is no such rule.
    """

    rule: str = "fail"
    """``fail``; ``last``: the later one in the source; ``prefer=PATTERN``: the one whose key matches."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where there is no such rule."""
        if self.rule not in ("fail", "last") and not (self.rule.startswith(_PREFER) and len(self.rule) > len(_PREFER)):
            raise ConfigError(f"duplicate must be 'fail', 'last' or 'prefer=PATTERN', not {self.rule!r}.")

    def ranks(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """Of two items the one of higher rank wins; with the same rank, both are named in an error."""
        if self.rule == "last":
            return np.arange(len(keys))
        pattern = self.rule.removeprefix(_PREFER)
        return np.array([self.rule != "fail" and fnmatchcase(key, pattern) for key in keys], np.int64)


@dataclass(frozen=True)
class Slots:
    """Who gave what, ``(n_slots, n_variables)`` each."""

    names: Sequence[str]
    """The variables."""
    owner: npt.NDArray[np.int64]
    """Position of the item that gave it; `NOBODY` where none did."""
    n_cells: npt.NDArray[np.int64]
    """How many of its values the source gave."""
    provisional: npt.NDArray[np.bool_]
    """Whether its item says that it will be replaced."""

    @classmethod
    def empty(cls, names: Sequence[str], n_slots: int) -> Slots:
        """Slots that nobody gave."""
        shape = n_slots, len(names)
        return cls(list(names), np.full(shape, NOBODY, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))

    def fitted(self, names: Sequence[str], n_slots: int) -> Slots:
        """The same for other variables, and another number of slots."""
        found = Slots.empty(names, n_slots)
        n = min(n_slots, len(self.owner))
        for column, name in enumerate(names):
            if name in self.names:
                former = self.names.index(name)
                found.owner[:n, column] = self.owner[:n, former]
                found.n_cells[:n, column] = self.n_cells[:n, former]
                found.provisional[:n, column] = self.provisional[:n, former]
        return found

    def renumbered(self, numbers: npt.NDArray[np.int64]) -> Slots:
        """The same with other positions of items, by the former one; what an item without one gave is nobody's."""
        owner = np.full_like(self.owner, NOBODY)
        held = self.owner != NOBODY
        owner[held] = numbers[self.owner[held]]
        gone = owner == NOBODY
        return Slots(self.names, owner, np.where(gone, 0, self.n_cells), self.provisional & ~gone)

    def taken(self, former: npt.NDArray[np.int64]) -> Slots:
        """The slots that were at some positions; nobody's where a position is -1."""
        gone = (former < 0)[:, None]
        owner = np.where(gone, NOBODY, self.owner[former])
        return Slots(self.names, owner, np.where(gone, 0, self.n_cells[former]), self.provisional[former] & ~gone)

    @property
    def n_used(self) -> int:
        """Number of slots up to the last one that an item gave."""
        used = np.flatnonzero((self.owner != NOBODY).any(axis=1))
        return int(used[-1]) + 1 if len(used) else 0

    @property
    def gaps(self) -> npt.NDArray[np.int64]:
        """Positions of the slots that no item gave."""
        return np.flatnonzero((self.owner == NOBODY).all(axis=1))

    @property
    def used_names(self) -> list[str]:
        """The variables that some item gave."""
        used = (self.owner != NOBODY).any(axis=0)
        return [name for name, is_used in zip(self.names, used.tolist(), strict=True) if is_used]

    def status(self, failed: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
        """State of every slot, given which items failed."""
        held = self.owner != NOBODY
        found = np.where(held, np.uint8(Status.PRESENT), np.uint8(Status.NEVER_WRITTEN))
        found[held.any(axis=1)[:, None] & ~held] = Status.MISSING
        found[self.provisional] = Status.PROVISIONAL
        found[held & failed[self.owner]] = Status.FAILED
        return found

    def columns(
        self, slot: str, failed: npt.NDArray[np.bool_], aside: Mapping[str, Collection[str]]
    ) -> dict[str, tuple[ArraySpec, Array]]:
        """The arrays that hold the table, by name.

        Parameters
        ----------
        slot
            The dimension of the slots, and name of the table.
        failed
            Which items failed.
        aside
            Name of another table, and the variables that are in it.
        """
        status = self.status(failed) if len(failed) else np.zeros(self.owner.shape, np.uint8)
        others = {name for names in aside.values() for name in names}
        found: dict[str, tuple[ArraySpec, Array]] = {}
        tables = {slot: [name for name in self.names if name not in others]}
        tables |= {table: sorted(names) for table, names in aside.items() if names}
        for table, names in tables.items():
            found |= self._columns(f"slots/{table}", slot, names, status)
        return found

    def _columns(
        self, group: str, slot: str, given: Sequence[str], states: npt.NDArray[np.uint8]
    ) -> dict[str, tuple[ArraySpec, Array]]:
        names = np.empty(len(given), object)
        names[:] = given
        chosen = [self.names.index(name) for name in given]
        row, dims = (len(given),), (slot, "variable")
        status, owner, n_cells = (table[:, chosen] for table in (states, self.owner, self.n_cells))
        return {
            spec.name: (spec, values)
            for spec, values in (
                (ArraySpec(f"{group}/variable", TEXT, ("variable",)), names),
                (ArraySpec(f"{group}/status", "uint8", dims, row, FLAGS), status),
                (ArraySpec(f"{group}/item", "int64", dims, row), owner),
                (ArraySpec(f"{group}/n_cells", "int64", dims, row), n_cells),
            )
        }

    @classmethod
    def assembled(cls, names: Sequence[str], status: Array, owner: Array, n_cells: Array, provisional: Array) -> Slots:
        """The table in the arrays of `columns`.

        Raises
        ------
        ValueError
            They contradict each other.
        """
        found = cls(
            list(names), np.array(owner, np.int64), np.array(n_cells, np.int64), np.array(provisional, np.bool_)
        )
        held = found.owner != NOBODY
        claimed = np.isin(status, (Status.PRESENT, Status.FAILED, Status.PROVISIONAL))
        if not np.array_equal(held, claimed):
            raise ValueError("its slots have items where they say that they have none, or none where they should")
        return found
