"""Which item is being processed, for components that need it."""

from __future__ import annotations

from contextvars import ContextVar

from curator_core.errors import PipelineStateError
from curator_core.records import Item

PROCESSED: ContextVar[Item] = ContextVar("curator_item")
"""Set by the engine around the processing of each item."""


def current_item() -> Item:
    """The item that is being processed in this thread: its index, key and fingerprint.

    For filters and sinks that depend on it, such as one that treats the items of a split differently.
    Threads that a component starts itself do not have it: ask before starting them.

    Raises
    ------
    PipelineStateError
        No item is being processed.
    """
    item = PROCESSED.get(None)
    if item is None:
        raise PipelineStateError(
            "No item is being processed: current_item() answers while a pipeline processes one, "
            "in the thread that does so."
        )
    return item
