"""Items compared with their dataset: the same grid within a tolerance, or an error with the largest difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from curator_core.datasets.aligned.axis import are_same_counts
from curator_core.datasets.aligned.codec import Array, grid_fill
from curator_core.datasets.aligned.matching import Index, check_fixed, matched, tolerance_of
from curator_core.datasets.aligned.schema import MEANING, Cutting, FixedArray, Rows, Schema, SchemaError, SlotArray
from curator_core.formats.arrays import TEXT


def joined(schemas: Sequence[Schema], cutting: Cutting, *, are_one_item: bool = False) -> Schema:
    """The schema of a dataset that holds items of several schemas, the first of which says how the grid lies.

    Dimensions that are neither horizontal nor that of the slots have the values of all; where every item has one slot,
    those of the first, unless all are parts of one item.

    Raises
    ------
    SchemaError
        They do not belong together.
    """
    grows = are_one_item or any(schema.slot_dtype != TEXT for schema in schemas)
    return reduce(
        lambda one, other: extended(one, other, cutting, may_widen=True, may_grow=grows), schemas[1:], schemas[0]
    )


def extended(
    target: Schema, own: Schema, cutting: Cutting, *, may_widen: bool = False, may_grow: bool = False
) -> Schema:
    """The schema of a dataset with the arrays that an item has and it has not.

    Parameters
    ----------
    target
        Of the dataset.
    own
        Of the item.
    cutting
        How arrays are cut.
    may_widen
        Whether types may be widened, too: before the dataset is published.
    may_grow
        Whether dimensions may get further values.
    """
    for name in (own.arrays.keys() & target.fixed.keys()) | (own.fixed.keys() & target.arrays.keys()):
        raise SchemaError(f"{name!r} lies along {own.slot!r} in some items, and not in others.")
    fixed = _fixed(target, own, may_grow=may_grow)
    sizes = {**own.sizes, **target.sizes}
    sizes |= {dim: n for f in fixed.values() for dim, n in zip(f.dims, f.values.shape, strict=True)}
    arrays = dict(target.arrays)
    for name, array in own.arrays.items():
        held = arrays.get(name, array)
        arrays[name] = replace(held, dtype=_common(held, array)) if may_widen else held
    if may_widen or len(arrays) > len(target.arrays):
        arrays = {
            name: _resized(array, sizes, cutting) if may_widen or name not in target.arrays else array
            for name, array in arrays.items()
        }
    return replace(target, fixed=fixed, arrays=arrays, kinds={**own.kinds, **target.kinds})


def _fixed(target: Schema, own: Schema, *, may_grow: bool) -> dict[str, FixedArray]:
    """Fixed arrays of both; those that both have are the dataset's, in which a dimension may get further values."""
    found = dict(target.fixed)
    new = {name: array for name, array in own.fixed.items() if name not in found}
    for name, array in own.fixed.items():
        if name in new and array.dims == (name,) and target.sizes.get(name, len(array.values)) == len(array.values):
            found[name] = new.pop(name)
        elif may_grow and array.dims == (name,) == _dims(found, name) and target.kinds.get(name, "other") == "other":
            found[name] = replace(found[name], values=_union(found[name].values, array.values))
    grown = {dim for dim in target.fixed if found[dim].values is not target.fixed[dim].values}
    wider = replace(target, fixed=found)
    for name, array in found.items():
        if name not in grown and grown & set(array.dims):
            found[name] = _grown(array, own, target, wider)
    wider = replace(target, fixed=found, arrays={**own.arrays, **target.arrays})
    brought = {name: _brought(array, own, wider) for name, array in new.items()}
    return found | {name: array for name, array in brought.items() if array is not None}


def _brought(array: FixedArray, own: Schema, wider: Schema) -> FixedArray | None:
    """A fixed array that the dataset has not, as its grid lies; ``None`` for one of a part of it, or of another."""
    sizes = {**own.sizes, **wider.sizes}
    try:
        places = [matched(d, own, wider) if d in wider.sizes else np.arange(sizes[d]) for d in array.dims]
    except SchemaError:  # `conform` says so of the item
        return None
    shape = tuple(sizes[dim] for dim in array.dims)
    if any(len(np.unique(place)) < n for place, n in zip(places, shape, strict=True)):
        return None
    if all(np.array_equal(place, np.arange(len(place))) for place in places):
        return array
    values: Array = np.empty(shape, array.values.dtype)
    values[np.ix_(*places)] = array.values
    return replace(array, values=values)


def _dims(arrays: Mapping[str, FixedArray], name: str) -> tuple[str, ...] | None:
    return arrays[name].dims if name in arrays else None


