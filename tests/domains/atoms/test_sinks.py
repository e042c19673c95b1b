"""The ragged dataset: exact round trip, plain arrays, and the same bytes however it was put together."""

from __future__ import annotations

import pickle
import string
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import zarr
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.row import FancyDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curator_core.domains.atoms import ASELMDBSource, AtomicDataset, AtomicDataZarrSink, AtomicStatsFilter
from curator_core.errors import ComponentError, ConfigError, IndexRangeError, MergeError
from curator_core.pipeline.components import MergeItem


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


class Workshop:
    """Calls the sink as the engine does: a shard per item, then merges in the order of the items."""

    def __init__(self, folder, **sizes):
        self.folder = Path(folder)
        self.sink = AtomicDataZarrSink(str(self.folder / "data.zarr"), **sizes)
        self._n_merged = 0

    def shard(self, key, structures, index=0, version="v1"):
        (path,) = self.sink(iter(structures), index)
        kept = self.folder / f"{key}-{version}{self.sink.shard_suffix}"
        Path(path).rename(kept)
        return MergeItem(index, key, f"fingerprint-{version}", version, kept)

    def merge(self, items, previous=None):
        self._n_merged += 1
        target = self.folder / f"merged-{self._n_merged}.zarr"
        self.sink.merge_items(items, None if previous is None else str(previous), str(target))
        return target

    def dataset(self, *groups):
        return self.merge([self.shard(f"item-{i}", group, i) for i, group in enumerate(groups)])


def _without_shard(item, index=None):
    return MergeItem(item.index if index is None else index, item.key, item.fingerprint, item.version, None)


def _tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _real(path, name):
    """An array as whoever only has Zarr reads it, without padding."""
    group = zarr.open_group(str(path), mode="r")
    values, valid = np.asarray(group[name]), np.asarray(group["is_valid"])
    if group[name].metadata.dimension_names[0] == "system":
        return values[valid]
    places = zip(group["atom_start"][:][valid].tolist(), group["n_atoms"][:][valid].tolist(), strict=True)
    return np.concatenate([values[:0], *(values[start : start + n] for start, n in places)])


def _labelled(formula, **results):
    atoms = molecule(formula)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def test_g2_survives_the_pipeline(g2_folder, tmp_path, read_with_ase, assert_same_atoms):
    """Source, filter and sink over the whole set: every structure equals ASE's own reading."""
    source = ASELMDBSource(str(g2_folder))
    step = AtomicStatsFilter(str(tmp_path / "stats.parquet"))
    sink = AtomicDataZarrSink(str(tmp_path / "data.zarr"))
    items = []
    for index in range(len(source)):
        (path,) = sink(step(source[index]), index)
        step.write_shard(str(tmp_path / f"stats-{index}.json"))
        items.append(MergeItem(index, source.key(index), source.fingerprint(index), str(index), Path(path)))
    sink.merge_items(items, None, sink.output_path)
    dataset = AtomicDataset(sink.output_path)
    files = sorted(g2_folder.iterdir())
    expected = [atoms for path in files for atoms in read_with_ase(path)]
    assert len(dataset) == len(expected)
    for found, atoms in zip(dataset, expected, strict=True):
        assert_same_atoms(found, atoms)
    assert [item.key for item in dataset.items] == [path.name for path in files]
    assert [item.key for item in dataset.items] == [source.key(i) for i in range(len(source))]
    assert list(sink.retained_items(sink.output_path).items()) == [(item.key, item.version) for item in items]


@pytest.fixture
def rich(tmp_path, rich_rows, write_with_ase, read_with_ase):
    """Structures, as ASE reads them, that differ in everything a row can carry."""
    write_with_ase(tmp_path / "rich.aselmdb", rich_rows)
    return read_with_ase(tmp_path / "rich.aselmdb")


@pytest.mark.parametrize("n_groups", [1, 2, 5])
def test_rich_rows_survive(workshop, rich, n_groups, assert_same_atoms):
    """Periodic cells, momenta, constraints, partial results, nested data: all exact, in one item or many."""
    groups = [[rich[i] for i in part] for part in np.array_split(range(len(rich)), n_groups)]
    dataset = AtomicDataset(workshop.dataset(*groups))
    for index, expected in enumerate(rich):
        assert_same_atoms(dataset[index], expected)
    for found, expected in zip(dataset, rich, strict=True):
        assert_same_atoms(found, expected)


