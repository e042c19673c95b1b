"""The files of a ragged dataset compared with what it says of itself: checksums, tables, files that do not belong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from curator_core.datasets.contents import OTHER_CHECKSUM, Damage
from curator_core.datasets.layout import FORMAT_VERSION, Layout
from curator_core.datasets.parts import checksum
from curator_core.datasets.tables import Tables, assembled, specs
from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.described import METADATA, changed_descriptions
from curator_core.formats.description import require_version
from curator_core.formats.record_file import RECORD
from curator_core.formats.zarr_metadata import UNREADABLE, chunk_key, read_table, table_array
from curator_core.storage.base import OutputLocation

_EDITED = "is not what was written: somebody changed the attributes, or what is said of an array"
_FORMER_VERSION = 1
"""Of a dataset of atomic structures, which a former version of curator published."""


def described_otherwise(location: OutputLocation, name: str, node: Mapping[str, Any]) -> Iterator[Damage]:
    """What the metadata of an array or group of its own say other than `node`, which is what the dataset's say."""
    file = f"{name}/{METADATA}"
    try:
        own = json.loads(location.read(file))
    except ObjectStoreError:  # no damage
        raise
    except UNREADABLE as exc:
        yield Damage(f"cannot be read: {exc}", file)
        return
    if {key: value for key, value in own.items() if key != "consolidated_metadata"} != {
        key: value for key, value in node.items() if key != "consolidated_metadata"
    }:
        yield Damage(f"says something else than {METADATA} of the dataset", file)


def changed_tables(location: OutputLocation) -> list[Damage]:
    """What a dataset says of itself, and is not what was written: metadata, and the tables beside its arrays."""
    try:
        found = changed_descriptions(json.loads(location.read(METADATA)), location.objects(), location.read)
    except UNREADABLE as exc:
        return [Damage(f"cannot be compared: {str(exc) or type(exc).__name__}", METADATA)]
    changed = [Damage(_EDITED, METADATA)] if "" in found else []
    tables = {name: files for name, files in found.items() if name}
    return changed + [Damage(OTHER_CHECKSUM, (files or [f"{name}/c"])[0]) for name, files in tables.items()]


def with_suspects(reason: str, location: OutputLocation) -> str:
    """Why a dataset cannot be verified, and which of its files are not what was written."""
    files = [damage.file for damage in changed_tables(location)]
    return f"{reason.removesuffix('.')}; not what was written: {', '.join(files)}" if files else reason


def _require_checksums(path: str, found: object) -> None:
    if type(found) is int and found == _FORMER_VERSION:
        raise ComponentError(
            f"it is of format version {found}, which can be read and has no checksums. Run its pipeline and gather: "
            f"what is published then is of version {FORMAT_VERSION}, and can be verified",
            file=path,
        )
    require_version(path, found, FORMAT_VERSION)


