"""The code location of the demo of meshes: heat through pipes, from VTU files to a Zarr dataset of surfaces.

``workspace.yaml`` names this module. Its files lie in ``demo/mesh``, or in ``mesh`` of ``$CURATOR_DEMO_DIR``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core import Pipeline
from curator_dagster.definitions import build_curation_defs, curation_executor

if TYPE_CHECKING:
    from dagster import JobDefinition

PIPES = "pipes"
"""Name of the curation."""
IN_MM, TRUNCATED = "case-017.vtu", "case-042.vtu"
REFUSED = {IN_MM: "in millimetres", TRUNCATED: "cut off"}
"""Files that the input has, and that do not belong into the dataset as they are."""
PRELOAD = [
    __name__,
    *(f"curator_core.domains.mesh.{part}" for part in ("sources", "sinks", "quality.checks", "quality.statistics")),
    *(f"curator_core.domains.mesh.operations.{part}" for part in ("surfaces", "measures")),
    *("pyarrow.parquet", "zarr", "matplotlib.figure", "PIL.Image"),
]
"""Modules that the steps' processes find loaded."""


def pipes_directory() -> Path:
    """Folder of the demo's input and outputs."""
    return Path(os.environ.get("CURATOR_DEMO_DIR", "demo")) / "mesh"


def pipes_dataset() -> str:
    """Path of the dataset."""
    return str(pipes_directory() / "output" / "pipes.zarr")


def pipes_pipeline() -> Pipeline[Any]:
    """VTU files → checks → surfaces with areas and normals → statistics by area → a dataset of meshes."""
    from curator_core.domains.mesh import (
        MeasuresFilter,
        MeshChecksFilter,
        MeshStatisticsFilter,
        MeshZarrSink,
        SurfaceFilter,
        VTKSource,
    )

    output = pipes_directory() / "output"
    expected = {"extent": [0.5, 5.0], "inverted": 0, "degenerate": 0, "quality": {0: 0.001, 50: 0.05}, "finite": True}
    filters = [
        MeshChecksFilter(str(output / "checks.json"), {**expected, "same_fields": True}),
        SurfaceFilter(),
        MeasuresFilter(["sizes", "point_normals"]),
        MeshStatisticsFilter(str(output / "statistics.parquet"), ["temperature", "heat_flux"]),
    ]
    source = VTKSource(str(pipes_directory() / "input"))
    return Pipeline(source, filters, MeshZarrSink(pipes_dataset()), db_file=pipes_directory() / "pipes.db", resume=True)


defs = build_curation_defs(
    PIPES,
    pipes_pipeline,
    executor=curation_executor(PRELOAD),
    batch_size=64,  # a step takes longer to start than to curate as many files
    prune=True,
    group_name=PIPES,
    max_missing=len(REFUSED),
)


def pipes_refresh() -> JobDefinition:
    """The refresh job, for `dagster.reconstructable`."""
    return defs.resolve_job_def(f"{PIPES}_refresh")