def test_plain_arrays(workshop):
    """Who only has zarr finds numbers, positions, energies, forces and cells where the names say."""
    water, hydrogen = _labelled("H2O", energy=-1.5, forces=np.eye(3)), molecule("H2")
    hydrogen.set_cell([4, 5, 6])
    hydrogen.pbc = True
    hydrogen.info["key_value_pairs"] = {"name": "hydrogen", "step": 7}
    path = workshop.dataset([water], [hydrogen])
    group = zarr.open_group(path, mode="r")
    assert (group.attrs["format"], group.attrs["format_version"]) == ("curator-atoms", 2)
    assert group["n_atoms"][:][group["is_valid"][:]].tolist() == [3, 2]
    assert _real(path, "numbers").tolist() == [8, 1, 1, 1, 1]
    np.testing.assert_array_equal(_real(path, "positions"), np.concatenate([water.positions, hydrogen.positions]))
    np.testing.assert_array_equal(_real(path, "energy"), [-1.5, np.nan])
    np.testing.assert_array_equal(_real(path, "forces"), np.concatenate([np.eye(3), np.full((2, 3), np.nan)]))
    assert _real(path, "present/energy").tolist() == [True, False]
    np.testing.assert_array_equal(_real(path, "cell")[1], np.diag([4, 5, 6]))
    assert _real(path, "pbc").tolist() == [[False] * 3, [True] * 3]
    assert _real(path, "info/name").tolist() == ["", "hydrogen"]
    assert _real(path, "info/step").tolist() == [0, 7]
    assert group["info/step"].dtype == np.int64
    assert group["items/key"][:].tolist() == ["item-0", "item-1"]
    assert (group["items/n_systems"][:].tolist(), group["items/n_atoms"][:].tolist()) == ([1, 1], [3, 2])
    assert (group["energy"].attrs["units"], group["forces"].attrs["units"]) == ("eV", "eV/Å")


def test_complete_fields_have_no_mask(workshop):
    """Where every structure has a value there is nothing to say about presence."""
    group = zarr.open_group(workshop.dataset([_labelled("H2O", energy=1.0)], [_labelled("H2", energy=2.0)]), mode="r")
    assert "present" not in group


def test_zarr_reads_what_is_streamed(tmp_path):
    """Arrays over many chunks and shards are what zarr itself would have written, up to the last row."""
    workshop = Workshop(tmp_path, chunk_rows=128, shard_rows=512)
    random = np.random.default_rng(0)
    structures = [
        Atoms(
            numbers=random.integers(1, 90, n), positions=random.normal(size=(n, 3)), info={"unique_id": f"id-{n}-{i}"}
        )
        for i, n in enumerate(random.integers(0, 40, 300))
    ]
    path = workshop.dataset(*(structures[i : i + 30] for i in range(0, 300, 30)))
    group = zarr.open_group(path, mode="r")
    assert group["positions"].shards == (512, 3)
    assert group["positions"].chunks == (128, 3)
    np.testing.assert_array_equal(_real(path, "positions"), np.concatenate([a.positions for a in structures]))
    np.testing.assert_array_equal(_real(path, "numbers"), np.concatenate([a.numbers for a in structures]))
    assert _real(path, "unique_id").tolist() == [atoms.info["unique_id"] for atoms in structures]
    for index in random.integers(0, 300, 100):
        assert (AtomicDataset(path)[index].positions == structures[index].positions).all()


PIECES = {
    "plain": lambda: [molecule("H2O"), molecule("H2")],
    "none": list,
    "labelled": lambda: [_labelled("H2O", energy=-1.0, forces=np.eye(3)), molecule("CO")],
    "stress": lambda: [_labelled("H2O", energy=-2.0, stress=np.arange(6.0))],
    "tensor": lambda: [_labelled("CO", stress=np.eye(3), dipole=np.ones(3))],
    "integer": lambda: [Atoms("H", info={"key_value_pairs": {"x": 1, "y": 2}})],
    "float": lambda: [Atoms("H", info={"key_value_pairs": {"x": 1.5}}), Atoms("H2")],
    "text": lambda: [Atoms("He", info={"key_value_pairs": {"x": "ü"}, "data": FancyDict(q=[1, [2]])})],
    "large": lambda: [Atoms("He", info={"key_value_pairs": {"y": 2**80}})],
    "wide": lambda: [_with_array(np.arange(2, dtype=np.float64))],
    "narrow": lambda: [_with_array(np.arange(2, dtype=np.float32)), Atoms("H")],
    "matrix": lambda: [_with_array(np.arange(4).reshape(2, 2))],
    "words": lambda: [_with_array(np.array(["CA", "N"]))],
    "complex": lambda: [_with_array(np.array([1j, np.nan]))],
    "empty rows": lambda: [_with_array(np.zeros((2, 0)))],
}


