"""Whether the files of an EnSight case are whole: VTK takes zeros, or what was in memory, for what is cut off."""

from curator_core.domains.mesh.vtk_reading.ensight.complete import require_whole_ensight

__all__ = ["require_whole_ensight"]
