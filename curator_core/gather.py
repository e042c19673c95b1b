"""Merging: shards and retained state of all completed items into the published outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator_core.atomic import (
    glob_escape,
    publish_directory,
    publish_file,
    recover_directory,
    remove,
    remove_leftovers,
    temporary_sibling,
)
from curator_core.components import MergeItem, shard_path
from curator_core.errors import MergeError, PipelineStateError
from curator_core.listing import Listing
from curator_core.pipeline import Pipeline
from curator_core.shards import ShardArchive, ShardedOutput, content_signature, item_version, sharded_outputs
from curator_core.store import ItemRecord, MetricsStore, StoreWriter

MAX_ARCHIVED_BYTES = 900_000_000
"""SQLite holds no larger value; an item with a larger shard is processed again instead."""


@dataclass(frozen=True, slots=True)
class _State:
    """Where an item's part of one output is."""

    index: int
    record: ItemRecord
    version: str
    path: str

    @property
    def is_loose(self) -> bool:
        return self.path != ""


def gather_pipeline(pipeline: Pipeline[Any], keep_shards: bool = False) -> list[str]:  # noqa: FBT001, FBT002
    """Merge the shards of every completed item into the published outputs.

    Items are merged in index order, so the result depends neither on the backend nor on the order of
    completion, and equals that of a run from scratch. Every output is replaced atomically; running it
    twice changes nothing.

    Parameters
    ----------
    pipeline
        A pipeline that was run; its metrics database says which items are complete.
    keep_shards
        Leave the loose shards where they are.

    Returns
    -------
    list[str]
        The merged outputs, filters first.

    Raises
    ------
    MergeError
        The state of a completed item is nowhere to be found; the published outputs stay as they were.
    """
    outputs = sharded_outputs(pipeline)
    if not outputs:
        return []
    if not pipeline.track_metrics:
        raise PipelineStateError("Gathering needs the metrics database: build the pipeline with track_metrics=True.")
    if not pipeline._database().exists():
        return []
    listing = Listing.of(pipeline.source)
    merged = []
    with pipeline.open_writer(len(listing)) as writer:
        writer.fold()
        writer.reindex(listing.keys)
        for output in outputs:
            states = _states(pipeline, writer, output, listing)
            if states:
                _gather_output(output, states, writer, keep_shards=keep_shards)
                merged.append(output.path)
    return merged


def settle_shards(pipeline: Pipeline[Any], writer: StoreWriter, listing: Listing) -> None:
    """Bring the database and loose shards in line with the source's present listing.

    Shards are named by index. When items moved to other indices, their loose shards would be
    overwritten, so they are absorbed into the archives first.
    """
    with MetricsStore(writer.path) as store:
        recorded = store.items(writer.run_id)
    if all(listing.positions.get(key) == record.index for key, record in recorded.items() if record.index >= 0):
        writer.reindex(listing.keys)  # only items that vanished earlier can come back
        return
    for output in sharded_outputs(pipeline):
        loose = [s for s in _states(pipeline, writer, output, None) if s.is_loose and os.path.exists(s.path)]
        large = [s for s in loose if os.path.getsize(s.path) > MAX_ARCHIVED_BYTES]
        writer.forget(s.index for s in large)
        small = [s for s in loose if s not in large]
        if small:
            with ShardArchive(output.archive_path) as archive:
                archive.absorb((s.record.key, s.version, s.path) for s in small)
            writer.replace_paths(output.kind, output.order, [(s.index, str(output.archive_path)) for s in small])
        for state in loose:
            remove(Path(state.path))
    writer.reindex(listing.keys)


def _states(
    pipeline: Pipeline[Any], writer: StoreWriter, output: ShardedOutput, listing: Listing | None
) -> list[_State]:
    """Completed items of one output in index order; those of `listing` alone if it is given."""
    with MetricsStore(writer.path) as store:
        recorded = store.items(writer.run_id)
        if output.kind == "sink":
            paths = {index: found[0] for index, found in store.output_paths(writer.run_id).items() if found}
        else:
            artifacts = store.artifacts(writer.run_id)
            paths = {i: a.path for i, found in artifacts.items() for a in found if a.filter_order == output.order}
    merged = {output.path, str(output.archive_path)}
    config_hash = pipeline.config_hash
    states = []
    for key, record in sorted(recorded.items(), key=lambda entry: entry[1].index):
        listed = listing is None or (record.index >= 0 and key in listing.positions)
        if record.status == "completed" and record.index in paths and listed:
            path = paths[record.index]
            version = item_version(key, record.fingerprint, config_hash)
            states.append(_State(record.index, record, version, "" if path in merged else path))
    return states


