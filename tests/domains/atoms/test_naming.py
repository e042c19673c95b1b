"""Results under other names and in other units, and numbers of atoms that are said beside the files."""

from __future__ import annotations

import pickle

import ase.io
import lmdb
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core import Pipeline, open_dataset, run_pipeline
from curator_core.domains.atoms import ASELMDBSource, AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.ase_files.source import ASEFileSource
from curator_core.domains.atoms.naming.filter import AtomicNamesFilter
from curator_core.errors import ComponentError, ConfigError
from curator_core.testing import FilterContract

REF = {"REF_energy": "energy", "REF_forces": "forces", "charge": "charge"}


def water(**more):
    atoms = molecule("H2O")
    atoms.info |= {"REF_energy": -2.0, "charge": 1, **more}
    atoms.set_array("REF_forces", np.arange(9.0).reshape(3, 3))
    return atoms


def named(atoms, *arguments, **options):
    return next(AtomicNamesFilter(*arguments, **options)(iter([atoms])))


class TestAtomicNamesFilter(FilterContract):
    def make_filter(self, tmp_path):
        return AtomicNamesFilter(REF)

    def make_items(self, index):
        return [water(step=index)]


def test_values_get_the_names_of_results():
    """Of info and arrays; what is no result becomes a key-value pair. The structure that came is as it was."""
    before = water()
    atoms = named(before, REF, {"energy": "Hartree", "forces": "Hartree/Bohr"})
    assert atoms.get_potential_energy() == -2 * units.Hartree
    assert np.allclose(atoms.get_forces(), np.arange(9).reshape(3, 3) * units.Hartree / units.Bohr, rtol=1e-15)
    assert atoms.info == {"key_value_pairs": {"charge": 1}}
    assert set(atoms.arrays) == {"numbers", "positions"}
    assert before.info == water().info
    assert before.calc is None


def test_names_are_exchanged_and_places_told_apart():
    """All at once; a result that another takes the name of is kept under its own."""
    atoms = water(energy=-3.0)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((3, 3)), stress=np.arange(6.0))
    atoms.calc.name = "vasp"
    made = named(atoms, {"results.energy": "pbe_energy", "REF_energy": "energy", "forces": "pbe_forces"})
    assert made.calc.results.keys() == {"energy", "stress"}
    assert made.calc.name == "vasp"
    assert made.get_potential_energy() == -2
    assert made.info["key_value_pairs"] == {"pbe_energy": -1}
    assert np.array_equal(made.arrays["pbe_forces"], np.ones((3, 3)))
    tensor = np.array([[1.0, 6, 5], [6, 2, 4], [5, 4, 3]])
    assert named(water(virial=tensor), {"virial": "stress"}).get_stress().tolist() == [1, 2, 3, 4, 5, 6]


def test_what_is_ambiguous_or_wrong_is_refused():
    """With the names that the structure has."""
    both = water(energy=1.0)
    both.calc = SinglePointCalculator(both, energy=-1.0)
    wrong = {
        "'energy' is in its results and its info; write info.energy": ({"energy": "other"}, both),
        "'REF_energy' and the 'energy' among its results would both be 'energy'": ({"REF_energy": "energy"}, both),
        "'REF_energy' and 'dft_energy' would both": (
            {"REF_energy": "energy", "dft_energy": "energy"},
            water(dft_energy=1.0),
        ),
        "it has no 'dft_energy' or 'force'; it has 'REF_forces', 'REF_energy', 'charge'": (
            {"dft_energy": "energy", "force": "energy"},
            water(),
        ),
        r"'REF_forces' has shape \(3, 3\), and 'energy' has \(\)": ({"REF_forces": "energy"}, water()),
        "'label' holds no numbers": ({"label": "energy"}, water(label="-1.0")),
    }
    for message, (names, atoms) in wrong.items():
        with pytest.raises(ComponentError, match=f"atomic_names: structure 0: {message}"):
            named(atoms, names)
    assert named(water(), {"dft_energy": "energy", "charge": "q"}, missing="ignore").info["key_value_pairs"] == {"q": 1}
    for message, arguments in {
        "give names=": (),
        "'Joules' in 'Joules' is no unit that is known: eV": (None, {"energy": "Joules"}),
        "'eV' is no unit of 'forces', which is in eV/Å": (None, {"forces": "eV"}),
        "'gap' is no result that has a unit": (None, {"gap": "eV"}),
        "a structure needs its positions": ({"positions": "sites"},),
        "'eV/Å3' is no unit|'Å3' in": (None, {"forces": "eV/Å3"}),
    }.items():
        with pytest.raises(ConfigError, match=message):
            AtomicNamesFilter(*arguments)