def _grown(array: FixedArray, own: Schema, target: Schema, wider: Schema) -> FixedArray:
    """A fixed array along a dimension that got further values, of which the item must have it."""
    other = own.fixed.get(array.name)
    if other is None or other.dims != array.dims:
        raise SchemaError(f"{array.name!r} is not in every item, and items have other values of {array.dims}.")
    sizes = {dim: len(wider.fixed[dim].values) for dim in array.dims if dim in wider.fixed}
    shape = tuple(sizes.get(dim, n) for dim, n in zip(array.dims, array.values.shape, strict=True))
    values: Array = np.zeros(shape, np.result_type(array.values, other.values))
    for schema, given in ((own, other), (target, array)):
        values[np.ix_(*(matched(dim, schema, wider) for dim in array.dims))] = given.values
    return replace(array, values=values)


def _resized(array: SlotArray, sizes: Mapping[str, int], cutting: Cutting) -> SlotArray:
    return cutting.cut(replace(array, row_shape=tuple(sizes[dim] for dim in array.dims[1:])))


def _common(one: SlotArray, other: SlotArray) -> str:
    if one.dtype == other.dtype:
        return one.dtype
    if TEXT in (one.dtype, other.dtype):
        raise SchemaError(f"{one.name!r} is text in one item and {other.dtype} in another.")
    return np.result_type(np.dtype(one.dtype), np.dtype(other.dtype)).name


def _union(held: Array, own: Array) -> Array:
    if np.array_equal(held, own):
        return held
    if held.dtype.kind in "OU":
        return np.array(list(dict.fromkeys([*held.tolist(), *own.tolist()])), object)
    nearest = np.abs(own[:, None].astype(np.float64) - held[None].astype(np.float64))
    new = own[nearest.min(axis=1) > tolerance_of(held)]
    if not len(new):
        return held
    found = np.unique(np.concatenate([held, new]))
    return found[::-1].copy() if len(held) > 1 and held[0] > held[-1] else found


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
    if own.slot != target.slot or not are_same_counts(own.reference, target.reference, rows.slots):
        raise SchemaError(
            f"{own.slot!r} is in {' '.join(own.reference)!r}, in the dataset {target.slot!r} is in "
            f"{' '.join(target.reference)!r}. A dataset has one calendar and one unit: "
            "curate such files into one of their own, or convert them first."
        )
    index = {dim: matched(dim, own, target) for dim in own.sizes}
    check_fixed(own, target, index)
    values, n_cells = {}, {}
    for name, array in own.arrays.items():
        values[name], n_cells[name] = _placed(array, target.arrays[name], rows, index)
    slots = rows.slots.astype(target.row_dtype)
    if TEXT in (own.slot_dtype, target.slot_dtype) and own.slot_dtype != target.slot_dtype:
        raise SchemaError(
            f"{own.slot!r} has a slot for each item by its key in one of both, and for its values in the other."
        )
    if not np.array_equal(slots, rows.slots):
        raise SchemaError(f"{own.slot!r} is of type {own.slot_dtype}, in the dataset of type {target.slot_dtype}.")
    return Rows(slots, values, n_cells, rows.provisional)


def require_same_coordinates(own: Schema, target: Schema) -> None:
    """Raise `SchemaError` where every item has one slot, and one has not all values of a dimension, or others."""
    if not own.slot_dtype == target.slot_dtype == TEXT:
        return
    for dim, n_held in sorted(target.sizes.items()):
        if dim not in own.sizes or target.kinds.get(dim, "other") != "other":  # `conform` says so of these
            continue
        try:
            n_own = len(np.unique(matched(dim, own, target)))
            why = f"{dim!r} has {n_own} of the {n_held} values of the dataset." if n_own < n_held else ""
        except SchemaError as exc:
            why = str(exc)
        if why:
            raise SchemaError(
                f"{why} Where every item has one slot, coordinates are the same in all: remove {dim!r} where it only "
                f"counts, or grow along it, with axes={{{dim!r}: {{}}}}."
            )


def rows_of_none(schema: Schema) -> Rows:
    """No slots: `conform` compares what an item is made of, and nothing else."""
    values = {n: np.zeros((0, *a.row_shape), object if a.dtype == TEXT else a.dtype) for n, a in schema.arrays.items()}
    return Rows(np.zeros(0, schema.row_dtype), values, {name: np.zeros(0, np.int64) for name in values})


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
    _check_meaning(own, target, values)
    if own.dtype != target.dtype:
        values = _widened(values, own.dtype, target.dtype)
    places = [index[dim] for dim in target.dims[1:]]
    is_whole = values.shape[1:] == target.row_shape
    if is_whole and all(np.array_equal(place, np.arange(len(place))) for place in places):
        return np.ascontiguousarray(values), rows.n_cells[own.name]
    _check_wrapped(own.name, values, places)
    dtype = object if target.dtype == TEXT else np.dtype(target.dtype)
    found: Array = np.full((len(values), *target.row_shape), grid_fill(target.dtype), dtype)
    found[np.ix_(np.arange(len(values)), *places)] = values
    n_given = rows.n_cells[own.name] * np.prod([len(np.unique(p)) for p in places], dtype=np.int64)
    return found, n_given // max(1, own.n_cells)


