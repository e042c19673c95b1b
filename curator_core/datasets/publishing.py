"""Publishing a ragged dataset: what did not change is linked, the parts of workers are linked, the rest is encoded."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curator_core.datasets.contents import content_signature
from curator_core.datasets.layout import FORMAT_VERSION, Integers, Layout, RaggedFormat
from curator_core.datasets.origins import Origins
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.segment_tasks import EncodedSegments, SegmentTask
from curator_core.datasets.segments import Segments, cut, segment_id
from curator_core.datasets.tables import Tables, columns, specs, used_schemas
from curator_core.datasets.writing import SegmentWriter
from curator_core.errors import ComponentError, MergeError
from curator_core.formats.zarr_metadata import sharded_array, table_array, table_files, write_hierarchy
from curator_core.pipeline.components import MergeItem
from curator_core.storage.locations import location_of

logger = logging.getLogger("curator")

_MANY_ITEMS = 100
_LEAST_ADVISED, _MOST_ADVISED = 4, 64
"""Fewer save little; with more, a change writes too much."""


def publish_ragged(
    ragged: RaggedFormat, items: Sequence[MergeItem], previous: str | Path | None, path: str | Path
) -> None:
    """Write the dataset of some items to a new folder, from parts and from the dataset before.

    The bytes depend on the items, their versions and the layout alone. At most one segment is in memory.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    items
        The items, in the order of the dataset; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create, on the file system of the parts.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged.
    """
    try:
        before = None if previous is None else PublishedRagged(location_of(previous), ragged)
        origins = Origins(ragged, items, before)
        _advise(ragged.layout, origins)
        _publish(ragged, items, origins, Path(path))
    except ComponentError as exc:
        raise MergeError(f"The dataset {previous} cannot be used: {exc}") from exc


def _advise(layout: Layout, origins: Origins) -> None:
    """Say which number of items a segment fits, where items are many, and small."""
    if layout.items_per_segment > 1 or len(origins) < _MANY_ITEMS:
        return
    filled = max(float(origins.rows[a.name].mean()) / a.shard_rows for a in layout.axes)
    fitting = min(_MOST_ADVISED, int(1 / (2 * filled))) if filled else _MOST_ADVISED
    if fitting >= _LEAST_ADVISED:
        logger.info(
            "%d items fill %.1g of a file each, and take a file per array: items_per_segment=%d lets them share files",
            len(origins),
            filled,
            fitting,
        )


def _publish(ragged: RaggedFormat, items: Sequence[MergeItem], origins: Origins, path: Path) -> None:
    layout, before = ragged.layout, origins.before
    arrays = ragged.joined(used_schemas(origins.schemas, origins.schema, origins.rows[layout.main.name]))
    n_items = cut((item.key for item in items), origins.rows, layout)
    known = origins.known_segments(n_items)
    segments = Segments(layout, _ids(items, n_items, known, origins, layout), n_items, origins.rows)
    writer = SegmentWriter(path, ragged, arrays, before)
    n_rows = {axis.name: segments.n_shards(axis.name) * axis.shard_rows for axis in layout.axes}
    described = {s.name: sharded_array(s, n_rows[s.dims[0]], layout.codec(s)) for s in writer.arrays}
    writer.make_folders(segments)
    checksums = np.zeros((len(segments), len(writer.stored)), np.uint64)
    is_left = known < 0 if writer.take_over(segments, known, checksums) else np.ones(len(segments), np.bool_)
    left = np.flatnonzero(is_left)
    encoded = EncodedSegments(ragged, writer.encoder, lambda: None if before is None else before.rows)
    if encoded.is_wanted:
        encoded.prepare(_tasks(writer, segments, left, known, origins))
    for number in left.tolist():
        segment = segments[number]
        own, former = origins.take(segment.items), _number(known[number])
        checksums[number] = writer.write(segment, own, former, encoded.find(number))
    tables = _tables(items, origins, segments, checksums, ragged)
    written = _write_tables(path, tables, ragged, len(writer.stored))
    attributes = _attributes(tables, ragged) | {"arrays": list(writer.stored)} | ragged.attributes(arrays)
    write_hierarchy(path, attributes, described | written, tables=written)
    encoded.remove()


def _ids(items: Sequence[MergeItem], n_items: Integers, known: Integers, origins: Origins, layout: Layout) -> list[str]:
    """Id of each segment, hashed where the dataset before does not have it."""
    held = [] if origins.before is None else origins.before.tables.segment_ids
    stops = np.cumsum(n_items)
    found = [held[former] if former >= 0 else "" for former in known.tolist()]
    for number in np.flatnonzero(known < 0).tolist():
        own = items[int(stops[number] - n_items[number]) : int(stops[number])]
        found[number] = segment_id(((item.key, item.version) for item in own), layout)
    return found


def _number(known: np.int64) -> int | None:
    return None if known < 0 else int(known)


def _tasks(
    writer: SegmentWriter, segments: Segments, left: Integers, known: Integers, origins: Origins
) -> dict[int, SegmentTask]:
    """What is to be encoded, by the position of the segment."""
    found = {}
    for number in left.tolist():
        segment = segments[number]
        own = origins[segment.items]
        if missing := writer.missing(own, _number(known[number])):
            found[number] = SegmentTask.of(segment, own, writer.encoder, missing)
    return found


def _tables(
    items: Sequence[MergeItem],
    origins: Origins,
    segments: Segments,
    checksums: Any,  # noqa: ANN401 - an array of checksums
    ragged: RaggedFormat,
) -> Tables:
    axes, main, rows = ragged.layout.axes, ragged.layout.main, origins.rows
    shard = {axis.name: segments.first_shards(axis.name) for axis in axes}
    own = {axis.name: segments.rows(axis.name) for axis in axes}
    owner = np.repeat(np.arange(len(segments)), segments.n_items)
    before = np.cumsum(rows[main.name]) - rows[main.name]  # rows without the padding
    begin = (np.cumsum(own[main.name]) - own[main.name])[owner]
    return Tables(
        keys=[item.key for item in items],
        versions=[item.version for item in items],
        fingerprints=[item.fingerprint for item in items],
        schemas=origins.schemas,
        schema=origins.schema,
        segment=owner.astype(np.int64),
        first=shard[main.name][owner] * main.shard_rows + before - begin,
        rows=rows,
        segment_ids=segments.ids,
        shard=shard,
        segment_rows=own,
        checksums=checksums,
        splits=[item.split for item in items] if any(item.split for item in items) else (),
    )


def _write_tables(path: Path, tables: Tables, ragged: RaggedFormat, n_arrays: int) -> dict[str, dict[str, Any]]:
    """Write the tables of items and segments, and give their metadata."""
    listed, described = specs(ragged.layout, n_arrays, has_splits=bool(tables.splits)), {}
    for name, values in columns(tables, ragged.layout):
        described[name] = table_array(listed[name], len(values))
        for key, data in table_files(listed[name], values):
            (path / key).parent.mkdir(parents=True, exist_ok=True)
            (path / key).write_bytes(data)
    return described


def _attributes(tables: Tables, ragged: RaggedFormat) -> dict[str, Any]:
    counts = {axis.count: int(tables.rows[axis.name].sum()) for axis in ragged.layout.axes}
    sizes = {"n_items": len(tables.keys), "n_segments": len(tables.segment_ids)}
    sizes["n_schemas"] = len(tables.schemas)
    splits = dict(zip(tables.keys, tables.splits, strict=False))
    content = {"content_hash": content_signature(dict(zip(tables.keys, tables.versions, strict=True)), splits)}
    own = {"format": ragged.name, "format_version": FORMAT_VERSION}
    numbers = Counter(name for name in tables.splits if name)
    divided = {"splits": dict(sorted(numbers.items()))} if tables.splits else {}
    return own | ragged.layout.described() | counts | sizes | divided | content
