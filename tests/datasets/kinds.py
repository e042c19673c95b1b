"""Sinks of the tests' own: rows on one axis, rows on three, atoms, tables and meshes; and what their items hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core.datasets.layout import Axis, FixedFormat, Layout, Rows
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.publishing import publish_ragged
from curator_core.domains.atoms import AtomicDataZarrSink
from curator_core.formats.arrays import TEXT, ArraySpec
from curator_core.pipeline.components import MergeItem, ShardedSink, Source
from curator_core.storage.locations import location_of

READINGS = (ArraySpec("time", "float64", ("reading",)), ArraySpec("note", TEXT, ("reading",)))
MESHES = (
    ArraySpec("step", "int32", ("mesh",)),
    ArraySpec("xyz", "float32", ("point", "xyz"), (3,), {"units": "m"}),
    ArraySpec("cell/kind", "uint8", ("cell",)),
    ArraySpec("cell/name", TEXT, ("cell",)),
)


class RowsSink(ShardedSink[Rows]):
    """A sink whose items all have the same arrays."""

    shard_suffix = PART_SUFFIX
    specs: Sequence[ArraySpec] = ()
    axes: Sequence[Axis] = ()

    def __init__(self, output_path: str, items_per_segment: int = 1):
        self._output = output_path
        self.ragged = FixedFormat(self.component_name(), self.specs, Layout(tuple(self.axes), items_per_segment))

    @property
    def output_path(self) -> str:
        return self._output

    def write_shard(self, items: Iterator[Rows], path: str) -> None:
        (rows,) = items
        write_part(path, self.ragged, rows)

    def retained_items(self, output_path: str) -> dict[str, str]:
        if not Path(output_path).exists():
            return {}
        return PublishedRagged(location_of(output_path), self.ragged).versions()

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        publish_ragged(self.ragged, items, previous, output_path)


class ReadingsSink(RowsSink):
    name = "test_readings"
    specs = READINGS
    axes = (Axis("reading", 2, 4),)


class MeshesSink(RowsSink):
    name = "test_meshes"
    specs = MESHES
    axes = (Axis("mesh", 2, 4), Axis("point", 3, 9), Axis("cell", 1, 2))


class SmallMeshesSink(MeshesSink):
    """Files that several items share."""

    name = "test_small_meshes"
    axes = (Axis("mesh", 4, 32), Axis("point", 8, 64), Axis("cell", 4, 32))


def atoms_sink(output_path: str, items_per_segment: int = 1) -> AtomicDataZarrSink:
    return AtomicDataZarrSink(output_path, chunk_rows=8, shard_rows=16, items_per_segment=items_per_segment)


def small_atoms_sink(output_path: str, items_per_segment: int = 1) -> AtomicDataZarrSink:
    """Files that several items share."""
    return AtomicDataZarrSink(output_path, chunk_rows=16, shard_rows=256, items_per_segment=items_per_segment)


SINKS: dict[str, Any] = {
    "readings": ReadingsSink,
    "meshes": MeshesSink,
    "atoms": atoms_sink,
    "small meshes": SmallMeshesSink,
    "small atoms": small_atoms_sink,
}
if util.find_spec("pyarrow"):
    from tests.datasets import tabular

    SINKS |= tabular.SINKS
if util.find_spec("pyvista"):
    from tests.datasets import meshed

    SINKS |= meshed.SINKS


def content(kind: str, key: str, version: int) -> list[Any]:
    """What a source gives for an item: the same for the same key and version."""
    random = np.random.default_rng([version, *key.encode()])
    n = int(random.integers(0, 7))
    if kind.endswith("atoms"):
        return [_structure(random, key, version) for _ in range(n)]
    if kind.startswith("table"):
        return [tabular.table(random, key, version)]
    if kind in ("mesh groups", "ragged meshes"):
        return meshed.meshes(random, kind, key, version)
    if kind == "readings":
        return [Rows(n, {"time": random.random(n), "note": _texts(key, n)})]
    points, cells = random.integers(0, 4, n), random.integers(0, 3, n)
    values = {
        "step": np.arange(n, dtype="i4"),
        "xyz": random.random((points.sum(), 3)).astype("f4"),
        "cell/kind": random.integers(0, 9, cells.sum()).astype("u1"),
        "cell/name": _texts(key, cells.sum()),
    }
    return [Rows(n, values, {"point": points, "cell": cells})]


def _texts(key, n):
    values = np.empty(n, object)
    values[:] = [f"{key} é {i}" for i in range(n)]
    return values


def _structure(random, key, version):
    """A structure whose fields, and their types, differ from item to item, so that those of a dataset change."""
    n = int(random.integers(0, 4))
    atoms = Atoms(f"H{n}" if n else "", positions=random.random((n, 3)))
    if version % 3:
        atoms.calc = SinglePointCalculator(atoms, energy=float(random.random()), forces=random.random((n, 3)))
    kinds: list[dict[str, Any]] = [
        {"x": 1},
        {"x": 1.5},
        {"x": "text", "y": key},
        {},
        {f"name_{i}": i for i in range(200)},
    ]
    if pairs := kinds[(version + len(key)) % len(kinds)] if version % 7 else kinds[4] | {key: 1.0}:
        atoms.info["key_value_pairs"] = pairs
    if n and version % 2:
        atoms.set_array("tag", random.random(n).astype("f4" if version % 4 == 1 else "f8"))
    return atoms


class Contents(Source):
    """Items of a kind, in the versions that a file says."""

    def __init__(self, kind: str, file: str = "versions.json"):
        self._kind, self._versions = kind, json.loads(Path(file).read_text())

    def __len__(self):
        return len(self._versions)

    def __getitem__(self, index):
        key = self.key(index)
        yield from content(self._kind, key, self._versions[key])

    def key(self, index):
        return list(self._versions)[index]

    def fingerprint(self, index):
        return str(self._versions[self.key(index)])


def tree(folder: Path | str) -> dict[str, bytes]:
    """Content of every file of a folder."""
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
