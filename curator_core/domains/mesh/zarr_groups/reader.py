"""The folder of a published dataset of groups, read mesh by mesh, and array by array."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.cells import N_POINTS, CellType
from curator_core.domains.mesh.model import Mesh, MeshPart, Polyhedra
from curator_core.domains.mesh.zarr_groups.arrays import POLYHEDRA, connectivity_name, data_paths, kind_of
from curator_core.domains.mesh.zarr_groups.names import MESHES
from curator_core.domains.mesh.zarr_groups.published import MeshGroup, PublishedMeshes
from curator_core.errors import ComponentError, UnknownNameError
from curator_core.formats.arrays import Array
from curator_core.formats.dataset_files import BoundedCache, DatasetFiles
from curator_core.formats.described import METADATA
from curator_core.formats.selection import Selection
from curator_core.formats.shard_files import DAMAGED, decode_chunk
from curator_core.formats.shard_layout import ShardLayout
from curator_core.formats.shard_reader import ShardReader
from curator_core.formats.zarr_metadata import UNREADABLE
from curator_core.reading.pinned import Edition
from curator_core.storage.local import LocalLocation

R = TypeVar("R")

_GROUPS: Final = 256
_ARRAYS: Final = 4096


class GroupsReader:
    """Reads meshes of a dataset.

    Parameters
    ----------
    path
        Folder of the dataset.
    cache_bytes
        Bytes of decoded chunks that are kept.

    Raises
    ------
    ComponentError
        There is no such dataset, it is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path, cache_bytes: int) -> None:
        self._path = path.absolute()
        self._edition = Edition(self._path)
        self._files = DatasetFiles(self._path, require_same=self.require_same, cache_bytes=cache_bytes)
        self._published = PublishedMeshes(LocalLocation(self._path))
        self._groups: BoundedCache[MeshGroup] = BoundedCache(_GROUPS)
        self._arrays: BoundedCache[ShardReader] = BoundedCache(_ARRAYS)

    def require_same(self) -> None:
        """Make sure that the folder still holds the dataset that was opened.

        Raises
        ------
        DatasetReplacedError
            Another version was published there meanwhile, or it was removed.
        """
        self._edition.require("meshes")

    def content_hash(self) -> str:
        """Hash of what differs between versions of the dataset."""
        return hashlib.sha256(json.dumps(self._published.attributes, sort_keys=True).encode()).hexdigest()

    @property
    def n_meshes(self) -> int:
        """Number of meshes."""
        return int(self._published.attributes["n_meshes"])

    @property
    def described_arrays(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The forms of each array by name."""
        found: Mapping[str, Sequence[Mapping[str, Any]]] = self._published.attributes["arrays"]
        return found

    def _asked(self, read: Callable[[], R]) -> R:
        """Something of the tables, which may be those of another version."""
        try:
            found = read()
        except ComponentError:
            self.require_same()
            raise
        self.require_same()
        return found

    def split_names(self) -> list[str]:
        """The splits that items are in."""
        return sorted(self._published.attributes.get("splits", ()))

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        """Positions of the meshes of a split, ascending."""
        tables = self.tables
        return np.flatnonzero((tables["items/split"] == name)[np.asarray(tables["index/item"], np.int64)])

    @cached_property
    def tables(self) -> Mapping[str, Array]:
        """Tables of items and meshes."""
        return self._asked(lambda: self._published.tables)

    def positions_of(self, key: str) -> range:
        """Positions of the meshes of an item.

        Raises
        ------
        UnknownNameError
            There is no such item.
        """
        keys = self._asked(lambda: self._published.keys)
        if key not in keys:
            raise UnknownNameError.of("item", key, keys)
        first = self._published.first_mesh
        number = keys.index(key)
        return range(int(first[number]), int(first[number + 1]))

    def keys(self) -> list[str]:
        """Key of the item of each mesh."""
        found: list[str] = self.tables["items/key"][np.asarray(self.tables["index/item"], np.int64)].tolist()
        return found

    def times(self) -> npt.NDArray[np.float64]:
        """Time of each mesh; NaN of one without."""
        return np.asarray(self.tables["index/time"], np.float64)

    def part_names(self, index: int) -> list[str]:
        """Names of the parts of a mesh."""
        return [part["name"] for part in self.group(index).attributes["parts"]]

    def array_names(self, index: int) -> list[str]:
        """Names of the arrays of a mesh."""
        return [name for name, _ in data_paths(self.group(index).attributes)]

    def gather(
        self, positions: Sequence[int], names: Collection[str]
    ) -> dict[str, tuple[Array, npt.NDArray[np.int64]]]:
        """Rows of some arrays for meshes at some positions, and how many there are of each.

        What is said of a mesh or part as a whole is one row.
        """
        found = {}
        for name in names:
            own = [self.rows(position, name, 0, None) for position in positions]
            own = [values[None] for values in own] if kind_of(name) == "field_data" else own
            counts = np.array([len(values) for values in own], np.int64)
            found[name] = np.concatenate(own) if own else np.empty(0), counts
        return found

    def group(self, index: int) -> MeshGroup:
        """What the group of a mesh says of itself."""
        found = self._groups.get(index)
        if found is None:
            file = f"{MESHES}/{self.tables['index/group'][index]}/{METADATA}"
            opened = self._files.opened(file, None)
            try:
                found = MeshGroup.parse(opened.read(*opened.extents))
            except UNREADABLE as exc:
                raise self._files.damaged_file(file, f"cannot be read: {exc}") from exc
            self._groups.add(index, found)
        return found

    def _array(self, index: int, path: str) -> ShardReader:
        name = f"{MESHES}/{self.tables['index/group'][index]}/{path}"
        found = self._arrays.get(name)
        if found is None:
            found = ShardReader(self._files, name, described=self.group(index).nodes[path])
            self._arrays.add(name, found)
        return found

    def n_rows(self, index: int, name: str) -> int:
        """Number of rows of an array; 1 of a single value."""
        shape = self.group(index).nodes[self._path_of(index, name)]["shape"]
        return int(shape[0]) if shape else 1

    def _path_of(self, index: int, name: str) -> str:
        known = dict(data_paths(self.group(index).attributes))
        if name not in known:
            raise UnknownNameError.of("array of the mesh", name, known)
        return known[name]

    def take(self, index: int, name: str, rows: Selection) -> Array:
        """Rows of an array, by the name that readers know it by.

        Raises
        ------
        UnknownNameError
            There is no such array.
        ComponentError
            It is damaged, or the dataset was replaced.
        """
        path = self._path_of(index, name)
        if not self.group(index).nodes[path]["shape"]:
            return self.whole(index, path)
        values = self._array(index, path).take(rows)
        self.require_same()
        return self._typed(index, path, values)

    def rows(self, index: int, name: str, start: int, stop: int | None) -> Array:
        """Rows of an array from one to another, see `take`."""
        n_rows = self.n_rows(index, name)
        begin, end, _ = slice(start, stop).indices(n_rows)
        return self.take(index, name, Selection([(begin, max(begin, end))]))

    def whole(self, index: int, path: str) -> Array:
        """All values of an array, by its path in the group of the mesh."""
        node = self.group(index).nodes[path]
        if node["shape"]:
            values = self._array(index, path).rows(0, int(node["shape"][0]))
        else:
            values = self._single(index, path, node)
        self.require_same()
        return self._typed(index, path, values)

    def _single(self, index: int, path: str, node: Mapping[str, Any]) -> Array:
        grid = {"name": "regular", "configuration": {"chunk_shape": [1]}}
        file = f"{MESHES}/{self.tables['index/group'][index]}/{path}/c"
        try:
            dtype = ShardLayout.parse({**node, "shape": [1], "chunk_grid": grid}).dtype
            opened = self._files.opened(file, None)
            return decode_chunk(opened.read(*opened.extents), dtype, (1,)).reshape(())
        except DAMAGED as exc:
            raise self._files.damaged_file(file, f"cannot be read: {exc}") from exc

    def _typed(self, index: int, path: str, values: Array) -> Array:
        texts: Mapping[str, str] = self.group(index).attributes["texts"]
        return values.astype(texts[path]) if path in texts else values

    def mesh(self, index: int) -> Mesh:
        """A mesh."""
        attributes = self.group(index).attributes
        parts = {part["name"]: self.part(index, part["name"]) for part in attributes["parts"]}
        data = {name: self.whole(index, path) for name, path in attributes["field_data"].items()}
        return Mesh(parts, data, attributes["time"], attributes.get("units", {}))

    def part(self, index: int, name: str, fields: Sequence[str] | None = None) -> MeshPart:
        """A part of a mesh, with some of its data.

        Raises
        ------
        UnknownNameError
            There is no such part.
        """
        parts = {part["name"]: part for part in self.group(index).attributes["parts"]}
        if name not in parts:
            raise UnknownNameError.of("part of the mesh", name, parts)
        part = parts[name]
        group, kind = part["group"], part["cell_type"]
        cells: list[Any] = []
        if kind is not None:
            n_corners = N_POINTS[CellType(kind)]
            corners = self.whole(index, group + connectivity_name(kind)).reshape(-1)
            starts = np.arange(part["n_cells"] + 1, dtype=np.int64) * n_corners
            cells = [corners, starts, np.full(part["n_cells"], kind, np.uint8)]
        elif part["n_cells"]:
            cells = [self.whole(index, group + own) for own in ("connectivity", "offsets", "types")]
        found: list[dict[str, Array]] = []
        for where in ("point_data", "cell_data", "field_data"):
            wanted = {own: path for own, path in part[where].items() if fields is None or f"{where}/{own}" in fields}
            found.append({own: self.whole(index, path) for own, path in wanted.items()})
        points: Any = self.whole(index, f"{group}points")
        polyhedra = None
        if part["has_polyhedra"]:
            faces: list[Any] = [self.whole(index, f"{group}polyhedra/{own}") for own in POLYHEDRA]
            polyhedra = Polyhedra(*faces)
        connectivity, offsets, types = cells or (np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.uint8))
        point_data, cell_data, field_data = found
        return MeshPart(points, connectivity, offsets, types, point_data, cell_data, field_data, polyhedra)
