"""A published dataset folder, read as tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from curator_core.components import Variable
from curator_core.domains.atoms.columns import Array, Column
from curator_core.domains.atoms.layout import (
    FORMAT,
    OFFSETS,
    PRESENT,
    UNITS,
    VERSION,
    VERSIONS_FILE,
    Field,
    Schema,
    load_schema,
)
from curator_core.domains.atoms.structures import Table
from curator_core.domains.atoms.zarr_arrays import ArrayReader
from curator_core.errors import ComponentError


@dataclass(frozen=True, slots=True)
class DatasetItem:
    """One source item in a dataset."""

    key: str
    """Its key in the source."""
    version: str
    """Hash of key, fingerprint and configuration; empty where the dataset lost it."""
    start: int
    """Position of its first structure."""
    stop: int
    """Position after its last structure."""
    schema_text: str
    """Schema of its structures alone, as `dump_schema` gives it."""


ITEM_ARRAYS = ("key", "schema", "schemas", "system_offsets")
"""Arrays in ``items/``; ``schema`` numbers the texts in ``schemas``."""


class DatasetReader:
    """Reads the structures and items of a dataset.

    Parameters
    ----------
    path
        Folder that `AtomicDataZarrSink` wrote.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._group = _open(path)
        attributes: dict[str, Any] = self._group.attrs.asdict()
        self.n_systems: int = attributes["n_systems"]
        """Number of structures."""
        self.schema: Schema = load_schema(json.dumps(attributes["fields"]))
        """Fields by array name."""
        self._offsets = self._reader("atom_offsets", OFFSETS)
        self._values = {name: self._reader(name, field) for name, field in self.schema.items()}
        partial = [name for name, field in self.schema.items() if field.partial]
        self._present = {name: self._reader(f"present/{name}", PRESENT) for name in partial}

    def items(self) -> list[DatasetItem]:
        """The source items in order."""
        column = {name: np.asarray(self._group[f"items/{name}"]).tolist() for name in ITEM_ARRAYS}
        versions = self._versions(len(column["key"]))
        schemas = [column["schemas"][number] for number in column["schema"]]
        rows = zip(column["key"], versions, pairwise(column["system_offsets"]), schemas, strict=True)
        return [DatasetItem(key, version, start, stop, schema) for key, version, (start, stop), schema in rows]

    def _versions(self, n_items: int) -> list[str]:
        try:
            versions = (self._path / VERSIONS_FILE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:  # a copy made with Zarr has the arrays alone
            versions = []
        return versions if len(versions) == n_items else [""] * n_items

    def n_atoms(self, start: int, stop: int) -> int:
        """Number of atoms of the structures from `start` to `stop`."""
        offsets = self._offsets.rows(start, stop + 1)
        return int(offsets[-1] - offsets[0])

    def table(self, start: int, stop: int) -> Table:
        """Structures from `start` to `stop`, under the dataset's schema."""
        return self._table(start, stop, self.schema)

    def item_table(self, item: DatasetItem) -> Table:
        """Structures of an item, as they were tabulated on their own."""
        schema = load_schema(item.schema_text)
        table = self._table(item.start, item.stop, schema)
        return Table(
            table.offsets, {name: table.columns[name].narrowed(schema[name], table.offsets) for name in schema}
        )

    def variables(self) -> list[Variable]:
        """The arrays that hold the structures."""
        return [self._variable(name, field) for name, field in self.schema.items()]

    def _variable(self, name: str, field: Field) -> Variable:
        array = self._group[name]
        assert isinstance(array, zarr.Array)  # noqa: S101 - the constructor found it so
        dims = (field.axis, *(f"axis_{number}" for number in range(1, array.ndim)))
        description = "not in every structure" if field.partial else ""
        return Variable(name, field.dtype, dims, array.shape, array.chunks, UNITS.get(name, ""), description)

    def values(self, names: Collection[str]) -> Iterator[tuple[str, str, Array]]:
        """Key of an item, name of an array, and what its structures have of it, ``(n_rows, *shape)``; item by item."""
        for item in self.items():
            table = self._table(item.start, item.stop, names)
            for name, column in table.columns.items():
                present = column.present
                if present is not None and column.field.axis == "atom":
                    present = np.repeat(present, np.diff(table.offsets))
                yield item.key, name, column.values if present is None else column.values[present]

    def _table(self, start: int, stop: int, names: Iterable[str]) -> Table:
        bounds = self._offsets.rows(start, stop + 1)
        rows = {"system": (start, stop), "atom": (int(bounds[0]), int(bounds[-1]))}
        columns = {}
        for name in names:
            field = self.schema[name]
            present = self._present[name].rows(start, stop).view(np.bool_) if field.partial else None
            columns[name] = Column(field, self._values[name].rows(*rows[field.axis]), present)
        return Table(bounds - bounds[0], columns)

    def _reader(self, name: str, field: Field) -> ArrayReader:
        array = self._group.get(name)
        if not isinstance(array, zarr.Array):
            raise ComponentError(f"The dataset is damaged: {self._path} has no array {name!r}.", file=str(self._path))
        return ArrayReader(self._path, array, field)


def _open(path: Path) -> zarr.Group:
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
    except (OSError, ValueError) as exc:  # zarr's own errors are ValueErrors
        raise ComponentError(f"There is no Zarr group at {path}: {exc}", file=str(path)) from exc
    if group.attrs.get("format") != FORMAT:
        raise ComponentError(f"{path} is no dataset of atomic structures ({FORMAT!r}).", file=str(path))
    if group.attrs["format_version"] != VERSION:
        raise ComponentError(
            f"{path} has format version {group.attrs['format_version']}, this version of curator reads {VERSION}.",
            file=str(path),
        )
    return group
