"""Items of a grid as slots: which of their variables lie along the slots, and which are the same in all items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.keyed.axis import KEYS
from curator_core.datasets.aligned.schema import Cutting, FixedArray, Rows, Schema, SchemaError, SlotArray
from curator_core.domains.grid.assembly import variable_of
from curator_core.domains.grid.axes import axis_of, dated_dimensions, named_variables, time_of
from curator_core.domains.grid.declared import SLOT
from curator_core.domains.grid.layouts.declared import Arrangement
from curator_core.domains.grid.layouts.forecasts import arranged
from curator_core.domains.grid.layouts.provisional import provisional, without_versions
from curator_core.domains.grid.plain import as_asked, flags, numbers, plain, with_units_of_bounds
from curator_core.domains.grid.times import MISSING, calendar_of, counts_time, label
from curator_core.formats.arrays import TEXT

if TYPE_CHECKING:
    import xarray as xr

_HORIZONTAL: Final = ("latitude", "longitude")
_SHOWN: Final = 12  # names in a message


def box_of(dataset: xr.Dataset, wanted: str | None, cutting: Cutting) -> tuple[Schema, Rows]:
    """One dataset of an item as slots along one of its dimensions.

    Parameters
    ----------
    dataset
        In memory, decoded; times are counts with units and calendar, or ``datetime64``.
    wanted
        The dimension of the slots; a coordinate without dimensions is one slot. By default ``time``, or the one
        dimension that is dated.
    cutting
        How arrays are cut; where every item has one slot, `wanted` is a dimension that the item has not.

    Raises
    ------
    SchemaError
        It has no such coordinate, no values, or a slot twice.
    """
    dataset = without_versions(dataset)
    given = with_units_of_bounds({str(name): variable for name, variable in dataset.variables.items()})
    variables = {name: plain(name, variable) for name, variable in given.items()}
    slot, advice = wanted or _dated(variables), _advice(variables, dataset)
    data = {str(name) for name in dataset.data_vars}
    variables = _keyed(variables, slot, data) if cutting.is_keyed else _placed(variables, slot, wanted, data, advice)
    variables = {name: _dated_by_slot(v, variables[slot]) for name, v in variables.items()}
    order = _order(variables[slot], slot)
    moving = {n: flags(v) for n, v in variables.items() if slot in v.dims and n != slot}
    fixed = {n: v for n, v in variables.items() if slot not in v.dims}
    coordinates = {str(name) for name in dataset.coords}
    arrays = {n: cutting.cut(_slot_array(n, v, slot, is_coordinate=n in coordinates)) for n, v in moving.items()}
    if not any(not array.is_coordinate for array in arrays.values()):
        why = f"The item has no variable along {slot!r}: it would add nothing to the dataset."
        raise SchemaError(f"{why} {advice}")
    schema = Schema(
        slot=slot,
        slot_dtype=TEXT if cutting.is_keyed else numbers(variables[slot].values).dtype.name,
        slot_attributes=_json(variables[slot].attrs),
        kinds=dict(_kinds(variables, slot)),
        arrays=arrays,
        fixed={n: FixedArray(n, _names(v), v.values, _attributes(v), n in coordinates) for n, v in fixed.items()},
        attributes=_json(dataset.attrs),
    )
    values = {n: _ordered(v, order, arrays[n]) for n, v in moving.items()}
    n_cells = {n: np.full(len(order), array.n_cells, np.int64) for n, array in arrays.items()}
    late = {n: is_late[order] for n, is_late in provisional(variables, moving, slot, coordinates)}
    return schema, Rows(numbers(variables[slot].values)[order], values, n_cells, late)


def hull(
    boxes: Iterable[xr.Dataset], slot: str | None, cutting: Cutting, arrangement: Arrangement
) -> list[tuple[Schema, Rows]]:
    """All datasets of an item as slots.

    Raises
    ------
    SchemaError
        One cannot be, or there is none.
    """
    given = list(boxes)
    if not arrangement.is_plain:
        slot = arrangement.slot or slot or SLOT
        arrangements = [arranged(dataset, arrangement, slot) for dataset in given]
        if given and not any(found is not None for found in arrangements):
            raise SchemaError("The item has no lead time of leads=: choose the files that have with pattern=.")
        given = [found for found in arrangements if found is not None]
    found = [box_of(dataset, slot, cutting) for dataset in given]
    if not found:
        raise SchemaError("The item gave no dataset: an empty result of an item that is there is an error.")
    return found


def _listed(variables: Mapping[str, xr.Variable]) -> str:
    """Names of variables, the first of many."""
    names = sorted(variables)
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more


def _advice(variables: Mapping[str, xr.Variable], dataset: xr.Dataset) -> str:
    """What to do for an item without the dimension that was looked for: times that its data lie along, or are of."""
    moving = {dim for name in map(str, dataset.data_vars) for dim in dataset.variables[name].dims}
    dated = [name for name, v in variables.items() if counts_time(v.attrs.get("units")) and v.ndim <= 1]
    times = [name for name in dated if moving.issuperset(variables[name].dims)]
    if times:
        named = " or ".join(f"axes={{{name!r}: {{}}}}" for name in times[:_SHOWN])
        return f"Name the coordinate to grow along: {named}."
    return (
        "Name another coordinate with axes=; or give each item one slot, named by its key, with "
        "axes={'sample': {'values': 'keys'}}."
    )


def _keyed(variables: Mapping[str, xr.Variable], slot: str, data: set[str]) -> dict[str, xr.Variable]:
    """The same with the item as one of many: its data, and single values, such as a time, with their bounds.

    Coordinates, also those that are none by name but by their attributes, are the same in all items.
    """
    if slot in variables or slot in {dim for variable in variables.values() for dim in variable.dims}:
        raise SchemaError(f"The item has {slot!r} itself: call the axis of items otherwise in axes=, or rename it.")
    named = {n for v in variables.values() for n in named_variables(v.attrs)}
    own = {n for n in data if axis_of(variables[n]) not in _HORIZONTAL and n not in named}
    mapped = {n for v in variables.values() for n in named_variables(v.attrs, ("grid_mapping", "cell_measures"))}
    single = {n for n, v in variables.items() if not v.dims and n not in mapped}
    bounds = {b for n in single for b in named_variables(variables[n].attrs, ("bounds", "climatology"))}
    own |= single | (bounds & variables.keys())
    moved = {n: variable_of((slot, *v.dims), v.values[None], v.attrs) if n in own else v for n, v in variables.items()}
    return {**moved, slot: variable_of((slot,), np.zeros(1, np.int64), dict(KEYS))}


def _placed(
    variables: dict[str, xr.Variable], slot: str, wanted: str | None, data: set[str], advice: str
) -> dict[str, xr.Variable]:
    """The same along the slots, where the coordinate of these is a dimension, lies along one, or is a single value."""
    dims = {dim for variable in variables.values() for dim in variable.dims}
    variables = _with_dates(variables, slot, is_wanted=wanted is not None)
    if slot not in variables:
        raise SchemaError(f"The item has no coordinate {slot!r}; it has {_listed(variables)}. {advice}")
    if variables[slot].dims not in ((), (slot,)):
        return _along_slot(variables, slot)
    return variables if slot in dims else _with_slot(variables, slot, data)


def _along_slot(variables: Mapping[str, xr.Variable], slot: str) -> dict[str, xr.Variable]:
    """The same, along a coordinate in place of the dimension that it lies on, such as a time of another name."""
    dims = variables[slot].dims
    if len(dims) != 1 or slot in {dim for variable in variables.values() for dim in variable.dims}:
        raise SchemaError(f"The coordinate {slot!r} has the dimensions {dims}: name one along a single dimension.")
    return {
        n: variable_of([slot if d == dims[0] else d for d in v.dims], v.values, v.attrs) for n, v in variables.items()
    }


def _dated(variables: Mapping[str, xr.Variable]) -> str:
    """The dimension of the slots, where none is named."""
    found = [] if SLOT in variables else list(dated_dimensions(variables))
    return found[0] if len(found) == 1 else SLOT


def _with_dates(variables: dict[str, xr.Variable], slot: str, *, is_wanted: bool) -> dict[str, xr.Variable]:
    """The same, with the times of another variable as the coordinate of a dimension that has none, or only numbers.

    One that was asked for, and says what it counts, is what it says: a lead time, a member.
    """
    name = time_of(slot, variables)
    own = variables.get(slot)
    if name in (None, slot) or (is_wanted and own is not None and _says_what(own)):
        return variables
    return {**variables, slot: variable_of((slot,), variables[name].values, variables[name].attrs)}


def _says_what(variable: xr.Variable) -> bool:
    return str(variable.attrs.get("units", "1")).strip() not in ("", "1") or axis_of(variable) in ("member", "vertical")


def _dated_by_slot(variable: xr.Variable, slot: xr.Variable) -> xr.Variable:
    """A single time, such as that of the analysis, along the slots: in other items it is another one."""
    if variable.dims or not slot.dims or not counts_time(variable.attrs.get("units")):
        return variable
    return variable_of(slot.dims, np.full(slot.shape, variable.values), variable.attrs)


def _with_slot(variables: Mapping[str, xr.Variable], slot: str, names: set[str]) -> dict[str, xr.Variable]:
    """The same with the slot, which is a single value, as a dimension of the data."""
    moved = {n: variable_of((slot, *v.dims), v.values[None], v.attrs) for n, v in variables.items()}
    return {n: moved[n] if n == slot or n in names else v for n, v in variables.items()}


def _order(variable: xr.Variable, slot: str) -> Any:  # noqa: ANN401 - positions
    values = variable.values
    if counts_time(variable.attrs.get("units")) and (values == MISSING).any():
        raise SchemaError(f"The time of step {int(np.argmax(values == MISSING))} of {slot!r} is missing.")
    if not values.size:
        raise SchemaError(f"The item has no value along {slot!r}.")
    if values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise SchemaError(f"The coordinate {slot!r} has values that are no numbers.")
    order = np.argsort(values, kind="stable")
    twice = np.flatnonzero(np.diff(values[order]) == 0)
    if len(twice):
        positions = order[twice[0]], order[twice[0] + 1]
        value, about = values[positions[0]], variable.attrs
        shown = label(int(value), calendar_of(about.get("calendar"))) if counts_time(about.get("units")) else value
        raise SchemaError(
            f"The item has {slot!r} {shown} twice, at the positions {positions[0]} and {positions[1]}: name a "
            "coordinate that tells them apart with axes=, such as a lead time, or leave the item out."
        )
    return order


def _names(variable: xr.Variable) -> tuple[str, ...]:
    return tuple(map(str, variable.dims))


def _slot_array(name: str, variable: xr.Variable, slot: str, *, is_coordinate: bool) -> SlotArray:
    sizes = dict(zip(_names(variable), variable.shape, strict=True))
    dims = (slot, *(dim for dim in sizes if dim != slot))
    dtype = TEXT if variable.dtype.kind == "O" else variable.dtype.name
    shape = tuple(sizes[dim] for dim in dims[1:])
    if 0 in shape:
        raise SchemaError(f"{name!r} has no values: its shape is {variable.shape}.")
    return SlotArray(name, dtype, dims, shape, attributes=_attributes(variable), is_coordinate=is_coordinate)


def _ordered(variable: xr.Variable, order: Any, array: SlotArray) -> Array:  # noqa: ANN401 - positions
    values = variable.transpose(*array.dims).values
    if not np.array_equal(order, np.arange(len(order))):
        values = values[order]
    return np.ascontiguousarray(as_asked(values, array))


def _kinds(variables: Mapping[str, xr.Variable], slot: str) -> Iterator[tuple[str, str]]:
    """Kind of every dimension but that of the slots."""
    sizes: dict[str, int] = {}
    for variable in variables.values():
        sizes.update(zip(_names(variable), variable.shape, strict=True))
    cells = {dim for v in variables.values() if axis_of(v) in _HORIZONTAL for dim in _names(v)}
    for dim in sizes:
        if dim == slot:
            continue
        axis = axis_of(variables[dim]) if dim in variables else None
        if axis == "longitude" and str(variables[dim].attrs.get("units", "")).startswith("degree"):
            yield dim, "longitude"
        elif axis in _HORIZONTAL or dim in cells:
            yield dim, "horizontal"
        else:
            yield dim, "other"


def _attributes(variable: xr.Variable) -> dict[str, Any]:
    left_out = ("_FillValue", "missing_value")
    return _json({name: value for name, value in variable.attrs.items() if name not in left_out})


def _json(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _json_value(value) for name, value in attributes.items()}


def _json_value(value: Any) -> Any:  # noqa: ANN401 - whatever libraries give
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_json_value(one) for one in value]
    if isinstance(value, Mapping):
        return _json(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
