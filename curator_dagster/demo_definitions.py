"""The demo's code location: molecules with energies and forces, from ASE LMDB files to a Zarr dataset.

``workspace.yaml`` names this module. Its files lie in ``demo/``, or in ``$CURATOR_DEMO_DIR``; what it publishes may go
to a folder of a bucket, ``$CURATOR_DEMO_OUTPUT``.
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


def demo_output() -> str:
    """Folder or URL of what the demo publishes."""
    return os.environ.get("CURATOR_DEMO_OUTPUT") or str(demo_directory() / "output")


def demo_dataset() -> str:
    """Path or URL of the demo's dataset."""
    output = demo_output()
    return f"{output}/molecules.icechunk" if "://" in output else f"{output}/molecules.zarr"


def molecules_pipeline() -> Pipeline[Any]:
    """ASE LMDB files → statistics → one ragged Zarr dataset, in a bucket a repository of it."""
    from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink, AtomicStatsFilter

    folder = demo_directory()
    return Pipeline(
        ASELMDBSource(str(folder / "input")),
        [AtomicStatsFilter(f"{demo_output()}/statistics.parquet")],
        AtomicDataZarrSink(demo_dataset()),
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
