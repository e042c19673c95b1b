"""The merged dataset that stands where a pipeline publishes: whose it is, before it is written over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from curator_core.datasets.history import was_restored
from curator_core.datasets.manifest import standing_head
from curator_core.session.plan import absent_from

if TYPE_CHECKING:
    from curator_core.merge.archive import ShardedOutput
    from curator_core.session.session import Session

logger = logging.getLogger("curator")


def look_at_datasets(session: Session) -> None:
    """Refuse datasets of a newer curator, and say when another configuration took the place of this one's.

    Raises
    ------
    DatasetVersionError
        A newer version of curator published one.
    """
    for output in session.outputs:
        if output.kind != "sink":
            continue
        found = standing_head(output.location).config_hash
        if found and found != session.config_hash and not was_restored(output.location):
            _tell_in_turn(output, found, session)


def _tell_in_turn(output: ShardedOutput, other: str, session: Session) -> None:
    n_lost = sum(item.detail == absent_from(output.path, item.key) for item in session.plan.due)
    if n_lost:
        logger.warning(
            "%s was published by another pipeline, or with another configuration (%s), since this one published it: "
            "%d items of this one are no longer there, and are due again. Where both are to be kept, give each an "
            "output of its own.",
            output.path,
            other[:16],
            n_lost,
        )


def tell_replaced(output: ShardedOutput, held: Mapping[str, str], session: Session) -> None:
    """Say that the dataset of another configuration is replaced; aloud where the source does not have its items.

    Parameters
    ----------
    output
        The dataset.
    held
        Versions by key of the items in it.
    session
        The session, which is about to replace it.
    """
    found = standing_head(output.location).config_hash
    if not held or not found or found == session.config_hash:
        return
    foreign = [key for key in held if key not in session.listing.positions]
    if not foreign:
        logger.info("%s replaces what configuration %s published there", output.path, found[:16])
        return
    logger.warning(
        "%s replaces the dataset of another pipeline, or of another configuration (%s): %d of its %d items, such as "
        "%r, are not in the source of this one, and are taken out. Where that is not meant, give each pipeline an "
        "output of its own, and restore the former version; `curator versions` lists it.",
        output.path,
        found[:16],
        len(foreign),
        len(held),
        foreign[0],
    )
