"""Structures a second: from a published dataset, and from the ASE databases that it came from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from benchmarks.timing import Row, Work, best_seconds
from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.domains.atoms import ASELMDBSource, AtomicDataset, AtomicDataZarrSink
from curator_core.reading.shuffling import ShardOrder

N_FILES = 4
BATCH = 64
CACHE_BYTES = 8 << 20
"""Of decoded chunks: a fraction of the dataset, so that reading at random is reading."""
BUFFER = 1024
"""Structures that are mixed: their chunks fit among those that are kept."""
ROUNDS = 3
SEQUENTIAL = 0.8
"""Least speed over that of zarr."""


def reading_rows(n_structures: int = 4_000, n_read: int = 2_000) -> Iterator[Row]:
    """Both in this process, then both in two workers of PyTorch's loader."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        databases, path = _written(folder, n_structures)
        dataset = AtomicDataset(path, cache_bytes=CACHE_BYTES)
        stored = Databases(databases, n_structures // N_FILES)
        yield from _sequential_rows(path, dataset)
        random = np.random.default_rng(0).permutation(n_structures)[:n_read].tolist()
        mixed = ShardOrder(n_structures, BATCH, buffer_size=BUFFER)
        near = [int(i) for batch in mixed.batches(0) for i in batch][:n_read]
        asked: dict[str, tuple[Sequence[int], int, float]] = {
            "in order": (range(n_read), BATCH, 5),
            "shuffled by runs of neighbours, batches of 64": (near, BATCH, 5),
            "single structures at random": (random, 1, 1),
            "batches of 64 at random": (random, BATCH, 3),
        }
        for what, (order, size, target) in asked.items():
            works: dict[str, Work] = {
                "databases": partial(_read, stored.__getitems__, order, 1),
                "dataset": partial(_read, dataset.__getitems__, order, size),
            }
            yield _compared(what, works, len(order), target)
        stored.close()  # LMDB is not to be forked
        yield from _loader_rows(path, stored, random)


def _written(folder: Path, n_structures: int) -> tuple[list[Path], Path]:
    """Databases of structures with energies and forces, and the dataset of them."""
    (folder / "input").mkdir()
    random = np.random.default_rng(0)
    files = [folder / "input" / f"{number}.aselmdb" for number in range(N_FILES)]
    for file in files:
        with connect(file, type="aselmdb") as database:
            for _ in range(n_structures // N_FILES):
                n_atoms = int(random.integers(20, 80))
                positions, forces = random.normal(size=(2, n_atoms, 3))
                atoms = Atoms(random.integers(1, 80, n_atoms), positions, cell=[9, 9, 9], pbc=True)
                atoms.calc = SinglePointCalculator(atoms, energy=random.normal(), forces=forces)
                database.write(atoms)
    pipeline = Pipeline(ASELMDBSource(str(folder / "input")), sink=AtomicDataZarrSink(str(folder / "d.zarr")))
    pipeline = pipeline.with_settings(db_file=folder / "m.db")
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    return files, folder / "d.zarr"


class Databases:
    """Structures as ase-db-backends reads them, of several files."""

    def __init__(self, files: list[Path], n_each: int) -> None:
        self._files = files
        self._n_each = n_each
        self._open: list[Any] = []

    def __len__(self) -> int:
        return len(self._files) * self._n_each

    def __getitem__(self, index: int) -> Atoms:
        if not self._open:
            self._open = [connect(file, type="aselmdb", readonly=True) for file in self._files]
        file, number = divmod(index, self._n_each)
        return self._open[file]._get_row(1 + number).toatoms()  # noqa: SLF001 - by id, without a query

    def close(self) -> None:
        """They are opened again when they are read."""
        while self._open:
            self._open.pop().close()

    def __getitems__(self, indices: Sequence[int]) -> list[Atoms]:
        return [self[index] for index in indices]


def _read(read: Callable[[Sequence[int]], list[Atoms]], order: Sequence[int], size: int) -> None:
    for start in range(0, len(order), size):
        read(order[start : start + size])


def _compared(what: str, works: dict[str, Work], n_read: int, target: float) -> Row:
    taken = best_seconds(works, ROUNDS)
    ratio = taken["databases"] / taken["dataset"]
    each = ", ".join(f"{name} {seconds / n_read * 1e6:.0f} µs" for name, seconds in taken.items())
    measure = f"{what}: speed over that of the databases"
    return Row(measure, f"{ratio:.1f} × ({each})", f"≥ {target:g} ×", ratio >= target)


def _sequential_rows(path: Path, dataset: AtomicDataset) -> Iterator[Row]:
    """All rows of all arrays of numbers, as arrays."""
    group = zarr.open_group(str(path), mode="r")
    names = list(dataset.arrays())

    def by_zarr() -> None:
        for name in names:
            group[name][:]  # type: ignore[index]

    def by_reader() -> None:
        for start in range(0, len(dataset), 1024):
            dataset.batch(range(start, min(start + 1024, len(dataset))), names)

    taken = best_seconds({"zarr": by_zarr, "reader": by_reader}, ROUNDS)
    ratio = taken["zarr"] / taken["reader"]
    yield Row(
        "all arrays in order: speed over that of zarr", f"{ratio:.0%}", f"≥ {SEQUENTIAL:.0%}", ratio >= SEQUENTIAL
    )


def _loader_rows(path: Path, stored: Databases, order: Sequence[int]) -> Iterator[Row]:
    """Batches of tensors from two workers that were forked."""
    import torch  # noqa: PLC0415 - the other rows do without
    from torch.utils.data import DataLoader  # noqa: PLC0415 - as above

    from curator_core.reading.torch import TensorSamples  # noqa: PLC0415 - as above

    names = ["numbers", "positions", "energy", "forces"]
    samples = TensorSamples(AtomicDataset(path, cache_bytes=CACHE_BYTES), names)

    def joined(structures: list[Atoms]) -> dict[str, torch.Tensor]:
        found = [
            {
                "numbers": torch.from_numpy(atoms.numbers),
                "positions": torch.from_numpy(atoms.positions),
                "energy": torch.tensor(atoms.calc.results["energy"]),
                "forces": torch.from_numpy(atoms.calc.results["forces"]),
            }
            for atoms in structures
        ]
        return samples.collate(found)

    def loaded(data: Any, collate: Callable[[Any], Any]) -> None:
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        options = {"num_workers": 2, "multiprocessing_context": "fork", "collate_fn": collate}
        n_read = sum(len(batch["energy"]) for batch in DataLoader(data, batch_sampler=batches, **options))
        assert n_read == len(order)

    works: dict[str, Work] = {
        "databases": partial(loaded, stored, joined),
        "dataset": partial(loaded, samples, samples.collate),
    }
    yield _compared("batches of 64 tensors at random, from two workers", works, len(order), 3)
