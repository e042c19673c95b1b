"""Runs of one curation take turns: no two process the same items, or merge them, at the same time.

The steps of one run hold the turn together. Where another run came between two of them, what was planned before may
be done by now, or stand at another index: those that follow are planned anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from curator_core import Pipeline, Plan
from curator_core.session import Session, Turn
from curator_dagster.curation.curation import Curation

if TYPE_CHECKING:
    from dagster import OpExecutionContext


class _CameBetween(Exception):  # noqa: N818 - it is no error
    """Another run had its turn since this one had its last."""


@contextmanager
def sole_turn(
    context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any], *, is_last: bool = False
) -> Iterator[Session]:
    """The turn of an op that plans, or that ends a run (`is_last`); waits until nobody else has it.

    The source is listed when the session is first asked for its listing.
    """
    pipeline.check()
    # At the end none of the run's own steps is at work; what comes thereafter is planned anew.
    turn = _turn(context, f"{context.run_id} ends" if is_last else context.run_id, is_last=is_last)
    with Session.open(pipeline, listing=partial(curation.list_source, pipeline), turn=turn) as session:
        yield session


@contextmanager
def joint_turn(
    context: OpExecutionContext, curation: Curation, pipeline: Pipeline[Any], *, is_planned: bool
) -> Iterator[tuple[Session, Plan | None]]:
    """The turn of a step, together with others of its run; with the plan as it is now where that must be asked.

    Parameters
    ----------
    context, curation, pipeline
        Of the step.
    is_planned
        Whether this run planned what the step is to do.
    """
    pipeline.check()
    with Session(pipeline, listing=partial(curation.list_source, pipeline)) as session:
        if is_planned:
            try:
                session.claim(_turn(context, context.run_id, prepare=_came_between))
            except _CameBetween:
                context.log.info("Another run had items of this curation at work meanwhile: these are planned anew.")
                is_planned = False
        plan = None
        if not is_planned:
            # Steps that list other items would take one index for different ones.
            digest = hashlib.sha256("\0".join(session.listing.keys).encode(errors="surrogateescape")).hexdigest()
            session.claim(_turn(context, f"{context.run_id} {digest}", prepare=partial(_take_over, session)))
            plan = session.plan
        yield session, plan


def _take_over(session: Session) -> None:
    """What the first step of the turn does; the others come thereafter."""
    session.take_over()
    session.rest()


def _turn(
    context: OpExecutionContext, group: str, *, prepare: Callable[[], object] = lambda: None, is_last: bool = False
) -> Turn:
    def on_wait(text: str) -> None:
        context.log.info("Another run has items of this curation at work; this one waits for its end. %s", text)

    holder = f"Dagster run {context.run_id}"
    return Turn(group, holder, math.inf, on_wait, prepare, is_last)


def _came_between() -> None:
    raise _CameBetween
