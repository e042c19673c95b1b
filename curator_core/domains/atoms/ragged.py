"""Atomic structures as a ragged dataset: what the arrays hold, and how rows of one item become those of many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, cast

import numpy as np

from curator_core.datasets.layout import Arrays, Axis, Layout, RaggedFormat, Rows
from curator_core.datasets.parts import LazyArrays
from curator_core.domains.atoms.columns import Column, Offsets
from curator_core.domains.atoms.layout import FORMAT, PAIRS, Schema, array_spec, dump_schema, join_schemas, load_schema
from curator_core.domains.atoms.pairs import pack_pairs, pair_names, unpack_pairs
from curator_core.domains.atoms.structures import Table
from curator_core.formats.arrays import Array

CHUNK_ROWS = 2048
"""Atoms of a chunk: a few dozen structures."""
SHARD_ROWS = 131_072
"""Atoms of a file."""
_ATOMS_PER_STRUCTURE = 8
"""At least so many, mostly: arrays with a row a structure are cut into smaller pieces."""


def atoms_layout(chunk_rows: int, shard_rows: int, items_per_segment: int = 1) -> Layout:
    """How the arrays of a dataset are cut, given the sizes for those with a row an atom.

    Raises
    ------
    ConfigError
        The sizes do not fit.
    """
    atom = Axis("atom", chunk_rows, shard_rows)
    per_structure = max(1, chunk_rows // _ATOMS_PER_STRUCTURE)
    system = Axis("system", per_structure, per_structure * (shard_rows // chunk_rows))
    return Layout((system, atom), items_per_segment)


@dataclass(frozen=True)
class AtomArrays(Arrays):
    """Arrays, with the fields that they hold."""

    schema: Schema = field(default_factory=dict)
    """Fields by array name."""

    @classmethod
    def of(cls, schema: Schema) -> AtomArrays:
        """The arrays of some fields."""
        partial = frozenset(name for name, found in schema.items() if found.partial)
        return cls({name: array_spec(name, found) for name, found in schema.items()}, partial, schema)


class AtomsFormat(RaggedFormat):
    """Datasets of atomic structures."""

    name = FORMAT

    def own(self, schema: str) -> Arrays:
        return AtomArrays.of(load_schema(schema))

    def joined(self, schemas: Sequence[str]) -> Arrays:
        return AtomArrays.of(join_schemas(map(load_schema, schemas)))

    def attributes(self, arrays: Arrays) -> dict[str, Any]:
        return {"fields": {name: asdict(found) for name, found in _schema(arrays).items()}}

    def convert(self, rows: Rows, schema: str, arrays: Arrays, names: Iterable[str]) -> Rows:
        own, joined, offsets = load_schema(schema), _schema(arrays), _offsets(rows)
        found: dict[str, Column] = {}
        for name in names:
            if name == PAIRS and pair_names(own):
                found[name] = pack_pairs(_columns(rows, own, pair_names(own)), offsets)
            elif name in own:
                found[name] = _columns(rows, own, [name])[name].conformed(joined[name], offsets)
        values = {name: column.values for name, column in found.items()}
        present = {name: column.present for name, column in found.items() if column.present is not None}
        return Rows(rows.n_rows, values, rows.lengths, present)

    def restore(self, rows: Rows, schema: str, arrays: Arrays) -> Rows:
        own, joined, offsets = load_schema(schema), _schema(arrays), _offsets(rows)
        packed = frozenset(pair_names(own)) if PAIRS in joined else frozenset()

        @cache
        def pairs() -> Mapping[str, Column]:
            return unpack_pairs(_columns(rows, joined, [PAIRS])[PAIRS], own, offsets)

        @cache
        def column(name: str) -> Column:
            if name in packed:
                return pairs()[name]
            return _columns(rows, joined, [name])[name].narrowed(own[name], offsets)

        def of(name: str, attribute: str) -> Callable[[], Any]:
            return lambda: getattr(column(name), attribute)

        return Rows(
            rows.n_rows,
            LazyArrays({name: of(name, "values") for name in own}),
            rows.lengths,
            LazyArrays({name: of(name, "present") for name, found in own.items() if found.partial}),
        )


def _schema(arrays: Arrays) -> Schema:
    return cast("AtomArrays", arrays).schema


def _offsets(rows: Rows) -> Offsets:
    return np.concatenate([[0], np.cumsum(rows.lengths["atom"])]).astype(np.int64)


def _columns(rows: Rows, schema: Schema, names: Iterable[str]) -> dict[str, Column]:
    return {
        name: Column(schema[name], rows.values[name], rows.present[name] if schema[name].partial else None)
        for name in names
    }


def rows_of(table: Table) -> tuple[Rows, str]:
    """A table as rows, and its schema."""
    values: dict[str, Array] = {name: column.values for name, column in table.columns.items()}
    present = {name: c.present for name, c in table.columns.items() if c.present is not None}
    lengths = {"atom": np.diff(table.offsets)}
    return Rows(len(table.offsets) - 1, values, lengths, present), dump_schema(table.schema)
