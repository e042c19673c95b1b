"""Publication of the merged dataset, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, MetadataValue

from curator_core import Pipeline, Plan, gather_pipeline
from curator_core.merge.archive import content_signature, sharded_outputs
from curator_core.merge.facts import DatasetFacts, size_bytes
from curator_core.merge.publication import Manifest, manifest_path
from curator_core.session.listing import Listing
from curator_dagster._compat.asset_events import DATA_VERSION_TAG
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.launch import Planned
from curator_dagster.curation.owners import prunable
from curator_dagster.curation.partition_block import blocks_of
from curator_dagster.metadata.dataset import dataset_metadata
from curator_dagster.metadata.item import PREFIX, MetadataMapping, failures_table
from curator_dagster.steps.planning import await_others, current_versions, settle, unmirrored


@dataclass(frozen=True)
class Publication:
    """Outcome of an attempt to publish."""

    pipeline: Pipeline[Any]
    """The pipeline whose outputs were merged."""
    plan: Plan
    """State of every item before."""
    missing: dict[str, str]
    """Reason by key of the items that are not in the dataset."""
    paths: list[str]
    """Published outputs; empty when too much is missing."""
    manifest: list[str]
    """The file that lists what is in them, where there is one."""
    data_version: str
    """Changes exactly when the content does."""
    n_items: int = 0
    """Items in the dataset."""
    postponed: frozenset[str] = frozenset()
    """Keys that are the next refresh's: left on purpose, or changed or gone since this one was planned."""

    @property
    def is_published(self) -> bool:
        """Whether the dataset is up to date with all items but the missing ones."""
        return bool(self.data_version)

    @cached_property
    def metadata(self) -> MetadataMapping:
        """For the materialization."""
        counts: MetadataMapping = {
            "n_items": MetadataValue.int(self.n_items),
            "n_missing": MetadataValue.int(len(self.missing)),
        }
        if self.missing:
            counts["missing"] = failures_table(self.missing)
        files: MetadataMapping = {"size_bytes": MetadataValue.int(sum(map(size_bytes, self.paths)))}
        files |= {f"path/{Path(path).name}": MetadataValue.path(path) for path in [*self.paths, *self.manifest]}
        files["config_hash"] = MetadataValue.text(self.pipeline.config_hash)
        told = dataset_metadata(DatasetFacts(self.pipeline))
        return _prefixed(counts) | told | _prefixed(files)


def publish_dataset(
    curation: Curation, pipeline: Pipeline[Any], log: Callable[[str], None], planned: Planned | None = None
) -> Publication:
    """Merge all completed items and publish the outputs, if not too much is missing.

    Above the tolerance nothing is touched: the last good dataset stays.

    Parameters
    ----------
    curation, pipeline
        What to publish.
    log
        Takes what is to be said.
    planned
        What the refresh set out to do: an item that came, changed or went since is the next one's. Without it, the
        source as it is now is published.

    Raises
    ------
    CuratorError
        The outputs cannot be merged or written; the last good ones stay.
    """
    await_others(pipeline, log)
    now = curation.list_source(pipeline)
    plan, postponed = (settle(pipeline, now), frozenset[str]()) if planned is None else _judged(pipeline, planned, now)
    missing = plan.missing
    if not curation.tolerates(len(missing), len(plan.items)):
        return Publication(pipeline, plan, missing, [], [], "", postponed=postponed)
    paths = gather_pipeline(pipeline, listing=plan.listing)
    manifest = Manifest(pipeline.config_hash, plan.up_to_date, missing)
    path = manifest_path(pipeline)
    if path is not None:
        manifest.write(path)
    n_items, files = len(manifest.fingerprints), [str(path)] if path is not None else []
    log(f"Published {n_items} items: {', '.join(paths) or 'no merged output'}")
    return Publication(pipeline, plan, missing, paths, files, manifest.data_version, n_items, postponed)


def _judged(pipeline: Pipeline[Any], planned: Planned, now: Listing) -> tuple[Plan, frozenset[str]]:
    """The plan of the items that a refresh answers for, and the keys of the items in it that are the next one's."""
    plan = settle(pipeline, planned.listing)
    there = dict(zip(now.keys, now.fingerprints, strict=True))
    gone = {item.key for item in plan.due if item.key not in there}
    changed = {item.key for item in plan.due if there.get(item.key) != item.fingerprint}
    listing = planned.listing
    if gone:
        rows = [row for row in zip(listing.keys, listing.fingerprints, strict=True) if row[0] not in gone]
        plan = settle(pipeline, Listing([key for key, _ in rows], [fingerprint for _, fingerprint in rows]))
    return plan, planned.left | changed  # what is gone changed, too


def is_current(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> bool:
    """Whether a refresh would change nothing: neither the outputs nor what Dagster knows of them."""
    return not plan.due and is_up_to_date(instance, curation, pipeline, plan)


def is_up_to_date(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> bool:
    """Whether a refresh would do nothing but try items again that failed as they are."""
    blocks = list(blocks_of(plan, curation.partition_size, pipeline.config_hash))
    wanted = {block.partition for block in blocks}
    return (
        set(plan.counts()) <= {"up to date", "failed"}
        and wanted.issubset(instance.get_dynamic_partitions(curation.name))
        and not (curation.prune and prunable(instance, curation, pipeline, plan))
        and not unmirrored(instance, curation, pipeline, blocks)
        and (
            not curation.tolerates(len(plan.due), len(plan.listing)) or is_published(instance, curation, pipeline, plan)
        )
    )


def is_published(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> bool:
    """Whether the outputs and Dagster's latest materialization hold exactly the items that are up to date."""
    if not all(output.location.exists() for output in sharded_outputs(pipeline)):
        return False
    return latest_dataset_version(instance, curation) == content_signature(current_versions(pipeline, plan))


def latest_dataset_version(instance: DagsterInstance, curation: Curation) -> str | None:
    """Data version of the dataset's latest materialization."""
    latest = instance.get_latest_materialization_event(curation.dataset_key)
    logged = latest.asset_materialization if latest is not None else None
    return None if logged is None else (logged.tags or {}).get(DATA_VERSION_TAG)


def _prefixed(metadata: MetadataMapping) -> MetadataMapping:
    return {PREFIX + name: value for name, value in metadata.items()}
