"""``pipeline[index]``: one item, processed in this process; a look-up and a record, however many items there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curator_core.engine import process_index
from curator_core.merge.output_names import check_output_names
from curator_core.records import IndexResult, Item
from curator_core.session.compaction import follow_moves
from curator_core.session.listing import listed_item
from curator_core.session.lookup import is_in_place, look_up
from curator_core.session.session import Session

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline


def process_by_hand(pipeline: Pipeline[Any], index: int) -> list[str]:
    """Process one index and record it, unless that is recorded already and counts; the sink's paths.

    Raises
    ------
    Exception
        Whatever the index failed with, once that is recorded.
    """
    check_output_names(pipeline)
    with Session(pipeline) as session:
        item = listed_item(pipeline.source, index)
        paths = _recorded_paths(session, item) if pipeline.resume else None
        if paths is not None:
            return paths
        if session.is_recorded:
            session.claim()
            # What another thread has recorded meanwhile is gone on with.
            session.resume = pipeline.resume or pipeline.records.run_id is not None
        with session.live([index], pipeline.source.key):
            result = _recorded(session, item) if session.is_recorded else _processed(session, item)
    if result.exception is not None:
        raise result.exception
    return list(result.output_paths)


def _recorded_paths(session: Session, item: Item) -> list[str] | None:
    """The sink's paths of an item that is up to date; ``None`` of one that is due."""
    found = look_up(session.pipeline, item, session.recorded, session.config_hash)
    return session.plan.recorded_paths[item.index] if found is None else found.recorded_paths[0]


def _recorded(session: Session, item: Item) -> IndexResult:
    session.n_items = len(session.pipeline)
    writer = session.writer
    follow_moves(session, None if is_in_place(item, session.store, writer.run_id) else session.comparison)
    session.watch_shifted()
    result = _processed(session, item)
    writer.write(result)
    return result


def _processed(session: Session, item: Item) -> IndexResult:
    result = process_index(session.pipeline, item)
    owners = session.pipeline.records.owners
    return owners.checked(result, session.sink, session if session.is_recorded else None)
