"""One item of a pipeline, planned without listing its source: a look-up, however many items there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.components import Source
from curator_core.records import Item
from curator_core.session.listing import Listing, listed_item
from curator_core.session.plan import Plan, compare, make_plan, plan_recorded
from curator_core.store import MetricsStore

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline


def look_up(pipeline: Pipeline[Any], item: Item, store: MetricsStore | None, config_hash: str) -> Plan | None:
    """The plan of one item, as the only one of a listing; ``None`` where it takes a plan of all items.

    An item that is not recorded is new, whether or not another key or configuration explains it.

    Parameters
    ----------
    pipeline
        The pipeline.
    item
        The item, as the source has it now.
    store
        The database, ``None`` when there is none yet.
    config_hash
        The pipeline's configuration.
    """
    outputs, n_stages = sharded_outputs(pipeline), len(pipeline.filters) + 2
    run = store.latest_run(config_hash) if store is not None else None
    position = store.position_of(run.run_id, item.key, item.index) if store is not None and run is not None else None
    if store is None or run is None or position is None:
        listing = Listing([item.key], [item.fingerprint])
        return make_plan(listing, compare(listing, ()), None, config_hash, outputs=outputs, n_stages=n_stages)
    if _is_listed_at(pipeline.source, position, item):
        return None
    retained = pipeline.records.retained
    found = plan_recorded(item, position, store, run, outputs=outputs, n_stages=n_stages, retained=retained)
    if found.items[0].reason == "outputs missing" and _shares_a_file(store, run.run_id, position):
        return None
    return found


def _is_listed_at(source: Source[Any], position: int, item: Item) -> bool:
    """Whether two items have the key, which listing all refuses."""
    if position == item.index or not 0 <= position < len(source):
        return False
    return listed_item(source, position).key == item.key


def _shares_a_file(store: MetricsStore, run_id: int, position: int) -> bool:
    """Whether others may have changed a file since, as they do that grows with every item."""
    files = [
        *((path, mark) for _, path, mark in store.sink_files(run_id, position)),
        *((path, mark) for _, _, path, mark in store.artifact_files(run_id, position)),
    ]
    return any(mark is not None and store.is_shared(run_id, path, position) for path, mark in files)


def is_in_place(item: Item, store: MetricsStore, run_id: int) -> bool:
    """Whether an item is recorded at its present index, or nowhere, and no other item there."""
    found = store.key_at(run_id, item.index)
    if found is None:
        return store.position_of(run_id, item.key, item.index) is None
    return found == item.key
