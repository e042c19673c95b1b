"""A published dataset folder, read as tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import FORMAT_VERSION, Layout
from curator_core.datasets.tables import SPLIT, Tables
from curator_core.domains.atoms.columns import Column, Offsets
from curator_core.domains.atoms.layout import (
    FORMAT,
    FORMER_VERSION,
    OFFSETS,
    PAIRS,
    PRESENT,
    UNITS,
    VERSIONS_FILE,
    Field,
    Schema,
    dimension_names,
    load_schema,
)
from curator_core.domains.atoms.pairs import unpack_pairs, without_pairs
from curator_core.domains.atoms.structures import UNFIT, Table, reason
from curator_core.errors import ComponentError, ConfigError, CuratorError
from curator_core.formats.arrays import CACHE_BYTES, Array
from curator_core.formats.dataset_files import DatasetFiles
from curator_core.formats.description import require_version
from curator_core.formats.selection import Selection, runs_of
from curator_core.formats.shard_reader import ShardReader
from curator_core.pipeline.components import Variable
from curator_core.reading.addresses import SegmentAddresses
from curator_core.reading.pinned import Edition


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
    split: str = ""
    """The split that it is in; empty for none."""


UNDECODABLE = (*UNFIT, OSError, RuntimeError, AttributeError, AssertionError)
"""What reading a damaged dataset can raise; errors of Zarr are among them."""

_CHECKED_FILES = 1000
"""Files of an array that are looked for when a dataset is opened; those of larger ones when they are read."""

ITEM_ARRAYS = ("key", "schema", "schemas", "system_offsets")
"""Arrays in ``items/``; ``schema`` numbers the texts in ``schemas``."""


class DatasetReader:
    """Reads the structures and items of a dataset.

    Parameters
    ----------
    path
        Folder that `AtomicDataZarrSink` wrote.
    cache_bytes
        Bytes of decoded chunks that are kept.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    """

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._path = path.absolute()
        self._edition = Edition(self._path)
        self._files = DatasetFiles(self._path, require_same=self.require_same, cache_bytes=cache_bytes)
        self.version = _readable_version(self._files.attributes, self._path)
        self.n_systems, self.schema = _contents(self._files.attributes, self._path)
        with self._reading("what it holds"):
            self._segments = None if self.version == FORMER_VERSION else self._segmented()
            self._bounds = [self._reader(name, OFFSETS) for name in self._address_arrays()]
            self.n_atoms = self._number_of_atoms()
            self._values = {name: self._reader(name, field) for name, field in self.schema.items()}
            partial = [name for name, field in self.schema.items() if field.partial]
            self._present = {name: self._reader(f"present/{name}", PRESENT, is_partial=True) for name in partial}

    def _segmented(self) -> SegmentAddresses:
        attributes = self._files.attributes
        try:
            layout, names = Layout.from_description(attributes), list(attributes["arrays"])
        except ConfigError as exc:
            raise self.damaged("how it is cut", exc) from exc
        return SegmentAddresses(self._files, layout, names)

    def _address_arrays(self) -> tuple[str, ...]:
        return ("atom_offsets",) if self._segments is None else ("atom_start", "n_atoms")

    def _number_of_atoms(self) -> int:
        if self._segments is None:
            return int(self._bounds[0].rows(self.n_systems, self.n_systems + 1)[0])
        if self._segments.total("system") != self.n_systems:
            raise ValueError(f"its items are not of {self.n_systems} structures")
        return self._segments.total("atom")

    def items(self) -> list[DatasetItem]:
        """The source items in order.

        Raises
        ------
        ComponentError
            The list of items is damaged, or the dataset was replaced.
        """
        with self._reading("its list of items"):
            if self._segments is not None:
                return _items(self._segments.tables())
            column = {name: self._item_values(name) for name in ITEM_ARRAYS}
            versions = self._versions(len(column["key"]))
            schemas = [column["schemas"][number] for number in column["schema"]]
            rows = zip(column["key"], versions, pairwise(column["system_offsets"]), schemas, strict=True)
            items = [DatasetItem(key, version, start, stop, schema) for key, version, (start, stop), schema in rows]
            if [*column["system_offsets"][:1], *column["system_offsets"][-1:]] != [0, self.n_systems]:
                raise ValueError(f"it is not of {self.n_systems} structures")
            return items

    def split_names(self) -> list[str]:
        """The splits that items are in."""
        return sorted(self._files.attributes.get("splits", ()))

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        """Positions of the structures of a split, ascending.

        Raises
        ------
        ComponentError
            The list of items is damaged, or the dataset was replaced.
        """
        with self._reading("its list of items"):
            counts = np.asarray(self._column("items/n_systems"), np.int64)
            is_in = np.asarray(self._column(SPLIT) == name, bool)
            return np.flatnonzero(np.repeat(is_in, counts))

    def _column(self, name: str) -> Array:
        array = ShardReader(self._files, name)
        if len(array.shape) != 1:
            raise ValueError(f"{name!r} is no list")
        return array.rows(0, array.shape[0])

    def _item_values(self, name: str) -> list[Any]:
        values: list[Any] = self._column(f"items/{name}").tolist()
        return values

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Name the dataset and `what` when it is damaged; what was read counts if the dataset is the one opened."""
        try:
            yield
        except CuratorError:
            self.require_same()
            raise
        except UNDECODABLE as exc:
            self.require_same()
            raise self.damaged(what, exc) from exc
        self.require_same()

    def damaged(self, what: str, error: Exception) -> ComponentError:
        """Build the error for `what`, which cannot be read because of another `error`."""
        return _damaged(self._path, f"{what} cannot be read: {reason(error)}")

    def require_same(self) -> None:
        """Make sure that the folder still holds the dataset that was opened.

        Raises
        ------
        DatasetReplacedError
            Another version was published there meanwhile, or it was removed.
        """
        self._edition.require("structures")

    def content_hash(self) -> str:
        """SHA-256 of what differs between versions of the dataset: its attributes and its items."""
        with self._reading("its list of items"):
            versions = self._path / VERSIONS_FILE
            described = (self._path / "zarr.json").read_bytes()
            return hashlib.sha256(described + (versions.read_bytes() if versions.exists() else b"")).hexdigest()

    def _versions(self, n_items: int) -> list[str]:
        try:
            versions = (self._path / VERSIONS_FILE).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:  # a copy made with Zarr has the arrays alone
            versions = []
        return versions if len(versions) == n_items else [""] * n_items

    def table(self, start: int, stop: int) -> Table:
        """Structures from `start` to `stop`, under the dataset's schema."""
        return self._table(start, stop, self.schema)

    def item_table(self, item: DatasetItem) -> Table:
        """Structures of an item, as they were tabulated on their own.

        Raises
        ------
        ComponentError
            They are damaged, or the dataset was replaced.
        """
        with self._reading(f"item {item.key!r}"):
            schema = load_schema(item.schema_text)
            is_packed = PAIRS in self.schema
            own = without_pairs(schema) if is_packed else schema
            table = self._table(item.start, item.stop, [*own, PAIRS] if is_packed else own)
            columns = {name: table.columns[name].narrowed(own[name], table.offsets) for name in own}
            if is_packed:
                columns |= unpack_pairs(table.columns[PAIRS], schema, table.offsets)
            return Table(table.offsets, {name: columns[name] for name in schema})

    def gather(self, positions: Sequence[int], names: Collection[str] | None = None) -> Table:
        """Structures at some positions, in their order; all columns, or those of some names.

        Raises
        ------
        ComponentError
            They are damaged, or the dataset was replaced.
        """
        return self._gathered(runs_of(positions), self.schema if names is None else names)

    def variables(self) -> list[Variable]:
        """The arrays that hold the structures."""
        return [self._variable(name, field) for name, field in self.schema.items()]

    def _variable(self, name: str, field: Field) -> Variable:
        values, dims = self._values[name], dimension_names(name, field)
        description = "not in every structure" if field.partial else ""
        shape = (self.n_atoms if field.axis == "atom" else self.n_systems, *field.shape)
        return Variable(name, field.dtype, dims, shape, values.chunks, UNITS.get(name, ""), description)

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
        return self._gathered([(start, stop)], names)

    def _gathered(self, runs: Sequence[tuple[int, int]], names: Iterable[str]) -> Table:
        """Structures of some runs, one after the other."""
        systems = Selection(self._system_rows(runs))
        begin, lengths = self._places(systems)
        rows = {"system": systems, "atom": Selection(self._atom_rows(systems.runs, begin, lengths))}
        columns = {}
        for name in names:
            field = self.schema[name]
            present = self._present[name].take(systems).view(np.bool_) if field.partial else None
            columns[name] = Column(field, self._values[name].take(rows[field.axis]), present)
        self.require_same()
        return Table(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]), columns)

    def _system_rows(self, runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Rows of structures on their axis."""
        own = [(start, stop) for start, stop in runs if start < stop]
        if self._segments is None:
            return own
        return self._segments.physical(own)

    def _places(self, systems: Selection) -> tuple[Offsets, Offsets]:
        """First atom and number of atoms of the structures at some rows."""
        if self._segments is not None:
            begin, lengths = (np.asarray(reader.take(systems), np.int64) for reader in self._bounds)
            return begin, lengths
        bounds = [np.asarray(self._bounds[0].rows(start, stop + 1), np.int64) for start, stop in systems.runs]
        nothing = np.empty(0, np.int64)
        begin = np.concatenate([nothing, *(found[:-1] for found in bounds)])
        return begin, np.concatenate([nothing, *(np.diff(found) for found in bounds)])

    def _atom_rows(self, systems: list[tuple[int, int]], begin: Offsets, lengths: Offsets) -> list[tuple[int, int]]:
        """Rows of structures on the axis of atoms: within consecutive rows of structures, they follow one another."""
        ends = begin + lengths
        is_next = begin[1:] == ends[:-1]
        is_within = np.ones(len(is_next), bool)
        is_within[np.cumsum([stop - start for start, stop in systems[:-1]], dtype=np.int64) - 1] = False
        if (lengths < 0).any() or (begin < 0).any() or not is_next[is_within].all():
            raise self.damaged("the first atoms of structures", ValueError("they are out of order"))
        cuts = [0, *(np.flatnonzero(~is_next) + 1).tolist(), len(begin)]
        return [(int(begin[start]), int(ends[stop - 1])) for start, stop in pairwise(cuts) if start < stop]

    def _reader(self, name: str, field: Field, *, is_partial: bool = False) -> ShardReader:
        absent = frozenset[int]()
        if self._segments is not None and (field.partial or is_partial):
            absent = self._segments.absent(name, field.axis)
        array = ShardReader(self._files, name, absent=absent)
        shape = (self._length(name, field), *field.shape)
        if array.shape != shape:
            raise _damaged(self._path, f"its array {name!r} has the shape {array.shape}, not {shape}")
        if array.dtype != field.stored:
            raise _damaged(self._path, f"its array {name!r} is of {array.dtype}, not of {field.dtype}")
        if array.n_files <= _CHECKED_FILES:
            array.require_files()
        return array

    def _length(self, name: str, field: Field) -> int:
        if self._segments is not None:
            return self._segments.n_rows(field.axis)
        return self.n_systems + (name == "atom_offsets") if field.axis == "system" else self.n_atoms


def _items(tables: Tables) -> list[DatasetItem]:
    stops = np.cumsum(tables.rows["system"]).tolist()
    splits = tables.splits or [""] * len(stops)
    schemas = (tables.schemas[number] for number in tables.schema.tolist())
    rows = zip(tables.keys, tables.versions, [0, *stops], stops, schemas, splits, strict=False)
    return [DatasetItem(*row) for row in rows]


def _damaged(path: Path, what: str) -> ComponentError:
    return ComponentError(f"The dataset {path} is damaged: {what}.", file=str(path))


def _contents(attributes: Mapping[str, Any], path: Path) -> tuple[int, Schema]:
    """Number of structures, and fields by array name."""
    missing = [name for name in ("n_systems", "fields") if name not in attributes]
    if missing:
        raise _damaged(path, f"it lacks the attribute {missing[0]!r}")
    n_systems = attributes["n_systems"]
    if type(n_systems) is not int or n_systems < 0:
        raise _damaged(path, f"its attribute 'n_systems' is {n_systems!r:.60}")
    try:
        schema = load_schema(json.dumps(attributes["fields"]))
    except UNDECODABLE as exc:
        raise _damaged(path, f"its attribute 'fields' cannot be read: {reason(exc)}") from exc
    return n_systems, schema


def _readable_version(attributes: Mapping[str, Any], path: Path) -> int:
    name, version = attributes.get("format"), attributes.get("format_version")
    if name != FORMAT:
        raise ComponentError(f"{path} is no dataset of atomic structures ({FORMAT!r}).", file=str(path))
    return require_version(str(path), version, FORMER_VERSION, FORMAT_VERSION)
