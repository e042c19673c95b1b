"""The picture of a dataset of meshes: surfaces of some of them, coloured by a field."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.geometry.polygons import Polygons
from curator_core.domains.mesh.geometry.taking import taken_cells
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
_NO_NUMBER: Final = "#c8ccd1"
_CORNERS: Final = 3
Floats = npt.NDArray[np.float64]


def draw_meshes(dataset: MeshDataset) -> bytes | None:
    """Draw surfaces as PNG, coloured by the first field of floating-point numbers, with one scale for all.

    What lacks that field is grey.

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
    drawn = [(dataset.keys[at], found) for at in chosen if (found := _surfaces(dataset[at]))]
    if not drawn:
        return None
    name = next((name for _, found in drawn for surface, _ in found for name in _fields(surface)), "")
    values = [np.concatenate([_numbers(*one, name) for one in found]) for _, found in drawn]
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    with styled():
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.0, 3.0))
        rows = figure.subplots(1, len(drawn), squeeze=False)[0]
        scale = Normalize(*(float(end) for end in (finite.min(), finite.max())) if len(finite) else (0.0, 1.0))
        colours = ScalarMappable(scale, colormaps["viridis"].with_extremes(bad=_NO_NUMBER))
        for axes, (key, found), numbers in zip(rows, drawn, values, strict=True):
            _draw(axes, [outline for _, polygons in found for outline in _outlines(polygons)], colours.to_rgba(numbers))
            axes.set_title(shortened(key, 24), fontsize=8, color=_INK)
        if name:
            bar = figure.colorbar(colours, ax=rows.tolist(), shrink=0.8)
            bar.set_label(shortened(name, 40), color=_INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=90, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _surfaces(mesh: Mesh) -> list[tuple[MeshPart, Polygons]]:
    """The surfaces of the parts that have one, and their polygons."""
    found = []
    for part_name, part in mesh:
        try:
            surface = SurfaceFilter().changed(part, part_name)
            polygons = Polygons(surface)
        except FieldError:  # of kinds of cells that have no outline
            continue
        has_area = np.diff(polygons.offsets) >= _CORNERS
        if not has_area.all():
            surface = taken_cells(surface, polygons.cells[has_area])
            polygons = Polygons(surface)
        if 0 < len(polygons.cells) <= MAX_CELLS:
            found.append((surface, polygons))
    return found


def _fields(part: MeshPart) -> Iterator[str]:
    """Names of the fields of floating-point numbers, of points first."""
    for data in (part.point_data, part.cell_data):
        yield from (name for name, values in data.items() if values.dtype.kind == "f" and values.ndim == 1)


def _numbers(part: MeshPart, polygons: Polygons, name: str) -> Floats:
    """A field as numbers of the polygons; NaN where the part has none of that name."""
    if name not in _fields(part):
        return np.full(len(polygons.cells), np.nan)
    if name not in part.point_data:
        return part.cell_data[name][polygons.cells].astype(np.float64)
    numbers = part.point_data[name][polygons.connectivity].astype(np.float64)
    sums = np.bincount(polygons.owners(), numbers, len(polygons.cells))
    return np.asarray(sums / np.diff(polygons.offsets))


def _outlines(polygons: Polygons) -> list[Floats]:
    """Corners of each polygon."""
    return np.split(polygons.points[polygons.connectivity].astype(np.float64), polygons.offsets[1:-1])


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
