"""The demo's code location: molecules with energies and forces, from ASE LMDB files to a Zarr dataset.

``workspace.yaml`` names this module. Its files lie in ``demo/``, or in ``$CURATOR_DEMO_DIR``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core import Pipeline
from curator_dagster.definitions import build_curation_defs, curation_executor

if TYPE_CHECKING:
    from dagster import JobDefinition

CURATION = "molecules"
"""Name of the demo's curation."""
PRELOAD = [__name__, *(f"curator_core.domains.atoms.{part}" for part in ("sources", "filters", "sinks"))]
"""Modules that the steps' processes find loaded."""


def demo_directory() -> Path:
    """Folder of the demo's input, output and Dagster instance."""
    return Path(os.environ.get("CURATOR_DEMO_DIR", "demo"))


def molecules_pipeline() -> Pipeline[Any]:
    """ASE LMDB files → statistics → one ragged Zarr dataset."""
    from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink, AtomicStatsFilter

    folder = demo_directory()
    output = folder / "output"
    return Pipeline(
        ASELMDBSource(str(folder / "input")),
        [AtomicStatsFilter(str(output / "statistics.parquet"))],
        AtomicDataZarrSink(str(output / "molecules.zarr")),
        db_file=folder / "metrics.db",
        resume=True,
    )


defs = build_curation_defs(
    CURATION,
    molecules_pipeline,
    executor=curation_executor(PRELOAD),
    prune=True,
    group_name=CURATION,
)


def molecules_refresh() -> JobDefinition:
    """The refresh job, for `dagster.reconstructable`."""
    return defs.resolve_job_def(f"{CURATION}_refresh")
