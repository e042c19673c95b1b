"""Structures from a table: equal to those that ASE's own constructor gives, and independent of each other."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core.domains.atoms import assembly
from curator_core.domains.atoms.structures import tabulate


@pytest.fixture
def rows(tmp_path, rich_rows, write_with_ase, read_with_ase):
    """Structures as a database gives them."""
    write_with_ase(tmp_path / "rich.aselmdb", rich_rows)
    return read_with_ase(tmp_path / "rich.aselmdb")


@pytest.mark.parametrize("is_known", [True, False])
def test_structures_are_those_that_were_tabulated(rows, assert_same_atoms, monkeypatch, is_known):
    """Made directly, or by the constructor of a version of ASE that keeps something else in a structure."""
    assert assembly._IS_KNOWN
    monkeypatch.setattr(assembly, "_IS_KNOWN", is_known)
    found = list(assembly.structures(tabulate(rows)))
    assert len(found) == len(rows)
    for atoms, expected in zip(found, rows, strict=True):
        assert_same_atoms(atoms, expected)
        assert vars(atoms).keys() == vars(expected).keys()
        assert str(atoms).partition("constraint")[0] == str(expected).partition("constraint")[0]
        if expected.calc is not None:
            assert vars(atoms.calc).keys() == vars(expected.calc).keys()


def test_structures_share_no_memory(rows):
    """With the table, with each other, with what their calculators remember."""
    table = tabulate(rows)
    held = [column.values for column in table.columns.values() if column.values.dtype != object]
    for atoms in assembly.structures(table):
        own = [*atoms.arrays.values(), atoms.cell.array, atoms.pbc, atoms.get_celldisp()]
        remembered = []
        if atoms.calc is not None:
            own += [value for value in atoms.calc.results.values() if isinstance(value, np.ndarray)]
            remembered = [*atoms.calc.atoms.arrays.values(), atoms.calc.atoms.cell.array, atoms.calc.atoms.pbc]
        for array in own:
            assert array.flags.writeable
            assert not any(np.shares_memory(array, other) for other in [*held, *remembered])
        held += own + remembered


def test_a_changed_structure_has_no_results(rows):
    """The calculator remembers the geometry, as ASE's own does."""
    atoms = next(assembly.structures(tabulate(rows)))
    energy = atoms.get_potential_energy()
    atoms.positions[0] += 1
    with pytest.raises(Exception, match="energy"):
        atoms.get_potential_energy()
    atoms.positions[0] -= 1
    atoms.positions[:] = atoms.calc.atoms.positions
    assert atoms.get_potential_energy() == energy


def test_results_and_pairs_of_some_structures_alone():
    """What one structure lacks, it lacks afterwards; an empty table has no structures."""
    first, second = Atoms("H"), Atoms("He")
    first.calc = SinglePointCalculator(first, energy=1.0)
    second.info["key_value_pairs"] = {"a": 1}
    found = list(assembly.structures(tabulate([first, second])))
    assert [atoms.calc is None for atoms in found] == [False, True]
    assert [atoms.info for atoms in found] == [{}, {"key_value_pairs": {"a": 1}}]
    assert found[0].calc.results == {"energy": 1.0}
