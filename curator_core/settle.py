"""Where every completed item's part of a merged output is, kept right when items move to other indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from curator_core.atomic import remove
from curator_core.components import Filter, ShardedSink, Sink
from curator_core.listing import Listing
from curator_core.plan import compare
from curator_core.shards import MAX_ARCHIVED_BYTES, ShardArchive, ShardedOutput, item_version, sharded_outputs
from curator_core.store import ItemRecord, MetricsStore, StoreWriter


class Settleable(Protocol):
    """What this module needs of a pipeline."""

    @property
    def filters(self) -> tuple[Filter[Any], ...]:
        """The steps."""

    @property
    def sink(self) -> Sink[Any] | None:
        """The sink."""

    @property
    def config_hash(self) -> str:
        """Hash of the configuration."""


@dataclass(frozen=True, slots=True)
class ItemState:
    """Where a completed item's part of one output is."""

    record: ItemRecord
    """What is recorded of the item."""
    version: str
    """Its `item_version`."""
    path: str
    """Recorded path: its shard, the archive, or the merged output."""
    loose: Path | None
    """Its shard, ``None`` once that is absorbed or merged."""

    @property
    def index(self) -> int:
        """Present position of the item."""
        return self.record.index

    @property
    def key(self) -> str:
        """Key of the item."""
        return self.record.key


def item_states(pipeline: Settleable, writer: StoreWriter, output: ShardedOutput) -> list[ItemState]:
    """State of every completed item of one output, in index order; vanished items first."""
    with MetricsStore(writer.path) as store:
        recorded = store.items(writer.run_id)
        if output.kind == "sink":
            paths = {index: found[0] for index, found in store.output_paths(writer.run_id).items() if found}
        else:
            artifacts = store.artifacts(writer.run_id)
            paths = {i: a.path for i, found in artifacts.items() for a in found if a.filter_order == output.order}
    elsewhere = {output.path, str(output.archive_path)}
    digest = pipeline.config_hash
    states = []
    for record in sorted(recorded.values(), key=lambda r: r.index):
        if record.status == "completed" and record.index in paths:
            path = paths[record.index]
            version = item_version(record.key, record.fingerprint, digest)
            states.append(ItemState(record, version, path, None if path in elsewhere else Path(path)))
    return states


def settle_shards(pipeline: Settleable, writer: StoreWriter, listing: Listing, *, is_in_place: bool = False) -> None:
    """Bring the database and loose shards in line with the source's present listing.

    Shards are named by index. When items moved to other indices, their loose shards would be
    overwritten, so they are absorbed into the archives first. Files that a plain sink wrote stay under
    their old names; the writer watches whether another item overwrites them.

    Parameters
    ----------
    pipeline
        The pipeline.
    writer
        Its database.
    listing
        The source's present listing.
    is_in_place
        A plan has just told that all items are recorded at their present indices.
    """
    if not is_in_place:
        with MetricsStore(writer.path) as store:
            found = compare(listing, store.recorded(writer.run_id))
        if any(position >= 0 for position in found.displaced):
            for output in sharded_outputs(pipeline):
                _absorb(output, item_states(pipeline, writer, output), writer)
        if not found.is_in_place:
            writer.reindex(listing.keys)
    if not isinstance(pipeline.sink, ShardedSink):
        writer.watch_shifted()


def _absorb(output: ShardedOutput, states: Sequence[ItemState], writer: StoreWriter) -> None:
    loose = [(state, state.loose) for state in states if state.loose is not None and state.loose.exists()]
    large = [entry for entry in loose if entry[1].is_dir() or entry[1].stat().st_size > MAX_ARCHIVED_BYTES]
    writer.forget(state.index for state, _ in large)
    small = [entry for entry in loose if entry not in large] if large else loose
    if small:
        with ShardArchive(output.archive_path) as archive:
            archive.absorb((state.key, state.version, path) for state, path in small)
        writer.replace_paths(output.kind, output.order, [(s.index, str(output.archive_path)) for s, _ in small])
    for _, path in loose:
        remove(path)
