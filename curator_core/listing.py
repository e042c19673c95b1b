"""The listing of a source: keys and fingerprints, taken once per run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from curator_core.components import Source
from curator_core.errors import ConfigError, DuplicateKeyError, IndexRangeError
from curator_core.records import Item


@dataclass(frozen=True)
class Listing:
    """Keys and fingerprints of all items, by index."""

    keys: list[str]
    """Unique keys, in index order."""
    fingerprints: list[str | None]
    """Their fingerprints."""

    @classmethod
    def of(cls, source: Source[Any]) -> Listing:
        """List a source.

        Raises
        ------
        DuplicateKeyError
            Two items have one key.
        ConfigError
            A key is no string, or empty.
        """
        keys = [source.key(i) for i in range(len(source))]
        name = source.component_name()
        for index, key in enumerate(keys):
            if not _is_text(key):
                raise ConfigError(
                    f"{name}: the key of item {index} must be a string that is not empty and that UTF-8 can hold, "
                    f"got {key!r}."
                )
        if len(set(keys)) != len(keys):
            first: dict[str, int] = {}
            for index, key in enumerate(keys):
                if first.setdefault(key, index) != index:
                    raise DuplicateKeyError(
                        f"{name}: items {first[key]} and {index} have the same key {key!r}; keys must be unique."
                    )
        return cls(keys, [_fingerprint(source, i) for i in range(len(keys))])

    def __len__(self) -> int:
        return len(self.keys)

    def item(self, index: int) -> Item:
        """The item at `index`."""
        return Item(index, self.keys[index], self.fingerprints[index])

    @cached_property
    def positions(self) -> dict[str, int]:
        """Index by key."""
        return {key: index for index, key in enumerate(self.keys)}

    def checked(self, indices: Iterable[int] | None) -> list[int]:
        """`indices`, or all of them.

        Raises
        ------
        IndexRangeError
            An index lies outside the source.
        ConfigError
            An index is given twice.
        """
        if indices is None:
            return list(range(len(self)))
        wanted = list(indices)
        for index in wanted:
            if not 0 <= index < len(self):
                raise IndexRangeError(f"Index {index} is out of range: the source has {len(self)} items (0 to n-1).")
        if len(set(wanted)) != len(wanted):
            raise ConfigError("An index is given twice; each can be processed once per run.")
        return wanted


def _is_text(key: object) -> bool:
    try:
        return isinstance(key, str) and key.encode() != b""
    except UnicodeEncodeError:  # a file name that is no UTF-8
        return False


def _fingerprint(source: Source[Any], index: int) -> str | None:
    try:
        return source.fingerprint(index)
    except OSError:  # it vanished after it was listed; reading it will fail by name
        return None
