"""Checks of meshes, compared with trimesh and PyVista."""

import json
import logging

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core.domains.mesh import Mesh, MeshChecksFilter, MeshPart, part_from_vtk, part_to_vtk
from curator_core.domains.mesh.quality.shapes import scaled_jacobians
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.pipeline.current import PROCESSED
from curator_core.records import Item


def sphere(turned=False, **options):
    data = pv.Sphere(theta_resolution=10, phi_resolution=10, **options)
    data.clear_data()
    part = part_from_vtk(data)
    order = part.connectivity.reshape(-1, 3)[:, :: -1 if turned else 1].ravel()
    return MeshPart(part.points, np.ascontiguousarray(order), part.offsets, part.types)


def changed(part, **data):
    fields = {name: getattr(part, name) for name in ("points", "connectivity", "offsets", "types")}
    return MeshPart(**fields | data)


ROUND = sphere()
SOUP = MeshPart(ROUND.points[ROUND.connectivity], np.arange(len(ROUND.connectivity)), ROUND.offsets, ROUND.types)
HALF = changed(ROUND, connectivity=np.concatenate([ROUND.connectivity[:3][::-1], ROUND.connectivity[3:]]))
TWICE = changed(
    ROUND,
    connectivity=np.concatenate([ROUND.connectivity, ROUND.connectivity[:3], [0, 0, 1]]),
    offsets=np.append(ROUND.offsets, ROUND.offsets[-1] + np.array([3, 6])),
    types=np.append(ROUND.types, np.uint8([5, 5])),
)
NAN = ROUND.with_data(cell_data={"p": np.full(ROUND.n_cells, np.nan)}, point_data={"n": np.arange(ROUND.n_points)})
TET = MeshPart(ROUND.points[[0, 1, 20, 30]], np.arange(4), np.array([0, 4]), np.array([10], np.uint8))


@pytest.mark.parametrize(
    ("check", "value", "part", "message"),
    [
        ("watertight", True, SOUP, "480 of 480 edges belong to one cell alone: are points at the same place merged"),
        ("manifold", True, TWICE, "edges belong to more than two cells"),
        ("oriented", True, HALF, "at 3 of 240 edges one cell is upside down"),
        ("oriented", True, sphere(turned=True), "part 'wall': its normals point inward"),
        ("inverted", 0, TET, "1 of 1 cells are inside out, the first of them 0; expected a share of at most 0"),
        ("degenerate", 0.001, TWICE, "1 of 162 cells have no size, the first of them 161"),
        ("duplicate", 0, TWICE, "1 of 162 cells are there a second time, the first of them 160"),
        ("quality", {0: 0.9, 50: 0.1}, ROUND, "percentile 0 of the quality is 0."),
        ("extent", [0.5, 3], sphere(radius=500.0), "side is 1000, about a thousand times too large: mm taken for m"),
        ("extent", [500, 3000], ROUND, "about a thousand times too small: mm taken for m"),
        ("extent", [1.5, 3], ROUND, "the longest side is 1, 1.5 times too small"),
        ("finite", True, NAN, "160 of 160 numbers of wall/cell_data/p, the first at wall/cells=0, are NaN"),
    ],
)
def test_what_does_not_pass_is_said(check, value, part, message, *, tmp_path, caplog):
    """An item fails, or is recorded with the number of what is bad."""
    mesh = Mesh({"wall": part})
    path = str(tmp_path / "c.json")
    with pytest.raises(ComponentError, match=rf"mesh_checks: value 0: {check}: .*{message}"):
        list(MeshChecksFilter(path, {check: value})(iter([mesh])))
    step = MeshChecksFilter(path, {check: value}, severity="warn")
    with caplog.at_level(logging.WARNING, "curator"):
        assert list(step(iter([mesh]))) == [mesh]
    assert message.split("'")[0] in caplog.text
    step.write_shard(str(tmp_path / "shard"))
    step.merge([str(tmp_path / "shard")], path)
    (result,) = step.check_results(path)
    assert (result.check, result.severity, result.n_items, result.n_bad_items) == (check, "warn", 1, 1)
    assert result.n_bad_values >= 1
    if check not in ("extent", "quality", "inverted"):
        good = Mesh({"wall": ROUND})
        assert list(MeshChecksFilter(path, {check: value})(iter([good]))) == [good]


