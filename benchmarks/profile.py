"""Where the time of a tracked sequential run goes: its parts, each alone, and the functions that take longest."""

from __future__ import annotations

import cProfile
import pstats
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, best_seconds
from benchmarks.workload import Nowhere, Numbers, plain_loop
from curator_core import Pipeline, run_pipeline
from curator_core.engine import IndexProcessor
from curator_core.session.listing import Listing
from curator_core.session.session import Session

N = 20_000
N_FUNCTIONS = 12


def part_rows(n: int = N) -> Iterator[Row]:
    """The parts of a run, one after the other.

    Parameters
    ----------
    n
        Number of indices.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Numbers(n), [], Nowhere(), db_dir=folder, resume=False)
        listing = Listing.of(pipeline.source)
        items = list(listing.items(range(n)))
        with IndexProcessor(pipeline) as process:
            results = [process(item) for item in items]

            def processing() -> None:
                for item in items:
                    process(item)

            def recording() -> None:
                pipeline.records.begin(resume=False)
                with Session(pipeline, resume=False, listing=listing) as session:
                    for result in results:
                        session.writer.write(result)

            best = best_seconds(
                {
                    "loop": lambda: plain_loop(pipeline.source),
                    "listing": lambda: list(Listing.of(pipeline.source).items(range(n))),
                    "processing": processing,
                    "recording": recording,
                    "run": lambda: run_pipeline(pipeline, progress=False),
                },
                5,
            )
    us = {name: taken / n * 1e6 for name, taken in best.items()}
    yield Row("the components themselves", f"{us['loop']:.1f} µs")
    yield Row("listing keys and fingerprints", f"{us['listing']:.1f} µs")
    yield Row("measuring: stages, memory, logs, times, checks", f"{us['processing'] - us['loop']:.1f} µs")
    yield Row("recording in SQLite", f"{us['recording']:.1f} µs")
    rest = us["run"] - us["listing"] - us["processing"] - us["recording"]
    yield Row("the rest: start and end of the run, progress", f"{rest:.1f} µs")
    yield Row("the whole run", f"{us['run']:.1f} µs")


def function_rows(n: int = N) -> Iterator[Row]:
    """The functions with the most time of their own, as cProfile sees it (its own cost included).

    Parameters
    ----------
    n
        Number of indices.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Numbers(n), [], Nowhere(), db_dir=folder)
        with cProfile.Profile() as profile:
            run_pipeline(pipeline, progress=False)
    stats = pstats.Stats(profile)
    entries: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = stats.stats  # type: ignore[attr-defined]
    for (file, _, function), (_, calls, own, *_) in sorted(entries.items(), key=lambda e: -e[1][2])[:N_FUNCTIONS]:
        where = f"{Path(file).parent.name}/{Path(file).name}: " if file.endswith(".py") else ""
        yield Row(f"`{where}{function}`", f"{own / n * 1e6:.1f} µs in {calls / n:.2f} calls")
