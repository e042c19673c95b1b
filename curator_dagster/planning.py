"""What a run in Dagster has to do: due items in batches, and what the event log lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator_core import IndexResult, Item, MetricsStore, Pipeline, Plan, batch_groups
from curator_core.gather import settle_shards
from curator_core.listing import Listing
from curator_core.run.config import available_cpus
from curator_core.run.partition import pipeline_groups
from curator_core.shards import item_version
from curator_dagster._compat import latest_data_versions
from curator_dagster.curation import Curation
from curator_dagster.partitions import partition_key

if TYPE_CHECKING:
    from dagster import DagsterInstance

BATCHES_PER_CPU = 2
"""A step costs about a second to start, so batches are few: more than one per CPU only for balance."""


@dataclass(frozen=True)
class Batch:
    """Items that one step processes."""

    number: int
    """Position among the batches of the run."""
    n_batches: int
    """How many there are."""
    items: tuple[Item, ...]
    """In processing order."""


def settle(pipeline: Pipeline[Any], listing: Listing) -> Plan:
    """Take over what earlier runs left in journals, follow moved items, and plan.

    Raises
    ------
    CuratorError
        The database or an archive of shards cannot be used.
    """
    with pipeline.open_writer(len(listing)) as writer:
        writer.fold()
        settle_shards(pipeline, writer, listing)
    return pipeline.plan()


def unmirrored(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> list[IndexResult]:
    """Completed items whose latest materialization is missing or of another data version."""
    logged = latest_data_versions(instance, curation.samples_key)
    versions = current_versions(pipeline, plan)
    return recorded_results(pipeline, [key for key in versions if logged.get(partition_key(key)) != versions[key]])


def current_versions(pipeline: Pipeline[Any], plan: Plan) -> dict[str, str]:
    """Data version by key of the items that are up to date, in order."""
    config_hash = pipeline.config_hash
    return {item.key: item_version(item.key, item.fingerprint, config_hash) for item in plan.items if not item.is_due}


def recorded_results(pipeline: Pipeline[Any], keys: Iterable[str]) -> list[IndexResult]:
    """Recorded results of some items."""
    wanted = set(keys)
    if not wanted or pipeline.db_path is None:
        return []
    with MetricsStore(pipeline.db_path) as store:
        run = store.latest_run(pipeline.config_hash)
        return [] if run is None else [r for r in store.results(run.run_id) if r.key in wanted]


def make_batches(curation: Curation, pipeline: Pipeline[Any], items: Sequence[Item]) -> list[Batch]:
    """Pack items into batches, the groups of source and sink kept whole."""
    if not items:
        return []
    by_index = {item.index: item for item in items}
    assert pipeline.sink is not None  # noqa: S101 - Curation.open_pipeline checked it
    groups = pipeline_groups(pipeline.source, pipeline.sink, sorted(by_index))
    size = curation.batch_size
    wanted = -(-len(items) // size) if size is not None else available_cpus() * BATCHES_PER_CPU
    batches = batch_groups(groups if groups is not None else [[index] for index in sorted(by_index)], wanted)
    return [
        Batch(number, len(batches), tuple(by_index[index] for index in batch)) for number, batch in enumerate(batches)
    ]
