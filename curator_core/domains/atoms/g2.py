"""Example data: the G2 molecules that ASE ships, rattled, with EMT energies and forces."""

from __future__ import annotations

from pathlib import Path
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

import numpy as np
from ase.build import molecule
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT, parameters
from ase.collections import g2
from ase.data.g2 import molecule_names
from ase.db import connect
from ase.db.row import AtomsRow

from curator_core.storage.atomic import published
from curator_core.storage.disk import make_folder

_RATTLE = 0.05
"""Standard deviation of the displacements, Å."""


def emt_molecules() -> list[str]:
    """Names of the G2 molecules whose elements EMT knows."""
    return [name for name in molecule_names if set(g2[name].symbols) <= parameters.keys()]


def write_g2_emt(directory: str | Path, *, n_files: int = 12, n_variants: int = 50, seed: int = 0) -> list[Path]:
    """Write the molecules as ``.aselmdb`` files, each with its share of the variants of all molecules.

    Parameters
    ----------
    directory
        Folder to write to; created when missing. Files of the same name are replaced.
    n_files
        Number of files.
    n_variants
        Variants of each of the 81 molecules; variant 0 is the molecule as tabulated.
    seed
        Seed of the displacements. A variant depends on it, the molecule's name and its own number alone.

    Returns
    -------
    list of Path
        The files ``g2_emt_000.aselmdb``, …; each holds energies (eV), forces (eV/Å) and the key-value
        pairs ``name`` and ``variant``.

    Notes
    -----
    A file appears under its name when it is complete, so that a kill leaves no half a file.
    """
    folder = Path(directory)
    make_folder(folder)
    structures = [(name, variant) for variant in range(n_variants) for name in emt_molecules()]
    files = []
    for number, positions in enumerate(np.array_split(np.arange(len(structures)), n_files)):
        target = folder / f"g2_emt_{number:03d}.aselmdb"
        with published(target) as temporary:
            _write_file(temporary, [structures[position] for position in positions], seed)
        files.append(target)
    return files


def _write_file(path: Path, structures: list[tuple[str, int]], seed: int) -> None:
    with connect(path, type="aselmdb", use_lock_file=False) as database:  # one transaction
        for name, variant in structures:
            database.write(_row(name, variant, seed), name=name, variant=variant)
    Path(f"{path}-lock").unlink()


def _row(name: str, variant: int, seed: int) -> AtomsRow:
    atoms = molecule(name)
    if variant:
        random = np.random.default_rng([seed, crc32(name.encode()), variant])
        atoms.positions += random.normal(scale=_RATTLE, size=atoms.positions.shape)
    calculator = EMT()
    calculator.calculate(atoms, ["energy", "forces"], all_changes)
    row = AtomsRow(atoms)
    # Set here, because ASE would compare geometries once per result, and draw a random id
    unique_id = uuid5(NAMESPACE_URL, f"g2-emt/{name}/{variant}/{seed}").hex
    fields = {"calculator": "emt", **calculator.results, "unique_id": unique_id, "ctime": 0.0, "user": ""}
    for key, value in fields.items():
        row[key] = value
    return row
