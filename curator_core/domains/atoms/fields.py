"""Structures as fields, for the filters of every domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core.domains.atoms.structures import StructureError, current_results
from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields

if TYPE_CHECKING:
    from ase import Atoms

_GIVEN = ("numbers", "positions")
"""Without these there is no structure."""


class AtomsFields(Fields):
    """The numeric arrays and results of a structure: ``positions``, ``energy``, ``forces``, …."""

    what = "structures"
    has_fixed_units = True

    def __init__(self, atoms: Atoms) -> None:
        self._atoms = atoms
        try:
            self._results = current_results(atoms)
        except StructureError as exc:
            raise FieldError(str(exc)) from exc

    def names(self) -> list[str]:
        found = {name: array for name, array in self._atoms.arrays.items() if name != "numbers"} | self._results
        return [name for name, value in found.items() if np.asarray(value).dtype.kind in "biufc"]

    def content(self) -> Iterator[tuple[str, Array]]:
        yield from {"numbers": self._atoms.numbers, "cell": self._atoms.cell.array, "pbc": self._atoms.pbc}.items()
        yield from super().content()

    def values(self, name: str) -> Array:
        return np.asarray(self._atoms.arrays[name] if name in self._atoms.arrays else self._results[name])

    def dims(self, name: str) -> tuple[str, ...]:
        rest = super().dims(name)
        return ("atom", *rest[1:]) if rest[:1] and self.values(name).shape[0] == len(self._atoms) else rest

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Atoms:
        made = self._atoms.copy()
        for name, array in values.items():
            if name in made.arrays:
                made.set_array(name, None)
                made.set_array(name, array)
        return self._with_results(made, {n: values.get(n, r) for n, r in self._results.items()})

    def chosen(self, names: Sequence[str]) -> Atoms:
        made = self._atoms.copy()
        for name in list(made.arrays):
            if name not in names and name not in _GIVEN:
                del made.arrays[name]
        kept = {n: r for n, r in self._results.items() if n in names or n not in self.names()}
        return self._with_results(made, kept)

    def renamed(self, names: Mapping[str, str]) -> Atoms:
        fixed = [name for name in names if name in _GIVEN]
        if fixed:
            raise FieldError(f"the {fixed[0]} of a structure have no other name")
        made = self._atoms.copy()
        for old, new in names.items():
            if old in made.arrays:
                made.arrays[new] = made.arrays.pop(old)
        return self._with_results(made, {names.get(n, n): r for n, r in self._results.items()})

    def _with_results(self, made: Atoms, results: Mapping[str, Any]) -> Atoms:
        if not results:
            made.calc = None
            return made
        plain = {n: r.item() if isinstance(r, np.ndarray) and not r.ndim else r for n, r in results.items()}
        calculator = SinglePointCalculator(made)
        calculator.results.update(plain)
        calculator.name = getattr(self._atoms.calc, "name", calculator.name)
        made.calc = calculator
        return made
