"""Damage of a published dataset is found, and named by item."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from ase import Atoms

from curator_core import Pipeline, Source, run_pipeline
from curator_core.cli import main
from curator_core.datasets import list_versions
from curator_core.domains.atoms import AtomicDataZarrSink
from curator_core.errors import ComponentError, ConfigError, CuratorError
from curator_core.merge import verify_dataset
from curator_core.merge.verify import count_nonfinite
from curator_core.reading import open_dataset
from curator_core.testing import DatasetSink, NumbersSource
from tests.datasets.kinds import tree


class Given(Source):
    """One structure an item, with a value that is not in all of them."""

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def key(self, index):
        return self.names[index]

    def __getitem__(self, index):
        atoms = Atoms("H2", positions=np.full((2, 3), float(index)))
        if index:
            atoms.info["charge"] = float(index)
        yield atoms


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a dataset in two versions."""
    folder = tmp_path_factory.mktemp("published")
    for names in (["a", "b"], ["a", "b", "c"]):
        sink = AtomicDataZarrSink(str(folder / "d.zarr"))
        run_pipeline(Pipeline(Given(names), sink=sink, db_file=folder / "m.db"), gather=True, progress=False)
    return folder


@pytest.fixture
def dataset(published, tmp_path):
    """A copy that may be damaged."""
    shutil.copytree(published, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy" / "d.zarr"


def chunk(dataset, name, number):
    """A file of an array."""
    (found,) = (
        path
        for path in (dataset / name / "c" / str(number), *(dataset / name / "c" / str(number)).rglob("*"))
        if path.is_file()
    )
    return found


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_dataset_as_it_was_published(dataset):
    """Nothing is wrong with it, in either version."""
    assert verify_dataset(dataset) == []
    assert verify_dataset(dataset, version=list_versions(dataset)[1].id) == []


def lose_shard(dataset):
    chunk(dataset, "positions", 1).unlink()


def change_shard(dataset):
    flip(chunk(dataset, "positions", 1))


def cut_shard(dataset):
    path = chunk(dataset, "numbers", 1)
    path.write_bytes(path.read_bytes()[:-1])


def swap_shards(dataset):
    first, second = chunk(dataset, "positions", 1), chunk(dataset, "positions", 2)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


def change_starts(dataset):
    shutil.copyfile(chunk(dataset, "atom_start", 0), chunk(dataset, "atom_start", 1))


def lose_starts(dataset):
    chunk(dataset, "atom_start", 1).unlink()


def add_file(dataset):
    (dataset / "positions" / "notes.txt").write_text("mine")


def change_metadata(dataset):
    path = dataset / "positions" / "zarr.json"
    path.write_text(path.read_text().replace("float64", "float32"))


def change_manifest(dataset):
    path = dataset.with_name("d.zarr.manifest.json")
    said = json.loads(path.read_text())
    said["items"][1]["key"] = "z"
    path.write_text(json.dumps(said))


def lose_manifest(dataset):
    dataset.with_name("d.zarr.manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "items", "what"),
    [
        (lose_shard, {"b"}, "is missing"),
        (change_shard, {"b"}, "its checksum is another"),
        (cut_shard, {"b"}, "its checksum is another"),
        (swap_shards, {"b", "c"}, "its checksum is another"),
        (change_starts, {"b"}, "samples begin elsewhere"),
        (lose_starts, {"b"}, "is missing"),
        (add_file, set(), "does not belong to the dataset"),
        (change_metadata, set(), "says something else than zarr.json"),
        (change_manifest, {"b", "z"}, "manifest"),
        (lose_manifest, set(), "has no manifest"),
    ],
)
def test_damage_is_named_by_item(dataset, damage, items, what):
    """Every kind, and nothing but it."""
    damage(dataset)
    found = verify_dataset(dataset)
    assert {key for one in found for key in one.items} == items
    assert all(what in one.what for one in found), found
    assert found


@pytest.mark.parametrize("name", ["zarr.json", "items/key/c/0", "segments/checksum/c/0/0"])
@pytest.mark.parametrize("is_lost", [True, False])
def test_a_dataset_that_does_not_say_what_it_is(dataset, name, is_lost):
    """Its tables are lost or damaged: nothing can be compared, which is said."""
    path = dataset / name
    path.unlink() if is_lost else path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ComponentError, match=r"d\.zarr cannot be verified"):
        verify_dataset(dataset)


def edit_table(dataset, name, values):
    """Values of a table, by their positions, changed with Zarr."""
    array = zarr.open_array(dataset / name, mode="r+")
    for position, value in values.items():
        array[position] = value


