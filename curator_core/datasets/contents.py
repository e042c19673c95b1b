"""What is in a dataset: the version of each item, the hash of these, and what differs between two datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Final, Protocol

_AT_ONCE = 1000
"""Items that are hashed together."""


def content_signature(versions: Mapping[str, str], splits: Mapping[str, str] | None = None) -> str:
    """Hash of an ordered set of items, and of the splits that they are in: the same in the same order give the same.

    What is hashed is JSON, a piece at a time: a list of key and version of each item; where some are in splits, a list
    of that list and of the split of each.
    """
    digest = hashlib.sha256()
    quote = encode_basestring_ascii
    pairs = (f"[{quote(key)}, {quote(version)}]" for key, version in versions.items())
    if splits and any(splits.values()):
        digest.update(b"[")
        _hash_list(pairs, digest)
        digest.update(b", ")
        _hash_list((quote(splits.get(key, "")) for key in versions), digest)
        digest.update(b"]")
    else:
        _hash_list(pairs, digest)
    return digest.hexdigest()


def _hash_list(texts: Iterator[str], digest: hashlib._Hash) -> None:
    """Hash a JSON list of values that are JSON already."""
    digest.update(b"[")
    before = ""
    while piece := list(islice(texts, _AT_ONCE)):
        digest.update(f"{before}{', '.join(piece)}".encode())
        before = ", "
    digest.update(b"]")


def item_version(key: str, fingerprint: str | None, config_hash: str) -> str:
    """Identity of an item's curated state: the same item, content and configuration give the same."""
    quoted = "null" if fingerprint is None else encode_basestring_ascii(fingerprint)
    text = f"[{encode_basestring_ascii(key)}, {quoted}, {encode_basestring_ascii(config_hash)}]"  # for every item
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Contents(Protocol):
    """What is in a dataset."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Version of each item by key, in order."""
        ...

    @property
    def splits(self) -> Mapping[str, str]:
        """Split of each item by key; nothing where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What a publication changed in a dataset: keys of items."""

    added: tuple[str, ...] = ()
    """Items that were not in it."""
    changed: tuple[str, ...] = ()
    """Items that were in it in another version: of other content, or made by another configuration."""
    removed: tuple[str, ...] = ()
    """Items that are in it no more."""
    reassigned: tuple[str, ...] = ()
    """Items that were in another split, or in none."""

    @classmethod
    def between(cls, before: Contents, after: Contents) -> Changes:
        """What turns a dataset into another one."""
        held, new = before.versions, after.versions
        return cls(
            tuple(key for key in new if key not in held),
            tuple(key for key, version in new.items() if held.get(key, version) != version),
            tuple(key for key in held if key not in new),
            tuple(k for k in new if k in held and before.splits.get(k, "") != after.splits.get(k, "")),
        )


OTHER_CHECKSUM: Final = "is not what was written: its checksum is another"
"""What is wrong with a file whose content has changed."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is wrong with a dataset."""

    what: str
    """What is wrong."""
    file: str = ""
    """In which file, relative to the dataset; empty where in none alone."""
    items: tuple[str, ...] = ()
    """Keys of the items that cannot be trusted; empty where that is none, or all."""


def damaged_files(
    name: str,
    found_bytes: int | None,
    written: tuple[int, str],
    items: tuple[str, ...],
    found_checksum: Callable[[], str],
) -> Iterator[Damage]:
    """What is wrong with a file of a dataset; nothing where it is as it was written.

    Parameters
    ----------
    name
        The file, relative to the dataset.
    found_bytes
        Bytes of the file; ``None`` where there is none.
    written
        Bytes and checksum of what was written.
    items
        Keys of the items in it.
    found_checksum
        Gives the checksum of what is there.
    """
    n_bytes, checksum = written
    if found_bytes is None:
        yield Damage("is missing", name, items)
    elif found_bytes != n_bytes:
        yield Damage(f"has {found_bytes:,} bytes of {n_bytes:,}", name, items)
    else:
        try:
            if found_checksum() != checksum:
                yield Damage(OTHER_CHECKSUM, name, items)
        except FileNotFoundError:
            yield Damage("is missing", name, items)
