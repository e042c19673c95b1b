"""The demo of atoms: molecules with energies and forces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curator_dagster import demo_definitions
from curator_dagster.cli.demo.tour import Part, Refreshed, Tour

N_FILES = 12
"""Files that the input is made of."""


class MoleculesTour(Tour):
    """ASE LMDB files to a ragged dataset."""

    def __init__(self, folder: Path, variants: int) -> None:
        super().__init__(folder)
        self.variants = variants
        self.part = Part(
            demo_definitions.CURATION,
            demo_definitions,
            demo_definitions.molecules_pipeline,
            demo_definitions.molecules_refresh,
            demo_definitions.demo_dataset(),
        )

    def follow(self) -> Sequence[Refreshed]:
        what = f"the G2 molecules with EMT energies and forces, {N_FILES} files"
        self.make_input(self.folder / "input", what, self._write)
        return [self.refresh(self.part)]

    def _write(self, folder: Path) -> None:
        from curator_core.domains.atoms import write_g2_emt

        write_g2_emt(folder, n_files=N_FILES, n_variants=self.variants)

    def rows(self, refreshed: Refreshed) -> Mapping[str, str]:
        from curator_core.merge import DatasetFacts

        facts = DatasetFacts(refreshed.pipeline).description
        return {
            "structures": f"{facts.get('n_systems', 0):,}",
            "atoms": f"{facts.get('n_atoms', 0):,}",
            "statistics": refreshed.dataset.beside("statistics.parquet").path,
        }

    def next_steps(self) -> Sequence[str]:
        code = f"from curator_core.domains.atoms import AtomicDataset; print(AtomicDataset('{self.part.dataset}')[0])"
        return ["make ui        the partitions and their history in Dagster", f'python -c "{code}"']
