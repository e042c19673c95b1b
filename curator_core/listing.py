"""The listing of a source: keys and fingerprints, taken once per run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

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
        keys = list(map(source.key, range(len(source))))
        _check(keys, source.component_name())
        return cls(keys, _fingerprints(source, len(keys)))

    def __len__(self) -> int:
        return len(self.keys)

    def item(self, index: int) -> Item:
        """The item at `index`."""
        return Item(index, self.keys[index], self.fingerprints[index])

    @cached_property
    def positions(self) -> dict[str, int]:
        """Index by key."""
        return {key: index for index, key in enumerate(self.keys)}

    def checked(self, indices: Iterable[int] | None) -> Sequence[int]:
        """`indices`, or all of them.

        Raises
        ------
        IndexRangeError
            An index lies outside the source.
        ConfigError
            An index is given twice.
        """
        if indices is None:
            return range(len(self))
        wanted = indices if isinstance(indices, range) else list(indices)
        for index in wanted:
            if not 0 <= index < len(self):
                raise IndexRangeError(f"Index {index} is out of range: the source has {len(self)} items (0 to n-1).")
        if len(set(wanted)) != len(wanted):
            raise ConfigError("An index is given twice; each can be processed once per run.")
        return wanted

    def items(self, indices: Sequence[int]) -> ListedItems:
        """The items at `indices`, in their order."""
        return ListedItems(self, indices)


class ListedItems(Sequence[Item]):
    """Items of a listing, each made when it is asked for: a million of them take no memory."""

    def __init__(self, listing: Listing, indices: Sequence[int]) -> None:
        self._listing = listing
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> Item: ...
    @overload
    def __getitem__(self, position: slice) -> ListedItems: ...
    def __getitem__(self, position: int | slice) -> Item | ListedItems:
        if isinstance(position, slice):
            return ListedItems(self._listing, self._indices[position])
        return self._listing.item(self._indices[position])

    def __iter__(self) -> Iterator[Item]:
        return map(self._listing.item, self._indices)


_CHUNK = 10_000
"""Keys that are checked at once."""


def _check(keys: list[Any], name: str) -> None:
    """Check all keys at once; which of them is wrong is found out only when one is."""
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        try:
            are_texts = all(chunk) and "".join(chunk).encode() is not None
        except (TypeError, ValueError):
            are_texts = False
        if not are_texts:
            index = next(i for i, key in enumerate(chunk, start) if not _is_text(key))
            raise ConfigError(
                f"{name}: the key of item {index} must be a string that is not empty and that UTF-8 can hold, "
                f"got {keys[index]!r}. For names of files, see curator_core.input_files.text_key."
            )
    if len(set(keys)) != len(keys):
        first: dict[str, int] = {}
        for index, key in enumerate(keys):
            if first.setdefault(key, index) != index:
                raise DuplicateKeyError(
                    f"{name}: items {first[key]} and {index} have the same key {key!r}; keys must be unique."
                )


def _is_text(key: object) -> bool:
    try:
        return isinstance(key, str) and key.encode() != b""
    except UnicodeEncodeError:  # a file name that is no UTF-8
        return False


def _fingerprints(source: Source[Any], n_items: int) -> list[str | None]:
    fingerprint = source.fingerprint
    if getattr(fingerprint, "__func__", None) is Source.fingerprint:
        return [None] * n_items
    found: list[str | None] = []
    for index in range(n_items):
        try:
            found.append(fingerprint(index))
        except OSError:  # it vanished after it was listed; reading it will fail by name
            found.append(None)
    return found
