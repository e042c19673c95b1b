"""Index results as metadata of materializations, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from curator_core import IndexResult
from curator_dagster._compat.events.serialized import PathText, Time, UrlText, Value, as_metadata

PREFIX = "curator/"
"""All our metadata keys start with it."""
CURATION_METADATA = f"{PREFIX}curation"
"""On a refresh job: the curation that it belongs to."""

RETRY = f"{PREFIX}retry"
"""On what failed: the quickest way to try it again."""
ERROR = f"{PREFIX}error"
"""On an observation: why a partition is not materialized."""
MAX_LOG_LINES = 5
"""Last lines of an item's log that its metadata have; all are in the metrics database."""
MAX_LOG_LINE = 200
"""Characters of each."""

MAX_NAMED = 5
"""Failures in a sentence; the table has them all."""
MAX_FAILURES = 1000
"""Failed items that a table has: an event is read as a whole."""

URI = "dagster/uri"
"""Key under which Dagster's UI looks for the place of a dataset."""

MetadataMapping = dict[str, MetadataValue[Any]]


def sample_metadata(result: IndexResult) -> dict[str, Value]:
    """Metadata of one processed item, for people; numbers stay numbers, so that Dagster plots them.

    Each entry is stored for every item, twice on SQLite: what is in the metrics database alone stays there.
    """
    found = _whereabouts(result)
    found["curator/wall_time_s"] = _seconds(result.wall_time_ns)
    if result.peak_memory_bytes is not None:
        found["curator/peak_memory_mib"] = _mib(result.peak_memory_bytes)
    if result.gpu_memory_bytes is not None:
        found["curator/gpu_memory_mib"] = _mib(result.gpu_memory_bytes)
    found["curator/outputs"] = _places(result.output_paths)
    if result.artifacts:
        found["curator/artifacts"] = _places([artifact.path for artifact in result.artifacts])
    if result.stages:
        found["curator/stages"] = _stages([(stage.name, stage.wall_time_ns) for stage in result.stages])
    if result.fingerprint is not None:
        found["curator/fingerprint"] = result.fingerprint
    return found


def _whereabouts(result: IndexResult) -> dict[str, Value]:
    """What somebody looks for first: which item, where it is, when it was processed, what was logged."""
    found: dict[str, Value] = {"curator/key": result.key}
    if result.item_path is not None:
        found["curator/path"] = place(result.item_path)
    if result.completed_at is not None:
        found["curator/processed_at"] = Time(datetime.fromisoformat(result.completed_at).timestamp())
    if result.logs:
        found["curator/log"] = _last_lines(result)
    return found


def _last_lines(result: IndexResult) -> str:
    lines = [f"{line.level_name} {line.logger_name}: {line.message}" for line in result.logs[-MAX_LOG_LINES:]]
    return "\n".join(line if len(line) <= MAX_LOG_LINE else f"{line[:MAX_LOG_LINE]}…" for line in lines)


def place(path: str) -> Value:
    """A path, or a URL that a browser opens."""
    return UrlText(path) if path.startswith(("http://", "https://")) else PathText(path)


def _places(paths: Sequence[str]) -> Value:
    return place(paths[0]) if len(paths) == 1 else list(paths)


def _stages(spent: Iterable[tuple[str, int]]) -> str:
    return ", ".join([f"{name} {time_ns / 1e9:.3g} s" for name, time_ns in spent])


def _seconds(time_ns: int) -> float:
    return time_ns // 1000 / 1e6


def _mib(n_bytes: int) -> float:
    return n_bytes * 10 // 2**20 / 10


def block_metadata(results: Sequence[IndexResult], n_items: int) -> dict[str, Value]:
    """Metadata of a block of items, of which some were processed: sums of times, peaks of memory."""
    found: dict[str, Value] = {
        "curator/first_key": results[0].key,
        "curator/last_key": results[-1].key,
        "curator/n_items": n_items,
        "curator/n_processed": len(results),
    }
    times = [result.completed_at for result in results if result.completed_at is not None]
    if times:
        found["curator/processed_at"] = Time(datetime.fromisoformat(max(times)).timestamp())
    found["curator/wall_time_s"] = _seconds(sum(r.wall_time_ns for r in results))
    peaks = [r.peak_memory_bytes for r in results if r.peak_memory_bytes is not None]
    if peaks:
        found["curator/peak_memory_mib"] = _mib(max(peaks))
    spent: dict[str, int] = {}
    for result in results:
        for stage in result.stages:
            spent[stage.name] = spent.get(stage.name, 0) + stage.wall_time_ns
    return found | ({"curator/stages": _stages(spent.items())} if spent else {})


def failure_metadata(result: IndexResult, retry: str) -> MetadataMapping:
    """Metadata of one failed item: what went wrong, where, and the job that tries it again."""
    found: dict[str, Value] = {"curator/error": result.error or "", **_whereabouts(result)}
    found[RETRY] = retry_hint(retry)
    if result.worker_host is not None:
        found["curator/worker"] = f"{result.worker_host}, process {result.worker_pid}"
    traceback = MetadataValue.md(f"```\n{result.traceback or ''}\n```")
    return {name: as_metadata(value) for name, value in found.items()} | {"curator/traceback": traceback}


def retry_hint(job: str) -> str:
    """What is the quickest way to try again what failed."""
    return f"The job {job} tries again all that failed, in one run."


def failures_in_words(failures: Mapping[str, str]) -> str:
    """The first failed keys and their errors, and how many more there are."""
    shown = "; ".join(f"{key}: {error}" for key, error in islice(failures.items(), MAX_NAMED))
    return shown + (f"; and {len(failures) - MAX_NAMED} more" if len(failures) > MAX_NAMED else "")


def failures_table(failures: Mapping[str, str]) -> MetadataValue[Any]:
    """Table of failed keys and their errors; of very many, the first."""
    records = [TableRecord({"key": key, "error": error}) for key, error in islice(failures.items(), MAX_FAILURES)]
    if len(failures) > MAX_FAILURES:
        more = {"key": f"… and {len(failures) - MAX_FAILURES} more", "error": "see the metrics database"}
        records.append(TableRecord(more))
    return MetadataValue.table(records, TableSchema([TableColumn("key", "string"), TableColumn("error", "string")]))