@pytest.mark.parametrize(
    ("result", "unit", "factor"),
    [
        ("energy", "kcal/mol", units.kcal / units.mol),
        ("forces", "kcal/mol/Å", units.kcal / units.mol),
        ("forces", "kJ mol^-1 nm^-1", units.kJ / units.mol / units.nm),
        ("stress", "kbar", 0.1 * units.GPa),
        ("stress", "eV*Å^-3", 1),
        ("dipole", "Debye", units.Debye),
        ("magmoms", "muB", 1),
    ],
)
def test_units_are_those_of_ase(result, unit, factor):
    """Products and quotients of known ones."""
    values = np.arange(6.0) if result == "stress" else np.arange(3.0) if result != "forces" else np.ones((3, 3))
    value = 2.5 if result == "energy" else values
    found = named(Atoms("H3", info={"x": value}), {"x": result}, {result: unit}).calc.results[result]
    assert np.allclose(found, np.asarray(value) * factor, rtol=1e-14)


def test_a_dataset_has_them_as_arrays(tmp_path):
    """Written by ASE as extxyz, which keeps a result of another name among the rest; read by name."""
    (tmp_path / "in").mkdir()
    ase.io.write(tmp_path / "in" / "a.xyz", [water(), water(charge=-1)])
    sink = AtomicDataZarrSink(str(tmp_path / "out.zarr"))
    filters = [AtomicNamesFilter(REF)]
    run_pipeline(Pipeline(source=ASEFileSource(str(tmp_path / "in")), filters=filters, sink=sink), gather=True)
    dataset = AtomicDataset(str(tmp_path / "out.zarr"))
    assert [atoms.get_potential_energy() for atoms in dataset] == [-2, -2]
    assert open_dataset(tmp_path / "out.zarr").batch([0, 1], ["info/charge"]).values["info/charge"].tolist() == [1, -1]


@pytest.fixture
def omol(tmp_path, write_with_ase):
    """A folder of three databases, and what is said of them."""
    for name, sizes in (("data0000", [1, 2]), ("data0001", [3]), ("data0002", [4, 5])):
        write_with_ase(tmp_path / f"{name}.aselmdb", [(Atoms(f"H{n}"), {}, {}) for n in sizes])
    np.savez(tmp_path / "metadata.npz", natoms=np.arange(1, 6), data_ids=np.array(list("abcde")))
    return tmp_path


def test_metadata_agrees_with_the_rows(omol):
    """By files and by blocks of rows; a row that is another fails, by its id."""
    for size in (None, 1):
        source = ASELMDBSource(str(omol), rows_per_index=size)
        source.check()
        assert [len(atoms) for i in range(len(source)) for atoms in pickle.loads(pickle.dumps(source))[i]] == [
            1,
            2,
            3,
            4,
            5,
        ]
    np.savez(omol / "metadata.npz", natoms=np.array([1, 2, 3, 4, 6]))
    source = ASELMDBSource(str(omol), rows_per_index=1)
    source.check()
    assert len(list(source[3])) == 1
    with pytest.raises(
        ComponentError, match=r"row id 2 is another one than was counted: 5 atoms, and 6 by .*metadata.npz"
    ):
        list(source[4])


def test_metadata_of_another_set_is_said(omol):
    """A file that is missing; one that is damaged is no reason, as it fails by itself."""
    content = (omol / "data0001.aselmdb").read_bytes()
    (omol / "data0001.aselmdb").unlink()
    source = ASELMDBSource(str(omol))
    source.check()
    message = r"metadata.npz counts 5 structures, and the 2 databases beside it have 4. .* metadata='ignore'"
    for i in range(2):
        with pytest.raises(ComponentError, match=message):
            list(source[i])
    ignoring = ASELMDBSource(str(omol), metadata="ignore")
    ignoring.check()
    assert len(list(ignoring[1])) == 2
    (omol / "data0001.aselmdb").write_bytes(content[:100])
    source = ASELMDBSource(str(omol))
    source.check()
    assert [len(atoms) for i in (0, 2) for atoms in source[i]] == [1, 2, 4, 5]
    (omol / "metadata.npz").write_bytes(b"PK\x03\x04 cut off")
    source = ASELMDBSource(str(omol))
    source.check()
    with pytest.raises(ComponentError, match=r"metadata.npz cannot be read"):
        list(source[0])


def test_pickled_rows_are_refused(tmp_path):
    """Those of former .lmdb files of fairchem, which are never unpickled."""
    with lmdb.open(str(tmp_path / "old.lmdb"), subdir=False) as env, env.begin(write=True) as transaction:
        for i in range(3):
            transaction.put(str(i).encode(), pickle.dumps({"natoms": 3}))
        transaction.put(b"length", pickle.dumps(3))
    with pytest.raises(
        ComponentError, match=r"its rows are pickled objects, .* write its structures with ase.db.connect"
    ):
        list(ASELMDBSource(str(tmp_path), pattern="*.lmdb")[0])
    with pytest.raises(ComponentError, match=r"the source ase_lmdb"):
        list(ASEFileSource(str(tmp_path), pattern="*.lmdb")[0])
