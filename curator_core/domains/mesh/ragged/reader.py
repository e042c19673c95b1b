"""The folder of a dataset of small meshes, read mesh by mesh, or the arrays of many at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.ragged.form import DATA, stored_names
from curator_core.errors import UnknownNameError
from curator_core.formats.arrays import TEXT, Array
from curator_core.formats.selection import Selection, joined_runs, runs_of
from curator_core.formats.shard_reader import ShardReader
from curator_core.reading.segmented import SegmentedFolder

_NO_SCHEMA: Final[Mapping[str, Any]] = {"part": INTERIOR, "data": {where: {} for where in DATA}, "arrays": []}


class RaggedMeshReader(SegmentedFolder):
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

    samples: ClassVar[str] = "meshes"

    def __init__(self, path: Path, cache_bytes: int) -> None:
        super().__init__(path, cache_bytes)
        self._arrays: dict[str, ShardReader] = {}
        with self._describing():
            texts = ShardReader(self._files, "items/schemas")
            schemas = [text for text in texts.rows(0, texts.shape[0]).tolist() if text]
            self._schema: Mapping[str, Any] = json.loads(schemas[0]) if schemas else _NO_SCHEMA
            self._own_names = dict(stored_names(self._schema))
        self.n_meshes = self._addresses.total("mesh")

    def content_hash(self) -> str:
        """Hash of what differs between versions of the dataset."""
        return hashlib.sha256(json.dumps(self._files.attributes, sort_keys=True).encode()).hexdigest()

    def keys(self) -> list[str]:
        """Key of the item of each mesh."""
        tables = self._tables
        pairs = zip(tables.keys, tables.rows["mesh"].tolist(), strict=True)
        return [key for key, n_meshes in pairs for _ in range(n_meshes)]

    def times(self) -> npt.NDArray[np.float64]:
        """Time of each mesh; NaN of one without."""
        if not self.n_meshes:
            return np.empty(0)
        rows = self._addresses.physical([(0, self.n_meshes)])
        return np.asarray(self._array("time").take(rows), np.float64)

    def positions_of(self, key: str) -> range:
        """Positions of the meshes of an item.

        Raises
        ------
        UnknownNameError
            There is no such item.
        """
        tables = self._tables
        if key not in tables.keys:
            raise UnknownNameError.of("item", key, tables.keys)
        number, rows = tables.keys.index(key), tables.rows["mesh"]
        first = int(rows[:number].sum())
        return range(first, first + int(rows[number]))

    def part_names(self, index: int) -> list[str]:
        """Names of the parts of a mesh."""
        return [self._schema["part"]]

    def array_names(self, index: int) -> list[str]:
        """Names of the arrays of a mesh."""
        return list(self._own_names)

    @property
    def described_arrays(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The forms of each array by name."""
        found = {}
        for name, own in self._own_names.items():
            node = self._files.described(own)
            form = {"dtype": node["data_type"], "row_shape": node["shape"][1:], "n_meshes": self.n_meshes}
            found[name] = [form | {"units": node.get("attributes", {}).get("units", "")}]
        return found

    def _array(self, own: str) -> ShardReader:
        if own not in self._arrays:
            self._arrays[own] = ShardReader(self._files, own)
        return self._arrays[own]

    def _own(self, name: str) -> str:
        if name not in self._own_names:
            raise UnknownNameError.of("array of the mesh", name, self._own_names)
        return self._own_names[name]

    def _spans(self, positions: Sequence[int], own: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First row of an array for each mesh, and how many there are."""
        main = self._addresses.physical(runs_of(positions))
        axis = self.layout.by_name[self._files.described(own)["dimension_names"][0]]
        if axis.name == "mesh":
            rows = np.concatenate([np.arange(*run) for run in main]) if main else np.empty(0, np.int64)
            return rows.astype(np.int64), np.ones(len(positions), np.int64)
        start, counts = (np.asarray(self._array(name).take(main), np.int64) for name in (axis.start, axis.count))
        if (start < 0).any() or (counts < 0).any():
            raise self._files.damaged(f"its meshes begin nowhere on {axis.name!r}")
        return start, counts

    def gather(
        self, positions: Sequence[int], names: Collection[str]
    ) -> dict[str, tuple[Array, npt.NDArray[np.int64]]]:
        """Rows of some arrays for meshes at some positions, and how many there are of each.

        Raises
        ------
        ComponentError
            They are damaged, or the dataset was replaced.
        """
        found = {}
        for name in names:
            own = self._own(name)
            start, counts = self._spans(positions, own)
            found[name] = self._array(own).take(joined_runs(start, start + counts)), counts
        self.require_same()
        return found

    def n_rows(self, index: int, name: str) -> int:
        """Number of rows of an array."""
        return int(self._spans([index], self._own(name))[1][0])

    def take(self, index: int, name: str, rows: Selection) -> Array:
        """Rows of an array of a mesh."""
        own = self._own(name)
        return self._taken(own, int(self._spans([index], own)[0][0]), rows)

    def _taken(self, own: str, start: int, rows: Selection) -> Array:
        values = self._array(own).take([(start + first, start + stop) for first, stop in rows.runs])
        self.require_same()
        return self._typed(own, values)

    def rows(self, index: int, name: str, start: int, stop: int | None) -> Array:
        """Rows of an array from one to another; data of a whole as they are."""
        own = self._own(name)
        first, counts = self._spans([index], own)
        if self._files.described(own)["dimension_names"][0] == "mesh":
            values = self._array(own).rows(int(first[0]), int(first[0]) + 1)[0:1].reshape(self._array(own).shape[1:])
            self.require_same()
            return self._typed(own, values)
        begin, end, _ = slice(start, stop).indices(int(counts[0]))
        return self._taken(own, int(first[0]), Selection([(begin, max(begin, end))]))

    def _typed(self, own: str, values: Array) -> Array:
        return values.astype(str) if self._array(own).dtype == TEXT else values

    def mesh(self, index: int) -> Mesh:
        """A mesh."""
        data = self._schema["data"]["mesh_data"]
        found = {name: self.rows(index, f"mesh/field_data/{name}", 0, None) for name in data}
        row = int(self._spans([index], "time")[0][0])
        time = float(self._array("time").rows(row, row + 1)[0])
        part = self._schema["part"]
        units = self._schema.get("units", {})
        return Mesh({part: self.part(index, part)}, found, None if np.isnan(time) else time, units)

    def part(self, index: int, name: str, fields: Sequence[str] | None = None) -> MeshPart:
        """The part of a mesh, with some of its data.

        Raises
        ------
        UnknownNameError
            It has another name.
        """
        schema = self._schema
        if name != schema["part"]:
            raise UnknownNameError.of("part of the mesh", name, [schema["part"]])
        prefix = "" if name == INTERIOR else f"{name}/"
        sizes = self.rows(index, f"{prefix}cell_size", 0, None).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        types: Any = self.rows(index, f"{prefix}types", 0, None)
        corners: Any = self.rows(index, f"{prefix}connectivity", 0, None)
        data = []
        for where in ("point_data", "cell_data", "field_data"):
            wanted = [own for own in schema["data"][where] if fields is None or f"{where}/{own}" in fields]
            data.append({own: self.rows(index, f"{prefix}{where}/{own}", 0, None) for own in wanted})
        points: Any = self.rows(index, f"{prefix}points", 0, None)
        point_data, cell_data, field_data = data
        return MeshPart(points, corners, offsets, types, point_data, cell_data, field_data)
