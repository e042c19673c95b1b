"""What a reader process reads with VTK: times of a file, and the mesh at one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
import pyvista as pv
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter

from curator_core.domains.mesh.fenced.exchange import packed
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.vtk_data import part_from_vtk
from curator_core.domains.mesh.vtk_reading.arrays import field_data_of, select_arrays, with_texts
from curator_core.domains.mesh.vtk_reading.blocks import Leaves, chosen
from curator_core.domains.mesh.vtk_reading.complete import require_complete
from curator_core.domains.mesh.vtk_reading.ensight import require_whole_ensight
from curator_core.domains.mesh.vtk_reading.joining import joined
from curator_core.domains.mesh.vtk_reading.listed import BLOCKS, SERIES, add, blocks_of, steps_of
from curator_core.domains.mesh.vtk_reading.messages import raised
from curator_core.domains.mesh.vtk_reading.openfoam import CASES, of_fields
from curator_core.domains.mesh.vtk_reading.readers import END, ENSIGHT, EXODUS, KINDS, is_text, opened, suffix_of
from curator_core.domains.mesh.vtk_reading.selecting import with_arrays
from curator_core.domains.mesh.vtk_reading.units import WHOLE, Units, common_units, units_of_mesh, units_of_vtk
from curator_core.formats.arrays import Array

T = TypeVar("T")
Geometry = Literal["as is", "surface", "points", "centroids"]
"""What is kept: points and cells; the surface of volumes; points alone; or the centres of cells as points."""
Given = tuple[Any, list[Array], list[str]]

_TIME_ARRAYS: Final = ("TimeValue", "TIME")


def times(path: str, suffix: str) -> Given:
    """The times of a file, floats in order; none where it has no such thing."""
    if suffix in SERIES:
        return [step.time for step in steps_of(Path(path))], [], []
    with raised():
        return _times(opened(path, suffix), is_series=True), [], []


def read(
    path: str, suffix: str, step: int | None, *, arrays: list[str] | None, blocks: str, geometry: Geometry
) -> Given:
    """The mesh of a file.

    Parameters
    ----------
    path, suffix
        The file, and what says its kind.
    step
        Position of the time, from the end if it is negative; ``None`` where the file has no times.
    arrays
        Names of the data to read; ``None`` for all.
    blocks
        ``split``, ``merge``, or the path of some.
    geometry
        What is kept of it.

    Raises
    ------
    ValueError
        VTK says something, there is nothing that is asked for, or nothing at all.
    """
    given = _given(path, suffix, step, arrays, geometry)
    parts = chosen(given.parts, blocks)
    _require_some(parts, geometry)
    known = {*given.known, *(name for part in parts.values() for name in (*part.point_data, *part.cell_data))}
    if arrays is not None:
        parts = {name: with_arrays(part, arrays) for name, part in parts.items()}
    units = {name: given.units.get(name, {}) for name in (WHOLE, *parts)}
    if blocks == "merge":
        units = {WHOLE: units.pop(WHOLE), INTERIOR: common_units(units)}
        parts = {INTERIOR: joined(parts)}
    said = units_of_mesh(parts, units, given.field_data)
    about, found = packed(Mesh(parts, given.field_data, given.time, said))
    return {**about, "known": sorted(known)}, found, given.warnings


@dataclass(frozen=True, slots=True)
class _Given:
    """What a file gives, before anything is chosen."""

    parts: dict[str, MeshPart]
    field_data: dict[str, Array]
    time: float | None
    known: set[str]
    """Names of data that could be read."""
    units: dict[str, Units]
    """Of the parts, as the file says them."""
    warnings: list[str]


def _given(path: str, suffix: str, step: int | None, arrays: list[str] | None, geometry: Geometry) -> _Given:
    if suffix in (*SERIES, *BLOCKS):
        return _listed(Path(path), suffix, step, arrays, geometry)
    return _file(path, suffix, step, arrays, geometry)


def _file(path: str, suffix: str, step: int | None, arrays: list[str] | None, geometry: Geometry) -> _Given:
    with raised(END if suffix == ".vtk" and is_text(path) else None) as left_out:
        reader = opened(path, suffix)
        known = select_arrays(reader, arrays)
        time = _chosen_time(_times(reader, is_series=KINDS[suffix].is_series), step)
        said = require_whole_ensight(Path(path), time, arrays) if suffix in ENSIGHT else []
        if time is None:
            reader.Update()
        else:
            reader.UpdateTimeStep(time)
        data = reader.GetOutputDataObject(0)
        if data is None:
            raise ValueError("it is no file of its kind, as VTK reads it")
        leaves = Leaves(data, suffix)
        parts = {name: _part(leaf, geometry) for name, leaf in leaves.found.items()}
        units = {name: _units(leaf, geometry) for name, leaf in leaves.found.items()}
        if suffix in EXODUS:
            parts = {name: with_texts(part) for name, part in parts.items()}
        own = field_data_of(data) if leaves.is_composite else {}
    if suffix in CASES and time is not None:
        units = {name: of_fields(Path(path), time, name) for name in parts}
    warnings = [*said, *left_out, *leaves.warnings(), *require_complete(Path(path), suffix, parts)]
    return _Given(parts, own, time if time is not None else _stated_time(parts, own), known, units, warnings)


def _listed(path: Path, suffix: str, step: int | None, arrays: list[str] | None, geometry: Geometry) -> _Given:
    """What the files give that a file lists."""
    if suffix in BLOCKS:
        time, members = None, blocks_of(path)
        own = _field_data_of_blocks(path, suffix)
    else:
        steps = steps_of(path)
        at = _at(steps, 0 if step is None else step)
        time, members, own = at.time, at.members, {}
    parts: dict[str, MeshPart] = {}
    units: dict[str, Units] = {}
    known: set[str] = set()
    warnings: list[str] = []
    for name, member in members.items():
        if not member.is_file():
            raise ValueError(f"{member} is missing, which it lists as {name!r}")
        given = _given(str(member), suffix_of(member.name), None, arrays, geometry)
        is_alone = suffix in SERIES and len(members) == 1
        for inner, part in given.parts.items():
            full = inner if is_alone else name if inner == INTERIOR else f"{name}/{inner}"
            add(parts, full, part)
            add(units, full, given.units.get(inner, {}))
        own |= given.field_data
        known |= given.known
        warnings += given.warnings
    return _Given(parts, own, time if time is not None else _stated_time(parts, own), known, units, warnings)


def _field_data_of_blocks(path: Path, suffix: str) -> dict[str, Array]:
    if b"<FieldData" not in path.read_bytes():
        return {}
    with raised():
        reader = opened(str(path), suffix)
        reader.Update()
        return field_data_of(reader.GetOutputDataObject(0))


def _chosen_time(all_times: list[float], step: int | None) -> float | None:
    """The time at a position; ``None`` where the file has none."""
    if step is None and len(all_times) > 1:
        raise ValueError(f"it holds {len(all_times)} times: choose one with time=, such as time='last'")
    if step is None or (not all_times and step in (0, -1)):
        return None
    return _at(all_times, step)


def _at(times: list[T], step: int) -> T:
    if not -len(times) <= step < len(times):
        raise ValueError(f"it has {len(times) or 'no'} times, and none at position {step}")
    return times[step]


def _times(reader: Any, *, is_series: bool) -> list[float]:  # noqa: ANN401 - VTK's
    """The times that a reader announces; a single one of a file of no series is none that the file states."""
    information = reader.GetOutputInformation(0)
    key = vtkStreamingDemandDrivenPipeline.TIME_STEPS()
    if not information.Has(key):
        return []
    found = [float(information.Get(key, index)) for index in range(information.Length(key))]
    return found if is_series or len(found) > 1 else []


def _part(data: Any, geometry: Geometry) -> MeshPart:  # noqa: ANN401 - as above
    wrapped = pv.wrap(data)
    if geometry == "surface" and not isinstance(wrapped, pv.PolyData):
        faces = vtkDataSetSurfaceFilter()  # PyVista is to take another filter one day
        faces.SetInputDataObject(wrapped)
        faces.Update()
        wrapped = pv.wrap(faces.GetOutputDataObject(0))
    part = part_from_vtk(wrapped)
    if geometry == "points":
        return MeshPart(part.points, point_data=part.point_data, field_data=part.field_data)
    if geometry == "centroids":
        centres = np.asarray(wrapped.cell_centers(vertex=False).points)
        return MeshPart(centres, point_data=part.cell_data, field_data=part.field_data)
    return part


def _units(data: Any, geometry: Geometry) -> Units:  # noqa: ANN401 - as above
    """Units of the arrays of a part."""
    found = units_of_vtk(data)
    if geometry != "centroids":
        return found
    of_cells = {f"point_data/{path.partition('/')[2]}": u for path, u in found.items() if path.startswith("cell_data/")}
    return {path: unit for path, unit in found.items() if not path.startswith("point_data/")} | of_cells


def _require_some(parts: dict[str, MeshPart], geometry: Geometry) -> None:
    """Raise `ValueError` where there are no points, or no cells although they are meant."""
    n_points = sum(part.n_points for part in parts.values())
    if not n_points:
        raise ValueError("it holds no points, as VTK reads it")
    if geometry in ("as is", "surface") and not any(part.n_cells for part in parts.values()):
        raise ValueError(f"it holds {n_points:,} points and no cells; say geometry='points' where that is meant")


def _stated_time(parts: dict[str, MeshPart], own: dict[str, Array]) -> float | None:
    """The time that field data state, as simulations write it into files of one time each."""
    for data in (own, *(part.field_data for part in parts.values())):
        for name in _TIME_ARRAYS:
            if name in data and data[name].size == 1 and data[name].dtype.kind in "iuf":
                return float(data[name].ravel()[0])
    return None
