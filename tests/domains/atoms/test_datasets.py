"""Published datasets: replaced under a reader, damaged, with many names, opened by others."""

import json
import pickle
import shutil

import numpy as np
import pytest
import zarr
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core import CuratedDataset, Pipeline, Source, gather_pipeline, open_dataset, run_pipeline
from curator_core.datasets.versions import restore_version
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.layout import MAX_NAMES
from curator_core.errors import ComponentError, CuratorError, DatasetExpiredError, DatasetReplacedError


class Given(Source):
    """Items by key, each a list of structures."""

    def __init__(self, names: list, marker: float = 0.0):
        self.names = names
        self.marker = marker

    def __len__(self):
        return len(self.names)

    def key(self, index):
        return self.names[index]

    def __getitem__(self, index):
        for number in range(3):
            atoms = Atoms("H2", positions=np.full((2, 3), self.marker + number))
            atoms.calc = SinglePointCalculator(atoms, energy=100.0 * ord(self.names[index][0]) + number)
            atoms.info["key_value_pairs"] = self.pairs(index, number)
            yield atoms

    def pairs(self, index, number):
        return {"number": number}


@pytest.fixture
def publish(tmp_path):
    """Function that publishes a source's structures; the dataset's path."""

    def run(source):
        sink = AtomicDataZarrSink(str(tmp_path / "d.zarr"), chunk_rows=2, shard_rows=4)
        pipeline = Pipeline(source, [], sink, db_file=tmp_path / "m.db", resume=True)
        run_pipeline(pipeline, progress=False)
        gather_pipeline(pipeline)
        return tmp_path / "d.zarr"

    return run


def energies(structures):
    return [atoms.get_potential_energy() for atoms in structures]


def test_a_reader_stays_with_the_version_that_it_opened(publish):
    """However it reads: one by one, in order, its items, and copies that were sent before and after the publication."""
    path = publish(Given(["b", "c"]))
    dataset, iterator = AtomicDataset(path), iter(AtomicDataset(path))
    expected, sent = energies(AtomicDataset(path)), pickle.dumps(dataset)
    first = next(iterator)
    publish(Given(["a", "b", "c"]))
    assert dataset[5].get_potential_energy() == 100.0 * ord("c") + 2
    assert energies([first, *iterator]) == expected
    assert [item.key for item in dataset.items] == ["b", "c"]
    for copy in (dataset, pickle.loads(sent), pickle.loads(pickle.dumps(dataset))):
        assert energies(copy[-6:]) == energies(copy) == expected
    assert len(AtomicDataset(path)) == 9


def test_a_version_is_opened_by_name(publish):
    """The one that was published before, and the newest."""
    path = publish(Given(["b", "c"]))
    former = CuratedDataset.open(path).data_version
    publish(Given(["a", "b", "c"]))
    dataset = AtomicDataset(path, version=former[:12])
    assert energies(dataset) == [100.0 * ord(name) + number for name in "bc" for number in range(3)]
    assert energies(open_dataset(path, version=former)) == energies(dataset)
    assert energies(AtomicDataset(CuratedDataset.open(path, data_version=former).path)) == energies(dataset)
    restore_version(path, former)
    assert energies(pickle.loads(pickle.dumps(dataset))) == energies(AtomicDataset(path)) == energies(dataset)


def test_a_version_that_expired_says_so(publish):
    """Wherever it is read, and when it is opened by name."""
    path = publish(Given(["b", "c"]))
    dataset, iterator = AtomicDataset(path), iter(AtomicDataset(path))
    former, sent = CuratedDataset.open(path).data_version, pickle.dumps(dataset)
    publish(Given(["a", "b", "c"]))
    publish(Given(["a", "b"]))
    for read in (lambda: dataset[0], lambda: next(iterator), lambda: dataset.items, lambda: pickle.loads(sent)):
        with pytest.raises(DatasetExpiredError, match=r"d\.zarr was replaced after it was opened.* Open it again"):
            read()
    with pytest.raises(DatasetExpiredError, match=f"Version {former[:16]} of the dataset"):
        AtomicDataset(path, version=former)
    assert len(AtomicDataset(path)) == 6


def test_a_dataset_that_is_gone_says_so(publish):
    """An empty folder in its place, or none."""
    path = publish(Given(["a"]))
    dataset = AtomicDataset(path)
    shutil.rmtree(path)
    with pytest.raises(DatasetReplacedError):
        dataset[0]
    path.mkdir()
    with pytest.raises(DatasetReplacedError):
        dataset[1]