def edit_description(dataset, name, **changes):
    """What both metadata of an array say of it changed alike; of the dataset itself by the empty name."""
    own = dataset / name / "zarr.json"
    root = dataset / "zarr.json"
    if name:
        own.write_text(json.dumps(json.loads(own.read_text()) | changes))
    said = json.loads(root.read_text())
    (said["consolidated_metadata"]["metadata"][name] if name else said["attributes"]).update(changes)
    root.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("tables", "items"),
    [
        ({"items/fingerprint": {1: "other"}}, {"b"}),
        ({"items/schemas": {0: "{}"}}, set()),
        ({"segments/id": {1: "0" * 32}}, set()),
        ({"items/n_atoms": {1: 1}, "segments/n_atoms": {1: 1}}, set()),
        ({"items/n_systems": {2: 0}, "segments/n_systems": {2: 0}}, set()),
    ],
)
def test_tables_that_somebody_changed_are_named(dataset, tables, items):
    """Also where they agree with one another, and samples would be left out without a word."""
    for name, values in tables.items():
        edit_table(dataset, name, values)
    found = verify_dataset(dataset)
    assert {f"{name}/c/0" for name in tables} <= {one.file for one in found}
    assert {key for one in found for key in one.items} >= items


def test_a_table_that_contradicts_others_is_named(dataset):
    """The dataset cannot be read any further, and it is said because of which file."""
    edit_table(dataset, "items/n_atoms", {1: 1})
    with pytest.raises(ComponentError, match=r"not what was written: items/n_atoms/c/0"):
        verify_dataset(dataset)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("positions", {"attributes": {"units": "nm"}}),
        ("positions", {"dimension_names": ["atom", "abc"]}),
        ("numbers", {"fill_value": 7}),
        ("", {"n_atoms": 1}),
        ("", {"content_hash": "0" * 32}),
        ("", {"mine": 1}),
    ],
)
def test_metadata_that_somebody_changed_everywhere_are_found(dataset, name, changes):
    """No other file contradicts them."""
    edit_description(dataset, name, **changes)
    (found,) = verify_dataset(dataset)
    assert (found.file, found.items) == ("zarr.json", ())
    assert "somebody changed the attributes" in found.what


def test_what_was_published_without_checksums_of_its_tables(dataset):
    """Everything else is compared."""
    path = dataset / "zarr.json"
    said = json.loads(path.read_text())
    del said["attributes"]["checksums"]
    path.write_text(json.dumps(said))
    assert verify_dataset(dataset) == []


def test_what_has_no_checksums(tmp_path):
    """It is said, as is what is no dataset."""
    pipeline = Pipeline(NumbersSource(2), sink=DatasetSink(str(tmp_path / "d.json")), db_file=tmp_path / "m.db")
    run_pipeline(pipeline, gather=True, progress=False)
    with pytest.raises(ComponentError, match=r"d\.json cannot be verified"):
        verify_dataset(tmp_path / "d.json")
    with pytest.raises(ConfigError, match="There is no dataset"):
        verify_dataset(tmp_path / "none.zarr")


def test_what_a_newer_curator_published(dataset):
    """Whatever is done with it says so, and what to do; it stays as it is."""
    describe(dataset, format_version=3)
    before = tree(dataset)
    grown = Pipeline(Given(["a"]), sink=AtomicDataZarrSink(str(dataset)), db_file=dataset.parent / "other.db")
    for action in (
        lambda: verify_dataset(dataset),
        lambda: list(count_nonfinite(dataset)),
        lambda: open_dataset(dataset),
        lambda: run_pipeline(grown, gather=True, progress=False),
    ):
        with pytest.raises(CuratorError, match=r"d\.zarr has format version 3, .* Upgrade curator\."):
            action()
    assert tree(dataset) == before


@pytest.mark.parametrize(("found", "said"), [("2", "is damaged"), (True, "is damaged"), (0, "a former one")])
def test_what_has_another_format_version(dataset, found, said):
    """A number that no curator wrote is told from a former one."""
    describe(dataset, format_version=found)
    for action in (verify_dataset, open_dataset):
        with pytest.raises(ComponentError, match=f"has format version {found!r}, .*{said}"):
            action(dataset)


def describe(dataset, **attributes):
    """Change what a dataset says of itself."""
    node = json.loads((dataset / "zarr.json").read_text())
    node["attributes"] |= attributes
    (dataset / "zarr.json").write_text(json.dumps(node))


def test_the_command_ends_with_the_state_of_the_dataset(dataset, capsys):
    """0 and a sentence, or 1 and what is damaged, as JSON where that is asked for."""
    assert main(["verify", str(dataset)]) == 0
    assert capsys.readouterr().err == "Everything is as it was published.\n"
    lose_shard(dataset)
    assert main(["verify", str(dataset)]) == 1
    file = chunk(dataset, "positions", 0).relative_to(dataset).as_posix().replace("c/0", "c/1")
    assert capsys.readouterr().out == f"{file}: is missing (items: b)\n"
    assert main(["verify", str(dataset), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [{"what": "is missing", "file": file, "items": ["b"]}]
    assert main(["verify", str(Path(dataset).with_name("none.zarr"))]) == 2
