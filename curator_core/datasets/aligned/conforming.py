"""Items compared with their dataset: the same grid within a tolerance, or an error with the largest difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import TOLERANCE
from curator_core.datasets.aligned.codec import Array, grid_fill
from curator_core.datasets.aligned.schema import Cutting, FixedArray, Rows, Schema, SchemaError, SlotArray
from curator_core.formats.arrays import TEXT

_CIRCLE: Final = 360.0
Index = npt.NDArray[np.int64]


def joined(schemas: Sequence[Schema], cutting: Cutting) -> Schema:
    """The schema of a dataset that holds items of several schemas, the first of which says how the grid lies.

    Dimensions that are neither horizontal nor that of the slots have the values of all.

    Raises
    ------
    SchemaError
        They do not belong together.
    """
    return reduce(lambda one, other: extended(one, other, cutting, may_grow=True), schemas[1:], schemas[0])


def extended(target: Schema, own: Schema, cutting: Cutting, *, may_grow: bool = False) -> Schema:
    """The schema of a dataset with the arrays that an item has and it has not.

    Parameters
    ----------
    target
        Of the dataset.
    own
        Of the item.
    cutting
        How arrays are cut.
    may_grow
        Whether dimensions and types may be widened, too: before the dataset is published.
    """
    fixed = _fixed(target, own, may_grow=may_grow)
    sizes = {**own.sizes, **target.sizes}
    sizes |= {dim: n for f in fixed.values() for dim, n in zip(f.dims, f.values.shape, strict=True)}
    arrays = dict(target.arrays)
    for name, array in own.arrays.items():
        held = arrays.get(name, array)
        arrays[name] = replace(held, dtype=_common(held, array)) if may_grow else held
    if may_grow or len(arrays) > len(target.arrays):
        arrays = {
            name: _resized(array, sizes, cutting) if may_grow or name not in target.arrays else array
            for name, array in arrays.items()
        }
    return replace(target, fixed=fixed, arrays=arrays, kinds={**own.kinds, **target.kinds})


def _fixed(target: Schema, own: Schema, *, may_grow: bool) -> dict[str, FixedArray]:
    """Fixed arrays of both; those that both have are the dataset's, in which a dimension may get further values."""
    found = dict(target.fixed)
    for name, array in own.fixed.items():
        sizes = zip(array.dims, array.values.shape, strict=True)
        if name not in found and all(target.sizes.get(dim, n) == n for dim, n in sizes):
            found[name] = array
        elif may_grow and array.dims == (name,) and name in found and target.kinds.get(name, "other") == "other":
            found[name] = replace(found[name], values=_union(found[name].values, array.values))
    return found


def _resized(array: SlotArray, sizes: Mapping[str, int], cutting: Cutting) -> SlotArray:
    return cutting.cut(replace(array, row_shape=tuple(sizes[dim] for dim in array.dims[1:])))


def _common(one: SlotArray, other: SlotArray) -> str:
    if one.dtype == other.dtype:
        return one.dtype
    if TEXT in (one.dtype, other.dtype):
        raise SchemaError(f"{one.name!r} is text in one item and {other.dtype} in another.")
    return np.result_type(np.dtype(one.dtype), np.dtype(other.dtype)).name


def _union(held: Array, own: Array) -> Array:
    if held.dtype.kind in "OU":
        return np.array(list(dict.fromkeys([*held.tolist(), *own.tolist()])), object)
    nearest = np.abs(own[:, None].astype(np.float64) - held[None].astype(np.float64))
    new = own[nearest.min(axis=1) > _tolerance(held)]
    if not len(new):
        return held
    found = np.unique(np.concatenate([held, new]))
    return found[::-1].copy() if len(held) > 1 and held[0] > held[-1] else found


def _tolerance(values: Array) -> float:
    numbers = np.unique(values[np.isfinite(values)].astype(np.float64)) if values.size else np.zeros(0)
    if values.ndim == 1 and len(numbers) > 1:
        return float(TOLERANCE * np.diff(numbers).min())
    spread = float(np.ptp(numbers)) / max(1, max(values.shape, default=1)) if len(numbers) else 0.0
    return TOLERANCE * (spread or max(1.0, float(np.abs(numbers).max(initial=0))))


def conform(own: Schema, rows: Rows, target: Schema) -> Rows:
    """The slots of an item, given under its own schema, as a dataset stores them.

    Parameters
    ----------
    own
        The item's schema.
    rows
        Its slots.
    target
        The dataset's schema, which has all of its arrays.

    Raises
    ------
    SchemaError
        It does not belong into the dataset.
    """
    if own.slot != target.slot or own.reference != target.reference:
        raise SchemaError(
            f"{own.slot!r} is in {' '.join(own.reference)!r}, in the dataset {target.slot!r} is in "
            f"{' '.join(target.reference)!r}. A dataset has one calendar and one unit."
        )
    _check_fixed(own, target)
    index = {dim: _matched(dim, own, target) for dim in _dims(own)}
    values, n_cells = {}, {}
    for name, array in own.arrays.items():
        values[name], n_cells[name] = _placed(array, target.arrays[name], rows, index)
    return Rows(rows.slots, values, n_cells, rows.provisional)


