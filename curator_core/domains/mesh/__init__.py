"""Meshes: points, cells of every type of VTK, and data on both, in named parts.

Everything here needs the extra ``mesh``; a name is imported when it is first used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

if find_spec("pyvista") is None:
    raise MissingDependencyError.of("pyvista", "mesh", "curator_core.domains.mesh")

if TYPE_CHECKING:
    from curator_core.domains.mesh.cells import CellType
    from curator_core.domains.mesh.dataset import MeshDataset, StoredMesh
    from curator_core.domains.mesh.fields import MeshFields
    from curator_core.domains.mesh.model import Mesh, MeshPart, Polyhedra
    from curator_core.domains.mesh.quality.statistics import MeshStatisticsFilter
    from curator_core.domains.mesh.sinks import MeshZarrSink
    from curator_core.domains.mesh.vtk_data import part_from_vtk, part_to_vtk
    from curator_core.domains.mesh.vtk_files import VTUSink

__all__ = [
    "CellType",
    "Mesh",
    "MeshDataset",
    "MeshFields",
    "MeshPart",
    "MeshStatisticsFilter",
    "MeshZarrSink",
    "Polyhedra",
    "StoredMesh",
    "VTUSink",
    "part_from_vtk",
    "part_to_vtk",
]

_MODULES = {
    "CellType": "curator_core.domains.mesh.cells",
    "Mesh": "curator_core.domains.mesh.model",
    "MeshFields": "curator_core.domains.mesh.fields",
    "MeshPart": "curator_core.domains.mesh.model",
    "MeshStatisticsFilter": "curator_core.domains.mesh.quality.statistics",
    "MeshDataset": "curator_core.domains.mesh.dataset",
    "MeshZarrSink": "curator_core.domains.mesh.sinks",
    "Polyhedra": "curator_core.domains.mesh.model",
    "StoredMesh": "curator_core.domains.mesh.dataset",
    "VTUSink": "curator_core.domains.mesh.vtk_files",
    "part_from_vtk": "curator_core.domains.mesh.vtk_data",
    "part_to_vtk": "curator_core.domains.mesh.vtk_data",
}
__getattr__ = names_in(__name__, _MODULES)