@pytest.mark.parametrize("types", [[10], [10, 5], [1]])
def test_what_is_no_surface_is_not_counted_as_watertight(types, *, tmp_path, caplog):
    """Volumes, with triangles, too, and points: the log says so, and the result has no item."""
    sizes = [{10: 4, 5: 3, 1: 1}[kind] for kind in types]
    connectivity = np.concatenate([np.arange(size) for size in sizes])
    part = MeshPart(TET.points, connectivity, np.cumsum([0, *sizes]), np.array(types, np.uint8))
    path = str(tmp_path / "c.json")
    step = MeshChecksFilter(path, {"watertight": True, "finite": True})
    for mesh, n_items in ((Mesh({"interior": part}), 0), (Mesh({"interior": part, "wall": ROUND}), 1)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "curator"):
            list(step(iter([mesh])))
        assert ("mesh_checks: watertight: not looked at" in caplog.text) == (not n_items)
        step.write_shard(str(tmp_path / "shard"))
        step.merge([str(tmp_path / "shard")], path)
        assert [(row.check, row.n_items) for row in step.check_results(path)] == [
            ("watertight", n_items),
            ("finite", 1),
        ]


def test_closed_surfaces_are_those_of_trimesh(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    for part in (ROUND, SOUP, HALF, TWICE):
        body = trimesh.Trimesh(part.points, part.connectivity.reshape(-1, 3), process=False)
        for check, expected in (("watertight", body.is_watertight), ("oriented", body.is_winding_consistent)):
            if part is TWICE:
                continue  # for trimesh a surface with a cell twice is not closed
            step = MeshChecksFilter("c.json", {check: True}, severity="warn")
            list(step(iter([Mesh({"interior": part})])))
            assert (step._found[check]["n_bad"] == 0) == expected


def test_quality_is_that_of_pyvista():
    grid = pv.Sphere().delaunay_3d()
    part = part_from_vtk(grid)
    expected = part_to_vtk(part).cell_quality("scaled_jacobian").cell_data["scaled_jacobian"]
    np.testing.assert_array_equal(scaled_jacobians(part), expected)
    polyhedron = Mesh({"interior": part_from_vtk(pv.examples.cells.Polyhedron())})
    with pytest.raises(ComponentError, match="1 of type polyhedron: triangulate or tetrahedralise it first"):
        list(MeshChecksFilter("c.json", {"quality": {0: 0}})(iter([polyhedron])))


def test_fields_are_the_same_over_the_set(tmp_path):
    """What most items have is expected; each other item is named with what it lacks."""
    p = np.zeros(ROUND.n_points)
    meshes = {
        "a": ROUND.with_data(point_data={"p": p}),
        "b": ROUND.with_data(point_data={"p": p.astype(np.float32)}),
        "c": ROUND.with_data(point_data={"p": p}, field_data={"re": np.ones(3)}),
        "d": ROUND.with_data(point_data={"p": p}),
        "e": ROUND,
    }
    for severity in ("warn", "fail"):
        step = MeshChecksFilter(str(tmp_path / "all.json"), {"same_fields": True}, severity={"same_fields": severity})
        shards = []
        for key, part in meshes.items():
            token = PROCESSED.set(Item(0, key, None))
            list(step(iter([Mesh({"interior": part})])))
            shards.append(str(tmp_path / f"{key}.json"))
            step.write_shard(shards[-1])
            PROCESSED.reset(token)
        if severity == "fail":
            with pytest.raises(MergeError, match="b: point_data/p is float32, not float64; c: has field_data/re"):
                step.merge(shards, str(tmp_path / "all.json"))
        else:
            step.merge(shards, str(tmp_path / "all.json"))
    (row,) = json.loads((tmp_path / "all.json").read_text())["checks"]
    assert (row["n_items"], row["n_bad_items"]) == (5, 3)
    assert row["examples"][-1] == ["e", "lacks point_data/p"]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({}, "says nothing"),
        ({"closed": True}, "closed"),
        ({"watertight": False}, "must be true or left out"),
        ({"inverted": 2}, "must be a share"),
        ({"quality": 0.2}, "by percentile"),
        ({"extent": [3, 1]}, "smallest and a largest"),
        ({"same_fields": "p"}, "must be true or left out"),
    ],
)
def test_bad_expectations_are_refused(expected, message):
    with pytest.raises(ConfigError, match=message):
        MeshChecksFilter("c.json", expected)