def test_another_one_under_the_number_of_the_folder_that_was_removed(publish):
    """File systems give the numbers of removed folders again."""
    path = publish(Given(["a"]))
    dataset = AtomicDataset(path)
    (path / "zarr.json").write_bytes((path / "zarr.json").read_bytes() + b"\n")
    with pytest.raises(DatasetReplacedError):
        dataset[0]


def test_publishing_the_same_again_replaces_nothing(publish):
    """A refresh without changes leaves readers alone."""
    dataset = AtomicDataset(publish(Given(["a"])))
    publish(Given(["a"]))
    assert len([atoms.get_potential_energy() for atoms in dataset]) == 3


def test_a_relative_path_is_kept_when_the_folder_changes(publish, monkeypatch, tmp_path):
    """The dataset is the one that was opened."""
    monkeypatch.chdir(publish(Given(["a"])).parent)
    dataset = AtomicDataset("d.zarr")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(pickle.loads(pickle.dumps(dataset))[1]) == 2


def test_dimensions_have_names_that_fit(publish):
    """In every group, arrays that share a name of a dimension are equally long, and no array has a name twice."""
    groups = [zarr.open_group(str(publish(Given(["a", "b"]))), mode="r")]
    groups += [group for _, group in groups[0].groups()]
    assert len(groups) > 2
    for group in groups:
        sizes = {}
        for _, array in group.arrays():
            names = array.metadata.dimension_names
            assert len(set(names)) == array.ndim
            for name, size in zip(names, array.shape, strict=True):
                assert sizes.setdefault(name, size) == size
    assert groups[0]["cell"].metadata.dimension_names == ("system", "lattice_vector", "xyz")


ATTRIBUTES = ("format", "format_version", "n_systems", "fields", "axes", "arrays")
ODD = [None, "x", -1, [], {"energy": 1}, {"energy": {"axis": "system", "dtype": "x", "shape": 3}}, 10**30]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_damaged_attribute_is_named(publish, tmp_path, name):
    """Missing or odd: opening, planning and gathering say which dataset it is."""
    source = Given(["a"])
    path = publish(source)
    pipeline = Pipeline(source, [], AtomicDataZarrSink(str(path), chunk_rows=2, shard_rows=4), resume=True)
    pipeline = pipeline.with_settings(db_file=tmp_path / "m.db")
    whole = json.loads((path / "zarr.json").read_text())
    for value in ODD:
        damaged = json.loads(json.dumps(whole))
        if value is None:
            del damaged["attributes"][name]
        else:
            damaged["attributes"][name] = value
        (path / "zarr.json").write_text(json.dumps(damaged))
        for act in (lambda: list(AtomicDataset(path)), pipeline.plan, lambda: gather_pipeline(pipeline)):
            with pytest.raises(CuratorError, match=r"d\.zarr"):
                act()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"zarr_format": 3}', '{"node_type": "array"}', "\x00\xff"])
def test_a_group_that_is_none_is_named(publish, text):
    """Whatever stands in its description."""
    path = publish(Given(["a"]))
    (path / "zarr.json").write_text(text)
    with pytest.raises(ComponentError, match=r"d\.zarr"):
        AtomicDataset(path)


@pytest.mark.parametrize("array", ["atom_start", "energy", "positions", "info/number"])
def test_a_damaged_array_is_named(publish, array):
    """Described with another shape, with another type, or not at all."""
    path = publish(Given(["a", "b"]))
    file = path / "zarr.json"
    whole = json.loads(file.read_text())
    for change in (
        {"shape": [1]},
        {"data_type": "int8"},
        {"shape": [10**6, 3]},
        {"codecs": []},
        {"node_type": "group"},
        None,
    ):
        damaged = json.loads(json.dumps(whole))
        arrays = damaged["consolidated_metadata"]["metadata"]
        if change is None:
            del arrays[array]
            (path / array / "zarr.json").unlink()
        else:
            arrays[array] |= change
        file.write_text(json.dumps(damaged))
        with pytest.raises(ComponentError, match=r"d\.zarr"):
            _read_all(path)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_file_that_is_missing_or_empty_is_named(publish, is_gone):
    """Of any array, those of the items too: Zarr itself would give fill values; also after the dataset was opened."""
    path = publish(Given(["a", "b"]))
    opened = AtomicDataset(path)
    files = [file for file in sorted(path.rglob("*/c/**/*")) if file.is_file() and "is_valid" not in file.parts]
    assert len(files) > 10  # curator's own reader knows without is_valid what is padding
    for file in files:
        content = file.read_bytes()
        file.unlink()
        if not is_gone:
            file.touch()
        with pytest.raises(ComponentError, match=str(file.relative_to(path))):
            AtomicDataset(path).items if {"items", "segments"} & set(file.parts) else AtomicDataset(path)
        if file.parts[-3:] == ("energy", "c", "3"):
            with pytest.raises(ComponentError, match="energy"):
                opened[-1]
        file.write_bytes(content)
    _read_all(path)


