"""Filters that change meshes, compared with trimesh, PyVista and what is known of simple bodies."""

import logging

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core.domains import mesh as md
from curator_core.domains.mesh import CellType, Mesh, MeshPart, part_from_vtk, part_to_vtk
from curator_core.domains.mesh.geometry.polygons import Polygons, point_normals
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.current import PROCESSED
from curator_core.records import Item


def part_of(data, *, bare=True):
    data = data.copy()
    if bare:
        data.clear_data()
    return part_from_vtk(data)


def applied(step, part, key="a"):
    """What a filter makes of a part."""
    token = PROCESSED.set(Item(0, key, None))
    try:
        (made,) = step(iter([Mesh({"interior": part})]))
    finally:
        PROCESSED.reset(token)
    return made.parts["interior"]


@pytest.fixture(scope="module")
def mixed():
    """A hexahedron, a wedge, a tetrahedron and a quadratic tetrahedron, with data of several types."""
    grids = [getattr(pv.examples.cells, n)() for n in ("Hexahedron", "Wedge", "Tetrahedron", "QuadraticTetrahedron")]
    moved = [grid.translate([3.0 * at, 0, 0], inplace=False) for at, grid in enumerate(grids)]
    grid = pv.merge(moved, merge_points=False)
    grid.clear_data()
    return part_from_vtk(grid).with_data(
        point_data={
            "x": grid.points[:, 0].astype("f4"),
            "s": np.full(grid.n_points, "a"),
            "n": np.arange(grid.n_points),
        },
        cell_data={"m": np.arange(4, dtype=np.int8), "t": np.array(["h", "w", "t", "q"])},
    )


def test_cells_are_divided_with_their_data(mixed):
    """Volumes stay, data are repeated in their types, the number of the cell is kept through several steps."""
    made = applied(md.TetrahedraliseFilter(), mixed)
    assert set(made.types) == {CellType.TETRA}
    np.testing.assert_array_equal(made.cell_data["original_cell"], made.cell_data["m"])
    assert [made.cell_data[name].dtype for name in "mt"] == [np.int8, np.dtype("<U1")]
    sizes = cell_sizes(mixed).values
    volumes = np.bincount(made.cell_data["original_cell"], cell_sizes(made).values)
    np.testing.assert_allclose(volumes, sizes)
    assert (cell_sizes(made).values > 0).all()
    surface = applied(md.SurfaceFilter(), made)
    assert surface.cell_data["original_cell"].tolist() == surface.cell_data["m"].tolist()
    np.testing.assert_array_equal(surface.points, mixed.points[surface.point_data["original_point"]])
    np.testing.assert_array_equal(surface.point_data["n"], surface.point_data["original_point"])
    assert (Polygons(surface).area_vectors() * _outward(surface)).sum(axis=1).min() > 0
    for name in ("QuadraticHexahedron", "TriQuadraticHexahedron"):  # of which VTK says wrong numbers of points
        curved = part_of(getattr(pv.examples.cells, name)())
        curved = curved.with_data(point_data={"x": curved.points[:, 0].copy()})
        surface = applied(md.SurfaceFilter(), curved)
        np.testing.assert_array_equal(surface.point_data["x"], surface.points[:, 0])
        assert cell_sizes(surface).weights.sum() == pytest.approx(6)


def _outward(surface):
    centers = surface.points[surface.connectivity.reshape(-1, 3)].mean(axis=1)
    body = np.round((centers[:, 0] - 0.5) / 3)
    middle = np.stack([centers[body == at].mean(axis=0) for at in range(4)])
    return centers - middle[body.astype(int)]


