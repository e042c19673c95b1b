"""Units that results of calculations come in, and their factors to ASE's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from ase import units

from curator_core.domains.atoms.layout import MAIN_RESULTS, UNITS

_Dimensions: TypeAlias = tuple[int, int, int, int]
"""Powers of energy, length, charge and magnetic moment."""

_ENERGY: Final = (1, 0, 0, 0)
_LENGTH: Final = (0, 1, 0, 0)
_PRESSURE: Final = (1, -3, 0, 0)
_CHARGE: Final = (0, 0, 1, 0)
_MOMENT: Final = (0, 0, 0, 1)
_NUMBER: Final = (0, 0, 0, 0)

_KNOWN: Final[Mapping[str, tuple[float, _Dimensions]]] = {
    "eV": (1.0, _ENERGY),
    "meV": (1e-3, _ENERGY),
    "Hartree": (units.Hartree, _ENERGY),
    "Ha": (units.Hartree, _ENERGY),
    "Rydberg": (units.Rydberg, _ENERGY),
    "Ry": (units.Rydberg, _ENERGY),
    "kcal": (units.kcal, _ENERGY),
    "kJ": (units.kJ, _ENERGY),
    "mol": (units.mol, _NUMBER),
    "Å": (1.0, _LENGTH),
    "Angstrom": (1.0, _LENGTH),
    "Bohr": (units.Bohr, _LENGTH),
    "nm": (units.nm, _LENGTH),
    "bar": (units.bar, _PRESSURE),
    "kbar": (1e3 * units.bar, _PRESSURE),
    "Pa": (units.Pascal, _PRESSURE),
    "MPa": (1e6 * units.Pascal, _PRESSURE),
    "GPa": (units.GPa, _PRESSURE),
    "e": (1.0, _CHARGE),
    "Debye": (units.Debye, (0, 1, 1, 0)),
    "μB": (1.0, _MOMENT),
    "muB": (1.0, _MOMENT),
}
_PART: Final = re.compile(r"(\s*[*/]\s*|\s+)?([^\s*/^]+)(?:\^(-?\d+))?")


def factor_to_ase(result: str, unit: str) -> float:
    """What values of a result in some unit are multiplied by, to be in ASE's.

    Parameters
    ----------
    result
        Name of the result, such as ``forces``.
    unit
        Names of known units, multiplied and divided: ``kcal/mol/Å``, ``Hartree/Bohr``, ``eV/Å^3``.

    Raises
    ------
    ValueError
        There is no such unit, it measures something else, or the result has no unit.

    References
    ----------
    ase.units, which is CODATA 2014.
    """
    of_ase = UNITS.get(result if result in MAIN_RESULTS else f"results/{result}")
    if of_ase is None:
        raise ValueError(f"{result!r} is no result that has a unit")
    factor, dimensions = _parsed(unit)
    if dimensions != _parsed(of_ase)[1]:
        raise ValueError(f"{unit!r} is no unit of {result!r}, which is in {of_ase}")
    return factor


def _parsed(text: str) -> tuple[float, _Dimensions]:
    factor, dimensions, position = 1.0, _NUMBER, 0
    text = text.strip()
    while position < len(text):
        found = _PART.match(text, position)
        if found is None or (bool(position) != bool(found[1])):
            raise ValueError(f"{text!r} is no unit")
        if found[2] not in _KNOWN:
            raise ValueError(f"{found[2]!r} in {text!r} is no unit that is known: {', '.join(_KNOWN)}")
        value, powers = _KNOWN[found[2]]
        power = int(found[3] or 1) * (-1 if "/" in (found[1] or "") else 1)
        factor *= value**power
        e, length, charge, moment = (a + power * b for a, b in zip(dimensions, powers, strict=True))
        dimensions = (e, length, charge, moment)
        position = found.end()
    return factor, dimensions
