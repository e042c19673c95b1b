"""What a million items cost: processing, resuming, planning and asking; each in a process of its own."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, in_own_process
from benchmarks.workload import Nowhere, Numbers
from curator_core import IndexResult, Pipeline, run_pipeline
from curator_core.records import StageMetrics
from curator_core.session.listing import Listing
from curator_core.session.session import Session
from curator_core.storage.written import file_clock_ns, written_mark

N = 1_000_000
N_FILES = 100_000
"""Items at most in the measurement where each has a file of its own."""
RESUME_US, GROWTH, MAX_MB = 5, 1.2, 500
"""Targets: microseconds per complete index, cost per index of many over that of few, memory."""


def scale_rows(n: int = N) -> Iterator[Row]:
    """Every measurement, and what it needs.

    Parameters
    ----------
    n
        Number of items; fewer for a quick look.
    """
    yield from _growth_rows(n)
    with tempfile.TemporaryDirectory() as folder:
        _measured("record", folder, n)
        seconds, peak = _measured("resume", folder, n)
        yield _per_index(f"resume, {n:,} complete", seconds / n, peak, target_us=RESUME_US)
        for what in QUESTIONS:
            seconds, peak = _measured(what, folder, n)
            yield Row(f"`{what}`, {n:,} complete", f"{seconds:.2f} s, {peak:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak = _measured("plan", folder, n)
        yield Row(f"`plan()`, {n:,} new", f"{seconds:.2f} s, {peak:.0f} MB")
    n_files = min(n, N_FILES)
    with tempfile.TemporaryDirectory() as folder:
        _measured("record_files", folder, n_files)
        seconds, peak = _measured("resume", folder, n_files)
        yield _per_index(f"resume, {n_files:,} complete with a file each", seconds / n_files, peak, target_us=RESUME_US)


def _growth_rows(n: int) -> Iterator[Row]:
    """Cost per index of a whole run with many indices over that with a hundredth of them."""
    few = max(1, n // 100)
    for what in ("sequential", "process_pool"):
        times: dict[int, list[float]] = {few: [], n: []}
        peak = 0.0
        for size in (few, few, n, few, n, few):
            with tempfile.TemporaryDirectory() as folder:
                seconds, memory = _measured(what, folder, size)
            times[size].append(seconds / size)
            peak = max(peak, memory)
        before, after = statistics.median(times[few]), statistics.median(times[n])
        ratio = after / before
        value = f"{before * 1e6:.1f} → {after * 1e6:.1f} µs: {ratio:.2f} ×"
        yield Row(f"{what}, {few:,} → {n:,} indices, per index", value, f"≤ {GROWTH} ×", ratio <= GROWTH)
        yield Row(f"{what}, {n:,} indices, memory of the coordinator", f"{peak:.0f} MB", "< 500 MB", peak < MAX_MB)


def _per_index(measure: str, seconds: float, peak: float, target_us: float) -> Row:
    value = f"{seconds * 1e6:.2f} µs per index, {peak:.0f} MB"
    return Row(measure, value, f"≤ {target_us:g} µs", seconds * 1e6 <= target_us)


def _measured(what: str, folder: str, n: int) -> tuple[float, float]:
    return in_own_process("benchmarks.scale", what, folder, n)


def pipeline_of(folder: str, n: int, **settings: Any) -> Pipeline[int]:
    """The pipeline of all measurements."""
    return Pipeline(Numbers(n), [], Nowhere(), db_file=f"{folder}/run.db", resume=True, **settings)


def record(folder: str, n: int, *, with_files: bool = False) -> None:
    """Fill the database with completed items, as a run would."""
    pipeline = pipeline_of(folder, n)
    stages = (StageMetrics("Numbers", 1_000), StageMetrics("Nowhere", 2_000))
    at = "2026-01-01T00:00:00.000000+00:00"
    if with_files:
        Path(folder, "out").mkdir()
    with Session(pipeline, listing=Listing.of(pipeline.source)) as session:
        writer = session.writer
        for index in range(n):
            paths: tuple[str, ...] = ()
            marks: tuple[int | None, ...] = ()
            if with_files:
                paths = (f"{folder}/out/item_{index:06d}.json",)
                begun_ns = file_clock_ns()
                os.close(os.open(paths[0], os.O_CREAT))
                marks = (written_mark(paths[0], begun_ns),)
            key = pipeline.source.key(index)
            cost = {"stages": stages, "wall_time_ns": 3_000, "peak_memory_bytes": 50_000_000, "written": marks}
            writer.write(
                IndexResult(index, key, "completed", None, paths, worker_id="w", started_at=at, completed_at=at, **cost)  # type: ignore[arg-type]
            )


def resume(folder: str, n: int) -> None:
    """A run that finds everything done."""
    run_pipeline(pipeline_of(folder, n), progress=False)


def fresh(folder: str, n: int, **options: Any) -> None:
    """A run that finds nothing done."""
    run_pipeline(Pipeline(Numbers(n), [], Nowhere(), db_dir=folder), progress=False, **options)


QUESTIONS: dict[str, Callable[[Pipeline[int]], object]] = {
    "plan()": lambda pipeline: pipeline.plan().counts(),
    "completed_indices": lambda pipeline: pipeline.completed_indices,
    "failed_indices": lambda pipeline: pipeline.failed_indices,
    "remaining_indices()": lambda pipeline: pipeline.remaining_indices(),
    "summary()": lambda pipeline: pipeline.summary(),
    "metrics": lambda pipeline: pipeline.metrics,
}
"""What a user asks of a database."""


def _ask(question: str) -> Callable[[str, int], object]:
    return lambda folder, n: QUESTIONS[question](pipeline_of(folder, n))


WORK: dict[str, Callable[[str, int], object]] = {
    "record": record,
    "record_files": lambda folder, n: record(folder, n, with_files=True),
    "resume": resume,
    "sequential": fresh,
    "process_pool": lambda folder, n: fresh(folder, n, backend="process_pool", n_jobs=2),
    "plan": _ask("plan()"),
    **{question: _ask(question) for question in QUESTIONS},
}
"""Each is measured in a process of its own."""