def test_surfaces_become_triangles():
    """A concave polygon, a quad with its winding, a strip, a pixel; lines stay where they were."""
    points = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [1, 0.5, 0], [0, 2, 0], [3, 0, 0]], np.float64)
    cells = [[0, 1, 2, 3, 4], [0, 5], [1, 0, 4, 2], [0, 1, 4, 2], [0, 1, 4, 2]]
    kinds = [CellType.POLYGON, CellType.LINE, CellType.QUAD, CellType.TRIANGLE_STRIP, CellType.PIXEL]
    offsets = np.concatenate(([0], np.cumsum([len(cell) for cell in cells])))
    part = MeshPart(points, np.concatenate(cells), offsets, np.array(kinds, np.uint8), {}, {"n": np.arange(5)})
    made = applied(md.TriangulateFilter(), part)
    assert made.cell_data["n"].tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]
    assert made.types.tolist() == [5, 5, 5, 3, 5, 5, 5, 5, 5, 5]
    z = Polygons(made).area_vectors()[:, 2]
    np.testing.assert_allclose(z, [*z[:3], -2, -2, 2, 2, 2, 2])
    assert z[:3].sum() == pytest.approx(2.5)
    assert (z[:3] > 0).all()


def test_quads_that_are_not_flat_and_cells_that_cannot_be_divided():
    """The outline decides for surfaces; a hexahedron whose points are mixed up fails by number."""
    points = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 1, 1]], np.float64)
    quad = MeshPart(points, np.arange(4), np.array([0, 4]), np.array([CellType.QUAD], np.uint8))
    made = applied(md.TriangulateFilter(), quad)
    np.testing.assert_allclose(Polygons(made).area_vectors().sum(axis=0), Polygons(quad).area_vectors()[0])
    box = part_of(pv.examples.cells.Hexahedron())
    mixed_up = MeshPart(box.points, np.array([0, 2, 1, 3, 4, 5, 6, 7]), box.offsets, box.types)
    with pytest.raises(ComponentError, match="the first of them cell 0, a hexahedron of size"):
        applied(md.TetrahedraliseFilter(), mixed_up)


def test_points_are_merged_and_bad_cells_removed(caplog):
    """As trimesh does with an STL file; data that differ are not lost unseen."""
    trimesh = pytest.importorskip("trimesh")
    soup = trimesh.creation.icosphere(subdivisions=2)
    points = soup.triangles.reshape(-1, 3).astype(np.float32)
    triangles = np.vstack([np.arange(len(points)).reshape(-1, 3), [[0, 1, 2], [5, 5, 7]]])
    part = MeshPart(
        points, triangles.ravel(), 3 * np.arange(len(triangles) + 1), np.full(len(triangles), 5, np.uint8)
    ).with_data(cell_data={"n": np.arange(len(triangles))})
    merged = applied(md.MergePointsFilter(1e-6), part)
    assert merged.n_points == len(soup.vertices)
    with caplog.at_level(logging.WARNING, "curator"):
        made = applied(md.CleanCellsFilter(), merged)
    assert "1 degenerate and 1 duplicate of 322 cells removed" in caplog.text
    assert made.cell_data["n"].tolist() == list(range(320))
    np.testing.assert_array_equal(made.points[made.connectivity], points)
    named = part.with_data(point_data={"p": np.arange(len(points), dtype=np.float64)})
    with pytest.raises(ComponentError, match=r"data 'p' of .* points differ .* say differing='first'"):
        applied(md.MergePointsFilter(1e-6), named)
    kept = applied(md.MergePointsFilter(1e-6, differing="first"), named)
    assert kept.point_data["p"].tolist() == sorted(kept.point_data["p"])


def test_means_of_points_and_cells(mixed):
    """As PyVista has them, in the type of the array; others stay."""
    grid = pv.Plane(i_resolution=3, j_resolution=2).triangulate()
    part = part_of(grid)
    values = np.random.default_rng(0).normal(size=(part.n_points, 3))
    part = part.with_data(point_data={"u": values, "s": np.full(part.n_points, "x")})
    cells = applied(md.DataLocationFilter("cells"), part)
    grid = part_to_vtk(part.with_data(point_data={"u": values}))
    np.testing.assert_allclose(cells.cell_data["u"], grid.point_data_to_cell_data()["u"])
    assert list(cells.point_data) == ["s"]
    back = applied(md.DataLocationFilter("points", ["u"], keep=True), cells)
    np.testing.assert_allclose(
        back.point_data["u"], part_to_vtk(cells.with_data(point_data={})).cell_data_to_point_data()["u"]
    )
    assert "u" in back.cell_data
    for arrays, message in ((["m"], "no array 'm' to bring to cells; it has x, s, n"), (["s"], "of type <U1")):
        with pytest.raises(ComponentError, match=message):
            applied(md.DataLocationFilter("cells", arrays), mixed)