def _gather_output(output: ShardedOutput, states: list[_State], writer: StoreWriter, *, keep_shards: bool) -> None:
    target = Path(output.path)
    recover_directory(target)
    remove_leftovers(target)
    loose = [state for state in states if state.is_loose]
    lost = [state for state in loose if not os.path.exists(state.path)]
    if lost:
        raise _lost(output, [state.record.key for state in lost])
    if output.kind == "filter":
        _merge_archived(output, states, loose)
    else:
        _merge_dataset(output, states)
    if keep_shards:
        return
    writer.replace_paths(output.kind, output.order, [(state.index, output.path) for state in loose])
    for state in loose:
        remove(Path(state.path))
    _remove_orphans(output)


def _merge_archived(output: ShardedOutput, states: list[_State], loose: list[_State]) -> None:
    """Merge through the archive, which retains every item's shard."""
    wanted = {state.record.key: state.version for state in states}
    target = Path(output.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with ShardArchive(output.archive_path) as archive:
        if loose:
            archive.absorb((state.record.key, state.version, state.path) for state in loose)
        archive.keep_only(wanted)
        lost = [key for key in wanted if key not in archive.versions()]
        if lost:
            raise _lost(output, lost)
        signature = content_signature(wanted)
        if not loose and target.exists() and archive.published == signature:
            return
        with _temporary_folder(target) as folder:
            shards = []
            for state in states:
                path = shard_path(folder / target.name, state.index)
                archive.extract(state.record.key, path)
                shards.append(path)
            temporary = temporary_sibling(target)
            output.component.merge(shards, str(temporary))
            publish_file(temporary, target)
        archive.published = signature


def _merge_dataset(output: ShardedOutput, states: list[_State]) -> None:
    """Merge a dataset that retains its items itself; the archive holds shards that moved meanwhile."""
    target = Path(output.path)
    retained = output.component.retained_items(output.path) if target.exists() else {}
    archived: dict[str, str] = {}
    if output.archive_path.exists():
        with ShardArchive(output.archive_path) as archive:
            archived = archive.versions()
    lost = [s.record.key for s in states if not s.is_loose and s.version not in _held(s.record.key, archived, retained)]
    if lost:
        raise _lost(output, lost)
    wanted = [(state.record.key, state.version) for state in states]
    is_unchanged = not any(s.is_loose or archived.get(s.record.key) == s.version for s in states)
    if not (is_unchanged and list(retained.items()) == wanted):
        with _temporary_folder(target) as folder:
            items = _merge_items(output, states, archived, folder)
            temporary = temporary_sibling(target)
            output.component.merge_items(items, output.path if retained else None, str(temporary))
            if temporary.is_dir():
                publish_directory(temporary, target)
            else:
                publish_file(temporary, target)
    remove(output.archive_path)


def _held(key: str, archived: dict[str, str], retained: dict[str, str]) -> tuple[str | None, str | None]:
    return archived.get(key), retained.get(key)


def _merge_items(
    output: ShardedOutput, states: Sequence[_State], archived: dict[str, str], folder: Path
) -> list[MergeItem]:
    items = []
    for position, state in enumerate(states):
        shard = Path(state.path) if state.is_loose else None
        if shard is None and archived.get(state.record.key) == state.version:
            shard = Path(shard_path(folder / Path(output.path).name, state.index, output.component.shard_suffix))
            with ShardArchive(output.archive_path) as archive:
                archive.extract(state.record.key, shard)
        items.append(MergeItem(position, state.record.key, state.record.fingerprint, state.version, shard))
    return items


@contextmanager
def _temporary_folder(target: Path) -> Iterator[Path]:
    folder = temporary_sibling(target)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove(folder)


def _remove_orphans(output: ShardedOutput) -> None:
    """Delete shards that a killed run left behind; nothing recorded refers to them."""
    pattern = Path(shard_path(output.path, 0, getattr(output.component, "shard_suffix", "")))
    before, after = pattern.name.rsplit("000000", 1)
    exact = re.compile(re.escape(before) + r"\d{6,}" + re.escape(after))
    for path in pattern.parent.glob(f"{glob_escape(before)}*{glob_escape(after)}"):
        if exact.fullmatch(path.name):
            remove(path)


def _lost(output: ShardedOutput, keys: list[str]) -> MergeError:
    named = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
    return MergeError(
        f"{output.path} cannot be merged: there is no shard of {named}. "
        "Run the pipeline again with resume=True; it processes what is missing."
    )
