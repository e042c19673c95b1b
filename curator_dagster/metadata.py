"""Index results as metadata of materializations, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from curator_core import IndexResult

PREFIX = "curator/"
"""All our metadata keys start with it."""

MetadataMapping = dict[str, MetadataValue[Any]]


def sample_metadata(result: IndexResult, config_hash: str) -> MetadataMapping:
    """Metadata of one processed item; numbers stay numbers, so that Dagster plots them."""
    found: MetadataMapping = {
        "key": MetadataValue.text(result.key),
        "index": MetadataValue.int(result.index),
        "wall_time_s": MetadataValue.float(result.wall_time_ns / 1e9),
        "config_hash": MetadataValue.text(config_hash),
        "outputs": MetadataValue.json(list(result.output_paths)),
    }
    found |= {f"stage/{s.name}_s": MetadataValue.float(s.wall_time_ns / 1e9) for s in result.stages}
    optional: dict[str, MetadataValue[Any] | None] = {
        "fingerprint": _text(result.fingerprint),
        "peak_memory_bytes": _int(result.peak_memory_bytes),
        "gpu_memory_bytes": _int(result.gpu_memory_bytes),
        "worker": _text(result.worker_id),
        "artifacts": MetadataValue.json([a.path for a in result.artifacts]) if result.artifacts else None,
    }
    found |= {name: value for name, value in optional.items() if value is not None}
    return {PREFIX + name: value for name, value in found.items()}


def block_metadata(results: Sequence[IndexResult], n_items: int, config_hash: str) -> MetadataMapping:
    """Metadata of a block of items, of which some were processed: sums of times, peaks of memory."""
    stages: dict[str, int] = {}
    for result in results:
        for stage in result.stages:
            stages[stage.name] = stages.get(stage.name, 0) + stage.wall_time_ns
    peaks = [r.peak_memory_bytes for r in results if r.peak_memory_bytes is not None]
    found: MetadataMapping = {
        "first_key": MetadataValue.text(results[0].key),
        "last_key": MetadataValue.text(results[-1].key),
        "n_items": MetadataValue.int(n_items),
        "n_processed": MetadataValue.int(len(results)),
        "wall_time_s": MetadataValue.float(sum(r.wall_time_ns for r in results) / 1e9),
        "config_hash": MetadataValue.text(config_hash),
    }
    found |= {f"stage/{name}_s": MetadataValue.float(total / 1e9) for name, total in stages.items()}
    if peaks:
        found["peak_memory_bytes"] = MetadataValue.int(max(peaks))
    return {PREFIX + name: value for name, value in found.items()}


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


def _text(value: str | None) -> MetadataValue[Any] | None:
    return None if value is None else MetadataValue.text(value)


def _int(value: int | None) -> MetadataValue[Any] | None:
    return None if value is None else MetadataValue.int(value)