def _dims(schema: Schema) -> set[str]:
    return {dim for array in schema.arrays.values() for dim in array.dims[1:]}


def _check_fixed(own: Schema, target: Schema) -> None:
    """Arrays that are no coordinates of dimensions are the same."""
    for name, array in own.fixed.items():
        held = target.fixed.get(name)
        if held is None or array.dims == (name,):
            continue
        if array.dims != held.dims or (array.values.shape != held.values.shape and not _is_cut(array, target)):
            raise SchemaError(f"{name!r} has the shape {array.values.shape}, in the dataset {held.values.shape}.")
        if array.values.shape == held.values.shape and not _is_reordered(own, target, array.dims):
            _check_same(name, array, held)


def _is_cut(array: FixedArray, target: Schema) -> bool:
    return any(target.kinds.get(dim, "other") == "other" for dim in array.dims)


def _is_reordered(own: Schema, target: Schema, dims: Sequence[str]) -> bool:
    """Whether the values lie along a dimension that lies otherwise in the dataset."""
    found = [_matched(dim, own, target) for dim in dims]
    return any(len(index) > 1 and not np.array_equal(index, np.arange(len(index))) for index in found)


def _check_same(name: str, array: FixedArray, held: FixedArray) -> None:
    if array.values.dtype.kind in "OUSb":
        if array.values.tolist() != held.values.tolist():
            raise SchemaError(f"{name!r} is another one than in the dataset.")
        return
    one, other = array.values.astype(np.float64), held.values.astype(np.float64)
    both_nan = np.isnan(one) & np.isnan(other)
    off = np.where(both_nan, 0.0, np.abs(one - other))
    if not (off <= _tolerance(held.values)).all():
        raise SchemaError(
            f"{name!r} differs from the dataset's by up to {np.nanmax(off):.6g}, more than "
            f"{_tolerance(held.values):.2g}. Bring it to the same grid, or leave the item out."
        )


def _matched(dim: str, own: Schema, target: Schema) -> Index:
    """Position in the dataset of each value along a dimension."""
    kind = target.kinds.get(dim, "other")
    one, held = own.fixed.get(dim), target.fixed.get(dim)
    n_own, n_held = own.sizes[dim], target.sizes.get(dim, 0)
    if one is None or held is None or one.dims != (dim,) or held.dims != (dim,):
        if n_own != n_held:
            raise SchemaError(f"The dimension {dim!r} has the length {n_own}, in the dataset {n_held}.")
        return np.arange(n_own)
    if one.values.dtype.kind in "OU":
        found = _matched_texts(dim, one.values.tolist(), held.values.tolist())
    else:
        found = _matched_numbers(dim, one.values, held.values, is_circle=kind == "longitude")
    if kind != "other" and len(np.unique(found)) < n_held:
        raise SchemaError(f"{dim!r} has {len(np.unique(found))} of the {n_held} values of the dataset.")
    return found


def _matched_texts(dim: str, own: list[str], held: list[str]) -> Index:
    positions = {text: number for number, text in enumerate(held)}
    unknown = [text for text in own if text not in positions]
    if unknown:
        raise SchemaError(f"{dim!r} has the value {unknown[0]!r}, which the dataset has not.")
    return np.array([positions[text] for text in own], np.int64)


