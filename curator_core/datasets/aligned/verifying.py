"""The files of a dataset of slots compared with what it says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from curator_core.datasets.aligned.describing import coordinates_of
from curator_core.datasets.aligned.published import PublishedAligned, shard_grid, shard_key, stored_name
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.datasets.contents import OTHER_CHECKSUM, Damage
from curator_core.datasets.verifying import changed_tables, described_otherwise, with_suspects
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.described import METADATA
from curator_core.formats.record_file import RECORD
from curator_core.formats.zarr_metadata import UNREADABLE
from curator_core.storage.base import OutputLocation

_TABLES: Final = ("items", "slots", "checksums", "hidden")


class AlignedFiles:
    """Examines the files of a dataset of slots.

    Parameters
    ----------
    location
        The dataset.
    format_name
        Its attribute ``format``.

    Raises
    ------
    ComponentError
        What it says of itself cannot be read.
    """

    def __init__(self, location: OutputLocation, format_name: str) -> None:
        self._location = location
        self._found = PublishedAligned(location, format_name)
        try:
            self.held, self.splits = self._found.versions(), self._found.splits()
            self.fingerprints = dict(zip(self._found.keys, self._found.items["fingerprint"], strict=True))
            self._schema = self._found.schema
            self._of_slots = coordinates_of(self._found.axis, self._found.n_slots, self._schema)
            self._slots, self._checksums = self._found.slots, self._found.checksums
        except ComponentError as exc:
            reason = with_suspects(str(exc), location)
            raise ComponentError(f"{location.path} cannot be verified: {reason}", file=location.path) from exc

    def damages(self) -> Iterator[Damage]:
        """Whatever is wrong, file by file; one is in memory at a time."""
        yield from changed_tables(self._location)
        yield from self._metadata()
        yield from self._coordinate()
        expected: set[str] = set()
        for column, array in enumerate(self._schema.arrays.values()):
            grid = shard_grid(array, self._found.n_slots)
            for position in product(*map(range, grid)):
                digest = int(self._checksums[array.name][position])
                key = shard_key(array, position, self._found.aside)
                if digest:
                    expected.add(key)
                    yield from self._compared(key, digest, self._items_of(array, position, column))
                elif self._items_of(array, position, column):
                    yield Damage("has slots in use, and no file", key, self._items_of(array, position, column))
        yield from self._foreign(expected)

    def _metadata(self) -> Iterator[Damage]:
        for name, node in self._found.nodes.items():
            yield from described_otherwise(self._location, name, node)

    def _coordinate(self) -> Iterator[Damage]:
        """The coordinate of the slots says what the axis says."""
        for array in self._of_slots:
            key = f"{array.name}/c/0"
            try:
                values = self._found.fixed(array.name)
            except ObjectStoreError:  # no damage
                raise
            except UNREADABLE as exc:
                yield Damage(f"cannot be read: {exc}", key)
                continue
            if not np.array_equal(values, array.values):
                yield Damage("is not what the axis of the dataset says", key)

    def _items_of(self, array: SlotArray, position: tuple[int, ...], column: int) -> tuple[str, ...]:
        window = slice(position[0] * array.shard[0], (position[0] + 1) * array.shard[0])
        owner = np.unique(self._slots.owner[window, column])
        return tuple(self._found.keys[number] for number in owner[owner >= 0].tolist())

    def _compared(self, key: str, digest: int, items: tuple[str, ...]) -> Iterator[Damage]:
        try:
            data = self._location.read(key)
        except ObjectStoreError:  # no damage
            raise
        except OSError as exc:
            missing = isinstance(exc, FileNotFoundError)
            yield Damage("is missing" if missing else f"cannot be read: {exc}", key, items)
            return
        if int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") != digest:
            yield Damage(OTHER_CHECKSUM, key, items)

    def _foreign(self, expected: set[str]) -> Iterator[Damage]:
        """Files that belong to no array."""
        known: dict[str, Any] = self._found.nodes
        aside = {stored_name(name, self._found.aside) for name in self._found.aside}
        for name in self._location.objects():
            if name in expected or name in (METADATA, RECORD):
                continue
            node = str(PurePosixPath(name).parent) if name.endswith(METADATA) else name.partition("/c/")[0]
            node = node.removesuffix("/c") if node not in known else node
            of_slots = {array.name for array in self._of_slots}
            is_table = node.partition("/")[0] in _TABLES or node in self._schema.fixed or node in of_slots
            is_table &= node not in aside
            if node not in known or not (name.endswith(METADATA) or is_table):
                yield Damage("does not belong to the dataset", name)
