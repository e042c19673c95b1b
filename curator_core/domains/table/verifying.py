"""The files of a dataset of tables compared with what it says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from curator_core.datasets.contents import OTHER_CHECKSUM, Damage, content_signature, damaged_files
from curator_core.domains.table.published import ITEMS, SEGMENTS, PublishedTables
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import nonfinite_numbers
from curator_core.formats.checksums import file_checksum
from curator_core.formats.description import DESCRIPTION
from curator_core.formats.record_file import TABLE_RECORD
from curator_core.storage.base import OutputLocation

_PIECE: Final = 16 << 20


class TableFiles:
    """Examines the files of a dataset of tables.

    Parameters
    ----------
    location
        The dataset.

    Raises
    ------
    ComponentError
        It is no such dataset, or what it says of itself cannot be read.
    """

    def __init__(self, location: OutputLocation) -> None:
        self._location = location
        self._published = PublishedTables(location)
        for name in (ITEMS, SEGMENTS):
            if self._is_other(name):
                raise ComponentError(
                    f"{location.path} cannot be verified: {name} {OTHER_CHECKSUM}.", file=location.path
                )

    def _is_other(self, name: str) -> bool:
        try:
            found = self._checksum(name)
        except ObjectStoreError:  # no damage
            raise
        except OSError:
            return True
        return bool(found != self._published.attributes["checksums"][name])

    def _checksum(self, name: str) -> str:
        source = self._published.source(name)
        if isinstance(source, Path):
            return file_checksum(source)
        digest = hashlib.blake2b(digest_size=16)
        while piece := source.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()

    @cached_property
    def held(self) -> Mapping[str, str]:
        """Item version by key."""
        return self._published.by_key("version")

    @cached_property
    def splits(self) -> Mapping[str, str]:
        """Split by key."""
        return self._published.by_key("split")

    @cached_property
    def fingerprints(self) -> Mapping[str, str | None]:
        """Fingerprint by key."""
        return self._published.by_key("fingerprint")

    def damages(self) -> Iterator[Damage]:
        """What is wrong with files, and which items that concerns."""
        published, objects = self._published, self._location.objects()
        expected = {ITEMS, SEGMENTS, DESCRIPTION, TABLE_RECORD}
        for file in published.every_file:
            expected.add(file.name)
            keys = tuple(published.keys[at] for at in np.flatnonzero(published.segment_of == file.segment).tolist())
            written = file.n_bytes, file.checksum
            checksum = partial(self._checksum, file.name)
            yield from damaged_files(file.name, objects.get(file.name), written, keys, checksum)
        yield from (Damage("does not belong to the dataset", name) for name in objects if name not in expected)
        if content_signature(self.held, self.splits) != published.content_hash():
            yield Damage("says that its content is another", DESCRIPTION)


def nonfinite_columns(location: OutputLocation) -> Iterator[tuple[str, str, tuple[int, int, int, int]]]:
    """Column, key, and how many of its numbers are NaN, +inf, -inf, and all; of those that have some.

    Parameters
    ----------
    location
        A dataset of tables.

    Raises
    ------
    ComponentError
        It is damaged.
    """
    published = PublishedTables(location)
    names = [column.name for column in published.schema if pa.types.is_floating(column.type)]
    for number, key in enumerate(published.keys):
        table = published.rows_of(number, names)
        for name in names:
            values = table[name].drop_null().to_numpy()
            counts = nonfinite_numbers(values)
            if any(counts):
                yield name, key, (*counts, len(values))
