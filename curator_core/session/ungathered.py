"""Which merged outputs do not hold yet what is recorded as completed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from curator_core.datasets.history import was_restored
from curator_core.datasets.manifest import ManifestHead, standing_manifest
from curator_core.merge.archive import (
    ShardArchive,
    ShardedOutput,
    content_signature,
    item_version,
)
from curator_core.merge.kept import keeps_failed, kept_of_failed, retained_failed, with_kept
from curator_core.pipeline.abilities import DeclaresExtent, is_taken_in
from curator_core.pipeline.description import DatasetDescription
from curator_core.pipeline.splits import SplitRule
from curator_core.store import MetricsStore

MAX_LOOKED_AT = 1_000
"""Shards that are compared with the output's time of publication, at most, before what it holds is compared."""


def outputs_to_gather(
    outputs: Sequence[ShardedOutput],
    config_hash: str,
    store: MetricsStore,
    run_id: int,
    given: tuple[SplitRule | None, DatasetDescription | None] = (None, None),
) -> list[str]:
    """The merged outputs that `gather_pipeline` would change, filters first.

    What is published is recognised at next to no cost; shards that were kept after they were merged cost a look at
    what the output holds. `given` are the rule of splits and what people say of the dataset.
    """
    split, dataset = given
    return [
        output.path
        for output in outputs
        if _is_due(output, _Recorded(outputs, config_hash, store, run_id, split))
        or (output.kind == "sink" and _differs(output, store, run_id, split, dataset))
    ]


def _differs(
    output: ShardedOutput,
    store: MetricsStore,
    run_id: int,
    split: SplitRule | None,
    dataset: DatasetDescription | None,
) -> bool:
    """Whether something else than the completed items of a dataset has to change."""
    is_described = not (_is_undescribed(output, store, run_id) or _is_said_otherwise(output, split, dataset))
    return not is_described or _keeps_removed(output, store, run_id) or not is_as_declared(output)


def recorded_stems(store: MetricsStore, run_id: int) -> list[str]:
    """Outputs of which shards are recorded, without their suffix, where the pipeline is not known."""
    paths = store.sharded_paths(run_id)
    return sorted({re.sub(r"(_shard_\d{6,}|_shards)(\.[^/]*)?$", "", path) for path in paths})


@dataclass(frozen=True)
class _Recorded:
    """What is recorded of the outputs of a pipeline."""

    outputs: Sequence[ShardedOutput]
    config_hash: str
    store: MetricsStore
    run_id: int
    split: SplitRule | None


def _is_due(output: ShardedOutput, known: _Recorded) -> bool:
    store, run_id = known.store, known.run_id
    location = output.location
    elsewhere = _shards(output, store, run_id)
    if elsewhere:
        if str(output.archive_path) in elsewhere or not location.exists():
            return True
        if _has_newer(elsewhere, location.modified_ns()):
            return True
        return not _holds(output, known)
    may_differ = store.has_shifted(run_id) or (output.kind == "sink" and was_restored(location))
    return may_differ and location.exists() and not _holds(output, known)


def is_as_declared(output: ShardedOutput) -> bool:
    """Whether a dataset reaches as far as its sink's arguments say, which are no part of the configuration of items."""
    is_able = isinstance(output.component, DeclaresExtent) and output.location.exists()
    return not is_able or output.component.is_as_declared(output.readable_path)


def _keeps_removed(output: ShardedOutput, store: MetricsStore, run_id: int) -> bool:
    """Whether the dataset keeps something of items that failed and that the source has no longer."""
    failed = retained_failed(output)
    return bool(failed) and not failed.keys() <= {key for key, item in store.items(run_id).items() if item.index >= 0}


def _is_said_otherwise(output: ShardedOutput, split: SplitRule | None, dataset: DatasetDescription | None) -> bool:
    """Whether the dataset was published with another rule of splits, or something else was said of it."""
    manifest = standing_manifest(output.location) if output.location.exists() else None
    if manifest is None:
        return False
    head, words = ManifestHead.read(manifest), None if dataset is None else dataset.described()
    return head.split != (None if split is None else split.recorded()) or head.dataset != words


def _is_undescribed(output: ShardedOutput, store: MetricsStore, run_id: int) -> bool:
    """Whether the dataset was published and its manifest not, as after a kill between the two."""
    if not output.location.exists():
        return False
    manifest = standing_manifest(output.location)
    if manifest is not None:
        return manifest.modified_ns() < output.location.modified_ns()
    return bool(store.completed_versions(run_id))


def _shards(output: ShardedOutput, store: MetricsStore, run_id: int) -> set[str]:
    """Recorded places of the items' parts, apart from the merged output itself."""
    archive, is_shard = str(output.archive_path), output.shard_name.fullmatch
    filter_order = output.order if output.kind == "filter" else None
    found = store.part_paths(run_id, filter_order, elsewhere_than=output.path)
    return {path for path in found if output.kind == "sink" or path == archive or is_shard(os.path.basename(path))}  # noqa: PTH119 - for every index


def _has_newer(shards: set[str], published_ns: int) -> bool:
    for path in islice(shards, MAX_LOOKED_AT):
        try:
            if os.stat(path).st_mtime_ns > published_ns:  # noqa: PTH116 - for every index
                return True
        except FileNotFoundError:
            continue  # what is missing is told by the plan
    return False


def _holds(output: ShardedOutput, known: _Recorded) -> bool:
    """Whether the output holds exactly the completed items, in their present order."""
    store, split = known.store, known.split
    completed = store.completed_versions(known.run_id)
    wanted = {key: item_version(key, fingerprint, known.config_hash) for key, fingerprint in completed}
    if output.kind == "sink":
        return list(output.component.retained_items(output.readable_path).items()) == list(wanted.items())
    if not output.archive_path.exists():
        return False
    is_kept = any(map(keeps_failed, known.outputs))
    listed = store.items(known.run_id).items() if is_kept else ()  # of a million, it takes seconds
    positions = {key: item.index for key, item in listed if item.index >= 0}
    kept = kept_of_failed(known.outputs, known.config_hash, wanted, positions)
    with ShardArchive(output.archive_path) as archive:
        wanted = with_kept(wanted, kept, archive.versions(), positions)
        splits = None if split is None else split.splits(wanted)
        wanted = {key: version for key, version in wanted.items() if is_taken_in(output.component, key, splits)}
        return archive.has_published(content_signature(wanted), output.location)