@pytest.mark.parametrize("array", ["positions", "numbers", "energy", "items/key"])
def test_an_array_that_another_tool_made_longer_is_read_as_it_was(publish, array):
    """Rows that belong to no item are never given."""
    path = publish(Given(["a", "b"]))
    before = [(atoms.get_potential_energy(), atoms.positions.tolist()) for atoms in AtomicDataset(path)]
    longer = zarr.open_group(str(path), mode="r+")[array]
    longer.append(np.asarray(longer)[:2])
    assert [(atoms.get_potential_energy(), atoms.positions.tolist()) for atoms in AtomicDataset(path)] == before
    _read_all(path)


def _read_all(path):
    dataset = AtomicDataset(path)
    found = list(dataset), [item.key for item in dataset.items]
    assert len(found[0]) == 6


class Named(Given):
    """Pairs with names of their own: one structure has many, each has another, one is a sentence."""

    def __init__(self, names: list, kind: str):
        super().__init__(names)
        self.kind = kind

    def pairs(self, index, number):
        values = [1.5, 3, True, "text", 2**70, [1, {"x": None}], np.arange(3.0)]
        if self.kind == "many in one":
            return {f"name_{i}": values[i % 7] for i in range(MAX_NAMES + 9 if (index, number) == (1, 1) else number)}
        if self.kind == "each another":
            return {f"{self.names[index]} {i} {number}": values[i % 7] for i in range(60)}
        if self.kind == "a sentence":
            return {"relaxed with the settings of March, " * 8: values[number], "12": 1.0}
        return {"ü" * 60: number, "": "nothing", ".": 1, "a/b": 2, "zarr.json": 3.0}


@pytest.mark.parametrize("kind", ["many in one", "each another", "a sentence", "odd"])
def test_names_of_pairs_are_kept_whatever_they_are(publish, tmp_path, kind):
    """In few arrays; the same bytes when an item is added as from scratch."""
    path = publish(Named(["a", "b"], kind))
    publish(Named(["a", "b", "c"], kind))
    source = Named(["a", "b", "c"], kind)
    for position, atoms in enumerate(AtomicDataset(path)):
        found, expected = atoms.info.get("key_value_pairs", {}), source.pairs(*divmod(position, 3))
        assert {name: repr(value) for name, value in found.items()} == {
            name: repr(value) for name, value in expected.items()
        }
        assert [type(found[name]) for name in expected] == [type(expected[name]) for name in expected]
    assert len(list((path / "info").iterdir() if (path / "info").exists() else [])) <= MAX_NAMES
    added = _tree(path)
    for old in ("d.zarr", "m.db"):
        _remove(tmp_path / old)
    publish(source)
    assert _tree(path) == added


def _tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def _remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("group", ["arrays", "results"])
@pytest.mark.parametrize(("name", "n"), [("x" * 280, 1), ("x", MAX_NAMES + 9)])
def test_too_long_and_too_many_names_of_arrays_fail_their_item(tmp_path, group, name, n):
    """By structure and name, and before anything is published."""
    atoms = Atoms("H2")
    values = {f"{name}{i}": np.ones(2) for i in range(n)}
    if group == "arrays":
        atoms.arrays |= values
    else:
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.results = values
    with pytest.raises(ComponentError, match=r"structure 0 \(H2\): (the name 'xxx|it has 26)"):
        AtomicDataZarrSink(str(tmp_path / "d.zarr"))(iter([atoms]), 0)


def test_what_is_nested_too_deep_fails_its_item(tmp_path):
    """By structure, not with an error of the interpreter."""
    atoms, value = Atoms("H2"), []
    for _ in range(5000):
        value = [value]
    atoms.info["x"] = value
    with pytest.raises(ComponentError, match=r"structure 0 \(H2\): it is nested too deep"):
        AtomicDataZarrSink(str(tmp_path / "d.zarr"))(iter([atoms]), 0)


def test_an_element_that_is_none_is_named(tmp_path):
    """The chemical formula of such a structure cannot be told; the error can."""
    atoms = Atoms("H2")
    atoms.arrays["numbers"] = np.array([1, 200])
    atoms.arrays["x" * 280] = np.ones(2)
    with pytest.raises(ComponentError, match=r"structure 0 \(2 atoms\)"):
        AtomicDataZarrSink(str(tmp_path / "d.zarr"))(iter([atoms]), 0)
