"""A published dataset of meshes, to be read: whole meshes, parts of them, single arrays, rows of these."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.ragged.form import FORMAT as RAGGED
from curator_core.domains.mesh.ragged.reader import RaggedMeshReader
from curator_core.domains.mesh.zarr_groups.arrays import kind_of
from curator_core.domains.mesh.zarr_groups.reader import GroupsReader
from curator_core.errors import ConfigError, UnknownNameError
from curator_core.formats.arrays import TEXT, Array, ArraySpec
from curator_core.formats.dataset_files import DatasetFiles
from curator_core.formats.selection import Selection, runs_of
from curator_core.formats.shard_layout import ShardLayout
from curator_core.reading.pinned_samples import PinnedSamples, SamplesOfVersion
from curator_core.reading.readers import RaggedBatch

_MAIN = "mesh"
_SIZES = "sizes"


class _MeshReader(SamplesOfVersion, Protocol):
    """What reads the meshes in a folder, of whichever layout; `GroupsReader` says what each gives."""

    @property
    def n_meshes(self) -> int: ...

    @property
    def described_arrays(self) -> Mapping[str, Sequence[Mapping[str, Any]]]: ...

    def keys(self) -> list[str]: ...

    def times(self) -> npt.NDArray[np.float64]: ...

    def positions_of(self, key: str) -> range: ...

    def part_names(self, index: int) -> list[str]: ...

    def array_names(self, index: int) -> list[str]: ...

    def gather(
        self, positions: Sequence[int], names: Collection[str]
    ) -> dict[str, tuple[Array, npt.NDArray[np.int64]]]: ...

    def n_rows(self, index: int, name: str) -> int: ...

    def take(self, index: int, name: str, rows: Selection) -> Array: ...

    def rows(self, index: int, name: str, start: int, stop: int | None) -> Array: ...

    def mesh(self, index: int) -> Mesh: ...

    def part(self, index: int, name: str, fields: Sequence[str] | None = None) -> MeshPart: ...


class MeshDataset(PinnedSamples[Mesh, _MeshReader]):
    """Meshes of a dataset that `MeshZarrSink` wrote; nothing of them is read before it is asked for.

    The version that was opened is read to the end, in workers too: when another one is published it is read where it is
    kept as a former one. Arrays that were read are not to be changed.

    Parameters
    ----------
    path
        Folder of the dataset.
    cache_bytes
        Bytes of decoded chunks that are kept, in every process that reads.
    version
        The version that is wanted, by id, by the beginning of one, or by tag; the one that is there by default.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    DatasetExpiredError
        The version is not kept any more.
    """

    main_axis = _MAIN

    @staticmethod
    def _opened(path: Path, cache_bytes: int) -> _MeshReader:
        is_ragged = DatasetFiles(path).attributes.get("format") == RAGGED
        return RaggedMeshReader(path, cache_bytes) if is_ragged else GroupsReader(path, cache_bytes)

    def __len__(self) -> int:
        """Number of meshes."""
        return self._reader.n_meshes

    def __getitems__(self, indices: Sequence[int]) -> list[Mesh]:
        positions = self._positions(indices, "meshes")
        return [self._pinned.read(lambda reader, at=at: reader.mesh(at)) for at in positions]  # type: ignore[misc]

    @property
    def keys(self) -> list[str]:
        """Key of the item of each mesh; that of an item with several meshes comes as often."""
        return self._pinned.read(lambda reader: reader.keys())

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Time of each mesh; NaN of one without."""
        return self._pinned.read(lambda reader: reader.times())

    def item(self, key: str) -> list[Mesh]:
        """Meshes of an item.

        Raises
        ------
        UnknownNameError
            There is no such item.
        ComponentError
            They are damaged.
        """
        return self.__getitems__(self._pinned.read(lambda reader: reader.positions_of(key)))

    def stored(self, index: int) -> StoredMesh:
        """A mesh of which single arrays are read.

        Raises
        ------
        IndexRangeError
            There is no such mesh.
        """
        (position,) = self._positions([index], "meshes")
        return StoredMesh(self, position)

    def arrays(self) -> dict[str, ArraySpec]:
        """Arrays of numbers that all meshes have, of the same type and unit, by name, see `StoredMesh.names`.

        Data of the mesh or of a part as a whole are along the main axis, where all have the same shape.
        """
        found = {}
        for name, forms in self._reader.described_arrays.items():
            form = forms[0]
            if len(forms) == 1 and form["n_meshes"] == len(self) and form["dtype"] != TEXT:
                axis = _axis_of(name)
                rest = tuple(f"{name} {number}" for number in range(len(form["row_shape"])))
                said = {"units": form["units"]} if form.get("units") else {}
                found[name] = ArraySpec(name, _dtype(form["dtype"]), (axis, *rest), tuple(form["row_shape"]), said)
        return found

    def require_weights(self, weights: str, name: str) -> None:
        """Make sure that numbers weigh the rows of an array, as `StoredMesh.weights` has it.

        Raises
        ------
        UnknownNameError
            There is no such array.
        ConfigError
            It is of other rows, or no single number for each.
        """
        known = self.arrays()
        if weights != _SIZES and weights not in known:
            raise UnknownNameError.of("weights", weights, [_SIZES, *known])
        axis = _axis_of(name)
        part, _, own = axis.rpartition("/")
        if own not in ("point", "cell"):
            raise ConfigError(f"{name} has rows of {axis}, which have no weights: choose arrays of points or cells.")
        wanted = [f"{part}/{each}".lstrip("/") for each in dict.fromkeys((own, "cell"))]
        if weights != _SIZES and (known[weights].dims[0] not in wanted or known[weights].row_shape):
            spec = known[weights]
            raise ConfigError(
                f"{weights} has the shape {spec.row_shape} along {spec.dims[0]}: weights of {name} are single numbers "
                f"along {' or '.join(wanted)}."
            )

    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        known = self.arrays()
        for name in names:
            if name not in known:
                raise UnknownNameError.of("array of numbers that all meshes have", name, known)
        positions = self._positions(indices, "meshes")
        found = self._pinned.read(lambda reader: reader.gather(positions, names))
        values: dict[str, Array] = {}
        counts: dict[str, npt.NDArray[np.int64]] = {_MAIN: np.ones(len(positions), np.int64)}
        for name, (rows, own) in found.items():
            spec = known[name]
            values[name] = rows if len(rows) else np.empty((0, *spec.row_shape), spec.dtype)
            counts[spec.dims[0]] = own
        return RaggedBatch(values, counts)


