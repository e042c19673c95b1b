"""A new dataset folder, filled with tables in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from curator_core.domains.atoms.columns import missing_column
from curator_core.domains.atoms.layout import (
    FORMAT,
    OFFSETS,
    PAIRS,
    PRESENT,
    VERSION,
    VERSIONS_FILE,
    Field,
    Schema,
    array_spec,
)
from curator_core.domains.atoms.pairs import pack_pairs
from curator_core.domains.atoms.structures import Table
from curator_core.formats.arrays import TEXT, Array, Chunking
from curator_core.formats.zarr_arrays import ArrayWriter, create_group


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
        attributes = {"format": FORMAT, "format_version": VERSION, "n_systems": n_systems, "n_atoms": n_atoms}
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
