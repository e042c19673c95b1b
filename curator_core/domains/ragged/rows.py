"""Rows that a source gives, compared with the arrays of a dataset before they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Axis, Layout, Rows
from curator_core.errors import ComponentError
from curator_core.formats.arrays import Array, ArraySpec

Table = Rows | Mapping[str, Array]
"""Samples: with a single axis, their values by array suffice."""

_MAX_EXACT: Final = 2**53 - 1
"""Integers up to here are floats of 64 bits."""


def joined_rows(tables: Iterable[object], specs: Sequence[ArraySpec], layout: Layout) -> Rows:
    """All samples of an item, which may come in several tables.

    Raises
    ------
    ComponentError
        A table has other arrays than `specs`, of other shapes, or of types whose values would change.
    """
    checked = [_checked(table, specs, layout) for table in tables]
    values: dict[str, Array] = {}
    for spec in specs:
        empty: Array = np.empty((0, *spec.row_shape), object if spec.is_text else spec.dtype)
        values[spec.name] = np.concatenate([empty, *(rows.values[spec.name] for rows in checked)])
    nothing = np.empty(0, np.int64)
    lengths = {a.name: np.concatenate([nothing, *(rows.lengths[a.name] for rows in checked)]) for a in layout.children}
    return Rows(sum(rows.n_rows for rows in checked), values, lengths)


def _checked(table: object, specs: Sequence[ArraySpec], layout: Layout) -> Rows:
    rows = _as_rows(table, specs, layout)
    if rows.values.keys() != {spec.name for spec in specs}:
        raise ComponentError(f"The arrays are {sorted(rows.values)}, expected {sorted(spec.name for spec in specs)}.")
    lengths = {axis.name: _lengths(rows, axis) for axis in layout.children}
    n_rows = {name: int(counts.sum()) for name, counts in lengths.items()} | {layout.main.name: rows.n_rows}
    values = {spec.name: _fitting(rows.values[spec.name], spec, n_rows[spec.dims[0]]) for spec in specs}
    return Rows(rows.n_rows, values, lengths)


def _as_rows(table: object, specs: Sequence[ArraySpec], layout: Layout) -> Rows:
    if isinstance(table, Rows):
        return table
    if not isinstance(table, Mapping) or layout.children:
        wanted = "Rows" if layout.children else "Rows, or arrays by name"
        raise ComponentError(f"An item gave {type(table).__name__}, expected {wanted}.")
    first = table.get(specs[0].name)
    return Rows(len(first) if isinstance(first, np.ndarray) and first.ndim else 0, table)


def _lengths(rows: Rows, axis: Axis) -> npt.NDArray[np.int64]:
    """Number of rows of each sample on an axis."""
    found = np.asarray(rows.lengths.get(axis.name, ()))
    if found.shape != (rows.n_rows,) or (found.dtype.kind not in "iu" and len(found)) or (found < 0).any():
        raise ComponentError(f"The lengths of {axis.name!r} are not {rows.n_rows} numbers of rows.")
    return found.astype(np.int64)


def _fitting(values: object, spec: ArraySpec, n_rows: int) -> Array:
    if not isinstance(values, np.ndarray):
        raise ComponentError(f"{spec.name} is no array but {type(values).__name__}.")
    if values.shape != (n_rows, *spec.row_shape):
        raise ComponentError(f"{spec.name} has the shape {values.shape}, expected {(n_rows, *spec.row_shape)}.")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ComponentError(f"{spec.name} has masked values, which cannot be stored: fill them first.")
    if spec.is_text:
        other = next((value for value in values.ravel().tolist() if not isinstance(value, str)), "")
        if other != "":
            raise ComponentError(f"{spec.name} has {other!r} among its texts.")
    elif not _holds(np.dtype(spec.dtype), values):
        raise ComponentError(f"{spec.name} is {values.dtype}, which {spec.dtype} cannot hold.")
    return np.asarray(values).astype(object if spec.is_text else spec.dtype, copy=False)


def _holds(dtype: np.dtype[Any], values: Array) -> bool:
    """Whether a type has all the values; to NumPy, floats hold integers of any size, and texts hold numbers."""
    given = values.dtype
    if given == dtype:
        return True
    if not np.can_cast(given, dtype, "safe") or (dtype.kind in "SU" and given.kind != dtype.kind):
        return False
    is_narrower = given.kind in "iu" and dtype.kind in "fc" and given.itemsize == np.dtype("int64").itemsize
    return not is_narrower or not len(values) or bool(np.all(np.abs(values.astype(dtype)) <= _MAX_EXACT))
