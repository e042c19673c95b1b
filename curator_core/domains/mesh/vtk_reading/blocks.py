"""Blocks of a data set of VTK as parts with names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from vtkmodules.vtkCommonDataModel import vtkCompositeDataSet

from curator_core.domains.mesh.model import INTERIOR
from curator_core.domains.mesh.vtk_reading.listed import add, names_in
from curator_core.domains.mesh.vtk_reading.openfoam import CASES

T = TypeVar("T")

_CHILDREN: Final = {
    "vtkMultiBlockDataSet": ("GetNumberOfBlocks", "GetBlock"),
    "vtkMultiPieceDataSet": ("GetNumberOfPieces", "GetPiece"),
    "vtkPartitionedDataSet": ("GetNumberOfPartitions", "GetPartition"),
    "vtkPartitionedDataSetCollection": ("GetNumberOfPartitionedDataSets", "GetPartitionedDataSet"),
}
_OPENFOAM_NAMES: Final = {"internalMesh": INTERIOR, "boundary": "boundaries"}
_MOST_NAMED: Final = 5


class Leaves:
    """The data sets with points in what a reader gives, by the path of their names.

    A block without a name has that of its position, ``0``; the second one of a name is ``name_2``.

    Raises
    ------
    ValueError
        It holds something else than data sets of points.
    """

    def __init__(self, data: Any, suffix: str) -> None:  # noqa: ANN401 - VTK's
        self._renamed = _OPENFOAM_NAMES if suffix in CASES else {}
        self.is_composite = data.IsA("vtkCompositeDataSet")
        self.found: dict[str, Any] = {}
        self._empty: list[str] = []
        self._missing: list[str] = []
        for name, leaf in self._leaves(data, ()) if self.is_composite else [(INTERIOR, data)]:
            if not leaf.IsA("vtkDataSet"):
                raise ValueError(f"{name!r} is a {leaf.GetClassName()}, which has no points and cells to read")
            if leaf.GetNumberOfPoints():
                add(self.found, name, leaf)
            else:
                self._empty.append(name)

    def warnings(self) -> list[str]:
        """What is to be said of blocks that hold nothing, or are named and not there."""
        n_blocks = len(self.found) + len(self._empty) + len(self._missing)
        said = []
        for what, names in (("empty", self._empty), ("missing", self._missing)):
            if names and self.found:
                more = ", …" if len(names) > _MOST_NAMED else ""
                named = ", ".join(map(repr, names[:_MOST_NAMED])) + more
                said.append(f"{len(names)} of {n_blocks} blocks are {what}: {named}")
        return said

    def _leaves(self, data: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - as above
        if data.IsA("vtkDataSet") or not data.IsA("vtkCompositeDataSet"):
            yield "/".join(path), data
            return
        if data.GetClassName() not in _CHILDREN:
            raise ValueError(f"it holds a {data.GetClassName()}, which is not read here")
        n_children, child = _CHILDREN[data.GetClassName()]
        for index in range(getattr(data, n_children)()):
            found = getattr(data, child)(index)
            inner = (*path, *self._names(data, index))
            if found is None:
                self._missing.append("/".join(inner))
            else:
                yield from self._leaves(found, inner)

    def _names(self, data: Any, index: int) -> list[str]:  # noqa: ANN401 - as above
        name = data.GetMetaData(index).Get(vtkCompositeDataSet.NAME()) if data.HasMetaData(index) else None
        return names_in(self._renamed.get(name or "", name), str(index))


def chosen(parts: dict[str, T], blocks: str) -> dict[str, T]:
    """The parts that are meant: all, or those at and below a path.

    Raises
    ------
    ValueError
        There is none.
    """
    if blocks in ("split", "merge"):
        return parts
    path = blocks.strip("/")
    found = {name: part for name, part in parts.items() if name == path or name.startswith(f"{path}/")}
    if not found:
        raise ValueError(f"it has no block {blocks!r}; it has {', '.join(map(repr, parts)) or 'none'}")
    return found
