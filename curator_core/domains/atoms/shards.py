"""Shard files: the columns of one source item as an uncompressed ``.npz`` file, without pickle."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from curator_core.domains.atoms.columns import Column
from curator_core.domains.atoms.layout import dump_schema, load_schema
from curator_core.domains.atoms.structures import UNFIT, Table
from curator_core.errors import MergeError
from curator_core.formats.arrays import pack_texts, unpack_texts

SUFFIX = ".npz"

UNREADABLE = (*UNFIT, OSError, RuntimeError, BadZipFile, EOFError, zlib.error, MemoryError)
"""What reading a damaged shard can raise."""


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What is known of a shard without reading its arrays."""

    schema_text: str
    """Schema, as `dump_schema` gives it."""
    n_systems: int
    """Number of structures."""
    n_atoms: int
    """Number of their atoms."""


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


def read_summary(path: Path) -> ShardSummary:
    """Read schema and size of a shard.

    Raises
    ------
    MergeError
        The file is missing or no shard.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            offsets = arrays["atom_offsets"]
            return ShardSummary(str(arrays["schema"]), len(offsets) - 1, int(offsets[-1]))
    except UNREADABLE as exc:
        raise _unreadable(path, exc) from exc


def read_shard(path: Path) -> Table:
    """Read the columns of one item.

    Raises
    ------
    MergeError
        The file is missing, no shard, or cut off.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            columns = {}
            for number, (name, field) in enumerate(sorted(load_schema(str(arrays["schema"])).items())):
                values = arrays[f"values_{number}"]
                if field.is_text:
                    values = unpack_texts(values, arrays[f"lengths_{number}"])
                columns[name] = Column(field, values, arrays[f"present_{number}"] if field.partial else None)
            return Table(arrays["atom_offsets"], columns)
    except UNREADABLE as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, error: Exception) -> MergeError:
    return MergeError(f"Shard {path} cannot be read ({type(error).__name__}: {error}); process its item again.")
