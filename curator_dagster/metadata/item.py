"""Index results as metadata of materializations, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from curator_core import IndexResult
from curator_dagster._compat.events.serialized import Value

PREFIX = "curator/"
"""All our metadata keys start with it."""
CURATION_METADATA = f"{PREFIX}curation"
"""On a refresh job: the curation that it belongs to."""

ERROR = f"{PREFIX}error"
"""On an observation: why a partition is not materialized."""

MetadataMapping = dict[str, MetadataValue[Any]]


def sample_metadata(result: IndexResult, config_hash: str) -> dict[str, Value]:
    """Metadata of one processed item; numbers stay numbers, so that Dagster plots them."""
    found: dict[str, Value] = {
        "curator/key": result.key,
        "curator/index": result.index,
        "curator/wall_time_s": result.wall_time_ns / 1e9,
        "curator/config_hash": config_hash,
        "curator/outputs": list(result.output_paths),
    }
    for stage in result.stages:
        found[f"curator/stage/{stage.name}_s"] = stage.wall_time_ns / 1e9
    if result.fingerprint is not None:
        found["curator/fingerprint"] = result.fingerprint
    if result.peak_memory_bytes is not None:
        found["curator/peak_memory_bytes"] = result.peak_memory_bytes
    if result.gpu_memory_bytes is not None:
        found["curator/gpu_memory_bytes"] = result.gpu_memory_bytes
    if result.worker_id is not None:
        found["curator/worker"] = result.worker_id
    if result.artifacts:
        found["curator/artifacts"] = [artifact.path for artifact in result.artifacts]
    return found


def block_metadata(results: Sequence[IndexResult], n_items: int, config_hash: str) -> dict[str, Value]:
    """Metadata of a block of items, of which some were processed: sums of times, peaks of memory."""
    found: dict[str, Value] = {
        "curator/first_key": results[0].key,
        "curator/last_key": results[-1].key,
        "curator/n_items": n_items,
        "curator/n_processed": len(results),
        "curator/wall_time_s": sum(r.wall_time_ns for r in results) / 1e9,
        "curator/config_hash": config_hash,
    }
    spent: dict[str, int] = {}
    for result in results:
        for stage in result.stages:
            spent[stage.name] = spent.get(stage.name, 0) + stage.wall_time_ns
    found |= {f"curator/stage/{name}_s": total / 1e9 for name, total in spent.items()}
    peaks = [r.peak_memory_bytes for r in results if r.peak_memory_bytes is not None]
    return found | ({"curator/peak_memory_bytes": max(peaks)} if peaks else {})


def failure_metadata(result: IndexResult) -> MetadataMapping:
    """Metadata of one failed item: what went wrong, and where."""
    return {
        f"{PREFIX}key": MetadataValue.text(result.key),
        f"{PREFIX}index": MetadataValue.int(result.index),
        f"{PREFIX}error": MetadataValue.text(result.error or ""),
        f"{PREFIX}traceback": MetadataValue.md(f"```\n{result.traceback or ''}\n```"),
    }


def failures_table(failures: Mapping[str, str]) -> MetadataValue[Any]:
    """Table of failed keys and their errors."""
    return MetadataValue.table(
        [TableRecord({"key": key, "error": error}) for key, error in failures.items()],
        TableSchema([TableColumn("key", "string"), TableColumn("error", "string")]),
    )
