"""Meshes written, published, read and sampled, against plain Zarr and VTK's own reader, in seconds of the processor."""

from __future__ import annotations

import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyvista as pv
import zarr
from zarr.codecs import ZstdCodec

from benchmarks.timing import Row
from curator_core import MergeItem, Source, open_dataset, run_pipeline
from curator_core.domains.mesh import Mesh, MeshPart, MeshZarrSink, part_from_vtk, part_to_vtk
from curator_core.domains.mesh.zarr_groups.writing import GroupLayout, write_meshes
from curator_core.formats.arrays import Array

_N_ROUNDS = 3
_CHUNK = 200_000
_WRITING, _READING, _CURATING, _CHANGED, _SAMPLING = 0.9, 0.8, 1.1, 0.02, 2
"""What is aimed at."""


def mesh_rows(side: int = 500, n_files: int = 6, n_items: int = 100, sample_side: int = 2237) -> Iterator[Row]:
    """What meshes cost.

    Parameters
    ----------
    side
        Points along each side of a surface that is written; it has two triangles for each.
    n_files
        Files of VTK that are curated.
    n_items
        Items of the dataset of which one in a hundred changes.
    sample_side
        Points along each side of the surface of which points are sampled.
    """
    logging.getLogger("curator").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _writing(folder, side)
        yield _curating(folder, side, n_files)
        yield from _changing(folder, n_items)
        yield _sampling(folder, sample_side)


