"""Cost per index over a plain loop of the same components, which do nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from curator_core import Pipeline, Sink, Source, run_pipeline

N = 20_000


class Nothing(Source[int]):
    """Yields the index."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        yield index


class Nowhere(Sink[int]):
    """Takes the items and writes nothing."""

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        for _ in items:
            pass
        return []


def overhead_rows() -> Iterator[tuple[str, str]]:
    """Name and value of each measurement."""
    source, sink = Nothing(), Nowhere()

    def bare() -> None:
        for index in range(N):
            sink(source[index], index)

    floor = _seconds(bare)
    yield "plain loop, per index", f"{floor / N * 1e6:.2f} us"
    with tempfile.TemporaryDirectory() as folder:

        def run(**options: Any) -> Callable[[], None]:
            tracked = options.pop("track_metrics", True)
            resume = options.get("resume", False)
            db_file = f"{folder}/resumed.db" if resume else None
            pipeline = Pipeline(source, [], sink, track_metrics=tracked, db_dir=folder, db_file=db_file)
            return lambda: _ignore(run_pipeline(pipeline, progress=False, **options))

        for name, options in {
            "sequential, untracked": {"track_metrics": False},
            "sequential, tracked": {},
            "process_pool, 2 workers, tracked": {"n_jobs": 2, "backend": "process_pool"},
        }.items():
            yield f"{name}, over the loop per index", f"{(_seconds(run(**options)) - floor) / N * 1e6:.1f} us"
        run(resume=True)()
        yield f"resume over {N:,} completed, per index", f"{_seconds(run(resume=True)) / N * 1e6:.1f} us"


def _seconds(work: Callable[[], None], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _ignore(_: object) -> None:
    pass