def test_normals_and_sizes_follow_every_change(caplog):
    """Those of a file are found by what they are; stale ones would be silent."""
    trimesh = pytest.importorskip("trimesh")
    part = part_of(pv.Sphere(radius=10.0, theta_resolution=30, phi_resolution=30))
    made = applied(md.MeasuresFilter(["sizes", "cell_normals", "point_normals"]), part)
    body = trimesh.Trimesh(part.points, part.connectivity.reshape(-1, 3), process=False)
    np.testing.assert_allclose(made.cell_data["Area"], body.area_faces, rtol=1e-5)
    np.testing.assert_allclose(made.cell_data["Normals"], body.face_normals, atol=1e-5)
    by_angle = trimesh.geometry.weighted_vertex_normals(
        len(part.points), body.faces, body.face_normals, body.face_angles
    )
    np.testing.assert_allclose(point_normals(part), by_angle, atol=1e-5)
    inward = made.with_data(cell_data={**made.cell_data, "Normals": -made.cell_data["Normals"]})
    for step in (
        md.TransformFilter(unit="m", given="mm"),
        md.DecimateFilter(0.3),
        md.MeshCropFilter([[0, None], [None, None], [None, None]]),
    ):
        after = applied(step, inward)
        assert list(after.cell_data)[:2] == ["Area", "Normals"]
        np.testing.assert_allclose(after.cell_data["Area"], cell_sizes(after).weights, rtol=1e-6)
        outward = Polygons(after).area_vectors()
        np.testing.assert_allclose(
            (after.cell_data["Normals"] * outward).sum(axis=1), -cell_sizes(after).weights, rtol=1e-5
        )
        np.testing.assert_allclose(np.linalg.norm(after.point_data["Normals"], axis=1), 1, rtol=1e-5)
    with caplog.at_level(logging.WARNING, "curator"):
        line = applied(md.SliceFilter([0, 0, 1]), made)
    assert not set(line.cell_data) & {"Area", "Normals"}
    assert "slice: cell_data/Area is left out: the new cells have none" in caplog.text


def test_cells_are_turned_consistently_and_outward():
    """Half of a closed surface turned round; a Möbius strip, which has one side alone."""
    rng = np.random.default_rng(3)
    part = part_of(pv.Sphere(theta_resolution=12, phi_resolution=12))
    triangles = part.connectivity.reshape(-1, 3).copy()
    turned = rng.random(len(triangles)) < 0.5
    triangles[turned] = triangles[turned][:, ::-1]
    bad = MeshPart(part.points, triangles.ravel(), part.offsets, part.types, {}, {"n": np.arange(len(triangles))})
    made = applied(md.OrientFilter(), bad)
    assert (Polygons(made).area_vectors() * part.points[made.connectivity.reshape(-1, 3)].mean(axis=1)).sum(
        axis=1
    ).min() > 0
    assert made.cell_data["n"].tolist() == list(range(len(triangles)))
    np.testing.assert_array_equal(np.sort(made.connectivity.reshape(-1, 3)), np.sort(triangles))
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    across = np.array([-0.3, 0.3])
    radius = 1 + across * np.cos(angle / 2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), across * np.sin(angle / 2)], axis=2).reshape(
        -1, 3
    )
    quads = [[2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2] for i in range(23)] + [[46, 47, 0, 1]]
    strip = MeshPart(points, np.ravel(quads), 4 * np.arange(25), np.full(24, CellType.QUAD, np.uint8))
    with pytest.raises(ComponentError, match="at 1 edges two cells cannot both have the same side up"):
        applied(md.OrientFilter(), strip)
    tet = pv.examples.cells.Tetrahedron()
    inside_out = MeshPart(np.asarray(tet.points), np.array([0, 2, 1, 3]), np.array([0, 4]), np.array([10], np.uint8))
    assert cell_sizes(applied(md.OrientFilter(), inside_out)).values[0] > 0


