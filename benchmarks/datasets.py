"""What a change of a published dataset costs: in time over a merge of everything, in new bytes, and in links."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from benchmarks import former_merge
from benchmarks.timing import Row, best_seconds, seconds
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.publishing import publish_ragged
from curator_core.datasets.workers import encoding_in
from curator_core.domains.atoms.columns import Column
from curator_core.domains.atoms.layout import CORE, Field
from curator_core.domains.atoms.ragged import CHUNK_ROWS, SHARD_ROWS, AtomsFormat, atoms_layout, rows_of
from curator_core.domains.atoms.structures import Table
from curator_core.formats.arrays import fill_value
from curator_core.pipeline.components import MergeItem
from curator_core.run.segments import segment_encoder
from curator_core.storage.local import LocalLocation

RAGGED = AtomsFormat(atoms_layout(CHUNK_ROWS, SHARD_ROWS))
N_SYSTEMS, N_ATOMS = 30, 2_500
"""Of an item: 4.2 MB."""
ITEMS_PER_SEGMENT = 40
"""Of small items, of 84 KB: a file of positions has 1.4 MB."""
NEW_BYTES, CHANGE, LINKS_S, COPY, WRITING, TWO = 0.02, 0.05, 5.0, 2.0, 0.9, 1.7
"""Targets."""


def dataset_rows(n_items: int = 100) -> Iterator[Row]:
    """One item in a hundred changes; then the same in a dataset that is ten times as large."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = _former_shards(folder, n_items)
        former = seconds(partial(_published_formerly, shards, folder / "former.zarr"))
        os.sync()  # a publication waits for what others have written to the disk, too
        items = _with_parts(shards)
        yield from _first_rows(folder, items)
        yield from _change_rows(folder, items, former)
        yield from _larger_rows(folder, items)
        yield from _writing_rows(folder)
    yield from segment_rows(n_items * 40)