def _surface(side: int, seed: int = 0) -> Mesh:
    """A surface of triangles over a square, with a pressure at points and a traction at cells."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    z = 0.01 * random.normal(size=x.shape)
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype("f4")
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    quads = np.stack([corner, corner + side, corner + side + 1, corner, corner + side + 1, corner + 1], axis=-1)
    n_cells = 2 * len(corner)
    part = MeshPart(
        points,
        quads.reshape(-1),
        np.arange(0, 3 * n_cells + 1, 3),
        np.full(n_cells, 5, np.uint8),
        {"p": random.normal(size=len(points)).astype("f4")},
        {"traction": random.normal(size=(n_cells, 3)).astype("f4")},
    )
    return Mesh({"interior": part})


def _arrays(mesh: Mesh) -> dict[str, Array]:
    part = mesh.parts["interior"]
    cells = part.connectivity.reshape(-1, 3).view(np.int64)  # Zarr refuses VTK's, which are as long
    data = {f"point_data/{name}": values for name, values in part.point_data.items()}
    data |= {f"cell_data/{name}": values for name, values in part.cell_data.items()}
    return {"points": part.points, "cells": cells, **data}


def _write_plain(mesh: Mesh, path: Path) -> None:
    group = zarr.open_group(path, mode="w")
    for name, values in _arrays(mesh).items():
        rest = values.shape[1:]
        chunk = min(_CHUNK, len(values))
        n_chunks = max(1, min((256 << 20) // (chunk * values[:1].nbytes), -(-len(values) // chunk)))
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(chunk, *rest),
            shards=(chunk * n_chunks, *rest),
            compressors=ZstdCodec(level=1),
        )
        array[:] = values


def _processor_seconds(works: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Processor time of each, in turn, of all threads of this process."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_N_ROUNDS):
        for name, work in works.items():
            before = time.process_time()
            work()
            found[name].append(time.process_time() - before)
    return found


def _ratio(times: Mapping[str, list[float]], first: str, second: str) -> float:
    return statistics.median(a / b for a, b in zip(times[first], times[second], strict=True))


def _writing(folder: Path, side: int) -> Iterator[Row]:
    mesh, layout = _surface(side), GroupLayout()
    part, plain = folder / "mesh.part", folder / "plain.zarr"

    def written() -> None:
        shutil.rmtree(part, ignore_errors=True)
        write_meshes([mesh], layout, part)

    def written_plainly() -> None:
        shutil.rmtree(plain, ignore_errors=True)
        _write_plain(mesh, plain)

    times = _processor_seconds({"ours": written, "plain": written_plainly})
    share = _ratio(times, "plain", "ours")
    size = f"a surface of {mesh.n_cells:,} triangles"
    yield Row(f"writing over plain zarr: {size}", f"{share:.0%}", "at least 90%", share >= _WRITING)
    sink = MeshZarrSink(str(folder / "one.zarr"))
    sink.merge_items([MergeItem(0, "mesh", None, "1", part)], None, str(folder / "one.zarr"))

    def read() -> None:
        _ = open_dataset(folder / "one.zarr")[0]

    def read_plainly() -> None:
        group = zarr.open_group(folder / "one.zarr/meshes/mesh.zarr", mode="r")
        for name in _arrays(mesh):
            _ = group[name][:]

    times = _processor_seconds({"ours": read, "plain": read_plainly})
    share = _ratio(times, "plain", "ours")
    yield Row(f"reading over plain zarr: {size}", f"{share:.0%}", "at least 80%", share >= _READING)


class _Files(Source[Mesh]):
    """Files of VTK."""

    def __init__(self, folder: str) -> None:
        self._paths = sorted(Path(folder).glob("*.vtu"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Generator[Mesh, None, None]:
        yield Mesh({"interior": part_from_vtk(pv.read(self._paths[index]))})


def _curating(folder: Path, side: int, n_files: int) -> Row:
    (folder / "vtu").mkdir()
    for number in range(n_files):
        part_to_vtk(_surface(side, number).parts["interior"]).save(folder / "vtu" / f"{number}.vtu")

    def curated() -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)
        (folder / "out").mkdir()
        pipeline = _Files(str(folder / "vtu")).write(MeshZarrSink(str(folder / "out/meshes.zarr")))
        run_pipeline(pipeline.with_settings(db_file=str(folder / "out/runs.db")), gather=True, progress=False)

    def plain() -> None:
        shutil.rmtree(folder / "plain", ignore_errors=True)
        for path in sorted((folder / "vtu").iterdir()):
            _write_plain(Mesh({"interior": part_from_vtk(pv.read(path))}), folder / "plain" / path.stem)

    times = _processor_seconds({"ours": curated, "plain": plain})
    ratio = _ratio(times, "ours", "plain")
    what = f"curating {n_files} VTU files over PyVista and plain zarr"
    return Row(what, f"{ratio:.2f} ×", "at most 1.1 ×", ratio <= _CURATING)


def _changing(folder: Path, n_items: int) -> Iterator[Row]:
    sink = MeshZarrSink(str(folder / "many.zarr"))
    parts = []
    for number in range(n_items + 1):
        parts.append(folder / f"{number}.part")
        sink.write_shard(iter([_surface(200, number)]), str(parts[-1]))
    items = [MergeItem(n, f"item {n}", None, "1", part) for n, part in enumerate(parts[:-1])]
    first, second = folder / "first.zarr", folder / "second.zarr"
    begun = time.perf_counter()
    sink.merge_items(items, None, str(first))
    whole = time.perf_counter() - begun
    items = [MergeItem(item.index, item.key, None, "1", None) for item in items]
    for number in range(max(1, n_items // 100)):
        items[number] = MergeItem(number, f"item {number}", None, "2", parts[-1])
    begun = time.perf_counter()
    sink.merge_items(items, str(first), str(second))
    changed = time.perf_counter() - begun
    held = {path.stat().st_ino for path in first.rglob("*") if path.is_file()}
    sizes = [(path.stat().st_ino, path.stat().st_size) for path in second.rglob("*") if path.is_file()]
    share = sum(size for inode, size in sizes if inode not in held) / sum(size for _, size in sizes)
    yield Row(f"new bytes when 1% of {n_items} meshes change", f"{share:.1%}", "at most 2%", share <= _CHANGED)
    yield Row("time of that over the first publication, which links, too", f"{changed / whole:.0%}")


def _sampling(folder: Path, side: int) -> Row:
    mesh = _surface(side)
    sink = MeshZarrSink(str(folder / "large.zarr"))
    sink.write_shard(iter([mesh]), str(folder / "large.part"))
    sink.merge_items([MergeItem(0, "mesh", None, "1", folder / "large.part")], None, str(folder / "large.zarr"))
    names = ["points", "point_data/p"]
    n_points = mesh.n_points
    n_rows = min(100_000, n_points // 10)
    rows = np.sort(np.random.default_rng(0).choice(n_points, n_rows, replace=False))

    def sample() -> None:
        open_dataset(folder / "large.zarr").stored(0).take(names, rows)

    def read() -> None:
        stored = open_dataset(folder / "large.zarr").stored(0)
        for name in names:
            stored.rows(name)

    times = _processor_seconds({"sample": sample, "read": read})
    ratio = _ratio(times, "sample", "read")
    what = f"{n_rows:,} points of a surface of {mesh.n_cells:,} cells at random, over reading all points"
    return Row(what, f"{ratio:.2f} ×", "at most 2 ×", ratio <= _SAMPLING)
