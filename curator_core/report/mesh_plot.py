"""The picture of a dataset of meshes: surfaces of some of them, coloured by a field."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.geometry.polygons import Polygons
from curator_core.domains.mesh.operations.surfaces import SurfaceFilter
from curator_core.filters.values import FieldError
from curator_core.report.figure import styled
from curator_core.report.quantities import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from curator_core.domains.mesh.dataset import MeshDataset
    from curator_core.domains.mesh.model import Mesh, MeshPart

MAX_MESHES: Final = 4
"""Meshes drawn: the first, the last and some between."""
MAX_CELLS: Final = 60_000
"""Cells of a surface that are drawn; larger ones are left out."""
_LIGHT: Final = np.array([0.35, -0.5, 0.79])
_INK: Final = "#24292f"
Floats = npt.NDArray[np.float64]


def draw_meshes(dataset: MeshDataset) -> bytes | None:
    """Draw surfaces as PNG, coloured by their first field of floating-point numbers, with one scale for all.

    Parameters
    ----------
    dataset
        A dataset of meshes, opened.

    Returns
    -------
    bytes or None
        ``None`` where no mesh has a surface that is small enough.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    chosen = np.unique(np.linspace(0, len(dataset) - 1, MAX_MESHES).astype(int)).tolist() if len(dataset) else []
    drawn = [(dataset.keys[at], found) for at in chosen if (found := _surface(dataset[at])) is not None]
    if not drawn:
        return None
    with styled():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 3.0))
        rows = figure.subplots(1, len(drawn), squeeze=False)[0]
        name = next((field for _, (_, _, field) in drawn if field), "")
        numbers = np.concatenate([values[np.isfinite(values)] for _, (_, values, _) in drawn] or [np.zeros(1)])
        scale = Normalize(*(float(end) for end in (numbers.min(), numbers.max())) if len(numbers) else (0.0, 1.0))
        colours = ScalarMappable(scale, "viridis")
        for axes, (key, (outlines, values, _)) in zip(rows, drawn, strict=True):
            _draw(axes, outlines, colours.to_rgba(values))
            axes.set_title(shortened(key, 24), fontsize=8, color=_INK)
        if name:
            bar = figure.colorbar(colours, ax=rows.tolist(), shrink=0.8)
            bar.set_label(shortened(name, 40), color=_INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _surface(mesh: Mesh) -> tuple[list[Floats], Floats, str] | None:
    """Corners of polygons of all parts, a number of each, and the name of the field; ``None`` without any."""
    outlines: list[Floats] = []
    values: list[Floats] = []
    name = ""
    for part_name, part in mesh:
        try:
            surface = SurfaceFilter().changed(part, part_name)
            polygons = Polygons(surface)
        except FieldError:  # of kinds of cells that have no outline
            continue
        if not 0 < len(polygons.cells) <= MAX_CELLS:
            continue
        corners = polygons.points[polygons.connectivity].astype(np.float64)
        outlines += np.split(corners, polygons.offsets[1:-1])
        field, numbers = _field(surface, polygons)
        values.append(numbers)
        name = name or field
    return (outlines, np.concatenate(values), name) if outlines else None


def _field(part: MeshPart, polygons: Polygons) -> tuple[str, Floats]:
    """The first field of numbers of points, or of cells, as numbers of the polygons."""
    for name, values in part.point_data.items():
        if values.dtype.kind == "f" and values.ndim == 1:
            numbers = values[polygons.connectivity].astype(np.float64)
            sums = np.bincount(polygons.owners(), numbers, len(polygons.cells))
            return name, sums / np.maximum(np.diff(polygons.offsets), 1)
    for name, values in part.cell_data.items():
        if values.dtype.kind == "f" and values.ndim == 1:
            return name, values[polygons.cells].astype(np.float64)
    return "", np.full(len(polygons.cells), np.nan)


def _draw(axes: Axes, outlines: list[Floats], colours: Floats) -> None:
    """Polygons seen from above and aside, those behind first, lighter where they face the light."""
    from matplotlib.collections import PolyCollection

    tilt, turn = np.radians(25.0), np.radians(-50.0)
    aside = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    above = np.array([[1, 0, 0], [0, np.sin(tilt), np.cos(tilt)], [0, -np.cos(tilt), np.sin(tilt)]])
    seen = [outline @ (above @ aside).T for outline in outlines]
    depth = np.array([outline[:, 2].mean() for outline in seen])
    normals = np.stack([np.cross(outline[1] - outline[0], outline[2] - outline[0]) for outline in seen])
    lengths = np.maximum(np.linalg.norm(normals, axis=1), 1e-300)
    bright = 0.55 + 0.45 * np.abs(normals @ _LIGHT) / lengths
    shaded = colours.copy()
    shaded[:, :3] *= bright[:, None]
    order = np.argsort(depth, kind="stable")
    polygons = PolyCollection(
        [seen[at][:, :2] for at in order], facecolors=shaded[order], edgecolors="face", linewidths=0.2
    )
    axes.add_collection(polygons)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.axis("off")
