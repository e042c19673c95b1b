"""The example data."""

from __future__ import annotations

import numpy as np
from ase.calculators.emt import EMT

from curator_core.domains.atoms import ASELMDBSource, write_g2_emt
from curator_core.domains.atoms.g2 import emt_molecules


def test_size(g2_folder):
    """81 molecules, at least 4,000 structures in at least 12 files, each with all kinds of molecules."""
    source = ASELMDBSource(str(g2_folder))
    names = [[atoms.info["key_value_pairs"]["name"] for atoms in source[index]] for index in range(len(source))]
    assert len(emt_molecules()) == 81
    assert len(names) >= 12
    assert sum(map(len, names)) >= (4000 if g2_folder.name == "all" else 81 * 12)
    assert all(set(found) == set(emt_molecules()) for found in names)


def test_only_databases_are_left(g2_folder):
    """Neither lock files nor temporary ones remain, and the files are no larger than they need be."""
    files = list(g2_folder.iterdir())
    assert {path.suffix for path in files} == {".aselmdb"}
    assert sum(path.stat().st_blocks * 512 for path in files) < 10_000_000


def test_energies_and_forces_are_emts(tmp_path):
    """Results belong to the geometry they stand with."""
    (path,) = write_g2_emt(tmp_path, n_files=1, n_variants=2)
    for atoms in list(ASELMDBSource(str(path.parent))[0])[::9]:
        stored = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = EMT()
        assert stored[0] == atoms.get_potential_energy()
        np.testing.assert_array_equal(stored[1], atoms.get_forces())


def test_a_seed_gives_the_same_structures(tmp_path, assert_same_atoms):
    """A structure depends on seed, molecule and variant, not on how many there are or in which file."""
    few, many, other = (tmp_path / name for name in ("few", "many", "other"))
    write_g2_emt(few, n_files=1, n_variants=2)
    write_g2_emt(many, n_files=5, n_variants=3)
    write_g2_emt(other, n_files=1, n_variants=2, seed=1)

    def read(folder):
        source = ASELMDBSource(str(folder))
        found = [atoms for index in range(len(source)) for atoms in source[index]]
        return {tuple(atoms.info["key_value_pairs"].values()): atoms for atoms in found}

    expected = read(many)
    for key, atoms in read(few).items():
        assert_same_atoms(atoms, expected[key])
    for (name, variant), atoms in read(other).items():
        assert np.array_equal(atoms.positions, expected[name, variant].positions) == (variant == 0)
