"""Columns: the values of one field over consecutive structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from ase.io.jsonio import decode, encode

from curator_core.domains.atoms.layout import JSON, Axis, Field, common_dtype
from curator_core.formats.arrays import TEXT, Array, fill_value

Offsets: TypeAlias = npt.NDArray[np.int64]

_SCALARS = {bool: "bool", int: "int64", float: "float64", str: TEXT}
_NUMERIC = frozenset(np.dtype(code).name for code in "?bhilqBHILQefdFD")


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one field, dense: structures without a value hold a fill value."""

    field: Field
    """Type, axis and row shape."""
    values: Array
    """``(n_atoms, *shape)`` or ``(n_systems, *shape)``; an object array of ``str`` for text and JSON."""
    present: npt.NDArray[np.bool_] | None = None
    """``(n_systems,)``, which structures have a value; ``None`` for all."""

    def conformed(self, field: Field, offsets: Offsets) -> Column:
        """The same values under a `field` that joins this column's with others.

        Parameters
        ----------
        field
            What `join_schemas` made of this column's field and others.
        offsets
            ``(n_systems + 1,)``, rows of each structure on the atom axis.
        """
        if field.dtype == self.field.dtype:
            values = self.values
        elif field.dtype == JSON:
            values = self._as_json(offsets)
        else:
            values = self.values.astype(field.dtype)
        return Column(field, values, self.present)

    def narrowed(self, field: Field, offsets: Offsets) -> Column:
        """The column of which `conformed` made this one, given its `field`."""
        present = self.present if field.partial else None
        if field.dtype == self.field.dtype:
            return Column(field, self.values, present)
        if self.field.dtype != JSON:
            return Column(field, self.values.astype(field.dtype), present)
        index = range(len(self.values)) if present is None else np.flatnonzero(present).tolist()
        values = [decode(self.values[i], always_array=False) for i in index]
        return dense_column(field, index, values, offsets)

    def value(self, position: int, offsets: Offsets) -> object:
        """The value of one structure; numbers and arrays are copies."""
        if self.field.dtype == JSON:
            return decode(self.values[position], always_array=False)
        if self.field.axis == "atom":
            return np.array(self.values[offsets[position] : offsets[position + 1]])
        value = self.values[position]
        if isinstance(value, str):
            return value
        return np.array(value) if self.field.shape else value.item()

    def _as_json(self, offsets: Offsets) -> Array:
        n_systems = len(offsets) - 1
        present = np.ones(n_systems, bool) if self.present is None else self.present
        texts = [encode(self.value(i, offsets)) if present[i] else "" for i in range(n_systems)]
        return np.array(texts, object)


def missing_column(field: Field, offsets: Offsets) -> Column:
    """A column in which no structure has a value."""
    return Column(field, _fill(field, offsets), np.zeros(len(offsets) - 1, bool))


def build_column(axis: Axis, index: Sequence[int], values: Sequence[object], offsets: Offsets) -> Column:
    """Column of the `values` that the structures at positions `index` have.

    Parameters
    ----------
    axis
        Whether the values are arrays with one row per atom.
    index
        Positions of the structures, ascending, at least one.
    values
        As many values.
    offsets
        ``(n_systems + 1,)``, rows of each structure on the atom axis.

    Raises
    ------
    TypeError
        A value can be kept neither as a number nor as JSON.
    """
    partial = len(index) < len(offsets) - 1
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    field = replace(_describe(axis, values), partial=partial)
    if field.dtype == JSON:
        values = [encode(value) for value in values]
    return dense_column(field, index, values, offsets)


def _describe(axis: Axis, values: Sequence[Any]) -> Field:
    as_json = Field("system", JSON)
    types = {type(value) for value in values}
    if types == {np.ndarray}:
        shapes = {array.shape[1:] if axis == "atom" else array.shape for array in values}
        dtype = reduce(common_dtype, (found.name for found in {array.dtype for array in values}))
        if dtype not in _NUMERIC or len(shapes) > 1 or 0 in (shape := shapes.pop()):
            return as_json
        return Field(axis, dtype, shape)
    if len(types) > 1 or axis == "atom":
        return as_json
    dtype = _SCALARS.get(types.pop(), JSON)
    is_exact = {"int64": _fit_int64, TEXT: _is_unicode}.get(dtype)
    return as_json if is_exact and not is_exact(values) else Field(axis, dtype)


def _fit_int64(values: Sequence[Any]) -> bool:
    return all(-(2**63) <= value < 2**63 for value in values)


def _is_unicode(values: Sequence[Any]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:  # lone surrogates, which JSON can escape
        return False
    return True


def dense_column(field: Field, index: Sequence[int], values: Sequence[Any], offsets: Offsets) -> Column:
    """Column of the `values` that the structures at positions `index` have, given its `field`."""
    if not field.partial:
        joined = np.concatenate(values) if field.axis == "atom" else np.array(values, object if field.is_text else None)
        return Column(field, joined if field.is_text else joined.astype(field.dtype, copy=False))
    dense = _fill(field, offsets)
    for position, value in zip(index, values, strict=True):
        if field.axis == "atom":
            dense[offsets[position] : offsets[position + 1]] = value
        else:
            dense[position] = value
    present = np.zeros(len(offsets) - 1, bool)
    present[index] = True
    return Column(field, dense, present)


def _fill(field: Field, offsets: Offsets) -> Array:
    n_rows = int(offsets[-1]) if field.axis == "atom" else len(offsets) - 1
    return np.full((n_rows, *field.shape), fill_value(field.stored), object if field.is_text else field.dtype)
