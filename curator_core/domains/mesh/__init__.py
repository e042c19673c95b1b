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
    from curator_core.domains.mesh.meshio_source import MeshioSource
    from curator_core.domains.mesh.model import Mesh, MeshPart, Polyhedra
    from curator_core.domains.mesh.operations.cleaning import CleanCellsFilter, MergePointsFilter
    from curator_core.domains.mesh.operations.cropping import MeshCropFilter
    from curator_core.domains.mesh.operations.data_location import DataLocationFilter
    from curator_core.domains.mesh.operations.decimating import DecimateFilter
    from curator_core.domains.mesh.operations.measures import MeasuresFilter, OrientFilter
    from curator_core.domains.mesh.operations.sampling import MeshPointsFilter
    from curator_core.domains.mesh.operations.simplices import TetrahedraliseFilter, TriangulateFilter
    from curator_core.domains.mesh.operations.surfaces import EdgesFilter, SliceFilter, SurfaceFilter
    from curator_core.domains.mesh.operations.transforming import TransformFilter
    from curator_core.domains.mesh.quality.checks import MeshChecksFilter
    from curator_core.domains.mesh.quality.statistics import MeshStatisticsFilter
    from curator_core.domains.mesh.sinks import MeshZarrSink
    from curator_core.domains.mesh.sources import VTKSource
    from curator_core.domains.mesh.vtk_data import part_from_vtk, part_to_vtk
    from curator_core.domains.mesh.vtk_files import VTUSink

__all__ = [
    "CellType",
    "CleanCellsFilter",
    "DataLocationFilter",
    "DecimateFilter",
    "EdgesFilter",
    "MeasuresFilter",
    "MergePointsFilter",
    "Mesh",
    "MeshChecksFilter",
    "MeshCropFilter",
    "MeshDataset",
    "MeshFields",
    "MeshPart",
    "MeshPointsFilter",
    "MeshStatisticsFilter",
    "MeshZarrSink",
    "MeshioSource",
    "OrientFilter",
    "Polyhedra",
    "SliceFilter",
    "StoredMesh",
    "SurfaceFilter",
    "TetrahedraliseFilter",
    "TransformFilter",
    "TriangulateFilter",
    "VTKSource",
    "VTUSink",
    "part_from_vtk",
    "part_to_vtk",
]

_MODULES = {
    "CellType": "curator_core.domains.mesh.cells",
    "CleanCellsFilter": "curator_core.domains.mesh.operations.cleaning",
    "DataLocationFilter": "curator_core.domains.mesh.operations.data_location",
    "DecimateFilter": "curator_core.domains.mesh.operations.decimating",
    "EdgesFilter": "curator_core.domains.mesh.operations.surfaces",
    "MeasuresFilter": "curator_core.domains.mesh.operations.measures",
    "MergePointsFilter": "curator_core.domains.mesh.operations.cleaning",
    "Mesh": "curator_core.domains.mesh.model",
    "MeshChecksFilter": "curator_core.domains.mesh.quality.checks",
    "MeshCropFilter": "curator_core.domains.mesh.operations.cropping",
    "MeshDataset": "curator_core.domains.mesh.dataset",
    "MeshFields": "curator_core.domains.mesh.fields",
    "MeshPart": "curator_core.domains.mesh.model",
    "MeshPointsFilter": "curator_core.domains.mesh.operations.sampling",
    "MeshStatisticsFilter": "curator_core.domains.mesh.quality.statistics",
    "MeshZarrSink": "curator_core.domains.mesh.sinks",
    "MeshioSource": "curator_core.domains.mesh.meshio_source",
    "OrientFilter": "curator_core.domains.mesh.operations.measures",
    "Polyhedra": "curator_core.domains.mesh.model",
    "SliceFilter": "curator_core.domains.mesh.operations.surfaces",
    "StoredMesh": "curator_core.domains.mesh.dataset",
    "SurfaceFilter": "curator_core.domains.mesh.operations.surfaces",
    "TetrahedraliseFilter": "curator_core.domains.mesh.operations.simplices",
    "TransformFilter": "curator_core.domains.mesh.operations.transforming",
    "TriangulateFilter": "curator_core.domains.mesh.operations.simplices",
    "VTKSource": "curator_core.domains.mesh.sources",
    "VTUSink": "curator_core.domains.mesh.vtk_files",
    "part_from_vtk": "curator_core.domains.mesh.vtk_data",
    "part_to_vtk": "curator_core.domains.mesh.vtk_data",
}
__getattr__ = names_in(__name__, _MODULES)
