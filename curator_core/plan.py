"""What a run would process, and why: data, computed without touching an item."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from curator_core.listing import Listing
from curator_core.records import Artifact, Item
from curator_core.shards import ShardedOutput, item_version
from curator_core.store import ItemRecord, MetricsStore

Reason = Literal["new", "failed", "changed", "moved", "outputs missing", "config changed", "up to date"]


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item of a plan."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    reason: Reason
    """Why it would run, or ``up to date``."""
    fingerprint: str | None
    """Present fingerprint."""
    recorded_fingerprint: str | None = None
    """Fingerprint when it was last processed."""
    detail: str = ""
    """More: the recorded error, the former key, the missing path."""

    @property
    def is_due(self) -> bool:
        """Whether it would run."""
        return self.reason != "up to date"

    @property
    def item(self) -> Item:
        """The item itself."""
        return Item(self.index, self.key, self.fingerprint)


@dataclass(frozen=True)
class Plan:
    """What would run and why, for every item of the source."""

    items: list[PlannedItem]
    """In index order."""
    vanished: list[str]
    """Keys that are recorded but no longer listed."""

    @property
    def due(self) -> list[PlannedItem]:
        """The items that would run."""
        return [item for item in self.items if item.is_due]

    def counts(self) -> dict[str, int]:
        """Number of items by reason."""
        return dict(Counter(item.reason for item in self.items))


def make_plan(
    listing: Listing, store: MetricsStore | None, config_hash: str, outputs: list[ShardedOutput], n_stages: int
) -> Plan:
    """Compare a listing with what is recorded.

    Parameters
    ----------
    listing
        The source's present listing.
    store
        The database, ``None`` when there is none yet.
    config_hash
        The pipeline's configuration.
    outputs
        Its merged outputs, which retain items without a file of their own.
    n_stages
        Number of stages, the sink included.
    """
    run = store.latest_run(config_hash) if store is not None else None
    if store is None or run is None:
        other = store.keys_of_other_configs(config_hash) if store is not None else set()
        fresh = [
            PlannedItem(i, key, "config changed" if key in other else "new", listing.fingerprints[i])
            for i, key in enumerate(listing.keys)
        ]
        return Plan(fresh, [])
    recorded = store.items(run.run_id)
    vanished = {key: r for key, r in recorded.items() if key not in listing.positions}
    former = {r.fingerprint: key for key, r in vanished.items() if r.fingerprint is not None}
    other = store.keys_of_other_configs(config_hash) if len(recorded) < len(listing) else set()
    present = _Presence(store.output_paths(run.run_id), store.artifacts(run.run_id), outputs, config_hash, n_stages)
    items = []
    for index, key in enumerate(listing.keys):
        fingerprint = listing.fingerprints[index]
        reason, detail = _reason(Item(index, key, fingerprint), recorded.get(key), former, other, present)
        before = recorded[key].fingerprint if key in recorded else None
        items.append(PlannedItem(index, key, reason, fingerprint, before, detail))
    return Plan(items, sorted(vanished))


def _reason(
    item: Item,
    record: ItemRecord | None,
    former: dict[str, str],
    other: set[str],
    present: _Presence,
) -> tuple[Reason, str]:
    if record is None:
        if item.fingerprint is not None and item.fingerprint in former:
            return "moved", f"was {former[item.fingerprint]}"
        return ("config changed", "") if item.key in other else ("new", "")
    if record.fingerprint != item.fingerprint:
        return "changed", f"{record.fingerprint} → {item.fingerprint}"
    if record.status == "error":
        return "failed", record.error or ""
    missing = present.missing(record)
    return ("outputs missing", missing) if missing else ("up to date", "")


class _Presence:
    """Whether what an item produced is still there, as a file of its own or inside a merged output."""

    def __init__(
        self,
        outputs: dict[int, list[str]],
        artifacts: dict[int, list[Artifact]],
        sharded: list[ShardedOutput],
        config_hash: str,
        n_stages: int,
    ) -> None:
        self._outputs = outputs
        self._artifacts = artifacts
        self._config_hash = config_hash
        self._sink_order = n_stages - 1
        self._exists = lru_cache(maxsize=100_000)(os.path.exists)
        self._retaining = {(o.order, path): o for o in sharded for path in (o.path, str(o.archive_path))}
        self._retained: dict[int, set[tuple[str, str]]] = {}

    def missing(self, record: ItemRecord) -> str:
        """Path that is missing, empty when all is there."""
        paths = [(self._sink_order, path) for path in self._outputs.get(record.index, ())]
        paths += [(a.filter_order, a.path) for a in self._artifacts.get(record.index, ())]
        for order, path in paths:
            if "://" not in path and not self._exists(path):
                return path
            output = self._retaining.get((order, path))
            if output is not None and not self._retains(output, record):
                return f"{Path(path).name} without {record.key}"
        return ""

    def _retains(self, output: ShardedOutput, record: ItemRecord) -> bool:
        if output.order not in self._retained:
            self._retained[output.order] = output.retained()
        wanted = item_version(record.key, record.fingerprint, self._config_hash)
        return (record.key, wanted) in self._retained[output.order]
