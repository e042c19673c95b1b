"""Who uses a curation's name on an instance: its partitions belong to the instance, not to the code location.

Two code locations with curations of one name share one set of partitions. Each refresh leaves a note of the source
that it follows; where there are notes of others, a refresh says so, and removes only partitions of items that its own
metrics database knows.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from curator_core import Pipeline, Plan
from curator_core.pipeline import canonical_json, component_config
from curator_dagster._compat.dynamic_partitions import delete_dynamic_partitions
from curator_dagster._compat.notes import forget_notes, read_notes, write_note
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.partition_block import partition_keys
from curator_dagster.curation.partitions import add_partitions, partition_key

if TYPE_CHECKING:
    from dagster import DagsterInstance

FORGOTTEN_AFTER_S = 30 * 86_400.0
"""A source that no refresh followed for so long is followed no more, seconds."""


def follow_partitions(
    instance: DagsterInstance,
    curation: Curation,
    pipeline: Pipeline[Any],
    plan: Plan,
    warn: Callable[[str], None],
) -> tuple[list[str], list[str]]:
    """Bring the partitions in line with what is listed; says so where another source has the same name.

    Returns
    -------
    tuple[list[str], list[str]]
        Partition keys added and removed.
    """
    _sign(instance, curation, pipeline)  # first: of two that come at the same time, each sees the other or is seen
    others = _others(instance, curation, pipeline)
    if others:
        what = "; of its partitions none is removed" if curation.prune else ""
        warn(
            f"Another curation on this instance is named {curation.name!r}, too, and follows {', '.join(others)}. They "
            f"share partitions and history{what}. Give one of them another name; if that one is gone, say so with: "
            f"curator sync --prune --take-over {curation.name}"
        )
    added = add_partitions(instance, curation.name, partition_keys(plan.listing, curation.partition_size))
    removed = prunable(instance, curation, pipeline, plan) if curation.prune else []
    delete_dynamic_partitions(instance, curation.name, removed)
    return added, removed


def prunable(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> list[str]:
    """Registered partitions of items that the source no longer lists, those of other curations left out."""
    listed = set(partition_keys(plan.listing, curation.partition_size))
    gone = [key for key in instance.get_dynamic_partitions(curation.name) if key not in listed]
    if not gone or not _others(instance, curation, pipeline):
        return gone
    own = set(map(partition_key, plan.vanished)) if curation.partition_size == 1 else set()
    return [key for key in gone if key in own]


def claim(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any]) -> None:
    """Forget what other sources the name was used for: they are gone."""
    forget_notes(instance, _topic(curation))
    _sign(instance, curation, pipeline)


def _others(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any]) -> list[str]:
    """Other sources that were followed under the name lately."""
    own, since = _signature(pipeline), time.time() - FORGOTTEN_AFTER_S
    notes = read_notes(instance, _topic(curation))
    return sorted(note["source"] for signature, note in notes.items() if signature != own and note["seen"] > since)


def _sign(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any]) -> None:
    config = component_config(pipeline.source)
    given = ", ".join(f"{name}={value!r:.80}" for name, value in config["params"].items())
    note = {"source": f"{pipeline.source.component_name()}({given})", "seen": time.time()}
    write_note(instance, _topic(curation), _signature(pipeline), note)


def _signature(pipeline: Pipeline[Any]) -> str:
    return hashlib.sha256(canonical_json(component_config(pipeline.source)).encode()).hexdigest()[:16]


def _topic(curation: Curation) -> str:
    return f"sources/{curation.name}"
