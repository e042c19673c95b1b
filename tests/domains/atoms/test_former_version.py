"""Datasets of version 1: read as they are, and of version 2 after the next publication."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks.former_arrays import Chunking
from benchmarks.former_merge import merge, write_table
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.structures import tabulate
from curator_core.errors import ComponentError, MergeError
from curator_core.merge.verify import count_nonfinite, verify_dataset
from curator_core.pipeline.components import MergeItem
from tests.datasets.kinds import tree


def _structures(n):
    for i in range(n):
        atoms = Atoms("H2", positions=np.full((2, 3), float(i)), info={"key_value_pairs": {"i": i}})
        if n % 2:
            atoms.calc = SinglePointCalculator(atoms, energy=float(i), forces=np.ones((2, 3)))
        yield atoms


@pytest.fixture
def former(tmp_path):
    """A dataset of version 1 with items of 3, 0 and 4 structures."""
    items = []
    for index, n in enumerate((3, 0, 4)):
        shard = tmp_path / f"{n}.npz"
        write_table(tabulate(_structures(n)), shard)
        items.append(MergeItem(index, f"item-{n}", f"f{n}", f"v{n}", shard))
    merge(items, None, tmp_path / "former.zarr", Chunking(2, 4))
    return tmp_path / "former.zarr"


def _part(sink, n, index=0):
    path = f"{sink.output_path}-{n}.part"
    sink.write_shard(_structures(n), path)
    return MergeItem(index, f"item-{n}", f"f{n}", f"v{n}", Path(path))


def test_it_is_read(former, assert_same_atoms):
    """All structures and items, in order, from the end and by slices."""
    dataset = AtomicDataset(former)
    expected = [*_structures(3), *_structures(4)]
    assert len(dataset) == 7
    for found, atoms in zip(dataset, expected, strict=True):
        assert_same_atoms(found, atoms)
    assert_same_atoms(dataset[-1], expected[-1])
    assert [(item.key, item.version, item.start, item.stop) for item in dataset.items] == [
        ("item-3", "v3", 0, 3), ("item-0", "v0", 3, 3), ("item-4", "v4", 3, 7)
    ]  # fmt: skip
    sink = AtomicDataZarrSink(str(former))
    assert sink.retained_items(str(former)) == {"item-3": "v3", "item-0": "v0", "item-4": "v4"}
    assert sink.describe(str(former)) == {"n_systems": 7, "n_atoms": 14}


def test_the_next_publication_is_of_version_2(former, tmp_path):
    """Its bytes are those of a build from scratch; nothing but the dataset is left."""
    sink = AtomicDataZarrSink(str(tmp_path / "d.zarr"), chunk_rows=2, shard_rows=4)
    parts = [_part(sink, n, index) for index, n in enumerate((3, 5, 4))]
    mixed = [MergeItem(i.index, i.key, i.fingerprint, i.version, None if i.key != "item-5" else i.shard) for i in parts]
    before = sorted(path.name for path in tmp_path.iterdir())
    sink.merge_items(mixed, str(former), str(tmp_path / "mixed.zarr"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "mixed.zarr"])
    sink.merge_items(parts, None, str(tmp_path / "scratch.zarr"))
    assert tree(tmp_path / "mixed.zarr") == tree(tmp_path / "scratch.zarr")


def test_it_cannot_be_verified(former):
    """It has no checksums: what to do is said in a sentence, by each command."""
    said = rf"{former} cannot be verified: it is of format version 1, .* Run its pipeline and gather: what is published"
    with pytest.raises(ComponentError, match=said):
        verify_dataset(former)
    with pytest.raises(ComponentError, match=said):
        list(count_nonfinite(former))


def test_an_item_that_it_lacks_is_named(former, tmp_path):
    """As with one of version 2."""
    sink = AtomicDataZarrSink(str(tmp_path / "d.zarr"))
    with pytest.raises(MergeError, match="'item-9' has no shard"):
        sink.merge_items([MergeItem(0, "item-9", None, "v", None)], str(former), str(tmp_path / "x.zarr"))
