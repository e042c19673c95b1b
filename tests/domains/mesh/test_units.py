"""Units of the arrays of meshes: said once, kept by filters, converted, stored and read; mm are not taken for m."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyvista")
pytest.importorskip("pint")

import pyvista as pv
import zarr

from curator_core import MergeItem, open_dataset
from curator_core.domains.mesh import (
    DataLocationFilter,
    MeasuresFilter,
    Mesh,
    MeshCropFilter,
    MeshZarrSink,
    TransformFilter,
    VTUSink,
    part_from_vtk,
)
from curator_core.errors import ComponentError, MergeError
from curator_core.filters.selection import SelectFilter
from curator_core.filters.units import UnitsFilter
from curator_core.merge.verify import verify_dataset
from tests.domains.mesh.mesh_files import write_openfoam
from tests.domains.mesh.test_vtk_source import read


def passed(mesh, *filters):
    for step in filters:
        (mesh,) = step(iter([mesh]))
    return mesh


def plate(**units):
    """A square of 2 by 2, with a pressure of 1 to 9 at its points."""
    part = part_from_vtk(pv.Plane(i_size=2, j_size=2, i_resolution=2, j_resolution=2).triangulate())
    data = {"p": np.arange(1.0, part.n_points + 1)}
    part = part.with_data(point_data=data, cell_data={}, field_data={})
    return Mesh({"interior": part, "boundaries/in": part}, {"U": np.array(36.0)}, units=units)


def test_units_go_with_their_arrays():
    """Through other names, other places and other lengths; what nobody knows is not made up."""
    wanted = {"points": "mm", "point_data/p": "Pa", "U": "m s-1"}
    mesh = passed(plate(), UnitsFilter(wanted, wanted | {"point_data/p": "hPa", "U": "km h-1"}))
    assert mesh.units == {"points": "mm", "point_data/p": "Pa", "global_data/U": "m s-1"}
    assert mesh.parts["interior"].point_data["p"][0] == 100
    assert mesh.field_data["U"] == 10
    mesh = passed(
        mesh,
        MeasuresFilter(),
        MeshCropFilter(box=[[0, None], [None, None], [None, None]]),
        DataLocationFilter("cells", ["p"], parts=["interior"]),
        TransformFilter(unit="m", given="mm", parts=["interior"]),
    )
    assert mesh.units == {
        "points": "m",
        "cell_data/p": "Pa",
        "cell_data/Area": "m2",
        "global_data/U": "m s-1",
    }
    assert mesh.parts["interior"].cell_data["Area"].sum() == pytest.approx(2e-6)
    renamed = passed(mesh, SelectFilter(["cell_data/p", "U"], rename={"cell_data/p": "pressure"}))
    assert renamed.units == {"points": "m", "cell_data/pressure": "Pa", "global_data/U": "m s-1"}
    message = "'boundaries/in': its points are in 'cm', as is said of them, not in 'mm'"
    with pytest.raises(ComponentError, match=message):
        passed(plate(**{"boundaries/in/points": "cm"}), TransformFilter(unit="m", given="mm"))
    with pytest.raises(ComponentError, match="has no array 'point_data/T', of which a unit is given"):
        plate(**{"point_data/T": "K"})


@pytest.mark.parametrize("layout", ["groups", "ragged"])
def test_units_are_stored(tmp_path, layout):
    """As attributes that plain Zarr reads; small meshes in mm do not lie among those in m."""
    mesh = plate(points="m", **{"point_data/p": "Pa", "global_data/U": "m s-1"})
    meshes = {"a": Mesh({"interior": mesh.parts["interior"]}, mesh.field_data, units=mesh.units)}
    meshes |= {"b": meshes["a"], "c": Mesh(meshes["a"].parts, mesh.field_data, units=mesh.units | {"points": "mm"})}
    sink, items, path = MeshZarrSink(str(tmp_path / "m.zarr"), layout=layout), [], tmp_path / "m.zarr"
    for number, (key, each) in enumerate(meshes.items()):
        sink.write_shard(iter([each]), str(tmp_path / key))
        items.append(MergeItem(number, key, None, "1", tmp_path / key))
    if layout == "ragged":
        with pytest.raises(MergeError, match="item 'c' has other fields than most: 'points' is in 'm' in one and in"):
            sink.merge_items(items, None, str(path))
    sink.merge_items(items[:2] if layout == "ragged" else items, None, str(path))
    dataset = open_dataset(path)
    assert [each.units for each in dataset] == [meshes[key].units for key in dataset.keys]
    node = "meshes/a.zarr/point_data/p" if layout == "groups" else "point_data/p"
    assert zarr.open_array(path / node, mode="r").attrs["units"] == "Pa"
    known = {variable.name: variable.unit for variable in sink.schema(str(path))}
    assert (known["point_data/p"], known["mesh/field_data/U"]) == ("Pa", "m s-1")
    assert dataset.arrays()["point_data/p"].attributes == {"units": "Pa"}
    assert ("points" in dataset.arrays()) == (layout == "ragged")
    assert [damage for damage in verify_dataset(path) if damage.file] == []


def test_units_come_from_files_and_go_to_files(tmp_path, caplog):
    """As labels of VTK's arrays, and dimensions of OpenFOAM's fields; what is declared otherwise is said."""
    said = {"points": "mm", "point_data/p": "Pa", "boundaries/in/points": "m", "global_data/U": "m s-1"}
    VTUSink(str(tmp_path / "out"))(iter([plate(**said)]), 0)
    (found,) = read(tmp_path / "out", "*.vtm").values()
    assert found.units == {
        "points": "mm",
        "point_data/p": "Pa",
        "field_data/U": "m s-1",
        "boundaries/in/points": "m",
        "boundaries/in/field_data/U": "m s-1",
    }
    with pytest.raises(ComponentError, match="points of 'boundaries/in' is in 'm', and that of other parts in 'mm'"):
        read(tmp_path / "out", "*.vtm", blocks="merge")
    both = read(tmp_path / "out", "*interior.vtu", part="a", others={"b": "boundaries%2Fin.vtu"}, arrays=["p"])
    assert next(iter(both.values())).units["b/points"] == "m"

    write_openfoam(tmp_path / "case", {"0.5": 3.0})
    (tmp_path / "case" / "case.foam").touch()
    (found,) = read(tmp_path / "case", "*.foam").values()
    pressures = {f"{part}cell_data/p" for part in ("", "boundaries/wall/")}
    assert {path: found.units.get(path) for path in pressures} == dict.fromkeys(pressures, "m2 s-2")
    (found,) = read(tmp_path / "case", "*.foam", geometry="centroids").values()
    assert found.units["point_data/p"] == "m2 s-2"
    with caplog.at_level("WARNING", "curator"):
        passed(found, UnitsFilter({"point_data/p": "Pa"}, {"point_data/p": "hPa"}))
    text = "units: field 'point_data/p' says that it is in 'm2 s-2', and is taken to be in 'hPa', as given"
    assert text in caplog.messages
