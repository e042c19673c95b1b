"""Structures from the columns of a table, each equal to the one that was tabulated."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Parameters
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.constraints import dict2constraint
from ase.db.row import FancyDict
from ase.io.jsonio import decode

from curator_core.domains.atoms.columns import Column
from curator_core.domains.atoms.layout import CORE, JSON, MAIN_RESULTS, PAIRS, array_key, info_key
from curator_core.domains.atoms.pairs import pairs_of
from curator_core.domains.atoms.structures import Table
from curator_core.formats.arrays import Array

_Values: TypeAlias = Sequence[Any]
_MISSING: Final = object()
_ALONE: Final = (*CORE, "calculator", "constraints", "celldisp", "data", "other_info", PAIRS)
_ATTRIBUTES: Final = {"_calc", "_cellobj", "_celldisp", "_constraints", "_pbc", "arrays", "info"}
_IS_KNOWN: Final = vars(Atoms()).keys() == _ATTRIBUTES
"""Whether this version of ASE keeps in a structure what is known here; its own constructor takes 40 µs."""


_CALCULATOR_ATTRIBUTES: Final = frozenset(
    ("atoms", "results", "parameters", "_directory", "prefix", "get_spin_polarized", "use_cache")
)
_IS_CALCULATOR_KNOWN: Final = vars(SinglePointCalculator(Atoms())).keys() == _CALCULATOR_ATTRIBUTES
"""The same of its calculators, of which 20 µs go into a folder that is none."""


def structures(table: Table) -> Iterator[Atoms]:
    """The structures of a table, in order; they share no memory with it."""
    bounds = table.offsets.tolist()
    values = {name: _values(name, column, bounds) for name, column in table.columns.items()}
    nothing = [_MISSING] * (len(bounds) - 1)
    alone = {name: values.pop(name, nothing) for name in _ALONE}
    arrays, results, pairs, info = (_group(values, name) for name in ("atom_arrays", "results", "info", ""))
    for i in range(len(bounds) - 1):
        atoms = _bare(*(alone[name][i] for name in ("numbers", "positions", "cell", "pbc")))
        atoms.arrays.update(_found(arrays, i))
        if (constraints := alone["constraints"][i]) is not _MISSING:
            atoms.set_constraint([dict2constraint(constraint) for constraint in constraints])
        if (displacement := alone["celldisp"][i]) is not _MISSING:
            atoms.set_celldisp(displacement)
        if (calculator := alone["calculator"][i]) is not _MISSING:
            atoms.calc = _calculator(atoms, _found(results, i))
            atoms.calc.name = calculator
        other, packed, data = (alone[name][i] for name in ("other_info", PAIRS, "data"))
        atoms.info = {} if other is _MISSING else {info_key(name): value for name, value in other.items()}
        if own := _found(pairs, i) if packed is _MISSING else packed:
            atoms.info.setdefault("key_value_pairs", {}).update(own)
        atoms.info.update(_found(info, i))
        if data is not _MISSING:
            atoms.info["data"] = FancyDict(data)
        yield atoms


def _group(values: dict[str, _Values], wanted: str) -> list[tuple[str, _Values]]:
    """Keys and values of the arrays of a group."""
    found = []
    for name, column in values.items():
        group, key = array_key(name)
        if wanted == ("results" if name in MAIN_RESULTS else group):
            found.append((key, column))
    return found


def _found(columns: list[tuple[str, _Values]], i: int) -> dict[str, Any]:
    return {key: value for key, values in columns if (value := values[i]) is not _MISSING}


def _values(name: str, column: Column, bounds: list[int]) -> _Values:
    """Value of each structure, `_MISSING` where it has none; numbers and arrays are copies."""
    present, n_systems = column.present, len(bounds) - 1
    if name == PAIRS:
        present = np.array([bool(text) for text in column.values], bool)
    if present is None or present.all():
        return _decoded(name, column, range(n_systems), bounds)
    index = np.flatnonzero(present).tolist()
    spread = [_MISSING] * n_systems
    for i, value in zip(index, _decoded(name, column, index, bounds), strict=True):
        spread[i] = value
    return spread


def _decoded(name: str, column: Column, index: Sequence[int], bounds: list[int]) -> _Values:
    """Values of the structures at some positions."""
    values = column.values
    if name == PAIRS:
        return [pairs_of(values[i]) for i in index]
    if column.field.dtype == JSON:
        return [decode(values[i], always_array=False) for i in index]
    if column.field.axis == "atom":
        cuts = list(pairwise(bounds))
        return [values[slice(*cuts[i])].copy() for i in index]
    if column.field.shape:
        return [values[i].copy() for i in index]
    found: list[Any] = values.tolist()
    return found if len(index) == len(found) else [found[i] for i in index]


def _bare(numbers: Array, positions: Array, cell: Array, pbc: Array) -> Atoms:
    """A structure as ASE's constructor makes it, of arrays that are its own from now on."""
    if not _IS_KNOWN:
        atoms = Atoms(numbers, cell=cell, pbc=pbc)
        atoms.arrays["positions"] = positions
        return atoms
    atoms = Atoms.__new__(Atoms)
    vars(atoms).update(
        _calc=None,
        _cellobj=Cell(cell),
        _celldisp=np.zeros((3, 1)),
        _constraints=[],
        _pbc=pbc.astype(bool, copy=False),
        arrays={"numbers": numbers.astype(int, copy=False), "positions": positions},
        info={},
    )
    return atoms


def _calculator(atoms: Atoms, results: dict[str, Any]) -> SinglePointCalculator:
    """A calculator with some results of a structure, as its own constructor makes it."""
    if not _IS_CALCULATOR_KNOWN:
        found = SinglePointCalculator(_Copied(atoms))
        found.results = results
        return found
    found = SinglePointCalculator.__new__(SinglePointCalculator)
    vars(found).update(
        atoms=_Copied(atoms).copy(),
        results=results,
        parameters=Parameters(),
        _directory=".",
        prefix=None,
        get_spin_polarized=found._deprecated_get_spin_polarized,  # noqa: SLF001 - as it does itself
        use_cache=False,
    )
    return found


class _Copied:
    """What a calculator copies to remember for which structure its results are."""

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms

    def copy(self) -> Atoms:
        """A copy of the structure, as ASE makes it."""
        atoms = self._atoms
        copied = _bare(*(array.copy() for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)))
        copied.arrays = {name: array.copy() for name, array in atoms.arrays.items()}
        copied.set_celldisp(atoms.get_celldisp())
        if atoms.constraints:
            copied.set_constraint(copy.deepcopy(atoms.constraints))
        return copied
