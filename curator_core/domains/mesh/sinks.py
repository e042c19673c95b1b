"""Sink of meshes: one Zarr dataset."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from curator_core.datasets.parts import write_part
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.publishing import publish_ragged
from curator_core.datasets.tables import Tables
from curator_core.domains.mesh.dataset import MeshDataset
from curator_core.domains.mesh.model import Mesh
from curator_core.domains.mesh.ragged.form import RaggedMeshes, item_rows, require_same_fields, specs_of, stored_names
from curator_core.domains.mesh.zarr_groups.published import PublishedMeshes
from curator_core.domains.mesh.zarr_groups.publishing import publish_meshes
from curator_core.domains.mesh.zarr_groups.writing import GroupLayout, write_meshes
from curator_core.errors import ConfigError
from curator_core.formats.arrays import Array
from curator_core.pipeline.annotations import SECRET
from curator_core.pipeline.components import MergeItem, Variable
from curator_core.sinks.datasets import DatasetSink
from curator_core.storage.locations import location_of
from curator_core.storage.outputs import check_output_path


class MeshZarrSink(DatasetSink[Mesh]):
    """Writes one Zarr dataset of meshes, with types, order of points, dtypes and texts as they are.

    Every mesh is a group, which plain Zarr opens, and PhysicsNeMo's reader where its cells are simplices. It is written
    once, by the worker that processed its item: a publication links what did not change, and large arrays that several
    meshes share, such as the geometry of a series, are stored once. Small meshes of one part that all have the same
    fields may lie end to end in the arrays of one group instead.

    Parameters
    ----------
    output_path
        Folder of the dataset, ending in ``.zarr``; or a repository, ending in ``.icechunk``, here or in a bucket.
    layout
        ``groups`` or ``ragged``.
    items_per_segment
        Of ragged layout, items that share files, on average: more than 1 where items are small.
    chunk_rows
        Of groups, rows of an array that a reader loads at once.
    shard_bytes
        Of groups, bytes of values that share a file, at most.
    compression_level
        Of groups, level of Zstandard.
    storage_options
        Credentials and settings for what is published in the output's folder of a bucket, by obstore's names, such as
        ``aws_secret_access_key`` and ``endpoint``; in place of those of the environment. They are stored nowhere.

    Raises
    ------
    ConfigError
        A size is none, there is no such layout, or an argument belongs to the other one.
    """

    name: ClassVar[str] = "mesh_zarr"
    description: ClassVar[str] = "Meshes as one Zarr dataset"
    checks_arguments: ClassVar[bool] = True
    shard_suffix: ClassVar[str] = ".part"

    def __init__(
        self,
        output_path: str,
        *,
        layout: str = "groups",
        items_per_segment: int = 1,
        chunk_rows: int = 200_000,
        shard_bytes: int = 256 << 20,
        compression_level: int = 1,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
    ) -> None:
        super().__init__(output_path, storage_options)
        if layout not in ("groups", "ragged"):
            raise ConfigError(f"{self.name}: layout must be 'groups' or 'ragged', not {layout!r}.")
        try:
            groups = GroupLayout(chunk_rows, shard_bytes, compression_level)
            self._ragged = RaggedMeshes(items_per_segment) if layout == "ragged" else None
        except ConfigError as exc:
            raise ConfigError(f"{self.name}: {exc}") from None
        if self._ragged is not None and groups != GroupLayout():
            raise ConfigError(f"{self.name}: chunk_rows, shard_bytes and compression_level are of layout='groups'.")
        if self._ragged is None and items_per_segment != 1:
            raise ConfigError(f"{self.name}: items_per_segment is of layout='ragged'.")
        self._groups = groups

    def check(self) -> None:
        """Raise `ConfigError` when the output cannot be written, or when something else stands there."""
        check_output_path(self._output, ".zarr", self.name)
        self._require_own()

    def write_shard(self, items: Iterator[Mesh], path: str) -> None:
        """Write the meshes of an item.

        Raises
        ------
        ComponentError
            Something is no mesh, or cannot be stored.
        """
        if self._ragged is None:
            write_meshes(items, self._groups, path)
        else:
            write_part(path, self._ragged, *item_rows(items))

    def _published(self, output_path: str) -> PublishedMeshes | PublishedRagged:
        if self._ragged is None:
            return PublishedMeshes(location_of(output_path).pinned())
        return PublishedRagged(location_of(output_path), self._ragged)

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        """Write a new dataset from parts and from the previous dataset.

        Raises
        ------
        MergeError
            A part, or an item of the previous dataset, is missing or damaged; or of ragged layout, an item has other
            fields than most.
        """
        if self._ragged is None:
            publish_meshes(self._groups, items, previous, Path(output_path))
            return
        require_same_fields(items, previous, self._ragged)
        publish_ragged(self._ragged, items, previous, Path(output_path))

    def describe(self, output_path: str) -> dict[str, int | float | str]:
        """Numbers of meshes, points and cells."""
        if self._ragged is None:
            found = PublishedMeshes(location_of(output_path)).attributes
            return {name: found[name] for name in ("n_meshes", "n_points", "n_cells")}
        rows = PublishedRagged(location_of(output_path), self._ragged).tables.rows
        return {
            f"n_{axis}{'es' if axis == 'mesh' else 's'}": int(rows[axis].sum()) for axis in ("mesh", "point", "cell")
        }

    def n_rows(self, output_path: str) -> int:
        """Number of meshes."""
        return int(self.describe(output_path)["n_meshes"])

    def schema(self, output_path: str) -> list[Variable]:
        if self._ragged is not None:
            return self._ragged_schema(PublishedRagged(location_of(output_path), self._ragged).tables)
        found = []
        for name, forms in PublishedMeshes(location_of(output_path)).attributes["arrays"].items():
            for form in forms:
                kind = form["dtype"] if isinstance(form["dtype"], str) else form["dtype"]["name"]
                dims = form["dims"] or ["mesh", *(f"axis_{axis}" for axis in range(len(form["row_shape"])))]
                shape = (form["n_rows"], *form["row_shape"])
                found.append(Variable(name, kind, tuple(dims), shape, unit=form.get("units", "")))
        return found

    @staticmethod
    def _ragged_schema(tables: Tables) -> list[Variable]:
        found = []
        for schema in tables.used_schemas("mesh")[:1]:
            specs = {spec.name: spec for spec in specs_of(schema)}
            for name, own in stored_names(json.loads(schema)):
                spec = specs[own]
                shape = (int(tables.rows[spec.dims[0]].sum()), *spec.row_shape)
                found.append(Variable(name, spec.dtype, spec.dims, shape, unit=spec.attributes.get("units", "")))
        return found

    def values(self, output_path: str, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        dataset = MeshDataset(output_path)
        for index, key in enumerate(dataset.keys):
            stored = dataset.stored(index)
            yield from ((key, name, stored.rows(name)) for name in stored.names if name in names)