def _matched_numbers(dim: str, own: Array, held: Array, *, is_circle: bool) -> Index:
    one, other = own.astype(np.float64), held.astype(np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise SchemaError(f"The coordinate {dim!r} has values that are no numbers.")
    tolerance = _tolerance(held)
    if is_circle:
        base = other.min() - tolerance
        one, other = base + np.mod(one - base, _CIRCLE), base + np.mod(other - base, _CIRCLE)
    order = np.argsort(other, kind="stable")
    right = np.searchsorted(other[order], one).clip(0, len(order) - 1)
    left = (right - 1).clip(0)
    is_left = np.abs(one - other[order[left]]) <= np.abs(one - other[order[right]])
    found = order[np.where(is_left, left, right)]
    off = np.abs(one - other[found])
    if is_circle:
        off = np.minimum(off, _CIRCLE - off)
    if (off > tolerance).any():
        raise SchemaError(
            f"{dim!r} differs from the dataset's by up to {_largest(own, held, off):.6g}, more than {tolerance:.2g}. "
            "Bring the item to the same grid, or leave it out."
        )
    if len(np.unique(found)) < len(found) and not is_circle:
        raise SchemaError(f"{dim!r} has two values at the same place of the dataset's.")
    return found


def _largest(own: Array, held: Array, off: Any) -> float:  # noqa: ANN401 - an array of numbers
    """The largest difference, value by value where there are as many."""
    if own.shape == held.shape:
        straight = np.abs(own.astype(np.float64) - held.astype(np.float64)).max()
        turned = np.abs(own[::-1].astype(np.float64) - held.astype(np.float64)).max()
        return float(min(straight, turned))
    return float(off.max())


def _placed(own: SlotArray, target: SlotArray, rows: Rows, index: Mapping[str, Index]) -> tuple[Array, Any]:
    """Values of an array where the dataset has them, and how many the source gave in each slot."""
    if set(own.dims) != set(target.dims):
        raise SchemaError(f"{own.name!r} has the dimensions {own.dims}, in the dataset {target.dims}.")
    units = own.attributes.get("units"), target.attributes.get("units")
    if units[0] != units[1]:
        raise SchemaError(f"{own.name!r} is in {units[0]!r}, in the dataset in {units[1]!r}: convert it first.")
    _check_type(own, target)
    order = [own.dims.index(dim) for dim in target.dims]
    values = rows.values[own.name].transpose(order)
    if own.dtype != target.dtype:
        values = values.astype(object if target.dtype == TEXT else target.dtype)
    places = [index[dim] for dim in target.dims[1:]]
    is_whole = values.shape[1:] == target.row_shape
    if is_whole and all(np.array_equal(place, np.arange(len(place))) for place in places):
        return np.ascontiguousarray(values), rows.n_cells[own.name]
    dtype = object if target.dtype == TEXT else np.dtype(target.dtype)
    found: Array = np.full((len(values), *target.row_shape), grid_fill(target.dtype), dtype)
    found[np.ix_(np.arange(len(values)), *places)] = values
    n_given = rows.n_cells[own.name] * np.prod([len(np.unique(p)) for p in places], dtype=np.int64)
    return found, n_given // max(1, own.n_cells)


def _check_type(own: SlotArray, target: SlotArray) -> None:
    is_text = TEXT in (own.dtype, target.dtype)
    fits = own.dtype == target.dtype if is_text else np.can_cast(np.dtype(own.dtype), np.dtype(target.dtype), "safe")
    if not fits:
        raise SchemaError(
            f"{own.name!r} is of type {own.dtype}, in the dataset of type {target.dtype}, which does not hold it: give "
            f"the sink dtype={{{own.name!r}: {target.dtype!r}}}, or cast it before."
        )


def together(boxes: Sequence[tuple[Schema, Rows]], target: Schema) -> Rows:
    """All that one item gave, under the schema of the dataset; cells that no box covers have fill values.

    Raises
    ------
    SchemaError
        Boxes do not belong into the dataset, or two give the same values.
    """
    found = [conform(own, rows, target) for own, rows in boxes]
    if len(found) == 1:
        return found[0]
    slots = np.unique(np.concatenate([rows.slots for rows in found]))
    values: dict[str, Array] = {}
    n_cells: dict[str, Any] = {}
    for rows in found:
        places = np.searchsorted(slots, rows.slots)
        for name, own in rows.values.items():
            array = target.arrays[name]
            if name not in values:
                values[name] = np.full((len(slots), *own.shape[1:]), grid_fill(array.dtype), own.dtype)
                n_cells[name] = np.zeros(len(slots), np.int64)
            covered = n_cells[name][places] > 0
            if array.is_coordinate and covered.any():  # boxes share it
                _require_equal(name, values[name][places][covered], own[covered])
                n_cells[name][places] = 0
            values[name][places] = _filled_up(values[name][places], own, covered, array)
            n_cells[name][places] += rows.n_cells[name]
            if (n_cells[name] > array.n_cells).any():
                raise SchemaError(f"The item gives values of {name!r} twice at the same place.")
    return Rows(slots, values, n_cells, frozenset().union(*(rows.provisional for rows in found)))


def _require_equal(name: str, held: Array, own: Array) -> None:
    """Raise `SchemaError` where a box has another value of a coordinate than an earlier one in the same slots."""
    if not np.array_equal(held, own, equal_nan=own.dtype.kind == "f"):
        raise SchemaError(f"The item gives different values of the coordinate {name!r} at the same place.")


def _filled_up(held: Array, own: Array, covered: Any, array: SlotArray) -> Array:  # noqa: ANN401 - an array of flags
    """Values of a box over those of others, where these have none."""
    if not covered.any():
        return own
    fill = grid_fill(array.dtype)
    is_fill = np.isnan(own) if own.dtype.kind in "fc" else own == fill
    return np.where(is_fill, held, own)
