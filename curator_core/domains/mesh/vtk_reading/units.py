"""Units of the arrays of meshes part by part, as files have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vtkmodules.vtkCommonCore import vtkDataArray

from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart

Units = dict[str, str]
"""By the path of an array in a part: ``points``, ``point_data/p``; ``global_data/U`` of the mesh itself."""
WHOLE = ""
"""In place of the name of a part, where a unit is of the mesh itself."""


def units_of_vtk(data: Any) -> Units:  # noqa: ANN401 - VTK's classes have no common type
    """Units that the arrays of a data set of VTK say."""
    return {path: unit for path, array in _arrays(data) if (unit := _unit(array))}


def set_units_of_vtk(data: Any, units: Mapping[str, str]) -> None:  # noqa: ANN401 - as above
    """Let the arrays of a data set of VTK say their units, by path."""
    for path, array in _arrays(data):
        if path in units:
            array.GetInformation().Set(vtkDataArray.UNITS_LABEL(), units[path])


def _arrays(data: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401 - as above
    points = data.GetPoints() if data.IsA("vtkPointSet") else None
    if points is not None:
        yield "points", points.GetData()
    for kind, found in (
        ("point_data", data.GetPointData()),
        ("cell_data", data.GetCellData()),
        ("field_data", data.GetFieldData()),
    ):
        for index in range(found.GetNumberOfArrays()):
            array = found.GetAbstractArray(index)
            yield f"{kind}/{array.GetName()}", array


def _unit(array: Any) -> str:  # noqa: ANN401 - as above
    key = vtkDataArray.UNITS_LABEL()
    if not array.HasInformation() or not array.GetInformation().Has(key):
        return ""
    return str(array.GetInformation().Get(key)).strip()


def units_by_part(mesh: Mesh) -> dict[str, Units]:
    """The units of a mesh by part, those of the mesh itself as `WHOLE`."""
    found: dict[str, Units] = {WHOLE: {}, **{name: {} for name in mesh.parts}}
    if mesh.units:
        for name, part in mesh:
            paths = _paths(part)
            found[name] = {path: mesh.units[full] for path in paths if (full := _prefix(name) + path) in mesh.units}
        found[WHOLE] = {path: unit for path, unit in mesh.units.items() if path.startswith("global_data/")}
    return found


def units_of_mesh(parts: Mapping[str, MeshPart], units: Mapping[str, Units], whole: Iterable[str] = ()) -> Units:
    """Units by the paths in a mesh, of arrays that it has.

    Parameters
    ----------
    parts
        The parts of the mesh.
    units
        Units by part.
    whole
        Names of the field data of the mesh itself.
    """
    found: Units = {}
    for name, part in parts.items():
        own = units.get(name)
        if own:
            found |= {_prefix(name) + path: own[path] for path in _paths(part) if path in own}
    about = units.get(WHOLE, {})
    return found | {path: about[path] for path in (f"global_data/{name}" for name in whole) if path in about}


def common_units(units: Mapping[str, Units]) -> Units:
    """Units of parts that become one.

    Raises
    ------
    ValueError
        Two parts have an array in different units.
    """
    found: Units = {}
    for name, own in units.items():
        for path, unit in own.items():
            if found.setdefault(path, unit) != unit:
                raise ValueError(f"{path} of {name!r} is in {unit!r}, and that of other parts in {found[path]!r}")
    return found


def _prefix(name: str) -> str:
    return "" if name == INTERIOR else f"{name}/"


def _paths(part: MeshPart) -> list[str]:
    kinds = (("point_data", part.point_data), ("cell_data", part.cell_data), ("field_data", part.field_data))
    return ["points", *(f"{kind}/{name}" for kind, data in kinds for name in data)]
