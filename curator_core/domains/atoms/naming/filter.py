"""Filter that gives results and other values of structures the names and units of ASE."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core.domains.atoms.layout import ATOM_RESULTS
from curator_core.domains.atoms.naming.units import factor_to_ase
from curator_core.domains.atoms.structures import UNFIT, StructureError, current_results, reason
from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.components import Filter

_PAIRS: Final = "key_value_pairs"
_PLACES: Final = ("results", "arrays", "info", _PAIRS, "data")
_SCALARS: Final = (str, bool, int, float)
_ATOMS: Final = "atoms"
_SHAPES: Final[Mapping[str, tuple[tuple[int | str, ...], ...]]] = {
    "energy": ((),),
    "free_energy": ((),),
    "magmom": ((),),
    "forces": ((_ATOMS, 3),),
    "stress": ((6,),),
    "stresses": ((_ATOMS, 6),),
    "dipole": ((3,),),
    "charges": ((_ATOMS,),),
    "energies": ((_ATOMS,),),
    "magmoms": ((_ATOMS,), (_ATOMS, 3)),
}
"""Shapes that results may have."""
_VOIGT: Final = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class AtomicNamesFilter(Filter[Atoms]):
    """Gives what structures carry the names that it has in ASE: ``REF_energy`` becomes the result ``energy``.

    A value is looked for among the results of the calculator, the arrays, ``Atoms.info``, and the key-value pairs and
    the data of a database row; where two places have it, ``info.energy`` says which one. A new name that is one of
    ASE's results makes it a result, whose shape is checked. An array otherwise stays one. Anything else becomes a
    key-value pair where it is a number or text, which datasets hold as an array ``info/…``, so that
    ``{"charge": "charge"}`` takes it out of the JSON of ``info`` or ``data``.

    A structure in which two values would have one name fails. All are renamed at once: ``{"energy": "pbe_energy",
    "hse_energy": "energy"}``. Values are changed only where `units` says so.

    Parameters
    ----------
    names
        The new name of each value, by the one that it has.
    units
        The unit that a result is in, by its new name, in place of ASE's: ``{"energy": "Hartree", "forces":
        "Hartree/Bohr"}``.
    missing
        ``fail``: a structure without one of the new names' values fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        Nothing would be done, or a unit is none of its result.
    """

    name: ClassVar[str] = "atomic_names"
    description: ClassVar[str] = "Results and other values of structures under ASE's names, in its units"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        *,
        missing: Literal["fail", "ignore"] = "fail",
    ) -> None:
        self._names = dict(names or {})
        self._is_strict = missing == "fail"
        if not names and not units:
            raise ConfigError(f"{self.name}: give names=, or the units= of results.")
        fixed = [new for new in self._names.values() if new in ("numbers", "positions")]
        if fixed:
            raise ConfigError(f"{self.name}: nothing else can become the {fixed[0]} of a structure.")
        if lost := [old for old in self._names if old.removeprefix("arrays.") in ("numbers", "positions")]:
            raise ConfigError(f"{self.name}: a structure needs its {lost[0]}: they keep their name.")
        try:
            self._factors = {result: factor_to_ase(result, unit) for result, unit in (units or {}).items()}
        except ValueError as exc:
            raise ConfigError(f"{self.name}: {exc}.") from None

    def __call__(self, items: Generator[Atoms, None, None]) -> Generator[Atoms, None, None]:
        """Pass structures on, each a copy with the new names.

        Raises
        ------
        ComponentError
            Two values would have one name, or a structure lacks one, or has one of another shape.
        """
        for position, atoms in enumerate(items):
            try:
                yield self._renamed(atoms)
            except UNFIT as exc:
                raise ComponentError(f"{self.name}: structure {position}: {reason(exc)}.", component=self.name) from exc

    def _renamed(self, atoms: Atoms) -> Atoms:
        content = _Content(atoms)
        taken: dict[str, _Value] = {}
        for old, new in self._names.items():
            for value in content.taken(old):
                if new in taken:
                    raise StructureError(f"{taken[new].former!r} and {old!r} would both be {new!r}")
                taken[new] = value
        wanted = dict.fromkeys([*self._names.values(), *self._factors])
        for new, value in taken.items():
            content.put(new, value)
        if self._is_strict:
            for new in wanted:
                if new not in taken and new not in content.results:
                    names = [old for old, given in self._names.items() if given == new] or [new]
                    raise StructureError(f"it has no {' or '.join(map(repr, names))}; it has {content.names()}")
        for result, factor in self._factors.items():
            if result in content.results:
                content.results[result] = content.results[result] * factor
        return content.structure()


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that gets another name."""

    former: str
    """The name that it had."""
    content: Any
    """The value; no NumPy scalar."""
    is_of_atoms: bool
    """Whether it has a row for each atom."""