def _with_array(array):
    atoms = Atoms("H2")
    atoms.set_array("tag", array)
    return atoms


def test_unlike_items_survive(workshop, assert_same_atoms):
    """Fields that share no type or shape between items come back as they were; of one kind, as the widest."""
    structures = {name: build() for name, build in PIECES.items()}
    path = workshop.dataset(*structures.values())
    assert _real(path, "info/x").tolist()[-1] == ""
    for found, expected in zip(AtomicDataset(path), chain.from_iterable(structures.values()), strict=True):
        assert_same_atoms(found, expected)


def test_floats_of_two_widths_share_the_wider(workshop):
    """Single and double precision together are kept in double, exactly."""
    path = workshop.dataset(PIECES["wide"](), PIECES["narrow"]())
    assert zarr.open_group(path, mode="r")["atom_arrays/tag"].dtype == np.float64
    assert [atoms.arrays["tag"].tolist() for atoms in AtomicDataset(path)[:2]] == [[0, 1], [0, 1]]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_incremental_equals_scratch(tmp_path_factory, data):
    """Add, change, remove and reorder items in any way: the tree is that of a merge from scratch, byte for byte."""
    workshop = Workshop(
        tmp_path_factory.mktemp("merge"), chunk_rows=data.draw(st.sampled_from([1, 3, 256])), shard_rows=768
    )
    names = st.lists(st.sampled_from(sorted(PIECES)), unique=True, max_size=6)
    shards = {}
    previous, retained = None, {}
    for _ in range(3):
        items = []
        for index, name in enumerate(data.draw(names)):
            version = data.draw(st.sampled_from(["v1", "v2"]))
            if (name, version) not in shards:
                structures = PIECES[name]() + ([Atoms("Ar")] if version == "v2" else [])
                shards[name, version] = workshop.shard(name, structures, index, version)
            found = shards[name, version]
            items.append(MergeItem(index, found.key, found.fingerprint, version, found.shard))
        mixed = [_without_shard(item) if retained.get(item.key) == item.version else item for item in items]
        scratch = workshop.merge(items)
        previous = workshop.merge(mixed, previous)
        assert _tree(previous) == _tree(scratch)
        retained = workshop.sink.retained_items(str(previous))
        assert list(retained.items()) == [(item.key, item.version) for item in items]


def test_g2_added_to_equals_scratch(g2_folder, workshop):
    """A file added in the middle of the listing, all others taken from the dataset before."""
    source = ASELMDBSource(str(g2_folder))
    items = [workshop.shard(source.key(i), source[i], i) for i in range(len(source))]
    before = workshop.merge([*items[:5], *items[6:]])
    after = workshop.merge([item if i == 5 else _without_shard(item) for i, item in enumerate(items)], before)
    assert _tree(after) == _tree(workshop.merge(items))


def test_a_field_vanishes_with_its_last_item(workshop):
    """What only a removed item had is not in the dataset any more."""
    items = [workshop.shard("a", PIECES["plain"]()), workshop.shard("b", PIECES["labelled"](), 1)]
    before = workshop.merge(items)
    after = zarr.open_group(workshop.merge([_without_shard(items[0])], before), mode="r")
    assert "forces" in zarr.open_group(before, mode="r")
    expected = {"atom_start", "cell", "is_valid", "items", "n_atoms", "numbers", "pbc", "positions", "segments"}
    assert set(after) == expected


def test_dataset_without_structures(workshop):
    """No items, and items without structures, give an empty dataset that can be opened."""
    for path in (workshop.dataset(), workshop.dataset([], [])):
        assert len(AtomicDataset(path)) == 0
        assert list(AtomicDataset(path)) == []
        assert zarr.open_group(path, mode="r")["positions"].shape == (0, 3)


