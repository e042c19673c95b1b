"""Structures as a table of columns; `curator_core.domains.atoms.assembly` is the way back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator_core.domains.atoms.columns import Column, Offsets, build_column
from curator_core.domains.atoms.layout import (
    ATOM_RESULTS,
    CORE,
    MAIN_RESULTS,
    MAX_NAMES,
    Axis,
    Schema,
    array_name,
    info_name,
    is_short,
)

if TYPE_CHECKING:
    from ase import Atoms

_SCALAR_RESULTS = ("energy", "free_energy", "magmom")
_ROW_SHAPES: Mapping[str, tuple[int, ...]] = {"forces": (3,), "energies": ()}


@dataclass(frozen=True, slots=True)
class Table:
    """Consecutive structures, column by column."""

    offsets: Offsets
    """``(n_systems + 1,)``, first atom of each structure; starts at 0."""
    columns: Mapping[str, Column]
    """Columns by array name, those of `CORE` among them unless there are no structures."""

    @property
    def schema(self) -> Schema:
        """Fields by array name."""
        return {name: column.field for name, column in self.columns.items()}


class StructureError(ValueError):
    """A structure holds something that cannot be used."""


UNFIT = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What tabulating something that cannot be kept can raise."""


def reason(error: Exception) -> str:
    """Text of an error, in one line that says something."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return str(error) or type(error).__name__


def current_results(atoms: Atoms) -> dict[str, object]:
    """Calculator results of a structure; ``energy`` and other scalars as ``float``.

    Raises
    ------
    StructureError
        The structure was changed after its results were calculated, or a scalar is no single number.
    """
    calculator = atoms.calc
    results = getattr(calculator, "results", None)
    if not results:
        return {}
    known = getattr(calculator, "atoms", None)
    if known is not None and not _is_same_geometry(known, atoms) and calculator.check_state(atoms):
        raise StructureError(
            "the structure was changed after its results were calculated; set atoms.calc to None or to new results"
        )
    return {
        name: _scalar(name, value) if name in _SCALAR_RESULTS else value
        for name, value in results.items()
        if value is not None
    }


def _scalar(name: str, value: object) -> float:
    number = np.asarray(value, np.float64)
    if number.shape:
        raise StructureError(f"{name} has shape {number.shape}, expected a single number")
    return float(number)


def _is_same_geometry(first: Atoms, second: Atoms) -> bool:
    # Much cheaper than check_state, which decides when this says no, and NaN is equal to itself
    if first.arrays.keys() != second.arrays.keys():
        return False
    pairs = [(first.arrays[name], second.arrays[name]) for name in first.arrays]
    pairs += [(first.cell.array, second.cell.array), (first.pbc, second.pbc)]
    return all(left.shape == right.shape and left.tobytes() == right.tobytes() for left, right in pairs)


def tabulate(structures: Iterable[Atoms]) -> Table:
    """Columns of some structures.

    Raises
    ------
    StructureError
        A structure holds something that cannot be kept; the message says which structure and what.
    """
    sizes: list[int] = [0]
    found: dict[tuple[str, Axis], tuple[list[int], list[object]]] = {}
    for position, atoms in enumerate(structures):
        sizes.append(len(atoms))
        try:
            for name, axis, value in _fields(atoms):
                index, values = found.setdefault((name, axis), ([], []))
                index.append(position)
                values.append(_own(value))
        except UNFIT as exc:
            raise StructureError(f"structure {position} ({_formula(atoms)}): {reason(exc)}") from exc
    offsets = np.cumsum(sizes, dtype=np.int64)
    columns = {}
    for (name, axis), (index, values) in sorted(found.items()):
        try:
            columns[name] = build_column(axis, index, values, offsets)
        except UNFIT as exc:
            raise StructureError(f"field {name[:80]!r} cannot be kept: {reason(exc)}") from exc
    return Table(offsets, columns)


def _formula(atoms: Atoms) -> str:
    try:
        return str(atoms.get_chemical_formula())
    except LookupError:  # atomic numbers of no element
        return f"{len(atoms)} atoms"


def _own(value: object) -> object:
    # The structure, or its calculator, may be changed in place once the next one is asked for
    if isinstance(value, np.ndarray):
        return value.copy()
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def _fields(atoms: Atoms) -> Iterator[tuple[str, Axis, object]]:
    """Array name, axis and value of everything that a structure holds."""
    for key, array in atoms.arrays.items():
        yield key if key in CORE else _own_name("atom_arrays", key, len(atoms.arrays)), "atom", array
    yield "cell", "system", atoms.cell.array
    yield "pbc", "system", atoms.pbc
    displacement = atoms.get_celldisp()
    if displacement.any():
        yield "celldisp", "system", displacement
    if atoms.constraints:
        yield "constraints", "system", [constraint.todict() for constraint in atoms.constraints]
    if atoms.calc is not None:
        yield "calculator", "system", str(getattr(atoms.calc, "name", None) or "unknown")
        yield from _result_fields(atoms)
    yield from _info_fields(atoms)


def _own_name(group: str, key: str, n_arrays: int) -> str:
    """Path of an array of its own.

    Raises
    ------
    StructureError
        There are too many, or no file system takes the name.
    """
    name = array_name(group, key)
    if n_arrays > MAX_NAMES:
        raise StructureError(f"it has {n_arrays} arrays in {group}, more than {MAX_NAMES}; join them to one array")
    if not is_short(name):
        raise StructureError(f"the name {key[:60]!r}… in {group} has {len(key)} characters, too many for a file name")
    return name


def _result_fields(atoms: Atoms) -> Iterator[tuple[str, Axis, object]]:
    results = current_results(atoms)
    for key, value in results.items():
        name = key if key in MAIN_RESULTS else _own_name("results", key, len(results))
        if key not in ATOM_RESULTS:
            yield name, "system", value
            continue
        array = np.asarray(value)
        expected = (len(atoms), *_ROW_SHAPES.get(key, array.shape[1:]))
        if array.shape != expected:
            raise StructureError(f"{key} has shape {array.shape}, expected {expected}")
        yield name, "atom", array


def _info_fields(atoms: Atoms) -> Iterator[tuple[str, Axis, object]]:
    other = {}
    for key, value in atoms.info.items():
        if key == "unique_id" and isinstance(value, str):
            yield key, "system", value
        elif key == "key_value_pairs" and value and isinstance(value, dict):
            yield from ((array_name("info", name), "system", item) for name, item in value.items())
        elif key == "data" and value and isinstance(value, dict):
            yield key, "system", value
        else:
            other[info_name(key)] = value
    if other:
        yield "other_info", "system", other
