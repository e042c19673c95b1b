"""Publishing a dataset of tables: files that did not change are linked, parts of workers too, the rest is written."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    SEGMENTS,
    PublishedTables,
    segment_file,
)
from curator_core.domains.table.written import (
    TableLayout,
    converted,
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
class _Segment:
    """A file of the dataset."""

    id: str
    origins: list[_Origin]
    n_bytes: int = 0
    checksum: str = ""


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
        written = list[tuple[_Segment, Path]]()
        for number, segment in enumerate(segments):
            target = self._path / segment_file(number, segment.id)
            if segment.id in known:
                name, segment.checksum, segment.n_bytes = known[segment.id]
                self._keep(name, target)
            else:
                self._write_segment(segment, target)
                segment.n_bytes = target.stat().st_size
                written.append((segment, target))
        with ThreadPoolExecutor(_N_THREADS) as threads:
            checksums = threads.map(file_checksum, [target for _, target in written])
            for (segment, _), checksum in zip(written, checksums, strict=True):
                segment.checksum = checksum
        self._write_tables(segments)

    def _segments(self) -> Iterator[_Segment]:
        sizes = _cut(self._origins, self._layout)
        origins = iter(self._origins)
        signature = [FORMAT_VERSION, self._layout.described(), self._schema_text]
        for size in sizes:
            own = list(islice(origins, size))
            text = json.dumps([signature, [[origin.item.key, origin.item.version] for origin in own]])
            yield _Segment(hashlib.sha256(text.encode()).hexdigest()[:32], own)

    def _known_files(self) -> dict[str, tuple[str, str, int]]:
        """File, checksum and bytes of the segments of the dataset before, by id."""
        if self._before is None:
            return {}
        table = self._before.segments
        about = zip(self._before.files, table["checksum"].to_pylist(), table["n_bytes"].to_pylist(), strict=True)
        return dict(zip(table["id"].to_pylist(), about, strict=True))

    def _keep(self, name: str, target: Path) -> None:
        """Take a file of the dataset before."""
        assert self._before is not None  # noqa: S101 - it is known from there
        location = self._before.location
        try:
            location.keep(name, target)
        except FileNotFoundError as exc:
            raise _missing(f"{location.path}/{name}") from exc

    def _write_segment(self, segment: _Segment, target: Path) -> None:
        (origin, *others) = segment.origins
        if not others and origin.item.shard is not None and origin.schema == self._schema_text:
            try:
                link_or_copy(origin.item.shard, target)
            except FileNotFoundError as exc:
                raise _missing(str(origin.item.shard)) from exc
            return
        tables = [converted(self._rows(each), self._schema, f"Item {each.item.key!r}") for each in segment.origins]
        self._layout.write(pa.concat_tables(tables), target)

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
        files = pa.table(
            {
                "id": _texts(segment.id for segment in segments),
                "n_rows": pa.array([sum(o.n_rows for o in segment.origins) for segment in segments], pa.int64()),
                "n_bytes": pa.array([segment.n_bytes for segment in segments], pa.int64()),
                "checksum": _texts(segment.checksum for segment in segments),
            }
        )
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
