"""Publishing a dataset of tables: files that did not change are linked, parts of workers too, the rest is written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from curator_core.datasets.contents import content_signature
from curator_core.domains.table.columns import CommonTypes, delta_schema
from curator_core.domains.table.published import (
    FORMAT,
    FORMAT_VERSION,
    ITEMS,
    ORDER,
    SEGMENTS,
    PublishedTables,
    TableFile,
    segment_file,
)
from curator_core.domains.table.written import (
    TableLayout,
    converted,
    partitioned,
    require_partitions,
    schema_of_text,
    schema_text,
    stored_schema,
)
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.checksums import file_checksum
from curator_core.formats.description import DESCRIPTION, OWN_FOLDER, encoded_description
from curator_core.pipeline.components import MergeItem
from curator_core.storage.atomic import link_or_copy
from curator_core.storage.locations import location_of

logger = logging.getLogger("curator")

_N_THREADS = 4
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the rows of an item come from."""

    item: MergeItem
    schema: str
    """Its own schema, as text."""
    n_rows: int
    former: int = -1
    """Position in the dataset before; -1 of one with a part."""


@dataclass(slots=True)
class _File:
    """A file of a segment."""

    folder: str
    n_rows: int
    n_bytes: int = 0
    checksum: str = ""


@dataclass(slots=True)
class _Segment:
    """Items that share a file, or one in each partition."""

    number: int
    id: str
    origins: list[_Origin]
    files: list[_File] = field(default_factory=list)


def publish_tables(
    layout: TableLayout, items: Sequence[MergeItem], previous: str | None, path: str | Path, *, is_delta: bool = False
) -> None:
    """Write the dataset of some items to a new folder, from parts and from the dataset before.

    The bytes depend on the items, their versions and the layout alone. At most one segment is in memory.

    Parameters
    ----------
    layout
        How files are written.
    items
        The items, in the order of the dataset; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create, on the file system of the parts; what is kept of a Delta table is in it by name.
    is_delta
        Whether columns get the types that a Delta table has.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged; or the values of a column have no common
        type.
    """
    try:
        before = None if previous is None else PublishedTables(location_of(previous))
        _Publication(layout, items, before, Path(path), is_delta=is_delta).write()
    except MergeError:
        raise
    except ComponentError as exc:
        raise MergeError(str(exc)) from exc


