"""Publication of the merged dataset, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator_core import Pipeline, Plan
from curator_core.datasets import said_of, was_restored
from curator_core.merge import Manifest, PublishedDataset
from curator_core.pipeline import overrides
from curator_core.run import describe
from curator_core.session import Listing, Session
from curator_dagster._compat.events.asset_events import DATA_VERSION_TAG
from curator_dagster._compat.events.serialized import normalized
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.launch import Planned
from curator_dagster.curation.owners import prunable
from curator_dagster.curation.partition_block import blocks_of
from curator_dagster.steps.planning import await_others, unmirrored
from curator_dagster.translator import CurationTranslator

if TYPE_CHECKING:
    from dagster import DagsterInstance


@dataclass(frozen=True)
class Publication:
    """Outcome of an attempt to publish."""

    pipeline: Pipeline[Any]
    """The pipeline whose outputs were merged."""
    plan: Plan
    """State of every item before."""
    missing: dict[str, str]
    """Reason by key of the items that are not in the dataset."""
    published: PublishedDataset | None = None
    """What was published; ``None`` when too much is missing."""
    postponed: frozenset[str] = frozenset()
    """Keys that are the next refresh's: left on purpose, or changed or gone since this one was planned."""

    @property
    def is_published(self) -> bool:
        """Whether the dataset is up to date with all items but the missing ones."""
        return self.published is not None

    @property
    def data_version(self) -> str:
        """Changes exactly when the content does; empty when nothing was published."""
        return "" if self.published is None else self.published.data_version

    def metadata(self, curation: Curation, warn: Callable[[str], None]) -> Mapping[str, Any]:
        """For the materialization, as the curation's translator has it."""
        if self.published is None:
            return {}
        from curator_core.merge import DatasetFacts  # noqa: PLC0415 - a code location needs no NumPy
        from curator_dagster.metadata.dataset import published_metadata  # noqa: PLC0415 - as above

        facts, translator = DatasetFacts(self.pipeline), curation.translation
        if not overrides(translator, CurationTranslator.dataset_metadata):
            return translator.dataset_metadata(self.published, facts)
        try:
            return normalized(translator.dataset_metadata(self.published, facts))
        except Exception as exc:  # noqa: BLE001 - whatever a user's translator raises: the dataset is published
            name = type(translator).__name__
            warn(f"{name} gives no metadata of the dataset, the default is recorded: {describe(exc)}")
            return published_metadata(self.published, facts)


def publish_dataset(
    curation: Curation,
    session: Session,
    log: Callable[[str], None],
    planned: Planned | None = None,
    *,
    failed: Collection[str] = (),
    is_automated: bool = False,
) -> Publication:
    """Merge all completed items and publish the outputs, if not too much is missing.

    Above the tolerance nothing is touched: the last good dataset stays.

    Parameters
    ----------
    curation, session
        What to publish.
    log
        Takes what is to be said.
    planned
        What the refresh set out to do: an item that came, changed or went since is the next one's. Without it, the
        source as it is now is published.
    failed
        Keys of items that failed in this run: one that a re-execution took from the plan of the run before, and that
        is not listed any more, is nobody's.
    is_automated
        A condition asked for it some time ago, when enough was there: what came or changed since is the next refresh's.

    Raises
    ------
    CuratorError
        The outputs cannot be merged or written; the last good ones stay.
    """
    await_others(session, log)
    if planned is not None:
        session.listing = planned.listing
    session.take_over()
    postponed = frozenset[str]() if planned is None else planned.left | _changed(curation, session, failed)
    plan, missing = session.plan, session.plan.missing
    if is_automated:
        postponed |= {item.key for item in plan.due if item.reason != "failed"}
    if not curation.tolerates(len(missing), len(plan.items)):
        return Publication(session.pipeline, plan, missing, postponed=postponed)
    published = session.gather()
    n_items = len(published.manifest.fingerprints)
    log(f"Published {n_items} items: {', '.join(published.paths) or 'no merged output'}")
    return Publication(session.pipeline, plan, missing, published, postponed)


def _changed(curation: Curation, session: Session, failed: Collection[str]) -> frozenset[str]:
    """Keys of due and failed items that changed or went since they were listed.

    Due ones that are gone leave the session's listing.
    """
    due, listing = session.plan.due, session.listing
    if not (due or failed):
        return frozenset()
    now = curation.list_source(curation.open_pipeline())
    there = dict(zip(now.keys, now.fingerprints, strict=True))
    gone = {item.key for item in due if item.key not in there}
    changed = frozenset(item.key for item in due if there.get(item.key) != item.fingerprint)
    if gone:
        rows = [row for row in zip(listing.keys, listing.fingerprints, strict=True) if row[0] not in gone]
        session.listing = Listing([key for key, _ in rows], [fingerprint for _, fingerprint in rows])
        session.take_over()
    return changed | (frozenset(failed) - there.keys())  # what is gone changed, too


def is_current(instance: DagsterInstance, curation: Curation, session: Session) -> bool:
    """Whether a refresh would change nothing: neither the outputs nor what Dagster knows of them."""
    return not session.plan.due and is_up_to_date(instance, curation, session)


def is_up_to_date(instance: DagsterInstance, curation: Curation, session: Session) -> bool:
    """Whether a refresh would do nothing but try items again that failed as they are."""
    plan = session.plan
    blocks = list(blocks_of(plan, curation.partition_size, session.config_hash))
    wanted = {block.partition for block in blocks}
    return (
        set(plan.counts()) <= {"up to date", "failed"}
        and wanted.issubset(instance.get_dynamic_partitions(curation.name))
        and not (curation.prune and prunable(instance, curation, session.pipeline, plan))
        and not unmirrored(instance, curation, session, blocks)
        and (not curation.tolerates(len(plan.due), len(plan.listing)) or is_published(instance, curation, session))
    )


def is_published(instance: DagsterInstance, curation: Curation, session: Session) -> bool:
    """Whether the outputs and Dagster's latest materialization hold exactly the items that are up to date."""
    if not all(output.location.exists() for output in session.outputs):
        return False
    is_restored = any(output.kind == "sink" and was_restored(output.location) for output in session.outputs)
    if is_restored and session.outputs_to_gather():
        return False
    given = session.pipeline.dataset
    words = None if given is None else given.described()
    if any(output.kind == "sink" and said_of(output.location) != words for output in session.outputs):
        return False
    if not session.is_as_declared():
        return False
    up_to_date = session.plan.up_to_date
    held = Manifest(session.config_hash, up_to_date, {}, session.splits(up_to_date))
    return latest_dataset_version(instance, curation) == held.data_version


def latest_dataset_version(instance: DagsterInstance, curation: Curation) -> str | None:
    """Data version of the dataset's latest materialization."""
    latest = instance.get_latest_materialization_event(curation.dataset_key)
    logged = latest.asset_materialization if latest is not None else None
    return None if logged is None else (logged.tags or {}).get(DATA_VERSION_TAG)
