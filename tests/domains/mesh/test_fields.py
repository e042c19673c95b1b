"""Filters of every domain on meshes, and statistics weighted by size."""

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyarrow.parquet as pq
import pyvista as pv

from curator_core.domains.mesh import Mesh, MeshStatisticsFilter, part_from_vtk, part_to_vtk
from curator_core.errors import ComponentError
from curator_core.filters.casting import CastFilter
from curator_core.filters.checks import ValueChecksFilter
from curator_core.filters.nonfinite import NonFiniteFilter
from curator_core.filters.selection import SelectFilter
from curator_core.filters.statistics import numeric_fields
from curator_core.filters.units import UnitsFilter
from curator_core.filters.values import fields_of


@pytest.fixture
def mesh():
    grid = pv.ImageData(dimensions=(3, 3, 3)).cast_to_unstructured_grid()
    grid.point_data["p"] = np.linspace(0, 1, grid.n_points)
    grid.cell_data["p"] = np.arange(grid.n_cells, dtype=np.int32)
    wall = pv.Plane(i_resolution=2, j_resolution=1).cast_to_unstructured_grid()
    wall.clear_data()
    wall.cell_data["wss"] = np.array([[1.0, 0, 0], [3.0, 0, 0]], np.float32)
    parts = {"interior": part_from_vtk(grid), "boundaries/wall": part_from_vtk(wall)}
    return Mesh(parts, {"re": np.array([100.0])}, 0.5)


def applied(step, mesh):
    """What a filter makes of a mesh."""
    return next(iter(step(iter([mesh]))))


def test_arrays_have_paths_as_names(mesh):
    """Which can be cut from the left where one field alone ends so."""
    fields = fields_of(mesh)
    names = ["global_data/re", "point_data/p", "cell_data/p", "boundaries/wall/cell_data/wss"]
    assert fields.names() == names
    assert {"wss", "wall/cell_data/wss", "re", "points", "boundaries/wall/points"} <= set(fields.known())
    assert "p" not in fields.known()
    assert fields.dims("wss") == ("boundaries/wall/cells", "dimension 1")
    assert list(dict(numeric_fields(mesh))) == names
    assert list(dict(numeric_fields(mesh, frozenset({"wss"})))) == ["wss"]
    with pytest.raises(ComponentError, match="no value of the item has 'p'; they have 'global_data/re', "):
        list(SelectFilter(["p"])(iter([mesh])))


def test_filters_of_every_domain_take_meshes(mesh, tmp_path):
    """What is changed is the array; points and cells stay."""
    made = applied(SelectFilter(["wss", "point_data/p"], rename={"wss": "shear"}), mesh)
    assert fields_of(made).names() == ["point_data/p", "boundaries/wall/cell_data/shear"]
    assert made.n_cells == mesh.n_cells
    assert fields_of(applied(SelectFilter(drop=["wss"]), mesh)).names() == fields_of(mesh).names()[:3]
    with pytest.raises(ComponentError, match="'cell_data/q' is no new name of 'point_data/p'"):
        applied(SelectFilter(rename={"point_data/p": "cell_data/q"}), mesh)
    made = applied(CastFilter({"points": "float32", "wss": "float64", "cell_data/p": "uint8"}), mesh)
    assert made.parts["interior"].points.dtype == np.float32
    assert made.parts["boundaries/wall"].cell_data["wss"].dtype == np.float64
    made = applied(UnitsFilter({"wss": "Pa"}, {"wss": "kPa"}), mesh)
    np.testing.assert_array_equal(made.parts["boundaries/wall"].cell_data["wss"][:, 0], [1000, 3000])
    step = ValueChecksFilter(str(tmp_path / "v.json"), {"wss": {"range": [0, 2]}})
    with pytest.raises(
        ComponentError, match=r"1 of 6 numbers lie outside 0 to 2, the first 3.* at boundaries/wall/cells=1"
    ):
        applied(step, mesh)


