"""Who uses a name on an instance: its partitions belong to the instance, not to the code location.

Two curations or workflows of one name share one set of partitions, wherever they are defined. Each run that registers
partitions leaves a note of what it is of; where there are notes of others, it says so, and removes only partitions of
items that its own records know.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Owner:
    """One of those that use a name; they differ in what they are of."""

    name: str
    """The name: that of the partitions definition."""
    source: str
    """What it is of, in words."""
    signature: str
    """What it is of, as a hash."""
    former: str | None = None
    """The signature that earlier releases gave it."""

    @classmethod
    def of(cls, name: str, source: str, identity: str, former: str | None = None) -> Owner:
        """An owner that differs from others in its `identity`; `former` is the one of earlier releases."""
        return cls(name, source, _digest(identity), None if former is None else _digest(former))

    @classmethod
    def of_curation(cls, curation: Curation, pipeline: Pipeline[Any]) -> Owner:
        """A curation: what it follows, and where that is recorded."""
        config, file = component_config(pipeline.source), pipeline.db_file
        given = ", ".join(f"{name}={value!r:.80}" for name, value in config["params"].items())
        source = f"a curation of {pipeline.source.component_name()}({given})"
        content = canonical_json(config)
        if file is None:
            return cls.of(curation.name, source, content)
        place = os.fspath(file)
        return cls.of(curation.name, f"{source}, recorded in {place}", f"{content}\n{place}", former=content)

    def announce(self, instance: DagsterInstance, warn: Callable[[str], None], *, is_pruning: bool) -> bool:
        """Leave a note; says so where others use the name. Whether they do."""
        self._sign(instance)  # first: of two that come at the same time, each sees the other or is seen
        others = self.others(instance)
        if others:
            kept = "; of theirs none is removed" if is_pruning else ""
            warn(
                f"The name {self.name!r} is used by others on this instance, too: {'; '.join(others)}. They share "
                f"partitions and history{kept}. Give one of them another name; if the others are gone, say so with: "
                f"curator sync --prune --take-over {self.name}"
            )
        return bool(others)

    def others(self, instance: DagsterInstance) -> list[str]:
        """Others that used the name, in words."""
        notes, own = read_notes(instance, self._topic), (self.signature, self.former)
        found = [note for signature, note in notes.items() if signature not in own]
        return sorted(
            f"{note['source']} (last on {time.strftime('%F', time.localtime(note['seen']))})" for note in found
        )

    def claim(self, instance: DagsterInstance) -> None:
        """Forget what others the name was used by: they are gone."""
        forget_notes(instance, self._topic)
        self._sign(instance)

    def _sign(self, instance: DagsterInstance) -> None:
        write_note(instance, self._topic, self.signature, {"source": self.source, "seen": time.time()})

    @property
    def _topic(self) -> str:
        return f"sources/{self.name}"


def follow_partitions(
    instance: DagsterInstance,
    curation: Curation,
    pipeline: Pipeline[Any],
    plan: Plan,
    warn: Callable[[str], None],
) -> tuple[list[str], list[str]]:
    """Bring the partitions in line with what is listed; says so where others use the name.

    Returns
    -------
    tuple[list[str], list[str]]
        Partition keys added and removed.
    """
    Owner.of_curation(curation, pipeline).announce(instance, warn, is_pruning=curation.prune)
    added = add_partitions(instance, curation.name, partition_keys(plan.listing, curation.partition_size))
    removed = prunable(instance, curation, pipeline, plan) if curation.prune else []
    delete_dynamic_partitions(instance, curation.name, removed)
    return added, removed


def prunable(instance: DagsterInstance, curation: Curation, pipeline: Pipeline[Any], plan: Plan) -> list[str]:
    """Registered partitions of items that the source no longer lists, those of others left out."""
    listed = set(partition_keys(plan.listing, curation.partition_size))
    gone = [key for key in instance.get_dynamic_partitions(curation.name) if key not in listed]
    if not gone or not Owner.of_curation(curation, pipeline).others(instance):
        return gone
    own = set(map(partition_key, plan.vanished)) if curation.partition_size == 1 else set()
    return [key for key in gone if key in own]


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