def _axis_of(name: str) -> str:
    """Axis of an array: rows of meshes for what is said of a whole, else that of its part."""
    kind = kind_of(name)
    if kind == "field_data":
        return _MAIN
    if kind:
        head, _, _ = f"/{name}".partition(f"/{kind}/")
        return f"{head[1:]}/{kind[:-5]}" if head else kind[:-5]
    head, _, own = name.rpartition("/")
    axis = {"points": "point", "cells": "cell", "types": "cell", "cell_size": "cell"}.get(own, own)
    return f"{head}/{axis}" if head else axis


def _dtype(data_type: Any) -> str:  # noqa: ANN401 - JSON
    node = {
        "shape": [1],
        "data_type": data_type,
        "chunk_grid": {"configuration": {"chunk_shape": [1]}},
        "codecs": [{"name": "bytes"}, {"name": "zstd"}],
        "chunk_key_encoding": {"name": "default"},
    }
    return ShardLayout.parse(node).dtype


class StoredMesh:
    """A mesh in a dataset, of which only what is asked for is read.

    Parameters
    ----------
    dataset
        The dataset.
    index
        Position of the mesh.
    """

    def __init__(self, dataset: MeshDataset, index: int) -> None:
        self._pinned = dataset._pinned  # noqa: SLF001 - of this module
        self._require_weights = dataset.require_weights
        self._index = index

    @property
    def parts(self) -> list[str]:
        """Names of the parts."""
        return self._pinned.read(lambda reader: reader.part_names(self._index))

    @property
    def names(self) -> list[str]:
        """Names of the arrays: ``points``, ``cells``, ``point_data/p``; of other parts ``boundaries/inlet/points``."""
        return self._pinned.read(lambda reader: reader.array_names(self._index))

    def n_rows(self, name: str) -> int:
        """Number of rows of an array.

        Raises
        ------
        UnknownNameError
            There is no such array.
        """
        return self._pinned.read(lambda reader: reader.n_rows(self._index, name))

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Rows of an array from one to another; all by default.

        Raises
        ------
        UnknownNameError
            There is no such array.
        ComponentError
            It is damaged.
        """
        return self._pinned.read(lambda reader: reader.rows(self._index, name, start, stop))

    def weights(self, weights: str, name: str) -> npt.NDArray[np.float64]:
        """What the rows of an array weigh.

        Parameters
        ----------
        weights
            An array of numbers of the same rows, or of the cells of their points. Or ``sizes``: the lengths, areas or
            volumes of the cells of the largest dimension, by their points.
        name
            The array, of points or cells. A point weighs its share of the cells around it, each of which is divided
            evenly among its points.

        Returns
        -------
        array
            Shape (n_rows,).

        Raises
        ------
        UnknownNameError
            There is no such array.
        ConfigError
            It is of other rows, or no single number for each.
        ComponentError
            It is damaged.
        """
        self._require_weights(weights, name)
        from curator_core.domains.mesh.geometry.sizes import point_weights, sizes_here  # noqa: PLC0415 - need VTK

        axis = _axis_of(name)
        if weights != _SIZES and _axis_of(weights) == axis:
            return self.rows(weights).astype(np.float64)
        part = self.part(axis.rpartition("/")[0] or INTERIOR, fields=[])
        own = sizes_here(part).weights if weights == _SIZES else self.rows(weights).astype(np.float64)
        return point_weights(part, own) if axis.endswith("point") else own

    def take(self, names: Collection[str], rows: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, Array]:
        """Some rows of several arrays of one length, in the order given; every chunk is decoded once.

        Raises
        ------
        UnknownNameError
            There is no such array.
        ConfigError
            The arrays have other lengths than one another, or there is no such row.
        ComponentError
            One is damaged.
        """
        lengths = {self.n_rows(name) for name in names}
        wanted = np.asarray(rows, np.int64)
        if len(lengths) > 1:
            raise ConfigError(f"The arrays {', '.join(names)} have other numbers of rows: {sorted(lengths)}.")
        n_rows = next(iter(lengths), 0)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < n_rows:
            raise ConfigError(f"Rows {wanted.min()} to {wanted.max()} are wanted, of {n_rows}.")
        selection = Selection(runs_of(wanted))  # type: ignore[arg-type]  # an array is as good
        index = self._index
        return self._pinned.read(lambda reader: {name: reader.take(index, name, selection) for name in names})

    def part(self, name: str = INTERIOR, fields: Collection[str] | None = None) -> MeshPart:
        """A part of the mesh.

        Parameters
        ----------
        name
            Its name.
        fields
            Data that are wanted, such as ``point_data/p``; all by default.

        Raises
        ------
        UnknownNameError
            There is no such part.
        ComponentError
            It is damaged.
        """
        wanted = None if fields is None else list(fields)
        return self._pinned.read(lambda reader: reader.part(self._index, name, wanted))
