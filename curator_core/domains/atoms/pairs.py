"""Key-value pairs whose names would make too many arrays: all pairs of a structure in one JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from ase.io.jsonio import decode, encode

from curator_core.domains.atoms.columns import Column, Offsets, dense_column
from curator_core.domains.atoms.layout import JSON, PAIRS, Field, Schema, array_key, array_name

_GROUP = "info/"


def pair_names(schema: Schema) -> list[str]:
    """The arrays of a schema that hold one pair each."""
    return [name for name in schema if name.startswith(_GROUP)]


def pack_pairs(columns: Mapping[str, Column], offsets: Offsets) -> Column:
    """One column of JSON texts in place of one column a pair.

    Parameters
    ----------
    columns
        Columns by array name; those of other things are left out.
    offsets
        ``(n_systems + 1,)``, rows of each structure on the atom axis.
    """
    n_systems = len(offsets) - 1
    found: list[list[str]] = [[] for _ in range(n_systems)]
    for name, column in columns.items():
        if not name.startswith(_GROUP):
            continue
        key = json.dumps(array_key(name)[1])
        for i in range(n_systems) if column.present is None else np.flatnonzero(column.present).tolist():
            is_json = column.field.dtype == JSON
            found[i].append(f"{key}: {column.values[i] if is_json else encode(column.value(i, offsets))}")
    texts = np.array([f"{{{', '.join(pairs)}}}" if pairs else "" for pairs in found], object)
    return Column(Field("system", JSON, (), partial=True), texts, np.array([bool(pairs) for pairs in found]))


def unpack_pairs(column: Column, schema: Schema, offsets: Offsets) -> dict[str, Column]:
    """The columns of which `pack_pairs` made one, given their `schema`."""
    found: dict[str, tuple[list[int], list[object]]] = {name: ([], []) for name in pair_names(schema)}
    for i in range(len(offsets) - 1):
        for key, value in (json.loads(column.values[i]) if column.values[i] else {}).items():
            name = array_name("info", key)
            index, values = found[name]
            index.append(i)
            values.append(json.dumps(value) if schema[name].dtype == JSON else _decoded(value))
    return {name: dense_column(schema[name], index, values, offsets) for name, (index, values) in found.items()}


def pairs_of(text: str) -> dict[str, object]:
    """The pairs of one structure."""
    return {key: _decoded(value) for key, value in json.loads(text).items()}


def without_pairs(schema: Schema) -> Schema:
    """What a dataset with packed pairs has of an item's schema."""
    packed = set(pair_names(schema))
    return {name: field for name, field in schema.items() if name not in packed | {PAIRS}}


def _decoded(value: object) -> object:
    """A value as ASE decodes it, but for one that is what it is."""
    return decode(json.dumps(value), always_array=False) if isinstance(value, dict | list) else value
