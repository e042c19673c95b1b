"""The former way to merge: every item's values are decoded, joined, and encoded again, into a dataset of version 1.

What segments are measured against, and what writes datasets of version 1 for the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.former_arrays import ArrayWriter, Chunking, create_group, pack_texts, unpack_texts
from curator_core.domains.atoms.columns import Column, missing_column
from curator_core.domains.atoms.dataset_reader import DatasetReader
from curator_core.domains.atoms.layout import (
    FORMAT,
    FORMER_VERSION,
    OFFSETS,
    PAIRS,
    PRESENT,
    VERSIONS_FILE,
    Field,
    Schema,
    array_spec,
    dump_schema,
    join_schemas,
    load_schema,
)
from curator_core.domains.atoms.pairs import pack_pairs
from curator_core.domains.atoms.structures import Table
from curator_core.formats.arrays import TEXT, Array
from curator_core.pipeline.components import MergeItem

CHUNKING = Chunking(65_536, 1_048_576)
"""How arrays were cut."""


def write_table(table: Table, path: Path) -> None:
    """Write the columns of one item to a new file."""
    # Names of fields can be anything; the arrays are numbered in the order of the schema.
    arrays: dict[str, Any] = {"schema": np.array(dump_schema(table.schema)), "atom_offsets": table.offsets}
    for number, name in enumerate(sorted(table.columns)):
        column = table.columns[name]
        if column.field.is_text:
            values, lengths = pack_texts(column.values)
            arrays |= {f"lengths_{number}": lengths, f"values_{number}": values}
        else:
            arrays[f"values_{number}"] = column.values
        if column.present is not None:
            arrays[f"present_{number}"] = column.present
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read_table(path: Path) -> Table:
    with np.load(path, allow_pickle=False) as arrays:
        columns = {}
        for number, (name, field) in enumerate(sorted(load_schema(str(arrays["schema"])).items())):
            values = arrays[f"values_{number}"]
            if field.is_text:
                values = unpack_texts(values, arrays[f"lengths_{number}"])
            columns[name] = Column(field, values, arrays[f"present_{number}"] if field.partial else None)
        return Table(arrays["atom_offsets"], columns)


class DatasetWriter:
    """Writes tables one after the other into a new Zarr group.

    Parameters
    ----------
    path
        Folder to create.
    schema
        Joined schema of all tables that will come.
    n_systems, n_atoms
        Their numbers of structures and atoms.
    chunking
        How arrays are cut into chunks and files.
    """

    def __init__(self, path: Path, schema: Schema, *, n_systems: int, n_atoms: int, chunking: Chunking) -> None:
        self._path = path
        self._schema = schema
        self._chunking = chunking
        self._n_atoms_written = 0
        attributes = {"format": FORMAT, "format_version": FORMER_VERSION, "n_systems": n_systems, "n_atoms": n_atoms}
        fields = {name: asdict(field) for name, field in schema.items()}
        self._group = create_group(path, attributes | asdict(chunking) | {"fields": fields})
        n_rows = {"system": n_systems, "atom": n_atoms}
        self._offsets = self._create("atom_offsets", OFFSETS, n_systems + 1)
        self._offsets.append(np.zeros(1, np.int64))
        self._values = {name: self._create(name, field, n_rows[field.axis]) for name, field in schema.items()}
        partial = [name for name, field in schema.items() if field.partial]
        self._present = {name: self._create(f"present/{name}", PRESENT, n_systems) for name in partial}

    def append(self, table: Table) -> None:
        """Add the structures of a table."""
        self._offsets.append(table.offsets[1:] + self._n_atoms_written)
        self._n_atoms_written += int(table.offsets[-1])
        for name, field in self._schema.items():
            column = pack_pairs(table.columns, table.offsets) if name == PAIRS else table.columns.get(name)
            column = missing_column(field, table.offsets) if column is None else column.conformed(field, table.offsets)
            self._values[name].append(column.values)
            if field.partial:
                present = np.ones(len(table.offsets) - 1, bool) if column.present is None else column.present
                self._present[name].append(present)

    def close(self, items: dict[str, Array], *, versions: Sequence[str]) -> None:
        """Complete all arrays, and add those of ``items/`` with the items' versions."""
        for name, values in items.items():
            field = Field("system", TEXT) if values.dtype == object else OFFSETS
            writer = self._create(f"items/{name}", field, len(values))
            writer.append(values)
            writer.close()
        for writer in (self._offsets, *self._values.values(), *self._present.values()):
            writer.close()
        (self._path / VERSIONS_FILE).write_text("".join(f"{version}\n" for version in versions), encoding="utf-8")

    def _create(self, name: str, field: Field, n_rows: int) -> ArrayWriter:
        return ArrayWriter(self._group, array_spec(name, field), n_rows, self._chunking)


def merge(items: Sequence[MergeItem], previous: Path | None, path: Path, chunking: Chunking = CHUNKING) -> None:
    """Write the dataset of some items, from their shards and from the dataset before."""
    former = None if previous is None else DatasetReader(previous)
    held = {} if former is None else {item.key: item for item in former.items()}

    def table(item: MergeItem) -> Table:
        if item.shard is not None:
            return _read_table(item.shard)
        assert former is not None
        return former.item_table(held[item.key])

    found = [(dump_schema(t.schema), len(t.offsets) - 1, int(t.offsets[-1])) for t in map(table, items)]
    writer = DatasetWriter(
        path,
        join_schemas(load_schema(text) for text, n_systems, _ in found if n_systems),
        n_systems=sum(n for _, n, _ in found),
        n_atoms=sum(n for _, _, n in found),
        chunking=chunking,
    )
    for item in items:
        writer.append(table(item))
    numbers = {text: number for number, text in enumerate(dict.fromkeys(text for text, _, _ in found))}
    listed: dict[str, Array] = {
        "key": np.array([item.key for item in items], object),
        "schema": np.array([numbers[text] for text, _, _ in found], np.int64),
        "schemas": np.array(list(numbers), object),
        "system_offsets": np.array(list(accumulate((n for _, n, _ in found), initial=0)), np.int64),
    }
    writer.close(listed, versions=[item.version for item in items])