class RaggedFiles:
    """Examines the files of a dataset of format version 2, segment by segment.

    Parameters
    ----------
    location
        The dataset.

    Raises
    ------
    ComponentError
        It is no such dataset, or what it says of itself cannot be read.
    """

    def __init__(self, location: OutputLocation) -> None:
        self._location = location
        self._objects = set(location.objects())
        try:
            root = json.loads(location.read(METADATA))
            attributes = root["attributes"]
            _require_checksums(location.path, attributes.get("format_version"))
            self._nodes: dict[str, dict[str, Any]] = root["consolidated_metadata"]["metadata"]
            self.layout = Layout.from_description(attributes)
            self.arrays = {name: self._spec(name) for name in attributes["arrays"]}
            self._lengths = {what: int(attributes[f"n_{what}s"]) for what in ("item", "segment", "schema")}
            self._table_specs = specs(self.layout, len(self.arrays), has_splits="splits" in attributes)
            self.tables = self._tables()
        except ObjectStoreError:  # no damage
            raise
        except ComponentError as exc:  # of another format version, whose checksums may be others, too
            raise ComponentError(f"{location.path} cannot be verified: {exc}", file=location.path) from exc
        except UNREADABLE as exc:
            reason = with_suspects((str(exc) or type(exc).__name__).removesuffix("."), location)
            raise ComponentError(f"{location.path} cannot be verified: {reason}.", file=location.path) from exc

    def _spec(self, name: str) -> ArraySpec:
        node = self._nodes[name]
        dims, row_shape = tuple(node["dimension_names"]), tuple(node["shape"][1:])
        return ArraySpec(name, "uint8", dims, row_shape)  # its values are not decoded, whatever they are

    def _tables(self) -> Tables:
        found = {
            name: read_table(spec, self._lengths[spec.dims[0]], self._location.read)
            for name, spec in self._table_specs.items()
        }
        return assembled(found, self.layout)

    @property
    def held(self) -> dict[str, str]:
        """Item version by key."""
        return dict(zip(self.tables.keys, self.tables.versions, strict=True))

    @property
    def fingerprints(self) -> dict[str, str | None]:
        """Fingerprint by key."""
        return dict(zip(self.tables.keys, self.tables.fingerprints, strict=True))

    @property
    def splits(self) -> dict[str, str]:
        """Split by key; empty where there are none."""
        return dict(zip(self.tables.keys, self.tables.splits, strict=False))

    def damages(self) -> Iterator[Damage]:
        """Whatever is wrong, file by file.

        A segment's files are in memory one after the other.
        """
        yield from changed_tables(self._location)
        expected = {METADATA, RECORD, *self._table_files()}
        for name, node in self._nodes.items():
            expected.add(f"{name}/{METADATA}")
            yield from described_otherwise(self._location, name, node)
        for number, spec in enumerate(self.arrays.values()):
            yield from self._lengths_of(spec)
            for segment in range(self._lengths["segment"]):
                files = self._files(spec, segment)
                if digest := int(self.tables.checksums[segment, number]):
                    expected.update(files)
                    yield from self._compared(spec, segment, files, digest)
        for spec in self.layout.starts().values():
            expected.update(file for segment in range(self._lengths["segment"]) for file in self._files(spec, segment))
            yield from self._starts(spec)
        yield from (Damage("does not belong to the dataset", file) for file in sorted(self._objects - expected))

    def _table_files(self) -> Iterator[str]:
        for spec in self._table_specs.values():
            n_rows = self._lengths[spec.dims[0]]
            rows = table_array(spec, n_rows)["chunk_grid"]["configuration"]["chunk_shape"][0]
            yield from (chunk_key(spec, number) for number in range(-(-n_rows // rows)))

    def _lengths_of(self, spec: ArraySpec) -> Iterator[Damage]:
        axis = self.layout.by_name[spec.dims[0]]
        rows = self.tables.segment_rows[axis.name].tolist()
        expected = sum(axis.n_shards(n) for n in rows) * axis.shard_rows
        found = self._nodes[spec.name]["shape"][0]
        if found != expected:
            yield Damage(f"{spec.name} has {found} rows, and the segments {expected}", f"{spec.name}/{METADATA}")

    def _files(self, spec: ArraySpec, segment: int) -> list[str]:
        axis = spec.dims[0]
        first, n_rows = (int(column[axis][segment]) for column in (self.tables.shard, self.tables.segment_rows))
        return [chunk_key(spec, number) for number in self.layout.shards(spec, first, n_rows)]

    def _items_of(self, segment: int) -> tuple[str, ...]:
        return tuple(self.tables.keys[number] for number in np.flatnonzero(self.tables.segment == segment))

    def _compared(self, spec: ArraySpec, segment: int, files: list[str], digest: int) -> Iterator[Damage]:
        if not files:
            yield Damage("has a checksum, and no rows by the tables", spec.name, self._items_of(segment))
            return
        found = []
        for file in files:
            try:
                found.append(self._location.read(file))
            except ObjectStoreError:  # no damage
                raise
            except OSError as exc:
                missing = isinstance(exc, FileNotFoundError)
                yield Damage("is missing" if missing else f"cannot be read: {exc}", file, self._items_of(segment))
        if len(found) == len(files) and checksum(found) != digest:
            yield Damage(OTHER_CHECKSUM, files[0], self._items_of(segment))

    def _starts(self, spec: ArraySpec) -> Iterator[Damage]:
        """Where the rows of each sample begin is what their numbers say."""
        axis = next(axis for axis in self.layout.children if axis.start == spec.name)
        counts = self.layout.structure[axis.count]
        for segment in range(self._lengths["segment"]):
            files = self._files(spec, segment)
            try:
                found, lengths = self.decoded(spec, segment), self.decoded(counts, segment)
            except FileNotFoundError:
                yield Damage("is missing", files[0], self._items_of(segment))
                continue
            except ObjectStoreError:  # no damage
                raise
            except UNREADABLE as exc:
                yield Damage(f"cannot be read: {exc}", files[0], self._items_of(segment))
                continue
            first = int(self.tables.shard[axis.name][segment]) * axis.shard_rows
            n_rows = lengths.astype(np.int64)
            if not np.array_equal(found, first + np.cumsum(n_rows) - n_rows):
                what = f"says that samples begin elsewhere than {counts.name} does"
                yield Damage(what, files[0], self._items_of(segment))

    def dtype(self, name: str) -> str:
        """Type of the values of an array, as its metadata have it; empty for one that is no plain number."""
        found = self._nodes[name]["data_type"]
        return found if isinstance(found, str) else ""

    def decoded(self, spec: ArraySpec, segment: int) -> Array:
        """Rows of an array in a segment, without padding.

        Raises
        ------
        ValueError, OSError
            A file is damaged or missing.
        """
        n_rows = int(self.tables.segment_rows[spec.dims[0]][segment])
        return self.layout.codec(spec).decode_files(map(self._location.read, self._files(spec, segment)), n_rows)
