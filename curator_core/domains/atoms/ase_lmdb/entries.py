"""Entries of an ``.aselmdb`` file, decoded within bounds.

An entry is JSON in ASE's encoding, compressed. A damaged or hostile one may unpack to gigabytes, name an array larger
than its data, or put text where numbers belong, which NumPy and ASE take as numbers where they can. Such an entry is
refused before memory is asked for.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from ase.calculators.calculator import all_properties
from ase.data import chemical_symbols
from ase.io.jsonio import fix_int_keys_in_dicts, object_hook

MAX_ENTRY_BYTES = 128 << 20
"""Longest text of one entry, bytes: a structure of about a million atoms."""
MAX_ARRAY_BYTES = 4 * MAX_ENTRY_BYTES
"""Largest array that one entry may name."""

_ATOM_FIELDS = ("positions", "cell", "pbc", "initial_magmoms", "initial_charges", "tags", "masses", "momenta")
"""Fields of a row that hold numbers, besides ``numbers`` and the results of a calculator."""
_RESULTS = frozenset(all_properties)
_NUMERIC = _RESULTS.union(_ATOM_FIELDS)
_PLAIN_BYTES = 16  # of the widest number
_ENCODED = ("constraints", "data", "calculator_parameters")
_MAX_ENCODED = 8
"""Older versions of ASE encoded these fields once more whenever they wrote them."""


def unpacked(value: bytes) -> str:
    """The text of an entry.

    Raises
    ------
    ValueError, zlib.error
        It is damaged, cut off, or longer than `MAX_ENTRY_BYTES`.
    """
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(value, MAX_ENTRY_BYTES)
    if unpacking.eof:
        return data.decode("utf-8")
    if len(data) < MAX_ENTRY_BYTES:
        raise ValueError("its compressed text is cut off")
    raise ValueError(f"it unpacks to more than {MAX_ENTRY_BYTES >> 20} MiB")


def decode_row(value: bytes) -> dict[str, Any]:
    """Fields of a row as ASE decodes them, checked.

    Raises
    ------
    ValueError, TypeError, LookupError, RecursionError, zlib.error
        The entry is damaged, or a field is not what it must be; the message says which.
    """
    fields = _decoded(unpacked(value))
    if not isinstance(fields, dict):
        raise TypeError(f"the row holds a {type(fields).__name__}")
    for name in _ENCODED:
        fields |= {name: _fully_decoded(fields[name], name)} if name in fields else {}
    for name in ("data", "key_value_pairs"):
        if not isinstance(fields.get(name, {}), dict):
            raise TypeError(f"{name} is no mapping but {fields[name]!r:.60}")
    _check_elements(fields)
    for name in _NUMERIC & fields.keys():
        found = fields[name]
        if type(found) is not np.ndarray or found.dtype.kind not in "iuf":
            check_numbers(name, found)
        if isinstance(found, list) and name in _RESULTS:
            fields[name] = np.array(found)
    pairs = fields.get("key_value_pairs", {})
    for name in _RESULTS & pairs.keys():  # ASE takes a pair of that name for a result
        check_numbers(name, pairs[name])
    return fields


def decode_count(value: bytes) -> int:
    """The number that an entry holds.

    Raises
    ------
    ValueError, RecursionError, zlib.error
        It holds something else.
    """
    found = json.loads(unpacked(value))
    if type(found) is not int:  # not bool either
        raise ValueError(f"{found!r:.60} is no integer")
    return found


def decode_ids(value: bytes) -> set[int]:
    """The row ids that an entry lists.

    Raises
    ------
    ValueError, RecursionError, zlib.error
        It holds something else.
    """
    found = json.loads(unpacked(value))
    if not isinstance(found, list) or any(type(row_id) is not int for row_id in found):
        raise ValueError(f"{found!r:.60} is no list of integers")
    return set(found)


def check_numbers(name: str, value: object) -> None:
    """Make sure that a value is a number, or an array or nested list of numbers, or ``None``.

    Raises
    ------
    TypeError
        It is not; text that looks like a number is none.
    """
    if isinstance(value, list):
        odd = next(_others(value), None)
        if odd is not None:
            raise TypeError(f"{name} holds {odd!r:.60}, which is no number")
    elif isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biufc":
            raise TypeError(f"{name} is an array of {value.dtype}, not of numbers")
    elif value is not None and not _is_number(value):
        raise TypeError(f"{name} is {value!r:.60}, which is no number")


def _fully_decoded(value: object, name: str) -> object:
    for _ in range(_MAX_ENCODED):
        if not isinstance(value, str):
            return value
        value = _decoded(value)
    raise ValueError(f"{name} is text within text")


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        float(value)  # an integer of 400 digits overflows
    return isinstance(value, int | float | complex)


def _others(values: Iterable[object]) -> Iterator[object]:
    """What is no number in nested lists."""
    for value in values:
        if isinstance(value, list):
            yield from _others(value)
        elif not _is_number(value):
            yield value


def _check_elements(fields: Mapping[str, Any]) -> None:
    if "numbers" not in fields:
        raise LookupError("the row has no atomic numbers ('numbers')")
    check_numbers("numbers", fields["numbers"])
    numbers = np.asarray(fields["numbers"])
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise TypeError(f"the atomic numbers are {numbers.dtype} of shape {numbers.shape}, not a list of integers")
    strange = numbers[(numbers < 0) | (numbers >= len(chemical_symbols))]
    if strange.size:
        raise ValueError(f"atomic number {strange[0]} is of no element")


def _decoded(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    return fix_int_keys_in_dicts(_decode(text))


def _checked_hook(value: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever ASE encodes
    if "__ndarray__" in value:
        shape, dtype, data = value["__ndarray__"]
        found = np.dtype(dtype)
        if len(data) != prod(shape) * (2 if found.kind == "c" else 1):  # so its size is bounded by that of the text
            raise ValueError(f"an array of shape {shape!r:.60} has {len(data)} numbers")
        if found.itemsize > _PLAIN_BYTES and len(data) * found.itemsize > MAX_ARRAY_BYTES:
            raise ValueError(f"an array of {dtype!r:.60} is larger than {MAX_ARRAY_BYTES >> 20} MiB")
    return object_hook(value)


_decode = json.JSONDecoder(object_hook=_checked_hook).decode
