"""Arrays of a Zarr group as stored variables, by the conventions of xarray and of Zarr v3."""

from __future__ import annotations

import base64
import binascii
import struct
import warnings
from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np
import zarr
from zarr.errors import GroupNotFoundError

from curator_core.domains.grid.decoding import Array, DecodingError
from curator_core.domains.grid.stored import FillValues, StoredVariable, distinct, with_fill_value
from curator_core.domains.grid.times import EPOCH_UNITS, MISSING
from curator_core.domains.grid.zarr_stores.byte_types import PlainByteTypes
from curator_core.domains.grid.zarr_stores.written import WrittenArray

Arrays = dict[str, "zarr.Array[Any]"]
_DIMENSIONS = "_ARRAY_DIMENSIONS"
_V2 = 2


class NoGroupError(DecodingError):
    """There is no group at a path."""


def opened_group(store: Any, path: str, *, is_listed: bool) -> zarr.Group:  # noqa: ANN401 - one of Zarr's
    """A group, whose arrays are listed, or else found by consolidated metadata.

    Raises
    ------
    DecodingError
        There is no such group.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of version 3 that are not final
            return zarr.open_group(
                PlainByteTypes(store), path=path, mode="r", use_consolidated=False if is_listed else None
            )
    except (GroupNotFoundError, FileNotFoundError) as exc:
        raise NoGroupError(f"there is no Zarr group {f'{path!r} in it' if path else 'at its top'}") from exc
    except zarr.errors.NodeTypeValidationError as exc:
        raise DecodingError(f"{path or 'its top'!r} is no Zarr group but an array") from exc


def arrays_of(group: zarr.Group, *, is_listed: bool) -> Arrays:
    """Arrays of a group by name, each with metadata of its own: consolidated ones can be those of a shorter array.

    Raises
    ------
    DecodingError
        The group has none, or they cannot be listed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that are no part of the store
        if is_listed:
            return dict(sorted(group.arrays()))
        if group.metadata.consolidated_metadata is None:
            raise DecodingError(
                "its arrays cannot be listed over the web: consolidate its metadata (zarr.consolidate_metadata)"
            )
        names = sorted(name for name, _ in group.arrays())
        return {name: zarr.open_array(group.store_path / name, mode="r") for name in names}


def groups_with_arrays(group: zarr.Group) -> list[str]:
    """Paths of groups below one that have arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        found = {node.path.rpartition("/")[0] for _, node in group.members(None) if isinstance(node, zarr.Array)}
    return sorted(f"/{path}" for path in found)


def stored_variables(
    arrays: Arrays, fill_values: FillValues, sparse: Collection[str] | Literal[True]
) -> dict[str, StoredVariable]:
    """Variables by name.

    Parameters
    ----------
    arrays
        Arrays by name.
    fill_values
        What is missing, in place of what the store says.
    sparse
        Names of those whose chunks were left out on purpose; ``True`` for all of them.
    """
    return {
        name: _stored(name, array, fill_values, may_lack=sparse is True or name in sparse)
        for name, array in arrays.items()
    }


def _stored(name: str, array: zarr.Array[Any], fill_values: FillValues, *, may_lack: bool) -> StoredVariable:
    attributes: dict[str, Any] = dict(array.attrs.asdict())
    dims = _dims(name, array, attributes.pop(_DIMENSIONS, None))
    values: Callable[[tuple[slice, ...]], Array] = WrittenArray(name, array, may_lack=may_lack)
    dtype, fill = np.dtype(array.dtype), array.fill_value
    if dtype.kind == "M":
        values, attributes, dtype = _counted(values), {**attributes, **_OF_DATES}, np.dtype(np.int64)
    elif dtype.kind == "T":
        dtype = np.dtype(object)
    elif name in fill_values:
        attributes = with_fill_value(attributes, fill_values[name])
    elif dtype.kind in "iuf":
        is_v2 = array.metadata.zarr_format == _V2
        if is_v2 and fill is not None and fill != 0 and _is_other(attributes.get("_FillValue"), fill):
            values = _without(name, values, fill, attributes["_FillValue"])
        attributes = _with_fill(attributes, array.metadata.zarr_format, fill)
        is_doubtful = is_v2 and fill == 0 and "_FillValue" not in attributes
        if is_doubtful and dims not in ((name,), ()):
            values = _without_zeros(name, values)
    elif dtype.kind == "V":
        values = _refused(name, dtype)
    return StoredVariable(
        name=name,
        dims=dims,
        shape=tuple(array.shape),
        dtype=dtype,
        attributes=attributes,
        values=values,
        encoding={"chunksizes": tuple(array.chunks)},
    )


def _dims(name: str, array: zarr.Array[Any], given: object) -> tuple[str, ...]:
    found = getattr(array.metadata, "dimension_names", None) or given or ()
    if isinstance(found, str) or not hasattr(found, "__iter__"):
        found = ()
    names = [f"{name}_{axis}" if dim is None else str(dim) for axis, dim in enumerate(found)]
    if not names:
        names = [f"{name}_{axis}" for axis in range(array.ndim)]
    if len(names) != array.ndim:
        raise DecodingError(f"variable {name!r} has {array.ndim} dimensions, and the names {', '.join(names)}")
    return distinct(tuple(names))


def _with_fill(attributes: dict[str, Any], zarr_format: int, fill: Any) -> dict[str, Any]:  # noqa: ANN401 - a number
    """Attributes with what is missing: the fill value of v2, as xarray writes it, and of v3 the attribute alone."""
    given = attributes.get("_FillValue")
    if isinstance(given, str):
        return attributes | {"_FillValue": _number(given)}
    if zarr_format == _V2 and fill is not None and fill != 0 and given is None:
        return attributes | {"_FillValue": fill}
    return attributes


def _number(text: str) -> float | str:
    """A fill value as xarray writes it in v3: a float of 64 bits in base 64."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(struct.unpack("<d", base64.standard_b64decode(text))[0])
    except (binascii.Error, struct.error):
        return text


