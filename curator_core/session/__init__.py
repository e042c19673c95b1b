"""A pipeline that acts: its listing, plan, earlier results, shards and gathered outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.session.claims import Turn as Turn
    from curator_core.session.compaction import JournalCompactor as JournalCompactor
    from curator_core.session.listing import Listing as Listing
    from curator_core.session.plan import Plan as Plan
    from curator_core.session.plan import PlannedItem as PlannedItem
    from curator_core.session.session import Session as Session

_HOME = {
    "Turn": "curator_core.session.claims",
    "JournalCompactor": "curator_core.session.compaction",
    "Listing": "curator_core.session.listing",
    "Plan": "curator_core.session.plan",
    "PlannedItem": "curator_core.session.plan",
    "Session": "curator_core.session.session",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