class _Content:
    """What a structure carries, by place and name; a copy."""

    def __init__(self, atoms: Atoms) -> None:
        self._calculator = getattr(atoms.calc, "name", None)
        self._atoms = atoms.copy()
        self.results: dict[str, Any] = dict(current_results(atoms))
        info = self._atoms.info
        for key in (_PAIRS, "data"):
            if isinstance(info.get(key), dict):
                info[key] = type(info[key])(info[key])
        self._places: dict[str, dict[str, Any]] = {
            "results": self.results,
            "arrays": self._atoms.arrays,
            "info": info,
            _PAIRS: info.get(_PAIRS, {}),
            "data": info.get("data", {}),
        }

    def names(self) -> str:
        """Names of all values, for messages."""
        hidden = ("numbers", "positions", _PAIRS, "data", "unique_id")
        found = dict.fromkeys(name for place in self._places.values() for name in place if name not in hidden)
        return ", ".join(map(repr, found)) or "nothing but its atoms"

    def taken(self, name: str) -> Iterator[_Value]:
        """The value of a name, if there is one, which it has no more."""
        found = [place for place in _PLACES if name in self._places[place]]
        place, _, rest = name.partition(".")
        if not found and place in _PLACES and rest in self._places[place]:
            found, name = [place], rest
        if len(found) > 1:
            raise StructureError(
                f"{name!r} is in its {' and its '.join(found)}; write {found[-1]}.{name}, or the other"
            )
        if found:
            value = self._places[found[0]].pop(name)
            is_of_atoms = found[0] == "arrays" or (found[0] == "results" and name in ATOM_RESULTS)
            yield _Value(name, value.item() if isinstance(value, np.generic) else value, is_of_atoms)

    def put(self, name: str, value: _Value) -> None:
        """Give a value a name.

        Raises
        ------
        StructureError
            The name is taken, or the value is no such result.
        """
        place = self._place_of(name, value)
        if name in self._places[place]:
            raise StructureError(
                f"{value.former!r} and the {name!r} among its {place} would both be {name!r}; rename that, too"
            )
        if place == "results":
            self.results[name] = _result(name, value, len(self._atoms))
            return
        if place == _PAIRS:
            self._atoms.info[_PAIRS] = self._places[_PAIRS]
        self._places[place][name] = value.content

    def _place_of(self, name: str, value: _Value) -> str:
        if name in all_properties:
            return "results"
        if value.is_of_atoms:
            return "arrays"
        return _PAIRS if isinstance(value.content, _SCALARS) else "info"

    def structure(self) -> Atoms:
        """The structure with all of it."""
        for key in (_PAIRS, "data"):
            if self._atoms.info.get(key) == {}:
                del self._atoms.info[key]
        if self.results or self._calculator is not None:
            calculator = SinglePointCalculator(self._atoms)
            calculator.results.update(self.results)
            calculator.name = self._calculator or "unknown"
            self._atoms.calc = calculator
        made: Atoms = self._atoms
        return made


def _result(name: str, value: _Value, n_atoms: int) -> Any:  # noqa: ANN401 - a number or an array
    numbers = np.asarray(value.content)
    if numbers.dtype.kind not in "iuf":
        raise StructureError(f"{value.former!r} holds no numbers, so it is no {name!r}")
    numbers = numbers.astype(np.float64)
    if name == "stress" and numbers.shape == (3, 3):
        if not np.allclose(numbers, numbers.T):
            raise StructureError(f"{value.former!r} is no {name!r}: it is not symmetric")
        numbers = numbers[_VOIGT]
    shapes = [tuple(n_atoms if n == _ATOMS else n for n in shape) for shape in _SHAPES.get(name, ())]
    if shapes and numbers.shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise StructureError(f"{value.former!r} has shape {numbers.shape}, and {name!r} has {wanted}")
    return float(numbers) if not numbers.ndim else numbers
