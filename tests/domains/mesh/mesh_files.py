"""Files of meshes that the tests write."""

from __future__ import annotations

import numpy as np
import pyvista as pv


def write_grid(path, n=3, **data):
    """A grid of hexahedra, as an unstructured grid; returns it."""
    grid = pv.ImageData(dimensions=(n, n, n)).cast_to_unstructured_grid()
    grid.point_data["p"] = np.arange(grid.n_points, dtype=np.float32)
    grid.cell_data["region"] = np.arange(grid.n_cells, dtype=np.int32)
    for name, values in data.items():
        grid.field_data[name] = values
    grid.save(path)
    return grid


def _foam(kind, name, body):
    return f"FoamFile {{ version 2.0; format ascii; class {kind}; object {name}; }}\n{body}\n"


def write_openfoam(folder, pressures, x=0.0):
    """A case of one cell, a cube, with its pressure at some times."""
    corners = [(a + x, b, c) for c in (0, 1) for b in (0, 1) for a in (0, 1)]
    faces = [(0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6)]
    mesh = folder / "constant" / "polyMesh"
    mesh.mkdir(parents=True)
    points = "\n".join(f"({a} {b} {c})" for a, b, c in corners)
    (mesh / "points").write_text(_foam("vectorField", "points", f"8\n(\n{points}\n)"))
    lines = "\n".join(f"4({' '.join(map(str, face))})" for face in faces)
    (mesh / "faces").write_text(_foam("faceList", "faces", f"6\n(\n{lines}\n)"))
    (mesh / "owner").write_text(_foam("labelList", "owner", "6\n(\n0\n0\n0\n0\n0\n0\n)"))
    (mesh / "neighbour").write_text(_foam("labelList", "neighbour", "0\n(\n)"))
    wall = "1\n(\nwall\n{\ntype wall;\nnFaces 6;\nstartFace 0;\n}\n)"
    (mesh / "boundary").write_text(_foam("polyBoundaryMesh", "boundary", wall))
    for time, pressure in pressures.items():
        (folder / time).mkdir()
        body = f"dimensions [0 2 -2 0 0 0 0];\ninternalField uniform {pressure};\n"
        body += "boundaryField { wall { type zeroGradient; } }"
        (folder / time / "p").write_text(_foam("volScalarField", "p", body))
    (folder / "system").mkdir()
    (folder / "system" / "controlDict").write_text(
        _foam("dictionary", "controlDict", "startTime 0;\ndeltaT 0.5;\nwriteInterval 1;\nendTime 0.5;")
    )
