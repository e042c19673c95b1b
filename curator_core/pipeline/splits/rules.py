"""Rules that divide the items of a dataset into splits, such as train, validation and test, by their keys alone.

A rule looks at one key at a time, so the split of an item never changes when others are added or removed.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final

from curator_core.errors import ConfigError

DEFAULT_FRACTIONS: Mapping[str, float] = MappingProxyType({"train": 0.8, "validation": 0.1, "test": 0.1})
"""Splits and their parts of the items."""
_MAX_RECORDED: Final = 4096
"""Characters of a rule that are recorded with every version of a dataset; of longer ones it is their hash."""


def split_of(key: str, fractions: Mapping[str, float] = DEFAULT_FRACTIONS, seed: int = 0) -> str:
    """The split of the item with this key.

    It depends on nothing else: not on other items, their order or number, nor on where it is computed.
    The fractions hold for many items on average, not exactly.

    Parameters
    ----------
    key
        Key of the item.
    fractions
        Name of each split and its part of the items; none negative, in all 1. Their order is of no
        account.
    seed
        Another seed gives another division.

    Raises
    ------
    ConfigError
        The fractions are no such parts.

    Notes
    -----
    The first 8 bytes of the SHA-256 of ``f"{seed}:{key}"`` in UTF-8, as a big-endian integer over 2**64,
    are a number in [0, 1). The splits divide that range among them in the alphabetical order of their
    names.
    """
    check_fractions(fractions)
    return _Division(fractions, seed).split(key)


class _Division:
    """The numbers in [0, 1), divided among splits."""

    def __init__(self, fractions: Mapping[str, float], seed: int) -> None:
        self._seed = seed
        self._names = sorted(name for name, fraction in fractions.items() if fraction > 0)
        parts = [fractions[name] for name in self._names]
        self._ends = [math.fsum(parts[:number]) for number in range(1, len(parts))]

    def split(self, text: str) -> str:
        """The split of the number that stands for a text."""
        digest = hashlib.sha256(f"{self._seed}:{text}".encode("utf-8", "surrogatepass")).digest()
        return self._names[bisect_right(self._ends, int.from_bytes(digest[:8], "big") / 2**64)]


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Refuse fractions that do not divide a whole.

    Raises
    ------
    ConfigError
        One is negative or no number, or they do not sum to 1.
    """
    if any(fraction < 0 for fraction in fractions.values()) or not math.isclose(math.fsum(fractions.values()), 1.0):
        raise ConfigError(f"fractions must be at least 0 each and 1 in all, got {dict(fractions)!r}.")


class SplitRule(ABC):
    """Divides items into splits: a frozen dataclass, whose fields are what a pipeline file says of it."""

    by: ClassVar[str]
    """What a pipeline file calls it."""
    is_total: ClassVar[bool] = False
    """Whether it has a split for every key."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The splits that there are, whether an item is in them or not."""

    @abstractmethod
    def split(self, key: str) -> str:
        """Name of the split of the item with this key; empty for one that is in none.

        Raises
        ------
        ConfigError
            The rule says nothing of it.
        """

    def splits(self, keys: Iterable[str]) -> dict[str, str]:
        """The split of each of some keys.

        Raises
        ------
        ConfigError
            The rule says nothing of one.
        """
        return {key: self.split(key) for key in keys}

    def check(self, keys: Iterable[str]) -> None:
        """Raise `ConfigError` where the rule says nothing of one of some keys."""
        if not self.is_total:
            self.splits(keys)

    def absent(self, keys: Collection[str]) -> list[str]:
        """Keys that the rule names and that are none of the given ones."""
        return []

    def described(self) -> dict[str, Any]:
        """The rule as a pipeline file has it, see `split_rule`."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]  # a dataclass
        return {"by": self.by, **{name: _plain(value) for name, value in given.items() if value is not None}}

    def recorded(self) -> dict[str, Any]:
        """What is recorded of it with a dataset: all, or the hash of a long one."""
        found = self.described()
        text = json.dumps(found, sort_keys=True)
        return found if len(text) <= _MAX_RECORDED else {"by": self.by, "sha256": _digest(text)}


def _plain(value: object) -> object:
    """A value as a file has it."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_names(names: Iterable[object]) -> None:
    """Raise `ConfigError` where a name of a split is none."""
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"The name of a split must be a text that is not empty, not {name!r}.")


def _default_fractions() -> dict[str, float]:
    return dict(DEFAULT_FRACTIONS)


class _ByFractions(SplitRule):
    """By a hash, each split with its part of the numbers."""

    fractions: Mapping[str, float]
    seed: int

    @property
    def names(self) -> list[str]:
        return sorted(self.fractions)

    @cached_property
    def _division(self) -> _Division:
        return _Division(self.fractions, self.seed)