@pytest.mark.parametrize("method", ["quadric", "pro"])
def test_decimated_surfaces_have_data_that_belong_to_them(method):
    """A linear field stays linear where points are on flat faces; cells have data of the cell they lie on."""
    box = pv.Box(level=8).triangulate().clean()
    part = part_of(box)
    part = part.with_data(
        point_data={"f": part.points @ np.array([1.0, 2.0, 3.0]), "s": np.full(part.n_points, "wall")},
        cell_data={"face": np.argmax(np.abs(_normals(part)), axis=1) * np.sign(_normals(part).sum(axis=1)).astype(int)},
    )
    made = applied(md.DecimateFilter(0.2, method=method), part)
    assert made.n_cells <= 0.21 * part.n_cells
    np.testing.assert_allclose(made.point_data["f"], made.points @ np.array([1.0, 2.0, 3.0]), atol=1e-5)
    face = np.argmax(np.abs(_normals(made)), axis=1) * np.sign(_normals(made).sum(axis=1)).astype(int)
    np.testing.assert_array_equal(made.cell_data["face"], face)
    np.testing.assert_array_equal(part.cell_data["face"][made.cell_data["original_cell"]], face)
    assert set(made.point_data["s"]) == {"wall"}


def _normals(part):
    return np.round(Polygons(part).area_vectors() / np.linalg.norm(Polygons(part).area_vectors(), axis=1)[:, None], 3)


def test_points_are_drawn_by_area_with_data_of_their_place():
    """The seed and the key decide; a linear field is interpolated exactly."""
    part = part_of(pv.Sphere(theta_resolution=40, phi_resolution=40))
    part = part.with_data(
        point_data={"f": part.points @ np.array([1.0, 2.0, 3.0], np.float32), "i": np.arange(part.n_points)},
        cell_data={"c": np.arange(part.n_cells)},
    )
    made = applied(md.MeshPointsFilter(20_000), part)
    assert (made.n_points, made.n_cells) == (20_000, 0)
    np.testing.assert_allclose(made.point_data["f"], made.points @ np.array([1, 2, 3]), atol=1e-5)
    np.testing.assert_array_equal(made.point_data["c"], made.point_data["original_cell"])
    assert np.linalg.norm(made.points, axis=1).min() > 0.49
    counts = np.bincount(made.point_data["c"], minlength=part.n_cells)
    expected = 20_000 * cell_sizes(part).weights / cell_sizes(part).weights.sum()
    assert ((counts - expected) ** 2 / expected).sum() / part.n_cells < 1.15
    again, other = (applied(md.MeshPointsFilter(20_000), part, key) for key in "ab")
    np.testing.assert_array_equal(again.points, made.points)
    assert not np.array_equal(other.points, made.points)
    inside = applied(
        md.MeshPointsFilter(5000), applied(md.TetrahedraliseFilter(), part_of(pv.ImageData(dimensions=(3, 3, 3))))
    )
    np.testing.assert_allclose(inside.points.mean(axis=0), 1, atol=0.05)
    with pytest.raises(ComponentError, match="it has cells 8 of type voxel: triangulate or tetrahedralise it first"):
        applied(md.MeshPointsFilter(5), part_of(pv.ImageData(dimensions=(3, 3, 3))))


