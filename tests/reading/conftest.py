"""A small published dataset of structures."""

import numpy as np
import pytest

pytest.importorskip("ase_db_backends")

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from curator_core import Pipeline, Source, gather_pipeline, run_pipeline
from curator_core.domains.atoms import AtomicDataZarrSink, AtomicStatsFilter
from tests.builds import IS_WITHOUT_TORCH

collect_ignore = ["test_torch.py"] if IS_WITHOUT_TORCH else []


class Structures(Source):
    """Items of eight structures each; the position of a structure is its energy."""

    def __init__(self, n_items: int, marker: float = 0.0):
        self.n_items = n_items
        self.marker = marker

    def __len__(self):
        return self.n_items

    def __getitem__(self, index):
        for number in range(8 * index, 8 * index + 8):
            random = np.random.default_rng(number)
            atoms = Atoms(f"H{1 + number % 5}O", positions=random.normal(size=(2 + number % 5, 3)))
            atoms.calc = SinglePointCalculator(
                atoms, energy=number + self.marker, forces=random.normal(size=(len(atoms), 3))
            )
            if number % 3:
                atoms.info["key_value_pairs"] = {"gap": number / 2}
            yield atoms


@pytest.fixture(scope="session")
def publish():
    """Function that publishes structures below a folder; the path of the dataset."""

    def run(folder, n_items=10, marker=0.0, split=None):
        pipeline = Pipeline(
            Structures(n_items, marker),
            [AtomicStatsFilter(str(folder / "statistics.parquet"))],
            AtomicDataZarrSink(str(folder / "d.zarr"), chunk_rows=16, shard_rows=64),
            db_file=folder / "m.db",
            resume=True,
            split=split,
        )
        run_pipeline(pipeline, progress=False)
        gather_pipeline(pipeline)
        return folder / "d.zarr"

    return run


@pytest.fixture(scope="session")
def dataset(publish, tmp_path_factory):
    """Path of a dataset of 80 structures, which nobody changes."""
    return publish(tmp_path_factory.mktemp("dataset"))