NAMES = st.text(min_size=1, max_size=8) | st.sampled_from([".", "..", "__x", "zarr.json", "a/b", "c", "%2F"])
VALUES = st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(NAMES.filter(lambda name: name.isprintable()), VALUES, max_size=3), min_size=1, max_size=5)
)
def test_any_key_value_pairs_survive(tmp_path_factory, assert_same_atoms, rows):
    """Names that are no file names, text that is no Unicode, integers of any size: type and value stay."""
    workshop = Workshop(tmp_path_factory.mktemp("pairs"))
    structures = [Atoms("H", info={"key_value_pairs": pairs} if pairs else {}) for pairs in rows]
    path = workshop.dataset(structures[:2], structures[2:])
    for found, expected in zip(AtomicDataset(path), structures, strict=True):
        assert_same_atoms(found, expected)


def test_other_information_survives(workshop, assert_same_atoms):
    """Structures of other origin may keep anything in ``info``, live calculators and a shifted cell."""
    atoms = molecule("CH3OH", cell=[5, 6, 7], info={"config": "gas", "list": [1, 2.5, [None]], "unique_id": 5})
    atoms.info |= {"7": True, 7: 1, "text:7": 2, "text": 3}  # of a comment "frame 7", which ASE's JSON makes an integer
    atoms.set_celldisp([1.0, 2.0, 3.0])
    atoms.calc = EMT()
    atoms.get_forces()
    (found,) = AtomicDataset(workshop.dataset([atoms]))
    expected = atoms.copy()
    expected.calc = SinglePointCalculator(atoms, **atoms.calc.results)
    expected.calc.results |= {name: float(atoms.calc.results[name]) for name in ("energy", "free_energy")}
    expected.calc.name = "emt"
    assert_same_atoms(found, expected)


def test_integer_energy_becomes_a_float(workshop):
    """An energy without a decimal point does not make the field another type."""
    path = workshop.dataset([_labelled("H2", energy=-3), _labelled("H2", energy=-3.5)])
    assert _real(path, "energy").tolist() == [-3.0, -3.5]


def test_a_structure_used_again_is_copied(workshop):
    """A source may change one object in place and give it again."""

    def moving():
        atoms = Atoms("H", info={"data": {"step": [0]}})
        for step in range(3):
            atoms.positions[:] = step
            atoms.info["data"]["step"][0] = step
            yield atoms

    dataset = AtomicDataset(workshop.dataset(moving()))
    assert [(atoms.positions[0, 0], atoms.info["data"]["step"]) for atoms in dataset] == [(i, [i]) for i in range(3)]


def _moved():
    atoms = _labelled("H2", energy=1.0)
    atoms.positions += 0.1
    return atoms


def _miscounted():
    atoms = _labelled("H2", energy=1.0)
    atoms.calc.results["forces"] = np.zeros((3, 3))
    return atoms


UNKEEPABLE = {
    "stale results": (_moved, "structure 1 .*changed after its results"),
    "forces of other atoms": (_miscounted, r"structure 1 \(H2\): forces has shape \(3, 3\), expected \(2, 3\)"),
    "energy per atom": (lambda: _with_result("energy", np.zeros(2)), r"energy has shape \(2,\)"),
    "text as energy": (lambda: _with_result("energy", "low"), "could not convert"),
    "object": (lambda: Atoms("H", info={"key_value_pairs": {"x": object()}}), "field 'info/x' cannot be kept"),
    "set": (lambda: Atoms("H", info={"x": {1, 2}}), "field 'other_info' cannot be kept"),
}


def _with_result(name, value):
    atoms = _labelled("H2", energy=1.0)
    atoms.calc.results[name] = value
    return atoms


@pytest.mark.parametrize("name", UNKEEPABLE)
def test_what_cannot_be_kept_fails_its_item(workshop, name):
    """The error says which structure and field; no shard, not even a temporary one, is left."""
    build, message = UNKEEPABLE[name]
    with pytest.raises(ComponentError, match=message) as caught:
        workshop.sink(iter([Atoms("H"), build()]), 0)
    assert caught.value.component == "atomic_data_zarr"
    assert list(workshop.folder.iterdir()) == []


def test_errors_of_the_source_pass_through(workshop):
    """A ``ValueError`` that the source raises is not taken for the sink's."""

    def broken():
        yield Atoms("H")
        raise ValueError("from the source")

    with pytest.raises(ValueError, match="from the source") as caught:
        workshop.sink(broken(), 0)
    assert type(caught.value) is ValueError


def test_shard_is_deterministic_and_replaced(workshop):
    """Processing an index again writes the same bytes to the same path."""
    (path,) = workshop.sink(iter(PIECES["labelled"]()), 7)
    content = Path(path).read_bytes()
    assert Path(path).name == "data_shard_000007.part"
    workshop.sink(iter(PIECES["labelled"]()), 7)
    assert Path(path).read_bytes() == content
    assert [found.name for found in workshop.folder.iterdir()] == [Path(path).name]