def test_crop_slice_and_edges(mixed, caplog):
    """Whole cells stay; a plane cuts the area it should, with data; edges are PyVista's."""
    part = applied(md.MeshCropFilter([[2.5, 7.5], [None, None], [None, None]]), mixed)
    assert part.cell_data["t"].tolist() == ["w", "t"]
    assert part.point_data["x"].min() > 2.5
    assert applied(md.MeshCropFilter(sphere={"center": [0.5, 0.5, 0.5], "radius": 1}, outside=True), mixed).n_cells == 3
    with pytest.raises(ComponentError, match="mesh_crop: value 0: nothing is left of 'interior'"):
        applied(md.MeshCropFilter([[90, 91]] * 3), mixed)
    voxels = part_of(pv.ImageData(dimensions=(5, 5, 5)))
    voxels = voxels.with_data(
        point_data={"u": voxels.points.astype("f8"), "n": np.arange(125)}, cell_data={"n": np.arange(64)}
    )
    with caplog.at_level(logging.WARNING, "curator"):
        cut = applied(md.SliceFilter([1, 0, 0], [1.25, 0, 0]), voxels)
    assert "slice: point_data/n cannot be interpolated, left out" in caplog.text
    assert cell_sizes(cut).weights.sum() == pytest.approx(16)
    np.testing.assert_allclose(cut.point_data["u"], cut.points)
    assert np.unique(cut.cell_data["n"] % 4).tolist() == [1]
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float64)
    both = MeshPart(corners, np.array([0, 1, 0, 1, 2]), np.array([0, 2, 5]), np.array([3, 5], np.uint8))
    assert applied(md.SliceFilter([1, 0, 0]), both).cell_data["original_cell"].tolist() == [1]
    edges = applied(md.EdgesFilter(both_ways=True), voxels).field_data["edges"]
    assert len(edges) == 2 * part_to_vtk(voxels).extract_all_edges().n_cells
    np.testing.assert_allclose(np.linalg.norm(voxels.points[edges[:, 0]] - voxels.points[edges[:, 1]], axis=1), 1)


def test_vectors_turn_where_they_are_named(mixed):
    part = mixed.with_data(point_data={"u": np.tile([1.0, 0, 0], (mixed.n_points, 1))})
    turn = {"rotate": {"axis": [0, 0, 2], "angle": 90}}
    with pytest.raises(ComponentError, match="point_data/u has three components: name those that turn"):
        applied(md.TransformFilter(**turn), part)
    with pytest.raises(ComponentError, match="no floating-point array 'v' of three components; it has 'u'"):
        applied(md.TransformFilter(**turn, vectors=["u", "v"]), part)
    with pytest.raises(ConfigError, match="vectors are those that turn"):
        md.TransformFilter(scale=2.0, vectors=["u"])
    made = applied(md.TransformFilter(**turn, translate=[0, 0, 5], vectors=["u"]), part)
    np.testing.assert_allclose(made.point_data["u"], np.tile([0, 1.0, 0], (mixed.n_points, 1)), atol=1e-15)
    np.testing.assert_allclose(made.points, part.points[:, [1, 0, 2]] * [-1, 1, 1] + [0, 0, 5], atol=1e-6)


def test_parts_are_chosen_by_name_and_may_vanish(caplog):
    """Others pass; a part of which nothing is left is said."""
    parts = {"interior": part_of(pv.ImageData(dimensions=(3, 3, 3))), "boundaries/wall": part_of(pv.Plane())}
    mesh = Mesh(parts)
    (made,) = md.TriangulateFilter(["boundaries/*"])(iter([mesh]))
    assert made.parts["interior"] is parts["interior"]
    with caplog.at_level(logging.WARNING, "curator"):
        (made,) = md.MeshCropFilter([[0.6, None], [None, None], [None, None]], cells="center")(iter([mesh]))
    assert list(made.parts) == ["interior"]
    assert "nothing is left of 'boundaries/wall', left out" in caplog.text
    with pytest.raises(ComponentError, match="it has no part 'inlet'; it has 'interior', 'boundaries/wall'"):
        list(md.TriangulateFilter(["inlet"])(iter([mesh])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: md.MergePointsFilter(1.5), "tolerance must be a share"),
        (lambda: md.DecimateFilter(1.0), "keep must be a share"),
        (lambda: md.SliceFilter([0, 0, 0]), "must not be zero"),
        (md.MeshCropFilter, "give a box or a sphere"),
        (lambda: md.MeshCropFilter([[1, 0]] * 3), "box must be"),
        (md.TransformFilter, "give unit and given"),
        (lambda: md.TransformFilter(unit="m", given="ell"), "'ell' is none of um"),
        (lambda: md.TransformFilter(scale=-1), "scale must be positive"),
        (lambda: md.MeshPointsFilter(0), "at least 1"),
        (lambda: md.TriangulateFilter([]), "must be a list"),
    ],
)
def test_bad_configuration_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
