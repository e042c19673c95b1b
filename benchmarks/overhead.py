"""Cost per index over a plain loop of the same components, which do nothing; and over the floor of any store."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.timing import Row, Work, best_seconds, in_own_process, ratio_quartiles, rounds
from benchmarks.workload import Allocating, Nowhere, Numbers, plain_loop
from curator_core import Pipeline, Source, run_pipeline
from curator_core.store.writer import BATCH_SIZE

REPEATS = 5
TARGET_US = 60
BACKENDS: dict[str, dict[str, Any]] = {
    "sequential": {},
    "thread_pool": {"n_jobs": 2},
    "process_pool": {"n_jobs": 2},
    "loky": {"n_jobs": 2},
    "dask": {"n_jobs": 2},
    "prefect": {"n_jobs": 2},
}


def overhead_rows(n: int = 20_000) -> Iterator[Row]:
    """Tracked and untracked runs of components that do nothing.

    Parameters
    ----------
    n
        Number of indices.
    """
    source = Numbers(n)
    with tempfile.TemporaryDirectory() as folder:
        recorded = Path(folder, "recorded.db")
        run_pipeline(Pipeline(source, [], Nowhere(), db_file=recorded), progress=False)
        best = best_seconds(
            {
                "loop": lambda: plain_loop(source),
                "floor": _bare_inserts(recorded, Path(folder, "bare.db")),
                "untracked": _run(source, folder, track_metrics=False),
                "sequential": _run(source, folder),
                "process_pool": _run(source, folder, backend="process_pool", n_jobs=2),
            },
            REPEATS,
        )
    us = {name: (taken - best["loop"]) / n * 1e6 for name, taken in best.items()}
    floor = best["floor"] / n * 1e6
    yield Row("a plain loop over components that do nothing", f"{best['loop'] / n * 1e6:.2f} µs")
    yield Row("the same rows inserted by a bare `executemany`, batched", f"{floor:.1f} µs")
    yield Row("sequential, untracked, over the loop", f"{us['untracked']:.1f} µs")
    for name in ("sequential", "process_pool"):
        title = f"{name}{', 2 workers' if name == 'process_pool' else ''}, tracked, over the loop"
        value = f"{us[name]:.1f} µs, {us[name] / floor:.1f} × the bare inserts"
        yield Row(title, value, f"≤ {TARGET_US} µs", us[name] <= TARGET_US)


def real_work_rows(n: int = 300, n_rounds: int = 31) -> Iterator[Row]:
    """Tracking of items that take a few milliseconds and allocate much.

    Parameters
    ----------
    n
        Number of indices.
    n_rounds
        Rounds; the ratios are medians over them.
    """
    source = Allocating(n)
    with tempfile.TemporaryDirectory() as folder:
        works = {
            "loop": lambda: plain_loop(source),
            "untracked": _run(source, folder, track_metrics=False),
            "tracked": _run(source, folder),
        }
        times = rounds(works, n_rounds)
    low, ratio, high = ratio_quartiles(times["tracked"], times["untracked"])
    _, over_loop, _ = ratio_quartiles(times["tracked"], times["loop"])
    yield Row("one item of allocation-heavy Python, plain loop", f"{min(times['loop']) / n * 1e3:.2f} ms")
    value = f"{ratio:.3f} (half of the rounds between {low:.2f} and {high:.2f})"
    yield Row("the same, tracked / untracked", value, "≤ 1.03", ratio <= 1.03)  # noqa: PLR2004
    yield Row("the same, tracked / plain loop", f"{over_loop:.3f}")


def backend_rows(n: int = 20_000, names: tuple[str, ...] = tuple(BACKENDS)) -> Iterator[Row]:
    """Every backend, tracked, over the loop.

    Parameters
    ----------
    n
        Number of indices.
    names
        The backends.
    """
    source = Numbers(n)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with _started(name):
                runs = {"loop": lambda: plain_loop(source), name: _run(source, folder, backend=name, **BACKENDS[name])}
                best = best_seconds(runs, 3)
            workers = "2 workers, " if "n_jobs" in BACKENDS[name] else ""
            cost = (best[name] - best["loop"]) / n * 1e6
            yield Row(f"`{name}`, {workers}tracked, over the loop", f"{cost:.0f} µs")


def start_rows(names: tuple[str, ...] = tuple(BACKENDS)) -> Iterator[Row]:
    """A run of two items on every backend, in a process of its own: its imports, workers, cluster or server.

    Parameters
    ----------
    names
        The backends.
    """
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            seconds, _ = in_own_process("benchmarks.overhead", name, folder, 2)
        yield Row(f"`{name}`, two items, all that has to be started included", f"{seconds:.2f} s")


def _started(name: str) -> AbstractContextManager[object]:
    """The cluster or server of a backend, there already: its start is no cost per index."""
    # Once these are loaded, worker processes are not forked any more, which would be another measurement.
    if name == "dask":
        from distributed import Client, LocalCluster  # noqa: PLC0415

        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        return closing(Client(cluster))
    if name == "prefect":
        from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

        return prefect_test_harness(server_startup_timeout=120)
    return nullcontext()


def _run(source: Source[int], folder: str, **options: Any) -> Work:
    tracked = options.pop("track_metrics", True)
    pipeline = Pipeline(source, [], Nowhere(), track_metrics=tracked, db_dir=folder)
    return lambda: run_pipeline(pipeline, progress=False, **options)


def _bare_inserts(recorded: Path, target: Path) -> Callable[[], None]:
    """What a run recorded, inserted once more by nothing but SQLite: the same rows, indexes and commits."""
    with closing(sqlite3.connect(recorded)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        schema = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        rows = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608 - our own tables
    n = len(rows["index_results"])
    per_index = {name: found for name, found in rows.items() if len(found) >= n}

    def insert() -> None:
        target.unlink(missing_ok=True)
        with closing(sqlite3.connect(target, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            for sql in schema:
                if not sql.startswith("CREATE TABLE sqlite_"):
                    db.execute(sql)
            for start in range(0, n, BATCH_SIZE):
                db.execute("BEGIN")
                for name, found in per_index.items():
                    share = len(found) // n
                    batch = found[start * share : (start + BATCH_SIZE) * share]
                    db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(batch[0]))})", batch)  # noqa: S608
                db.execute("COMMIT")

    return insert


def _few(name: str) -> Callable[[str, int], object]:
    return lambda folder, n: _run(Numbers(n), folder, backend=name, **BACKENDS[name])()


WORK: dict[str, Callable[[str, int], object]] = {name: _few(name) for name in BACKENDS}
"""Each is measured in a process of its own."""