def _check_wrapped(name: str, values: Array, places: Sequence[Index]) -> None:
    """Raise `SchemaError` where two columns of an item are one of the dataset, and differ: 0 and 360 degrees."""
    for axis, place in enumerate(places, start=1):
        first = {int(position): number for number, position in reversed(list(enumerate(place.tolist())))}
        for number, position in enumerate(place.tolist()):
            if first[position] == number:
                continue
            one, other = values.take(first[position], axis), values.take(number, axis)
            if not np.array_equal(one, other, equal_nan=values.dtype.kind == "f"):
                raise SchemaError(f"{name!r} has two columns at one place of the dataset, {position}, which differ.")


def _check_meaning(own: SlotArray, target: SlotArray, values: Array) -> None:
    """Raise `SchemaError` where attributes say that it is another quantity, or counted in another calendar."""
    one, other = (str(array.attributes.get("calendar", "")) for array in (own, target))
    units = str(own.attributes.get("units", ""))
    if not are_same_counts((units, one), (units, other), values):
        raise SchemaError(f"{own.name!r} is in the calendar {one!r}, in the dataset in {other!r}.")
    for name in MEANING:
        one, other = (str(array.attributes.get(name, "")) for array in (own, target))
        if one and other and one != other:
            raise SchemaError(
                f"{own.name!r} has {name} {one!r}, in the dataset {other!r}: it is another quantity. Rename it, "
                "or leave it out."
            )


def _widened(values: Array, own: str, target: str) -> Array:
    """Values in a wider type, in which other ones stand for what is absent."""
    found: Array = values.astype(target)
    if np.dtype(own).kind in "iu":
        found[values == grid_fill(own)] = grid_fill(target)
    return found


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
    hulls = {name: _Hull(target.arrays[name], len(slots)) for rows in found for name in rows.values}
    provisional: dict[str, Any] = {}
    for (own, _), rows in zip(boxes, found, strict=True):
        places = np.searchsorted(slots, rows.slots)
        for name, given in rows.values.items():
            cells = [np.unique(matched(dim, own, target)) for dim in target.arrays[name].dims[1:]]
            hulls[name].add([places, *cells], given, rows.n_cells[name])
        for name, flags in rows.provisional.items():
            provisional.setdefault(name, np.zeros(len(slots), np.bool_))[places[flags]] = True
    values = {name: hull.values for name, hull in hulls.items()}
    return Rows(slots, values, {name: hull.n_cells for name, hull in hulls.items()}, provisional)


class _Hull:
    """An array of an item, put together from boxes that cover parts of it."""

    def __init__(self, array: SlotArray, n_slots: int) -> None:
        self._array = array
        dtype = object if array.dtype == TEXT else np.dtype(array.dtype)
        self.values: Array = np.full((n_slots, *array.row_shape), grid_fill(array.dtype), dtype)
        self.n_cells = np.zeros(n_slots, np.int64)
        self._boxes: list[list[Index]] = []

    def add(self, box: list[Index], values: Array, n_cells: Any) -> None:  # noqa: ANN401 - numbers
        """Take in a box, given where it lies along every dimension."""
        given = values[np.ix_(np.arange(len(values)), *box[1:])]
        n_new = np.array(n_cells)
        for former in self._boxes:
            common = [np.intersect1d(one, other) for one, other in zip(box, former, strict=True)]
            if not all(map(len, common)):
                continue
            inside = [np.searchsorted(one, both) for one, both in zip(box, common, strict=True)]
            self._require_equal(self.values[np.ix_(*common)], given[np.ix_(*inside)])
            n_new[inside[0]] -= prod(map(len, common[1:]))
        self.values[np.ix_(*box)] = given
        self.n_cells[box[0]] += np.maximum(n_new, 0)
        self._boxes.append(box)

    def _require_equal(self, held: Array, own: Array) -> None:
        """Raise `SchemaError` where two boxes have the same cells, unless these are of a coordinate that they share."""
        name = self._array.name
        if not self._array.is_coordinate:
            raise SchemaError(f"The item gives values of {name!r} twice at the same place.")
        if not np.array_equal(held, own, equal_nan=own.dtype.kind == "f"):
            raise SchemaError(f"The item gives different values of the coordinate {name!r} at the same place.")