class _Publication:
    """One publication.

    Parameters
    ----------
    layout, items, before, path, is_delta
        As of `publish_tables`.
    """

    def __init__(
        self,
        layout: TableLayout,
        items: Sequence[MergeItem],
        before: PublishedTables | None,
        path: Path,
        *,
        is_delta: bool,
    ) -> None:
        self._layout, self._before, self._path = layout, before, path
        self._origins = list(self._found(items))
        self._schemas = list(dict.fromkeys(origin.schema for origin in self._origins))
        self._require_partitions()
        common = self._common()
        self._schema = delta_schema(common) if is_delta else common
        self._schema_text = schema_text(self._schema)

    def _found(self, items: Sequence[MergeItem]) -> Iterator[_Origin]:
        before = self._before
        texts = [] if before is None else before.attributes["schemas"]
        versions = [] if before is None else before.items["version"].to_pylist()
        schema = [] if before is None else before.items["schema"].to_pylist()
        for item in items:
            if item.shard is not None:
                yield _of_part(item)
                continue
            number = -1 if before is None else before.positions.get(item.key, -1)
            if before is None or number < 0 or versions[number] != item.version:
                raise MergeError(
                    f"Item {item.key!r} has no shard and is not in the previous dataset; process it again."
                )
            yield _Origin(item, texts[schema[number]], int(before.n_rows_of[number]), number)

    def _require_partitions(self) -> None:
        """Raise `MergeError` where an item of a dataset that had no such partitions cannot be in them."""
        first = {origin.schema: origin.item.key for origin in reversed(self._origins)}
        for text, key in first.items() if self._layout.partition_by else ():
            try:
                require_partitions(schema_of_text(text), self._layout)
            except ComponentError as exc:
                raise MergeError(f"Item {key!r}: {exc}") from exc

    def _common(self) -> pa.Schema:
        """The schema of the dataset: the narrowest in which every item fits."""
        first: dict[str, str] = {}
        for origin in self._origins:
            first.setdefault(origin.schema, origin.item.key)
        common = CommonTypes((first[text], schema_of_text(text)) for text in self._schemas)
        for key, why in common.conflicts():
            raise MergeError(
                f"The item {key!r} does not go with the others: {why}. Correct it, or give the column one type with "
                "schema= of its source or a filter."
            )
        self._say_absent(common.schema)
        return common.schema

    def _say_absent(self, schema: pa.Schema) -> None:
        """Log which columns are null in which items, since these lack them."""
        names = {text: set(schema_of_text(text).names) for text in self._schemas}
        said = []
        for name in schema.names:
            lacking = [origin.item.key for origin in self._origins if name not in names[origin.schema]]
            if lacking:
                said.append(f"{name!r} in {len(lacking):,} of {len(self._origins):,}, such as {lacking[0]!r}")
        if said:
            more = f"; and {len(said) - _SHOWN} columns more" if len(said) > _SHOWN else ""
            logger.warning("Columns are null in items that lack them: %s%s", "; ".join(said[:_SHOWN]), more)

    def write(self) -> None:
        """Write the folder."""
        (self._path / OWN_FOLDER).mkdir(parents=True)
        segments = list(self._segments())
        known = self._known_files()
        written = list[tuple[_File, Path]]()
        for segment in segments:
            for former in known.get(segment.id, ()):
                self._keep(former.name, self._target(segment, former.folder))
                segment.files.append(_File(former.folder, former.n_rows, former.n_bytes, former.checksum))
            if segment.id not in known:
                self._write_segment(segment)
                written += ((file, self._target(segment, file.folder)) for file in segment.files)
        with ThreadPoolExecutor(_N_THREADS) as threads:
            checksums = threads.map(file_checksum, [target for _, target in written])
            for (file, target), checksum in zip(written, checksums, strict=True):
                file.n_bytes, file.checksum = target.stat().st_size, checksum
        if self._layout.partition_by and self._before is not None:
            self._keep_equal(written, self._before)
        self._write_tables(segments)

    def _target(self, segment: _Segment, folder: str) -> Path:
        return self._path / segment_file(segment.number, segment.id, folder)

    @staticmethod
    def _keep_equal(written: Iterable[tuple[_File, Path]], before: PublishedTables) -> None:
        """Take files of the dataset before in place of equal ones: of a segment, seldom all partitions change."""
        known = {(file.folder, file.checksum): file.name for file in before.every_file}
        for file, target in written:
            name = known.get((file.folder, file.checksum))
            if name is not None:
                kept = target.with_name(f".{target.name}")
                with contextlib.suppress(FileNotFoundError):  # what was removed is written
                    before.location.keep(name, kept)
                    kept.replace(target)

    def _segments(self) -> Iterator[_Segment]:
        sizes = _cut(self._origins, self._layout)
        origins = iter(self._origins)
        signature = [FORMAT_VERSION, self._layout.described(), self._schema_text]
        for number, size in enumerate(sizes):
            own = list(islice(origins, size))
            text = json.dumps([signature, [[origin.item.key, origin.item.version] for origin in own]])
            yield _Segment(number, hashlib.sha256(text.encode()).hexdigest()[:32], own)

    def _known_files(self) -> dict[str, list[TableFile]]:
        """Files of the segments of the dataset before, by id."""
        found: dict[str, list[TableFile]] = {}
        if self._before is not None:
            for name, file in zip(self._before.segments["id"].to_pylist(), self._before.every_file, strict=True):
                found.setdefault(name, []).append(file)
        return found

    def _keep(self, name: str, target: Path) -> None:
        """Take a file of the dataset before."""
        assert self._before is not None  # noqa: S101 - it is known from there
        location = self._before.location
        try:
            location.keep(name, target)
        except FileNotFoundError as exc:
            raise _missing(f"{location.path}/{name}") from exc

    def _write_segment(self, segment: _Segment) -> None:
        (origin, *others) = segment.origins
        if self._layout.partition_by:
            self._write_partitions(segment)
            return
        segment.files.append(_File("", sum(origin.n_rows for origin in segment.origins)))
        target = self._target(segment, "")
        if not others and origin.item.shard is not None and origin.schema == self._schema_text:
            try:
                link_or_copy(origin.item.shard, target)
            except FileNotFoundError as exc:
                raise _missing(str(origin.item.shard)) from exc
            return
        self._layout.write(self._rows_of(segment), target)

    def _rows_of(self, segment: _Segment) -> pa.Table:
        """Rows of a segment."""
        return pa.concat_tables(
            converted(self._rows(each), self._schema, f"Item {each.item.key!r}") for each in segment.origins
        )

    def _write_partitions(self, segment: _Segment) -> None:
        table = self._rows_of(segment)
        try:
            owner, folders = partitioned(table, self._layout)
        except ComponentError as exc:
            keys = [origin.item.key for origin in segment.origins]
            raise MergeError(f"Items {keys[0]!r} to {keys[-1]!r}, which are one segment: {exc}") from exc
        rest = table.drop_columns(list(self._layout.partition_by)).combine_chunks()
        ends = np.cumsum(np.bincount(owner, minlength=len(folders)))[:-1]
        for folder, rows in zip(folders, np.split(np.argsort(owner, kind="stable"), ends), strict=bool(folders)):
            segment.files.append(_File(folder, len(rows)))
            target = self._target(segment, folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._layout.write(rest.take(pa.array(rows)), target)
        if len(folders) > 1:
            segment.files.append(_File(ORDER, len(owner)))
            target = self._target(segment, ORDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            order = pa.table({"folder": pa.array(owner, pa.int16())})
            parquet.write_table(order, target, compression="zstd", write_page_checksum=True)

    def _rows(self, origin: _Origin) -> pa.Table:
        """Rows of an item under its own schema."""
        if origin.item.shard is not None:
            try:
                return parquet.read_table(origin.item.shard, page_checksum_verification=True, partitioning=None)
            except (OSError, pa.ArrowException) as exc:
                raise _unreadable(origin.item, exc) from exc
        assert self._before is not None  # noqa: S101 - `_found` found it there
        schema = schema_of_text(origin.schema)
        stored = self._before.rows_of(origin.former)
        return converted(stored.select(schema.names), schema, f"Item {origin.item.key!r}")

    def _write_tables(self, segments: Sequence[_Segment]) -> None:
        origins = self._origins
        owner = np.repeat(np.arange(len(segments)), [len(segment.origins) for segment in segments])
        schema = {text: number for number, text in enumerate(self._schemas)}
        items = pa.table(
            {
                "key": _texts(origin.item.key for origin in origins),
                "version": _texts(origin.item.version for origin in origins),
                "fingerprint": _texts(origin.item.fingerprint for origin in origins),
                "split": _texts(origin.item.split for origin in origins),
                "segment": pa.array(owner, pa.int64()),
                "n_rows": pa.array([origin.n_rows for origin in origins], pa.int64()),
                "schema": pa.array([schema[origin.schema] for origin in origins], pa.int64()),
            }
        )
        stored = [(segment, file) for segment in segments for file in segment.files]
        files = pa.table(
            {
                "id": _texts(segment.id for segment, _ in stored),
                "n_rows": pa.array([file.n_rows for _, file in stored], pa.int64()),
                "n_bytes": pa.array([file.n_bytes for _, file in stored], pa.int64()),
                "checksum": _texts(file.checksum for _, file in stored),
            }
        )
        if self._layout.partition_by:
            files = files.append_column("segment", pa.array([segment.number for segment, _ in stored], pa.int64()))
            files = files.append_column("folder", _texts(file.folder for _, file in stored))
        for name, table in ((ITEMS, items), (SEGMENTS, files)):
            parquet.write_table(table, self._path / name, compression="zstd", write_page_checksum=True)
        (self._path / DESCRIPTION).write_bytes(encoded_description(self._attributes(len(segments))))

    def _attributes(self, n_segments: int) -> dict[str, object]:
        origins = self._origins
        versions = {origin.item.key: origin.item.version for origin in origins}
        splits = {origin.item.key: origin.item.split for origin in origins}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "columns": {column.name: str(column.type) for column in self._schema},
            "n_rows": sum(origin.n_rows for origin in origins),
            "n_items": len(origins),
            "n_segments": n_segments,
            **self._layout.described(),
            "content_hash": content_signature(versions, splits),
            "checksums": {name: file_checksum(self._path / name) for name in (ITEMS, SEGMENTS)},
            "schema": self._schema_text,
            "schemas": self._schemas,
        }


def _cut(origins: Sequence[_Origin], layout: TableLayout) -> list[int]:
    """Number of items of each segment: a boundary stands where a key says so, or rows would be too many."""
    if layout.items_per_segment == 1:
        return [1] * len(origins)
    sizes, n_rows = list[int](), 0
    for origin in origins:
        digest = hashlib.blake2b(origin.item.key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        begins = int.from_bytes(digest, "little") % layout.items_per_segment == 0
        if not sizes or begins or n_rows + origin.n_rows > layout.segment_rows:
            sizes.append(0)
            n_rows = 0
        sizes[-1] += 1
        n_rows += origin.n_rows
    return sizes


def _missing(path: str) -> MergeError:
    return MergeError(f"{path} is missing: process the items again that it held.")


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(list(values), pa.string())


def _of_part(item: MergeItem) -> _Origin:
    assert item.shard is not None  # noqa: S101 - asked before
    try:
        metadata = parquet.read_metadata(item.shard)
        schema = metadata.schema.to_arrow_schema()
    except (OSError, pa.ArrowException) as exc:
        raise _unreadable(item, exc) from exc
    return _Origin(item, schema_text(stored_schema(schema)), metadata.num_rows)


def _unreadable(item: MergeItem, error: Exception) -> MergeError:
    return MergeError(f"Shard {item.shard} cannot be read ({error}); process the item {item.key!r} again.")