@dataclass(frozen=True)
class SplitByKey(_ByFractions):
    """Every item by the hash of its key, see `split_of`.

    Raises
    ------
    ConfigError
        The fractions divide no whole.
    """

    fractions: Mapping[str, float] = field(default_factory=_default_fractions)
    """Name of each split and its part of the items, in all 1."""
    seed: int = 0
    """Another one gives another division."""

    by: ClassVar[str] = "key"
    is_total: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the fractions divide no whole."""
        check_names(self.fractions)
        check_fractions(self.fractions)

    def split(self, key: str) -> str:
        return self._division.split(key)


@dataclass(frozen=True)
class SplitByGroup(_ByFractions):
    r"""All items of a group together, by the hash of the group: all runs of one geometry, all frames of one trajectory.

    Give either ``pattern`` or ``groups``. An item of which they say nothing is an error, since it might belong to a
    group that is in another split.

    Raises
    ------
    ConfigError
        Neither is given or both, the pattern is none, or the fractions divide no whole.

    Examples
    --------
    >>> rule = SplitByGroup(pattern=r"geometry(\d+)/")
    >>> rule.group("geometry07/run3.vtu")
    '07'
    """

    pattern: str | None = None
    """Regular expression that is searched in keys: the group is what its part ``(?P<group>…)`` matches, or the first
    part in parentheses, or all of it."""
    groups: Mapping[str, str] | None = None
    """Group of each key."""
    fractions: Mapping[str, float] = field(default_factory=_default_fractions)
    """Name of each split and its part of the groups, in all 1."""
    seed: int = 0
    """Another one gives another division."""

    by: ClassVar[str] = "group"

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the rule is none."""
        if (self.pattern is None) == (self.groups is None):
            raise ConfigError("A split by group needs either a pattern or groups.")
        check_names(self.fractions)
        check_fractions(self.fractions)
        self._search(None)

    def _search(self, key: str | None) -> re.Match[str] | None:
        if self.pattern is None:
            return None
        try:
            return re.search(self.pattern, key or "")
        except re.error as exc:
            raise ConfigError(f"The pattern {self.pattern!r} of a split is no regular expression: {exc}.") from None

    def group(self, key: str) -> str:
        """Group of the item with this key.

        Raises
        ------
        ConfigError
            It has none.
        """
        if self.groups is not None:
            if key not in self.groups:
                raise ConfigError(f"The split by group has no group of the item {key!r}; add it to 'groups'.")
            return self.groups[key]
        found = self._search(key)
        named: str | None = None
        if found is not None:
            named = found["group"] if "group" in found.re.groupindex else found[1 if found.re.groups else 0]
        if not named:
            raise ConfigError(
                f"The split by group finds no group in the key {key!r} with the pattern {self.pattern!r}; write one "
                "that matches every key."
            )
        return named

    def split(self, key: str) -> str:
        return self._division.split(self.group(key))


@dataclass(frozen=True)
class SplitByList(SplitRule):
    """Every item as it is listed.

    Raises
    ------
    ConfigError
        A key is in two lists, or a name is none.
    """

    lists: Mapping[str, Sequence[str]]
    """Keys of the items of each split."""
    rest: str | None = None
    """Split of items that are in no list; without it, such an item is an error."""

    by: ClassVar[str] = "list"

    def __post_init__(self) -> None:
        """Raise `ConfigError` where a key is in two lists."""
        check_names([*self.lists, *([] if self.rest is None else [self.rest])])
        for name, keys in self.lists.items():
            if isinstance(keys, str):
                raise ConfigError(f"The split {name!r} must be a list of keys, not the text {keys!r}.")
            for key in keys:
                if self._listed[key] != name:
                    raise ConfigError(f"The item {key!r} is in the splits {name!r} and {self._listed[key]!r}.")

    @property
    def names(self) -> list[str]:
        return sorted({*self.lists, *([] if self.rest is None else [self.rest])})

    @cached_property
    def _listed(self) -> dict[str, str]:
        return {key: name for name, keys in self.lists.items() for key in keys}

    def split(self, key: str) -> str:
        found = self._listed.get(key, self.rest)
        if found is None:
            raise ConfigError(
                f"The split by list does not have the item {key!r}: add it to one of {sorted(self.lists)}, or say with "
                "'rest' which split has all others."
            )
        return found

    def absent(self, keys: Collection[str]) -> list[str]:
        return [key for key in self._listed if key not in keys]


@dataclass(frozen=True)
class SplitByFolder(SplitRule):
    """Every item by the folder it lies in, as sets are published that are divided already: ``val/data0000.aselmdb``.

    Raises
    ------
    ConfigError
        There is no folder, or the name of a folder or a split is none.

    Examples
    --------
    >>> SplitByFolder({"train_4M": "train", "val": "validation"}).split("train_4M/data0000.aselmdb")
    'train'
    """

    folders: Mapping[str, str]
    """Split of each folder; of an item it is the one folder among those in its key."""

    by: ClassVar[str] = "folder"

    def __post_init__(self) -> None:
        """Raise `ConfigError` where the name of a folder or a split is none."""
        check_names(self.folders.values())
        for folder in self.folders or [""]:
            if not folder or "/" in folder:
                raise ConfigError(f"A split by folder needs names of folders, without '/', not {folder!r}.")

    @property
    def names(self) -> list[str]:
        return sorted(set(self.folders.values()))

    def split(self, key: str) -> str:
        found = [folder for folder in key.split("/")[:-1] if folder in self.folders]
        if len(found) != 1:
            which = " and ".join(map(repr, found)) or "none"
            raise ConfigError(
                f"The split by folder finds {which} of {sorted(self.folders)} in the key {key!r}, and needs one."
            )
        return self.folders[found[0]]
