"""Putting a dataset together from shards and from the dataset before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from curator_core.domains.atoms.dataset_reader import DatasetItem, DatasetReader
from curator_core.domains.atoms.dataset_writer import DatasetWriter
from curator_core.domains.atoms.layout import join_schemas, load_schema
from curator_core.domains.atoms.shards import ShardSummary, read_shard, read_summary
from curator_core.domains.atoms.structures import Table
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.arrays import Array, Chunking
from curator_core.formats.zarr_arrays import settled_on_error
from curator_core.pipeline.components import MergeItem


def merge_dataset(items: Sequence[MergeItem], previous: Path | None, path: Path, chunking: Chunking) -> None:
    """Write the dataset of some items, in their order, to a new folder.

    What is written depends on the structures of the items alone: each item's own schema is kept, so
    that a table read back from a dataset is the table that its shard held.

    Parameters
    ----------
    items
        The items; those without a shard are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create.
    chunking
        How arrays are cut into chunks and files.

    Raises
    ------
    MergeError
        A shard, or an item of the previous dataset, is missing or damaged.
    """
    with settled_on_error():
        _write(items, previous, path, chunking)


def _write(items: Sequence[MergeItem], previous: Path | None, path: Path, chunking: Chunking) -> None:
    try:
        origin = _Origin(previous)
        summaries = [origin.summary(item) for item in items]
        writer = DatasetWriter(
            path,
            join_schemas(load_schema(summary.schema_text) for summary in summaries if summary.n_systems),
            n_systems=sum(summary.n_systems for summary in summaries),
            n_atoms=sum(summary.n_atoms for summary in summaries),
            chunking=chunking,
        )
        for item in items:
            writer.append(origin.table(item))
    except ComponentError as exc:
        raise MergeError(f"The dataset {previous} cannot be used: {exc}") from exc
    writer.close(_item_arrays(items, summaries), versions=[item.version for item in items])


def _item_arrays(items: Sequence[MergeItem], summaries: Sequence[ShardSummary]) -> dict[str, Array]:
    numbers = {text: number for number, text in enumerate(dict.fromkeys(summary.schema_text for summary in summaries))}
    return {
        "key": np.array([item.key for item in items], object),
        "schema": np.array([numbers[summary.schema_text] for summary in summaries], np.int64),
        "schemas": np.array(list(numbers), object),
        "system_offsets": np.array(list(accumulate((s.n_systems for s in summaries), initial=0)), np.int64),
    }


class _Origin:
    """Where the tables of items come from."""

    def __init__(self, previous: Path | None) -> None:
        self._previous = None if previous is None else DatasetReader(previous)
        self._items = {} if self._previous is None else {item.key: item for item in self._previous.items()}

    def summary(self, item: MergeItem) -> ShardSummary:
        """Schema and size of an item."""
        if item.shard is not None:
            return read_summary(item.shard)
        reader, found = self._found(item)
        return ShardSummary(found.schema_text, found.stop - found.start, reader.n_atoms(found.start, found.stop))

    def table(self, item: MergeItem) -> Table:
        """Structures of an item."""
        if item.shard is not None:
            return read_shard(item.shard)
        reader, found = self._found(item)
        return reader.item_table(found)

    def _found(self, item: MergeItem) -> tuple[DatasetReader, DatasetItem]:
        found = self._items.get(item.key)
        if self._previous is None or found is None or found.version != item.version:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        return self._previous, found
