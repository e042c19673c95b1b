"""Atomic structures: ASE databases and files that ASE reads in, statistics and a ragged Zarr dataset out.

Everything here needs the extra ``atoms``; a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

try:
    import ase  # noqa: F401 - every module below needs it
except ImportError as exc:
    raise MissingDependencyError.of("ase", "atoms", "curator_core.domains.atoms") from exc

if TYPE_CHECKING:
    from curator_core.domains.atoms.ase_files.source import ASEFileSource
    from curator_core.domains.atoms.dataset import AtomicDataset
    from curator_core.domains.atoms.filters import AtomicStatsFilter
    from curator_core.domains.atoms.g2 import write_g2_emt
    from curator_core.domains.atoms.naming.filter import AtomicNamesFilter
    from curator_core.domains.atoms.sinks import AtomicDataZarrSink
    from curator_core.domains.atoms.sources import ASELMDBSource

__all__ = [
    "ASEFileSource",
    "ASELMDBSource",
    "AtomicDataZarrSink",
    "AtomicDataset",
    "AtomicNamesFilter",
    "AtomicStatsFilter",
    "write_g2_emt",
]

_MODULES = {
    "ASEFileSource": "curator_core.domains.atoms.ase_files.source",
    "ASELMDBSource": "curator_core.domains.atoms.sources",
    "AtomicDataZarrSink": "curator_core.domains.atoms.sinks",
    "AtomicDataset": "curator_core.domains.atoms.dataset",
    "AtomicNamesFilter": "curator_core.domains.atoms.naming.filter",
    "AtomicStatsFilter": "curator_core.domains.atoms.filters",
    "write_g2_emt": "curator_core.domains.atoms.g2",
}
__getattr__ = names_in(__name__, _MODULES)
