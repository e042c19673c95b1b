"""The tables beside the arrays of a dataset: its items, and its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Integers, Layout
from curator_core.formats.arrays import TEXT, Array, ArraySpec


@dataclass(frozen=True)
class Tables:
    """What is known of the items and segments of a dataset."""

    keys: list[str]
    """Key of each item, in their order."""
    versions: list[str]
    """Hash of key, fingerprint and configuration of each."""
    fingerprints: Sequence[str | None]
    """Fingerprint of each; ``None`` for one without, nothing where they were not read."""
    schemas: list[str]
    """The different schemas, in the order in which items have them first."""
    schema: Integers
    """Position among these of the schema of each."""
    segment: Integers
    """Position of the segment of each item."""
    first: Integers
    """First row of each item on the main axis."""
    rows: Mapping[str, Integers]
    """Number of rows of each item by axis."""
    segment_ids: list[str]
    """Id of each segment."""
    shard: Mapping[str, Integers]
    """First shard of each segment by axis."""
    segment_rows: Mapping[str, Integers]
    """Number of rows of each segment by axis."""
    checksums: npt.NDArray[np.uint64]
    """Checksum of the files of each segment and array, ``(n_segments, n_arrays)``; 0 where there are none."""
    splits: Sequence[str] = ()
    """Split of each item, empty for one that is in none; nothing where the dataset has none."""

    def schema_of(self, number: int) -> str:
        """Schema of an item."""
        return self.schemas[int(self.schema[number])]

    def used_schemas(self, axis: str) -> list[str]:
        """The different schemas of items that have rows on an axis."""
        return used_schemas(self.schemas, self.schema, self.rows[axis])


def used_schemas(schemas: Sequence[str], schema: Integers, rows: Integers) -> list[str]:
    """The different schemas of items that have rows, in the order in which they come first."""
    numbers, first = np.unique(schema[rows > 0], return_index=True)
    return [schemas[number] for number in numbers[np.argsort(first)].tolist()]


FINGERPRINT: Final = "items/fingerprint"
"""Array of the fingerprints of items."""
SPLIT: Final = "items/split"
"""Array of the splits of items."""


def shard_numbers(first: Integers, n_shards: Integers) -> list[int]:
    """Numbers of the files of some segments on an axis, given that of the first of each, and how many each has."""
    before = np.cumsum(n_shards) - n_shards
    numbers: list[int] = (np.repeat(first - before, n_shards) + np.arange(int(n_shards.sum()))).tolist()
    return numbers


def specs(layout: Layout, n_arrays: int, *, has_splits: bool = False) -> dict[str, ArraySpec]:
    """The arrays that hold tables, by name."""
    counts = [axis.count for axis in layout.axes]
    texts = [(f"items/{name}", TEXT, ("item",)) for name in ("key", "version", "fingerprint")]
    numbers = [(f"items/{name}", "int64", ("item",)) for name in ("segment", "first", "schema", *counts)]
    segments = [(f"segments/{name}", "int64", ("segment",)) for name in counts]
    segments += [(f"segments/{axis.name}_shard", "int64", ("segment",)) for axis in layout.axes]
    found = [ArraySpec(*given) for given in (*texts, *numbers, *segments)]
    found.append(ArraySpec("items/schemas", TEXT, ("schema",)))
    found += [ArraySpec(SPLIT, TEXT, ("item",))] if has_splits else []
    found.append(ArraySpec("segments/id", TEXT, ("segment",)))
    found.append(ArraySpec("segments/checksum", "uint64", ("segment", "array"), (n_arrays,)))
    return {spec.name: spec for spec in found}


def columns(tables: Tables, layout: Layout) -> Iterator[tuple[str, Array]]:
    """Names and values of the arrays that hold tables, one after the other."""
    yield "items/key", _texts(tables.keys)
    yield "items/version", _texts(tables.versions)
    yield FINGERPRINT, _texts([text or "" for text in tables.fingerprints])
    yield "items/segment", tables.segment
    yield "items/first", tables.first
    yield "items/schema", tables.schema
    yield "items/schemas", _texts(tables.schemas)
    yield "segments/id", _texts(tables.segment_ids)
    yield "segments/checksum", tables.checksums
    if tables.splits:
        yield SPLIT, _texts(list(tables.splits))
    for axis in layout.axes:
        yield f"items/{axis.count}", tables.rows[axis.name]
        yield f"segments/{axis.count}", tables.segment_rows[axis.name]
        yield f"segments/{axis.name}_shard", tables.shard[axis.name]


def _texts(values: list[str]) -> Array:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def assembled(found: Mapping[str, Any], layout: Layout) -> Tables:
    """The tables in the arrays of `columns`.

    Raises
    ------
    ValueError
        They contradict each other.
    """
    tables = Tables(
        found["items/key"].tolist(),
        found["items/version"].tolist(),
        [text or None for text in found[FINGERPRINT].tolist()] if FINGERPRINT in found else (),
        found["items/schemas"].tolist(),
        found["items/schema"],
        found["items/segment"],
        found["items/first"],
        {axis.name: found[f"items/{axis.count}"] for axis in layout.axes},
        found["segments/id"].tolist(),
        {axis.name: found[f"segments/{axis.name}_shard"] for axis in layout.axes},
        {axis.name: found[f"segments/{axis.count}"] for axis in layout.axes},
        found["segments/checksum"],
        found[SPLIT].tolist() if SPLIT in found else (),
    )
    _check(tables, layout)
    return tables


def _check(tables: Tables, layout: Layout) -> None:
    """Raise `ValueError` where the tables contradict each other."""
    n_segments, owner = len(tables.segment_ids), tables.segment
    expected = np.repeat(np.arange(n_segments), np.bincount(owner, minlength=n_segments)) if len(owner) else owner
    if not np.array_equal(owner, expected) or (n_segments and not len(owner)):
        raise ValueError("its items are not in the order of its segments")
    if (tables.schema < 0).any() or (tables.schema >= len(tables.schemas)).any():
        raise ValueError("its items have schemas that are not there")
    for axis in layout.axes:
        rows, total = tables.rows[axis.name], tables.segment_rows[axis.name]
        if (rows < 0).any() or not np.array_equal(np.bincount(owner, rows, n_segments).astype(np.int64), total):
            raise ValueError(f"its items and segments have other rows of {axis.name!r}")
        taken = -(-total // axis.shard_rows)
        if not np.array_equal(tables.shard[axis.name], np.cumsum(taken) - taken):
            raise ValueError(f"its segments overlap on {axis.name!r}")
    main = layout.main
    first = np.cumsum(tables.rows[main.name]) - tables.rows[main.name]
    before = np.concatenate([[0], np.cumsum(tables.segment_rows[main.name])])[owner] if len(owner) else first
    if not np.array_equal(tables.first, tables.shard[main.name][owner] * main.shard_rows + first - before):
        raise ValueError("its items begin elsewhere than their segments say")
