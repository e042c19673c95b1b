"""Structures, databases, and what it means for two structures to be the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength
from ase.db import connect

from curator_core.domains.atoms import write_g2_emt


@pytest.fixture(scope="session", params=["some", pytest.param("all", marks=pytest.mark.campaign)])
def g2_folder(tmp_path_factory, request):
    """The example data, or a quarter of it: one variant of each molecule a file."""
    folder = tmp_path_factory.mktemp("g2") / request.param
    write_g2_emt(folder, **({"n_variants": 12} if request.param == "some" else {}))
    return folder


@pytest.fixture(scope="session")
def read_with_ase():
    """Structures of a database as ASE's own backend gives them."""

    def read(path):
        database = connect(path, type="aselmdb", readonly=True)
        try:
            return [row.toatoms(add_additional_information=True) for row in database.select()]
        finally:
            database.close()

    return read


@pytest.fixture(scope="session")
def write_with_ase():
    """Write ``(atoms, key_value_pairs, data)`` to a new database file."""

    def write(path, rows):
        with connect(path, type="aselmdb") as database:
            for atoms, pairs, data in rows:
                database.write(atoms, key_value_pairs=pairs, data=data)
        Path(f"{path}-lock").unlink()

    return write


@pytest.fixture(scope="session")
def assert_same_atoms():
    return _assert_same_atoms


@pytest.fixture
def rich_rows():
    """Rows that differ in everything a row can carry."""
    random = np.random.default_rng(5)

    slab = bulk("Cu", cubic=True) * (2, 1, 1)
    slab.rattle(0.1, seed=1)
    slab.set_momenta(random.normal(size=(8, 3)))
    slab.set_tags(range(8))
    slab.set_initial_magnetic_moments(random.normal(size=8))
    slab.set_initial_charges(random.normal(size=8))
    slab.set_masses(random.uniform(1, 2, size=8))
    slab.set_constraint([FixAtoms([0, 3]), FixBondLength(1, 2)])
    slab.calc = SinglePointCalculator(
        slab,
        energy=-1e5 - 1 / 3,
        free_energy=-0.0,
        forces=random.normal(size=(8, 3)),
        stress=random.normal(size=6),
        stresses=random.normal(size=(8, 6)),
        dipole=random.normal(size=3),
        charges=random.normal(size=8),
        magmom=1.25,
        magmoms=random.normal(size=8),
    )

    water = molecule("H2O")
    water.calc = SinglePointCalculator(water, energy=float("nan"), forces=np.full((3, 3), 1e-310))
    water.calc.name = "dft"

    spinor = Atoms("O2", [[0, 0, 0], [0, 0, 1.2]], cell=[5, 6, 7], pbc=[True, False, True])
    spinor.set_initial_magnetic_moments([[1, 0, 0], [0, 0, -1]])
    spinor.calc = SinglePointCalculator(spinor, stress=np.eye(3), magmoms=random.normal(size=(2, 3)))

    nested = {"a": {"b": [1, "x", None, {"c": np.arange(6.0).reshape(2, 3)}]}, "flag": True, "list": [1.5, 2.5]}
    return [
        (slab, {"name": "slab", "step": 3, "gap": 0.1, "converged": True}, nested),
        (water, {"name": "Wasser ü", "step": 4, "gap": 1e-300, "converged": False, "mixed": 1}, {}),
        (spinor, {"mixed": "text", "only_here": 2.5}, {"complex": np.array([1 + 2j, -3j]), "ints": np.int32([1, 2])}),
        (Atoms(), {}, {}),
        (molecule("CH4"), {"mixed": 0.5, "large": 2**70}, {"empty": [], "bytes": np.zeros((0, 3))}),
    ]


def _assert_same_atoms(found, expected):
    assert type(found) is type(expected) is Atoms
    _assert_same(found.arrays, expected.arrays)
    _assert_same(found.cell.array, expected.cell.array)
    _assert_same(found.pbc, expected.pbc)
    _assert_same(found.get_celldisp(), expected.get_celldisp())
    _assert_same([c.todict() for c in found.constraints], [c.todict() for c in expected.constraints])
    _assert_same(found.info, expected.info)
    assert (found.calc is None) == (expected.calc is None)
    if expected.calc is not None:
        assert type(found.calc) is type(expected.calc)
        assert found.calc.name == expected.calc.name
        _assert_same(found.calc.results, expected.calc.results)
        assert not found.calc.check_state(found)


def _assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            _assert_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for left, right in zip(found, expected, strict=True):
            _assert_same(left, right)
    elif isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert repr(found) == repr(expected)  # tells NaN, -0.0 and the last digit


def pytest_collection_modifyitems(items):
    """One worker makes the molecules, for all tests that use them."""
    for item in items:
        if "g2_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("g2"))