def test_cells_are_left_out_and_points_that_cells_have_are_not(mesh):
    """What is not finite in a cell costs the cell."""
    wall = mesh.parts["boundaries/wall"]
    wall = wall.with_data(cell_data={"wss": np.array([[1, 2, 3], [1, np.nan, 3]])})
    mesh = mesh.with_parts({"boundaries/wall": wall})
    made = applied(NonFiniteFilter("drop", along="boundaries/wall/cells"), mesh).parts["boundaries/wall"]
    assert (made.n_cells, made.n_points, made.connectivity.tolist()) == (1, 6, wall.connectivity[:4].tolist())
    bad = wall.with_data(cell_data={}, point_data={"t": np.array([0, 1, np.inf, 3, 4, 5])})
    with pytest.raises(ComponentError, match="cells have 1 points that would be left out, the first of them 2"):
        applied(NonFiniteFilter("drop", along="boundaries/wall/points"), mesh.with_parts({"boundaries/wall": bad}))


def statistics_of(step, tmp_path, parts):
    """The merged table of some items, row by field."""
    shards = []
    for number, items in enumerate(parts):
        assert list(step(iter(items))) == items
        shards.append(str(tmp_path / f"{number}.json"))
        step.write_shard(shards[-1])
    step.merge(shards, str(tmp_path / "s.parquet"))
    return {row["field"]: row for row in pq.read_table(tmp_path / "s.parquet").to_pylist()}


def test_statistics_are_weighted_by_area_and_exact(tmp_path):
    """As NumPy has them of all at once, and the same whatever the items are divided into."""
    rng = np.random.default_rng(1)
    meshes = []
    for radius in (0.5, 1.0, 2.0):
        sphere = pv.Sphere(radius=radius, theta_resolution=20, phi_resolution=17)
        sphere.cell_data["wss"] = 1e6 + rng.normal(size=(sphere.n_cells, 3))
        sphere.point_data["p"] = rng.normal(size=sphere.n_points).astype(np.float32)
        sphere.point_data["label"] = np.full(sphere.n_points, "a")
        meshes.append(Mesh({"interior": part_from_vtk(sphere)}))
    step = MeshStatisticsFilter(str(tmp_path / "s.parquet"))
    found = statistics_of(step, tmp_path, [[mesh] for mesh in meshes])
    assert found == statistics_of(step, tmp_path, [[meshes[2]], [meshes[1], meshes[0]]])
    areas = np.concatenate([pv.wrap(m).compute_cell_sizes()["Area"] for m in map(_vtk, meshes)])
    wss = np.concatenate([m.parts["interior"].cell_data["wss"][:, 1] for m in meshes])
    row = found["cell_data/wss[component=1]"]
    mean = np.average(wss, weights=areas)
    assert (row["count"], row["n_samples"]) == (len(wss), 3)
    assert row["mean"] == pytest.approx(mean, rel=1e-15)
    assert row["variance"] == pytest.approx(np.average((wss - mean) ** 2, weights=areas), rel=1e-9)
    assert row["integral"] == pytest.approx(areas @ wss)
    assert found["point_data/p"]["weight"] == pytest.approx(areas.sum())
    p = sum(float(_vtk(m).point_data_to_cell_data()["p"] @ _vtk(m).compute_cell_sizes()["Area"]) for m in meshes)
    assert found["point_data/p"]["integral"] == pytest.approx(p, abs=1e-5)
    assert [each.name for each in step.statistics(str(tmp_path / "s.parquet"))] == sorted(found)
    for name, message in (("label", "is no number"), ("q", "it has no field 'q'; it has point_data/Normals")):
        with pytest.raises(ComponentError, match=message):
            applied(MeshStatisticsFilter("s.parquet", [name]), meshes[0])
    meshes[0].parts["interior"].points[0] = np.nan  # VTK says that cells there measure 1e30
    with pytest.raises(ComponentError, match="cells of part 'interior' have no size: coordinates are NaN"):
        applied(step, meshes[0])


def _vtk(mesh):
    """Without the texts, at which VTK's filter from points to cells ends the process."""
    part = mesh.parts["interior"]
    return part_to_vtk(part.with_data(point_data={"p": part.point_data["p"]}))