@pytest.mark.parametrize("content", [None, b"", b"x", b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}"])
def test_bad_shard(workshop, content):
    """A missing or damaged shard is named, and what to do about it."""
    item = workshop.shard("a", PIECES["labelled"]())
    item.shard.unlink()
    if content is not None:
        item.shard.write_bytes(content)
    with pytest.raises(MergeError, match=r"a-v1.*process its item again"):
        workshop.merge([item])


def test_shard_cut_off(workshop):
    """A shard that lost its end anywhere is recognised."""
    item = workshop.shard("a", PIECES["labelled"]())
    content = item.shard.read_bytes()
    for n_bytes in range(0, len(content), 97):
        item.shard.write_bytes(content[:n_bytes])
        with pytest.raises(MergeError):
            workshop.merge([item])


def test_item_that_is_nowhere(workshop):
    """An item without shard that the previous dataset lacks, or has in another version, is an error."""
    item = workshop.shard("a", PIECES["plain"]())
    before = workshop.merge([item])
    other = MergeItem(0, "a", None, "v2", None)
    for missing, previous in [(item, None), (workshop.shard("b", PIECES["plain"]()), before), (other, before)]:
        with pytest.raises(MergeError, match="process it again"):
            workshop.merge([_without_shard(missing)], previous)


def test_damaged_previous_dataset(workshop):
    """A dataset that lost a file, or whose file has to be read and cannot be, cannot be published from."""
    item, wide = workshop.shard("a", PIECES["narrow"]()), workshop.shard("b", PIECES["wide"](), 1)
    before = workshop.merge([item])
    (chunk,) = (path for path in (before / "atom_arrays" / "tag" / "c").rglob("*") if path.is_file())
    content = chunk.read_bytes()
    chunk.write_bytes(content[:10])
    with pytest.raises(MergeError, match="damaged: atom_arrays/tag"):
        workshop.merge([_without_shard(item), wide], before)
    chunk.unlink()
    with pytest.raises(MergeError, match=r"atom_arrays/tag/c/0 is missing"):
        workshop.merge([_without_shard(item)], before)
    chunk.write_bytes(content)
    (before / "items" / "key" / "c" / "0").write_bytes(b"x")
    with pytest.raises(MergeError, match="list of its items"):
        workshop.merge([_without_shard(item)], before)


def test_retained_items_without_a_dataset(workshop):
    """Where there is nothing, nothing is retained."""
    assert workshop.sink.retained_items(str(workshop.folder / "nothing.zarr")) == {}
    (workshop.folder / "empty.zarr").mkdir()
    assert workshop.sink.retained_items(str(workshop.folder / "empty.zarr")) == {}


def test_items_without_fingerprint(workshop):
    """A source need not have fingerprints."""
    item = workshop.shard("a", PIECES["plain"]())
    path = workshop.merge([MergeItem(0, "a", None, "v1", item.shard)])
    assert [(found.key, found.start, found.stop) for found in AtomicDataset(path).items] == [("a", 0, 2)]


def test_the_arrays_do_not_depend_on_where_the_items_came_from(workshop):
    """Other fingerprints and versions: the same bytes in every array but those that hold them."""
    item = workshop.shard("a", PIECES["plain"]())
    first = workshop.merge([MergeItem(0, "a", "here", "v1", item.shard)])
    second = workshop.merge([MergeItem(0, "a", "there", "v2", item.shard)])
    before, after = _tree(first), _tree(second)
    expected = {"items/version/c/0", "items/fingerprint/c/0", "segments/id/c/0", "zarr.json"}
    assert {name for name in before if before[name] != after[name]} == expected
    assert workshop.sink.retained_items(str(second)) == {"a": "v2"}


@pytest.mark.parametrize("sizes", [{"chunk_rows": 0}, {"shard_rows": 100}, {"chunk_rows": 3, "shard_rows": 4}])
def test_sizes_must_fit(sizes):
    """A shard is a whole number of chunks."""
    with pytest.raises(ConfigError, match="multiple of chunk_rows"):
        AtomicDataZarrSink("x.zarr", **sizes)


def test_check_refuses_what_stands_there(tmp_path):
    """A folder of something else, or a file, is never overwritten."""
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.tex").touch()
    zarr.create_group(str(tmp_path / "b.zarr"))
    (tmp_path / "c.zarr").touch()
    for name in "abc":
        with pytest.raises(ConfigError, match="choose another output"):
            AtomicDataZarrSink(str(tmp_path / f"{name}.zarr")).check()


def test_check_accepts_and_creates_nothing(workshop):
    """A new place is fine, a dataset of ours too."""
    AtomicDataZarrSink(str(workshop.folder / "a" / "b.zarr")).check()
    assert list(workshop.folder.iterdir()) == []
    AtomicDataZarrSink(str(workshop.dataset(PIECES["plain"]()))).check()


def test_newer_format_is_refused(workshop):
    """A dataset of a later version is not misread."""
    path = workshop.dataset(PIECES["plain"]())
    zarr.open_group(path, mode="r+").attrs["format_version"] = 3
    with pytest.raises(ComponentError, match="format version 3, this version of curator reads 1 and 2"):
        AtomicDataset(path)


def test_dataset_as_a_sequence(workshop):
    """Indices count from either end, slices give lists, and a copy travels to data loaders."""
    dataset = AtomicDataset(workshop.dataset([Atoms(f"H{i}") for i in range(1, 6)]))
    copy = pickle.loads(pickle.dumps(dataset))
    assert [len(copy[i]) for i in (0, 4, -1, -5)] == [1, 5, 5, 1]
    assert [len(atoms) for atoms in copy[1:4]] == [2, 3, 4]
    for index in (5, -6):
        with pytest.raises(IndexRangeError, match="out of range for 5"):
            copy[index]


def test_structures_are_the_readers_own(workshop):
    """Changing a structure changes neither the dataset nor the next reading."""
    dataset = AtomicDataset(workshop.dataset([_labelled("H2", forces=np.ones((2, 3)))]))
    first = dataset[0]
    first.positions += 1
    first.calc.results["forces"] += 1
    assert (dataset[0].calc.results["forces"] == 1).all()
    assert (dataset[0].positions == molecule("H2").positions).all()


def test_many_fields(workshop, assert_same_atoms):
    """More fields than a process may have open files."""
    pairs = {f"{a}{b}": 1.5 for a in string.ascii_lowercase for b in string.ascii_lowercase[:12]}
    structures = [Atoms("H", info={"key_value_pairs": pairs}), Atoms("H", info={"key_value_pairs": {"a": 1}})]
    for found, expected in zip(AtomicDataset(workshop.dataset(*([s] for s in structures))), structures, strict=True):
        assert_same_atoms(found, expected)


def test_the_arrays_tell_their_shapes_and_units(workshop):
    """The schema is that of the arrays in the Zarr group, without padding."""
    path = workshop.dataset([_labelled("H2O", energy=-1.0, forces=np.zeros((3, 3)))], [molecule("H2")])
    found = {variable.name: variable for variable in workshop.sink.schema(str(path))}
    group = zarr.open_group(str(path), mode="r")
    for name, variable in found.items():
        assert (variable.shape, variable.chunks) == (_real(path, name).shape, group[name].chunks)
    assert (found["forces"].dtype, found["forces"].unit) == ("float64", "eV/Å")
    assert found["forces"].dims == group["forces"].metadata.dimension_names == ("atom", "xyz")
    assert found["energy"].dims == ("system",)
    assert found["energy"].description == "not in every structure"


def test_values_come_item_by_item_without_those_that_are_missing(workshop):
    """What some structures lack is left out, not given as NaN."""
    forces = np.arange(9.0).reshape(3, 3)
    bare, labelled = molecule("H2"), _labelled("H2O", energy=-1.0, forces=forces)
    path = workshop.dataset([bare, labelled], [bare])
    found = {(key, name): values for key, name, values in workshop.sink.values(str(path), ["energy", "forces", "cell"])}
    assert found["item-0", "energy"].tolist() == [-1.0]
    assert np.array_equal(found["item-0", "forces"], forces)
    assert found["item-1", "energy"].size == found["item-1", "forces"].size == 0
    assert found["item-1", "cell"].shape == (1, 3, 3)


def test_a_dataset_that_holds_an_item_twice_is_refused(workshop):
    """It is damaged, and says which item."""
    item = workshop.shard("twin", [molecule("H2")])
    path = workshop.merge([item, item])
    with pytest.raises(ComponentError, match="more than once, such as 'twin'"):
        workshop.sink.retained_items(str(path))
