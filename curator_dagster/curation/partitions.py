"""Item keys as Dagster partition keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagster import AssetPartitionStatus

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, PartitionsDefinition

MAX_LENGTH = 255
"""Longest partition key that every Dagster storage takes."""
REGISTRATION_CHUNK = 10_000
"""Keys per call: some SQLite builds allow no more than 32,766 variables in a statement."""

_UNSAFE = re.compile(r"[,\x00-\x1f\x7f\ud800-\udfff]|\.\.\.")
_MARK = re.compile(r"~[0-9a-f]{12}$")


def partition_key(key: str) -> str:
    """Partition key for an item's key: the key itself where Dagster can take it.

    Otherwise the unsafe parts (comma, ``...``, control characters, what exceeds 255 characters) are
    replaced and a hash of the original is appended, so that distinct items stay distinct.
    """
    is_safe = not _UNSAFE.search(key) and len(key) <= MAX_LENGTH and key == key.strip()
    if is_safe and not _MARK.search(key):  # a key that looks like a replacement gets one of its own
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    readable = _UNSAFE.sub("_", key).strip()
    return f"{readable[: MAX_LENGTH - 13]}~{digest}"


def add_partitions(instance: DagsterInstance, name: str, keys: Sequence[str]) -> list[str]:
    """Register the partition keys of all items; returns those that were added."""
    known = set(instance.get_dynamic_partitions(name))
    added = [key for key in keys if key not in known]
    for start in range(0, len(added), REGISTRATION_CHUNK):
        instance.add_dynamic_partitions(name, added[start : start + REGISTRATION_CHUNK])
    return added


def failed_partitions(
    instance: DagsterInstance, asset: AssetKey, partitions_def: PartitionsDefinition[str], keys: Sequence[str]
) -> set[str]:
    """Those of some partitions that Dagster shows as failed."""
    if not keys:  # Dagster would look at all of them
        return set()
    status = instance.get_status_by_partition(asset, keys, partitions_def) or {}
    return {key for key, found in status.items() if found is AssetPartitionStatus.FAILED}