_OF_DATES = {"units": EPOCH_UNITS, "calendar": "proleptic_gregorian", "_FillValue": MISSING}


def _counted(values: Callable[[tuple[slice, ...]], Array]) -> Callable[[tuple[slice, ...]], Array]:
    def read(index: tuple[slice, ...]) -> Array:
        return values(index).astype("datetime64[us]").astype(np.int64)

    return read


def _without_zeros(name: str, values: Callable[[tuple[slice, ...]], Array]) -> Callable[[tuple[slice, ...]], Array]:
    """Values in which no zero is: a fill value of 0 is Zarr's own default, and to xarray what is missing."""

    def read(index: tuple[slice, ...]) -> Array:
        found = values(index)
        if not found.all():
            raise DecodingError(
                f"variable {name!r}: its fill value is 0, which Zarr writes by default and xarray takes for missing, "
                f"and {int((found == 0).sum()):,} of its values are 0: say that they are missing with "
                f"fill_values={{{name!r}: 0}}, or that nothing is, with None"
            )
        return found

    return read


def _is_other(given: Any, fill: Any) -> bool:  # noqa: ANN401 - numbers
    """Whether what is missing by the attribute is another number than the fill value."""
    number = _number(given) if isinstance(given, str) else given
    return isinstance(number, int | float) and fill == fill and number != fill  # noqa: PLR0124 - NaN


def _without(
    name: str, values: Callable[[tuple[slice, ...]], Array], fill: object, given: object
) -> Callable[[tuple[slice, ...]], Array]:
    """Values in which no fill value is, where the attribute says that another number is what is missing."""

    def read(index: tuple[slice, ...]) -> Array:
        found = values(index)
        n_filled = int((found == fill).sum())
        if n_filled:
            raise DecodingError(
                f"variable {name!r}: what is missing is {given!s} by its _FillValue, and {fill!s} by the fill value of "
                f"the array, and {n_filled:,} of its values are {fill!s}: say which is meant with "
                f"fill_values={{{name!r}: {fill!s}}}, or {given!s}"
            )
        return found

    return read


def _refused(name: str, dtype: np.dtype[Any]) -> Callable[[tuple[slice, ...]], Array]:
    def read(_: tuple[slice, ...]) -> Array:
        raise DecodingError(f"variable {name!r} is of the type {dtype}: leave it out with variables=")

    return read
