"""The numeric fields of arrays, mappings and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.filters.statistics.exact_sums import Reals
from curator_core.filters.values.fields import FieldError as FieldError  # noqa: PLC0414 - others import it from here
from curator_core.filters.values.kinds import fields_of

PLAIN = "value"
"""Name of the only field of a plain array or number."""
_OF_DOMAINS: Final = ("pyarrow.lib:Table", "pyarrow.lib:RecordBatch", "curator_core.domains.mesh.model:Mesh")
"""Classes whose domains say what their fields are."""


def numeric_fields(value: object, chosen: frozenset[str] | None = None) -> Iterator[tuple[str, Reals]]:
    """Names and numbers, ``(n,)``, of the fields of `value`, copied.

    Members of mappings, columns of data frames, variables of datasets and the fields of structured arrays
    have their names, nested ones with dots between them; a plain array or number is one field,
    ``"value"``. Booleans count as 0 and 1, complex numbers are two fields, ``….real`` and ``….imag``,
    and what is masked or missing is NaN. The numbers are float32 where that holds all of a type, as it does
    integers of 16 bits, and float64 otherwise: integers above 2**53 are rounded, and what is too large becomes
    infinite. Strings, times and objects are no numbers.

    Parameters
    ----------
    value
        Array, number, mapping, data frame, dataset, table or mesh.
    chosen
        Names of the fields to give; all numeric ones by default.

    Raises
    ------
    FieldError
        `value` is nothing of the kind, or a chosen field is not numeric.
    """
    for name, leaf in _leaves(value, "", chosen):
        if chosen is not None and name not in chosen:
            continue
        array = _numeric_array(leaf)
        if array is None:
            if leaf is value:
                raise FieldError(
                    f"cannot take statistics of a {_described(value)}; it takes arrays, mappings and tables"
                )
            if chosen is not None:
                raise FieldError(f"field {name!r} is no number: a {_described(leaf)}")
        elif array.dtype.kind == "c":
            yield f"{name}.real", _floats(array.real)
            yield f"{name}.imag", _floats(array.imag)
        else:
            yield name, _floats(array)


def _leaves(value: Any, name: str, chosen: frozenset[str] | None) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - told apart by what it has
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "names", None):
        members = ((member, value[member]) for member in value.dtype.names)
    elif dtype is None and callable(getattr(value, "items", None)):
        members = value.items()
    elif f"{type(value).__module__}:{type(value).__qualname__}" in _OF_DOMAINS:
        fields = fields_of(value)
        members = ((member, fields.values(member)) for member in (fields.names() if chosen is None else fields.known()))
    else:
        yield name or PLAIN, value
        return
    for member, found in members:
        yield from _leaves(found, f"{name}.{member}" if name else str(member), chosen)


def _numeric_array(leaf: Any) -> npt.NDArray[Any] | None:  # noqa: ANN401 - as above
    dtype = getattr(leaf, "dtype", None)
    if not isinstance(dtype, np.dtype | None) and getattr(dtype, "kind", "") in tuple("biuf"):  # pandas' own types
        return np.asarray(leaf.to_numpy(dtype=np.float64, na_value=np.nan))
    try:
        array = np.asanyarray(leaf)
    except ValueError:  # lists of unequal length
        return None
    return array if array.dtype.kind in "biufc" else None


def _floats(array: npt.NDArray[Any]) -> Reals:
    dtype = np.float32 if np.can_cast(array.dtype, np.float32) else np.float64
    with np.errstate(over="ignore"):
        floats = np.add(array, 0.0, dtype=dtype)  # a copy, in which no zero is negative
    found: Reals = np.asarray(np.ma.filled(floats, np.nan)).ravel()
    return found


def _described(value: Any) -> str:  # noqa: ANN401 - as above
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else f"{type(value).__name__} of {dtype}"
