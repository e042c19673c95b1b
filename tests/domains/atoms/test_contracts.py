"""The contracts of components, on those of this domain."""

from __future__ import annotations

from ase import Atoms
from ase.db import connect

from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink, AtomicStatsFilter
from curator_core.testing import FilterContract, SinkContract, SourceContract


def _structures(index):
    return [Atoms(f"H{size + index}", info={"key_value_pairs": {"size": size}}) for size in (1, 2)]


class TestASELMDBSource(SourceContract):
    rows_per_index: int | None = None

    def make_source(self, tmp_path):
        for index in range(2):
            path = tmp_path / f"{index}.aselmdb"
            if not path.exists():
                with connect(path, type="aselmdb") as database:
                    for atoms in _structures(index):
                        database.write(atoms)
        return ASELMDBSource(str(tmp_path), rows_per_index=self.rows_per_index)


class TestASELMDBSourceInBlocks(TestASELMDBSource):
    rows_per_index = 1


class TestAtomicStatsFilter(FilterContract):
    def make_filter(self, tmp_path):
        return AtomicStatsFilter(str(tmp_path / "statistics.parquet"))

    def make_items(self, index):
        return _structures(index)


class TestAtomicDataZarrSink(SinkContract):
    def make_sink(self, tmp_path):
        return AtomicDataZarrSink(str(tmp_path / "data.zarr"))

    def make_items(self, index):
        return _structures(index)