def segment_rows(n_items: int = 4000) -> Iterator[Row]:
    """Many small items, several of which share files: their segments encoded by one process, and by two."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ragged = AtomsFormat(atoms_layout(CHUNK_ROWS, SHARD_ROWS, ITEMS_PER_SEGMENT))
        items = []
        for index in range(n_items):
            part = folder / f"{index:06d}{PART_SUFFIX}"
            write_part(part, ragged, *rows_of(_table(index, 10, 150)))
            items.append(MergeItem(index, f"run_{index:06d}", "f", "1", part))

        def published(n_jobs: int) -> None:
            target = folder / f"{n_jobs}.zarr"
            encode = segment_encoder("process_pool", n_jobs, {})
            with encoding_in(folder / "segments", encode), LocalLocation(target).publication() as staged:
                publish_ragged(ragged, items, None, staged)

        taken = best_seconds({"one": partial(published, 1), "two": partial(published, 2)}, 3)
        ratio = taken["one"] / taken["two"]
        measure = f"{n_items:,} small items: publishing with 2 workers, over one process"
        yield Row(measure, f"{ratio:.1f} ×", f"≥ {TWO:g} ×", ratio >= TWO)


def _table(seed: int, n_systems: int = N_SYSTEMS, n_atoms_each: int = N_ATOMS) -> Table:
    """Structures with energies and forces."""
    random = np.random.default_rng(seed)
    n_atoms = n_systems * n_atoms_each
    schema = CORE | {"energy": Field("system", "float64"), "forces": Field("atom", "float64", (3,))}
    columns = {}
    for field_name, field in sorted(schema.items()):
        shape = (n_atoms if field.axis == "atom" else n_systems, *field.shape)
        values = np.full(shape, fill_value(field.dtype), field.dtype)
        if field.dtype == "float64":
            values = random.standard_normal(shape)
        columns[field_name] = Column(field, values)
    return Table(np.arange(0, n_atoms + 1, n_atoms_each, dtype=np.int64), columns)


def atoms_part(path: Path, seed: int) -> None:
    """Write the part of an item of 4.2 MB."""
    write_part(path, RAGGED, *rows_of(_table(seed)))


def _former_shards(folder: Path, n_items: int) -> list[MergeItem]:
    """Items with the shards of the former merge."""
    items = [MergeItem(n, f"run_{n:06d}", "f", "1", folder / f"{n:06d}.npz") for n in range(n_items)]
    for item in items:
        assert item.shard is not None
        former_merge.write_table(_table(item.index), item.shard)
    return items


def _with_parts(items: Sequence[MergeItem]) -> list[MergeItem]:
    """The same items with parts."""
    found = []
    for item in items:
        assert item.shard is not None
        path = item.shard.with_suffix(PART_SUFFIX)
        atoms_part(path, item.index)
        found.append(replace(item, shard=path))
    return found


def _published_formerly(items: Sequence[MergeItem], path: Path) -> None:
    with LocalLocation(path).publication() as staged:
        former_merge.merge(items, None, staged)


def publish(items: Sequence[MergeItem], previous: Path | None, path: Path) -> None:
    """Publish a dataset, durably."""
    with LocalLocation(path).publication() as staged:
        publish_ragged(RAGGED, items, previous, staged)


def _first_rows(folder: Path, items: list[MergeItem]) -> Iterator[Row]:
    published = folder / "first.zarr"
    taken = seconds(partial(publish, items, None, published))
    os.sync()
    copied = seconds(partial(shutil.copytree, published, folder / "copy.zarr"))
    durable = copied + seconds(os.sync)
    shutil.rmtree(folder / "copy.zarr")
    ratio = copied / taken
    what = "first publication, durable: speed over copying its bytes"
    yield Row(what, f"{ratio:.1f} ×", f"≥ {COPY:g} ×", ratio >= COPY)
    yield Row(f"{what} and making the copy durable", f"{durable / taken:.1f} ×")


def _change_rows(folder: Path, items: list[MergeItem], former: float) -> Iterator[Row]:
    published, middle = folder / "first.zarr", len(items) // 2
    publish(items[:-1], None, folder / "less.zarr")
    corrected = replace(items[-1], key=items[middle].key, version="2")
    held = [replace(item, shard=None) for item in items]
    changes = {
        "added": (folder / "less.zarr", [*held[:-1], items[-1]]),
        "inserted": (folder / "less.zarr", [*held[:middle], items[-1], *held[middle:-1]]),
        "corrected": (folder / "less.zarr", [*held[:middle], corrected, *held[middle + 1 : -1]]),
        "removed": (published, [*held[:middle], *held[middle + 1 :]]),
    }
    for name, (before, wanted) in changes.items():
        target = folder / f"{name}.zarr"
        taken = seconds(partial(publish, wanted, before, target)) / former
        new = new_bytes(target, before)
        yield Row(f"1% {name}: time, over the former merge", f"{taken:.1%}", f"≤ {CHANGE:.0%}", taken <= CHANGE)
        yield Row(f"1% {name}: new bytes", f"{new:.1%}", f"≤ {NEW_BYTES:.0%}", new <= NEW_BYTES)


def new_bytes(target: Path, before: Path) -> float:
    """Share of the bytes of a dataset that the one before does not have."""
    known = {found.st_ino for found in _files(before)}
    sizes = [(found.st_ino in known, found.st_size) for found in _files(target)]
    return sum(size for is_known, size in sizes if not is_known) / sum(size for _, size in sizes)


def _files(folder: Path) -> Iterator[os.stat_result]:
    return (os.lstat(f"{root}/{name}") for root, _, names in os.walk(folder) for name in names)


def _larger_rows(folder: Path, items: list[MergeItem]) -> Iterator[Row]:
    larger = [replace(item, key=f"{item.key}-{n}") for n in range(10) for item in items]
    publish(larger[:-1], None, folder / "larger.zarr")
    held = [replace(item, shard=None) for item in larger]
    n_files = sum(1 for _ in _files(folder / "larger.zarr"))
    taken = seconds(partial(publish, [*held[:-1], larger[-1]], folder / "larger.zarr", folder / "again.zarr"))
    per_link = taken / n_files * 100_000
    yield Row("linking 100,000 unchanged shards", f"{per_link:.1f} s", f"≤ {LINKS_S:g} s", per_link <= LINKS_S)


def _writing_rows(folder: Path) -> Iterator[Row]:
    table = _table(0)

    def plain() -> None:
        path = folder / "plain.zarr"
        shutil.rmtree(path, ignore_errors=True)
        group = zarr.create_group(str(path))
        for name, column in table.columns.items():
            axis = RAGGED.layout.by_name[column.field.axis]
            array = group.create_array(
                name,
                shape=column.values.shape,
                chunks=(axis.chunk_rows, *column.field.shape),
                shards=(axis.shard_rows, *column.field.shape),
                dtype=column.field.dtype,
                compressors=ZstdCodec(level=RAGGED.layout.level),
            )
            array[:] = column.values

    def part() -> None:
        path = folder / f"written{PART_SUFFIX}"
        shutil.rmtree(path, ignore_errors=True)
        write_part(path, RAGGED, *rows_of(table))

    taken = best_seconds({"plain": plain, "part": part}, 5)
    ratio = taken["plain"] / taken["part"]
    yield Row("writing in workers, over plain Zarr", f"{ratio:.1f} ×", f"≥ {WRITING:g} ×", ratio >= WRITING)
