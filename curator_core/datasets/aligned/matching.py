"""Coordinates of items compared with those of their dataset, within a tolerance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import TOLERANCE, are_same_counts
from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.schema import FixedArray, Schema, SchemaError

_CIRCLE: Final = 360.0
Index = npt.NDArray[np.int64]


def tolerance_of(values: Array) -> float:
    """Difference within which the values of a coordinate are the same."""
    numbers = np.unique(values[np.isfinite(values)].astype(np.float64)) if values.size else np.zeros(0)
    if values.ndim == 1 and len(numbers) > 1:
        return float(TOLERANCE * np.diff(numbers).min())
    if values.dtype.kind in "iub":
        return 0.0  # a time counts microseconds: one in a million of it is half an hour
    spread = float(np.ptp(numbers)) / max(1, max(values.shape, default=1)) if len(numbers) else 0.0
    return TOLERANCE * (spread or float(np.abs(numbers).max(initial=0)))


def check_fixed(own: Schema, target: Schema, index: Mapping[str, Index]) -> None:
    """Raise `SchemaError` where an item has other fixed arrays than its dataset, or lacks a coordinate.

    Parameters
    ----------
    own
        The item's schema.
    target
        The dataset's.
    index
        Positions in the dataset along each dimension of the item.
    """
    for name, held in target.fixed.items():
        if name not in own.fixed and _says_where(name, held, target) and set(held.dims) <= set(index):
            raise SchemaError(f"It has no coordinate {name!r}, which says whether it is on the grid of the dataset.")
    bounds = {array.attributes.get("bounds") for array in own.fixed.values()}
    for name, array in own.fixed.items():
        found = target.fixed.get(name)
        if found is None:
            raise SchemaError(
                f"It has {name!r}, which the dataset has not, for a part of {' and '.join(array.dims)} alone: leave it "
                "out with variables= of the source, or give all of it."
            )
        _check_units(array, found)
        if array.dims != (name,):
            _check_array(array, found, index, is_bounds=name in bounds)


def _check_units(array: FixedArray, held: FixedArray) -> None:
    one, other = (str(found.attributes.get("units", "")) for found in (array, held))
    calendars = [str(found.attributes.get("calendar", "")) for found in (array, held)]
    are_degrees = one.startswith("degree") and other.startswith("degree")
    if (
        one
        and other
        and not are_degrees
        and not are_same_counts((one, calendars[0]), (other, calendars[1]), array.values)
    ):
        raise SchemaError(
            f"{array.name!r} is in {' '.join([one, calendars[0]]).strip()!r}, in the dataset in "
            f"{' '.join([other, calendars[1]]).strip()!r}: convert it first."
        )


def _says_where(name: str, array: FixedArray, schema: Schema) -> bool:
    """Whether an array says where the cells are: the coordinate of a dimension, or two-dimensional degrees."""
    if array.dims == (name,):
        return True
    is_on_grid = bool(array.dims) and all(schema.kinds.get(dim, "other") != "other" for dim in array.dims)
    return is_on_grid and array.is_coordinate and str(array.attributes.get("units", "")).startswith("degree")


def _check_array(array: FixedArray, held: FixedArray, index: Mapping[str, Index], *, is_bounds: bool) -> None:
    name = array.name
    if array.dims != held.dims:
        raise SchemaError(f"{name!r} has the dimensions {array.dims}, in the dataset {held.dims}.")
    places = [index.get(dim, np.arange(n)) for dim, n in zip(array.dims, array.values.shape, strict=True)]
    too_long = any(len(p) and int(p.max()) >= n for p, n in zip(places, held.values.shape, strict=True))
    if too_long or tuple(map(len, places)) != array.values.shape:
        raise SchemaError(f"{name!r} has the shape {array.values.shape}, in the dataset {held.values.shape}.")
    is_turned = any(len(p) > 1 and not np.array_equal(p, np.arange(len(p))) for p in places)
    if is_bounds and is_turned:  # those of a turned axis are turned themselves, and those of longitudes others
        return
    _check_same(array, held, held.values[np.ix_(*places)] if places else held.values)


def _check_same(array: FixedArray, held: FixedArray, values: Array) -> None:
    name = array.name
    if array.values.dtype.kind in "OUSb" or values.dtype.kind in "OUSb":
        if array.values.tolist() != values.tolist():
            raise SchemaError(f"{name!r} is another one than in the dataset.")
        return
    one, other = array.values.astype(np.float64), values.astype(np.float64)
    both_nan = np.isnan(one) & np.isnan(other)
    off = np.abs(one - other)
    if str(held.attributes.get("units", "")).lower().startswith(("degrees_e", "degree_e")):
        off = np.minimum(np.mod(off, _CIRCLE), _CIRCLE - np.mod(off, _CIRCLE))
    off = np.where(both_nan, 0.0, off)
    tolerance = tolerance_of(held.values)
    if not (off <= tolerance).all():
        raise SchemaError(
            f"{name!r} differs from the dataset's by up to {np.nanmax(off):.6g}, more than {tolerance:.2g}. Bring it "
            "to the same grid, or leave the item out."
        )


def matched(dim: str, own: Schema, target: Schema) -> Index:
    """Position in the dataset of each value along a dimension."""
    kind = target.kinds.get(dim, "other")
    one, held = own.fixed.get(dim), target.fixed.get(dim)
    n_own, n_held = own.sizes[dim], target.sizes.get(dim, 0)
    if one is None or held is None or one.dims != (dim,) or held.dims != (dim,):
        if n_own != n_held:
            raise SchemaError(f"The dimension {dim!r} has the length {n_own}, in the dataset {n_held}.")
        return np.arange(n_own)
    if "O" in (one.values.dtype.kind, held.values.dtype.kind):
        found = _matched_texts(dim, one.values.tolist(), held.values.tolist())
    else:
        found = _matched_numbers(dim, one.values, held.values, is_circle=kind == "longitude")
    if kind != "other" and len(np.unique(found)) < n_held:
        raise SchemaError(f"{dim!r} has {len(np.unique(found))} of the {n_held} values of the dataset.")
    return found


def _matched_texts(dim: str, own: list[str], held: list[str]) -> Index:
    if own == held:
        return np.arange(len(own))
    for texts in (own, held):
        if len(set(texts)) < len(texts):
            (twice, _), *_ = Counter(texts).most_common(1)
            raise SchemaError(f"{dim!r} has the value {twice!r} twice, and other values than the dataset.")
    positions = {text: number for number, text in enumerate(held)}
    unknown = [text for text in own if text not in positions]
    if unknown:
        raise SchemaError(f"{dim!r} has the value {unknown[0]!r}, which the dataset has not.")
    return np.array([positions[text] for text in own], np.int64)


def _matched_numbers(dim: str, own: Array, held: Array, *, is_circle: bool) -> Index:
    one, other = own.astype(np.float64), held.astype(np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise SchemaError(f"The coordinate {dim!r} has values that are no numbers.")
    tolerance = tolerance_of(held)
    if not is_circle and one.shape == other.shape and (np.abs(one - other) <= tolerance).all():
        return np.arange(len(one))  # each at its own place, also where two have the same value
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
