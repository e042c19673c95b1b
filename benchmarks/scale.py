"""What a million recorded items cost: resuming, planning and asking; each in a process of its own.

``python -m benchmarks.scale [N]`` prints the table, for N items.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from curator_core import IndexResult, Pipeline, Sink, Source, run_pipeline
from curator_core.records import StageMetrics

N = 1_000_000
N_FILES = 100_000
"""Items at most in the measurement where each has a file of its own."""


class Numbers(Source[int]):
    """`n` items; each yields its index."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        yield index


class Nowhere(Sink[int]):
    """Takes the items and writes nothing; its files are made by `record`."""

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        for _ in items:
            pass
        return []


def scale_rows(n: int = N) -> Iterator[tuple[str, str]]:
    """Name and value of each measurement.

    Parameters
    ----------
    n
        Number of items; fewer for a quick look.
    """
    with tempfile.TemporaryDirectory() as folder:
        _measured("record", folder, n)
        for what in ("resume", "plan"):
            seconds, peak = _measured(what, folder, n)
            yield f"{what}, {n:,} complete, per index", f"{seconds / n * 1e6:.2f} us, peak {peak:.0f} MB"
        for what in QUESTIONS:
            seconds, peak = _measured(what, folder, n)
            yield f"{what}, {n:,} complete", f"{seconds:.2f} s, peak {peak:.0f} MB"
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak = _measured("plan", folder, n)
        yield f"plan, {n:,} new, per index", f"{seconds / n * 1e6:.2f} us, peak {peak:.0f} MB"
        seconds, peak = _measured("fresh", folder, n)
        yield f"fresh run, {n:,} items, per index", f"{seconds / n * 1e6:.2f} us, peak {peak:.0f} MB"
    n_files = min(n, N_FILES)
    with tempfile.TemporaryDirectory() as folder:
        _measured("record_files", folder, n_files)
        seconds, peak = _measured("resume", folder, n_files)
        name = f"resume, {n_files:,} complete with a file each, per index"
        yield name, f"{seconds / n_files * 1e6:.2f} us, peak {peak:.0f} MB"


def _measured(what: str, folder: str, n: int) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of one piece of work in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", what, folder, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout)
    return float(seconds), float(peak)


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
    with pipeline.open_writer(n, resume=True) as writer:
        for index in range(n):
            paths: tuple[str, ...] = ()
            if with_files:
                paths = (f"{folder}/out/item_{index:06d}.json",)
                os.close(os.open(paths[0], os.O_CREAT))
            key = pipeline.source.key(index)
            cost = {"stages": stages, "wall_time_ns": 3_000, "peak_memory_bytes": 50_000_000}
            writer.write(
                IndexResult(index, key, "completed", None, paths, worker_id="w", started_at=at, completed_at=at, **cost)  # type: ignore[arg-type]
            )


QUESTIONS: dict[str, Callable[[Pipeline[int]], object]] = {
    "completed_indices": lambda pipeline: pipeline.completed_indices,
    "failed_indices": lambda pipeline: pipeline.failed_indices,
    "remaining_indices": lambda pipeline: pipeline.remaining_indices(),
    "summary": lambda pipeline: pipeline.summary(),
    "metrics": lambda pipeline: pipeline.metrics,
}


def main(what: str, folder: str, n: int) -> None:
    """Do one piece of work; print its seconds and the peak memory of this process."""
    work: dict[str, Callable[[], object]] = {
        "record": lambda: record(folder, n),
        "record_files": lambda: record(folder, n, with_files=True),
        "resume": lambda: run_pipeline(pipeline_of(folder, n), progress=False),
        "plan": lambda: pipeline_of(folder, n).plan().counts(),
        "fresh": lambda: run_pipeline(pipeline_of(folder, n, track_metrics=False), progress=False),
        **{name: lambda ask=ask: ask(pipeline_of(folder, n)) for name, ask in QUESTIONS.items()},  # type: ignore[misc]
    }
    started = time.perf_counter()
    work[what]()
    seconds = time.perf_counter() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004 - one measurement, as `_measured` asks for it
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        print("| measure | result |\n|---|---|")
        for name, value in scale_rows(int(sys.argv[1]) if len(sys.argv) > 1 else N):
            print(f"| {name} | {value} |")
