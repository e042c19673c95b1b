"""The listing of a source: keys and fingerprints, taken once per run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from curator_core.errors import ConfigError, CuratorError, DuplicateKeyError, IndexRangeError
from curator_core.interruption import is_interruption
from curator_core.pipeline.components import Source
from curator_core.records import Item, position
from curator_core.redaction import Redactor

logger = logging.getLogger("curator")


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
            A key is no string, or empty; a fingerprint is no string; no key can be had at all.
        """
        keys = _keys(source, _length(source))
        _check(keys, source.component_name())
        return cls(keys, _fingerprints(source, keys))

    def __len__(self) -> int:
        return len(self.keys)

    def item(self, index: int) -> Item:
        """The item at `index`."""
        return Item(index, self.keys[index], self.fingerprints[index])

    def find(self, index: int) -> Item | None:
        """The item at `index`; ``None`` where there is none."""
        return self.item(index) if 0 <= index < len(self) else None

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
            An index is no integer, or is given twice.
        """
        if indices is None:
            return range(len(self))
        wanted = indices if isinstance(indices, range) else _integers(indices)
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


_MAX_TOLD = 3
"""Items that a warning names."""


def _check(keys: list[Any], name: str, first_index: int = 0) -> None:
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
                f"{name}: the key of item {first_index + index} must be a string that is not empty and that UTF-8 can "
                f"hold, got {keys[index]!r}. For names of files, see curator_core.storage.input_files.text_key."
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


def _integers(indices: object) -> list[int]:
    if isinstance(indices, str | bytes) or not isinstance(indices, Iterable):
        raise ConfigError(f"indices must be a list of integers (from 0), not {indices!r}.")
    return [index if type(index) is int else position(index) for index in indices]


def listed_item(source: Source[Any], index: int) -> Item:
    """One item of a source, which is not listed for it; it is what a listing would have at `index`.

    Raises
    ------
    ConfigError
        Its key or its fingerprint is no string.
    """
    name = source.component_name()
    try:
        key = source.key(index)
    except Exception as exc:  # noqa: BLE001 - the source's own code; the item fails by it when it is read
        key = _stand_in(index)
        _warn(source, "no key for %d item, which fails", [f"item {index}: {_text(exc)}"])
    _check([key], name, index)
    failed: list[str] = []
    fingerprint = _fingerprint(source, index, key, failed)
    _warn(source, "no fingerprint for %d item", failed)
    return Item(index, key, fingerprint)


def _stand_in(index: int) -> str:
    """In place of a key that cannot be had."""
    return f"(no key) {index:06d}"


def _length(source: Source[Any]) -> int:
    try:
        return len(source)
    except (TypeError, ValueError, OverflowError) as exc:  # of len() itself, for what is no size
        if isinstance(exc, CuratorError):
            raise
        text = Redactor(source.secret_values())(_text(exc))
        raise ConfigError(f"{source.component_name()} does not tell how many items it has: {text}.") from exc


def _keys(source: Source[Any], n_items: int) -> list[Any]:
    """The keys; an item whose key cannot be had gets one that says so, and fails by it when it is read."""
    try:
        return list(map(source.key, range(n_items)))
    except Exception:  # noqa: BLE001 - the source's own code; found out below, item by item
        return _keys_one_by_one(source, n_items)


def _keys_one_by_one(source: Source[Any], n_items: int) -> list[Any]:
    keys: list[Any] = []
    failed: list[str] = []
    cause: Exception | None = None
    for index in range(n_items):
        try:
            keys.append(source.key(index))
        except Exception as exc:  # noqa: BLE001 - as above
            keys.append(_stand_in(index))
            failed.append(f"item {index}: {_text(exc)}")
            cause = cause or exc
    name = source.component_name()
    if failed and len(failed) == n_items:
        redacted = Redactor(source.secret_values())
        raise ConfigError(f"{name}: no key can be had; {redacted(failed[0])}.") from cause
    _warn(source, f"no key for %d of {n_items} items, which fail", failed)
    return keys


def _fingerprints(source: Source[Any], keys: Sequence[str]) -> list[str | None]:
    if getattr(source.fingerprint, "__func__", None) is Source.fingerprint:
        return [None] * len(keys)
    found: list[Any] = []
    failed: list[str] = []
    ask, add = source.fingerprint, found.append
    while len(found) < len(keys):
        try:
            for index in range(len(found), len(keys)):
                add(ask(index))
        except Exception as exc:  # noqa: BLE001 - the source's own code; that item alone is concerned
            _note(exc, len(found), keys[len(found)], failed)
            add(None)
    _warn(source, f"no fingerprint for %d of {len(keys)} items", failed)
    if all(value is None or (type(value) is str and value.isascii()) for value in found):
        return found
    return [_as_fingerprint(source, value, index, keys[index]) for index, value in enumerate(found)]


def _fingerprint(source: Source[Any], index: int, key: str, failed: list[str]) -> str | None:
    try:
        found: object = source.fingerprint(index)
    except Exception as exc:  # noqa: BLE001 - the source's own code; that item alone is concerned
        _note(exc, index, key, failed)
        return None
    return _as_fingerprint(source, found, index, key)


def _note(error: Exception, index: int, key: str, failed: list[str]) -> None:
    if not isinstance(error, OSError):  # or it vanished after it was listed; reading it will fail by name
        failed.append(f"item {index} ({key!r}): {_text(error)}")


def _as_fingerprint(source: Source[Any], found: object, index: int, key: str) -> str | None:
    if found is None or (type(found) is str and found.isascii()):
        return found
    if not isinstance(found, str):
        raise ConfigError(
            f"{source.component_name()}: the fingerprint of item {index} ({key!r}) must be a string or None, got "
            f"{str(found)[:100]} ({type(found).__name__}). Of a hash, take hexdigest()."
        )
    return str(found).encode(errors="backslashreplace").decode()  # it may hold a file name that is no UTF-8


def _text(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException as exc:  # an exception whose text cannot be had
        if is_interruption(exc):
            raise
        return type(error).__name__


def _warn(source: Source[Any], text: str, failed: list[str]) -> None:
    if failed:
        more = f"; and {len(failed) - _MAX_TOLD} more" if len(failed) > _MAX_TOLD else ""
        told = Redactor(source.secret_values())("; ".join(failed[:_MAX_TOLD]))
        logger.warning("%s: %s: %s%s", source.component_name(), text % len(failed), told, more)
