"""Tables read, written and published, against pyarrow's own scan and write of the same files."""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, dataset, parquet

from benchmarks.timing import Row, rounds
from curator_core import Source, run_pipeline
from curator_core.domains.table import CSVSource, ParquetSink, ParquetSource

_N_ROUNDS = 3


def table_rows(n_files: int = 8, n_rows: int = 300_000) -> Iterator[Row]:
    """Speed of curating files of tables as a share of pyarrow's.

    Parameters
    ----------
    n_files
        Files of each format.
    n_rows
        Rows of each.
    """
    logging.getLogger("curator").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name, _own_cache(Path(name) / "cache"):
        folder = Path(name)
        for kind in ("parquet", "csv"):
            (folder / kind).mkdir()
        for number in range(n_files):
            table = _table(number, n_rows)
            parquet.write_table(table, folder / "parquet" / f"{number:02}.parquet", compression="zstd")
            csv.write_csv(table, folder / "csv" / f"{number:02}.csv")
        kinds = {column.name: str(column.type) for column in csv.read_csv(folder / "csv" / "00.csv").schema}
        size = f"{n_files} files of {n_rows:,} rows"
        root = str(folder / "csv")
        yield _row(f"Parquet, {size}", folder, "parquet", ParquetSource(str(folder / "parquet")), target=0.8)
        yield _row(f"CSV, {size}, types given", folder, "csv", CSVSource(root, schema=kinds), target=0.8)
        yield _row(f"CSV, {size}, types found by a run before", folder, "csv", CSVSource(root), target=0.8)
        yield _row(f"CSV, {size}, types found first", folder, "csv", CSVSource(root), forgets=True)
        yield from _corrections(folder, max(10 * n_files, 20), n_rows // 15)


def _corrections(folder: Path, n_files: int, n_rows: int) -> Iterator[Row]:
    """Bytes and time of one corrected file, and the time in a dataset ten times as large."""
    took = {}
    for n in (n_files, 10 * n_files):
        root = folder / f"corrected {n}"
        (root / "in").mkdir(parents=True)
        for number in range(n):
            csv.write_csv(_table(number, n_rows), root / "in" / f"{number:05}.csv")
        whole = _published(root)
        before = {path.stat().st_ino for path in (root / "out.parquet").rglob("*")}
        csv.write_csv(_table(n, n_rows), root / "in" / "00000.csv")
        took[n] = _published(root)
        if n == n_files:
            files = [path.stat() for path in (root / "out.parquet").rglob("*") if path.is_file()]
            new = sum(file.st_size for file in files if file.st_ino not in before) / sum(f.st_size for f in files)
            what = f"one of {n} files of {n_rows:,} rows corrected"
            yield Row(f"{what}: new bytes", f"{new:.1%}")
            yield Row(f"{what}: time, over that of all", f"{took[n] / whole:.1%}")
        shutil.rmtree(root)
    ratio = took[10 * n_files] / took[n_files]
    yield Row(f"the same in a dataset 10 times as large: time, over {n_files} files", f"{ratio:.1f}")


def _published(root: Path) -> float:
    """How long a run takes that processes and publishes what is due, in seconds."""
    pipeline = CSVSource(str(root / "in")).write(ParquetSink(str(root / "out.parquet")))
    begun = time.perf_counter()
    run_pipeline(pipeline.with_settings(db_file=str(root / "runs.db"), resume=True), gather=True, progress=False)
    return time.perf_counter() - begun


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Keep what is known of files in a folder of the benchmark."""
    before = os.environ.get("CURATOR_CACHE_DIR")
    os.environ["CURATOR_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["CURATOR_CACHE_DIR"]
        if before is not None:
            os.environ["CURATOR_CACHE_DIR"] = before


def _row(
    what: str,
    folder: Path,
    kind: str,
    source: Source[pa.Table],
    target: float | None = None,
    *,
    forgets: bool = False,
) -> Row:
    """Speed of curator over that of pyarrow; without what runs before found, where it `forgets`."""
    if not forgets:
        source.check()

    def plain() -> None:
        shutil.rmtree(folder / "plain", ignore_errors=True)
        (folder / "plain").mkdir()
        if kind == "csv":
            for path in sorted((folder / kind).iterdir()):
                parquet.write_table(csv.read_csv(path), folder / "plain" / f"{path.stem}.parquet", compression="zstd")
            return
        options = dataset.ParquetFileFormat().make_write_options(compression="zstd")
        found = dataset.dataset(folder / kind, format="parquet")
        dataset.write_dataset(found, folder / "plain", format="parquet", file_options=options,
                              existing_data_behavior="overwrite_or_ignore")  # fmt: skip

    def curated() -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)
        (folder / "out").mkdir()
        if forgets:
            shutil.rmtree(folder / "cache")
        pipeline = source.write(ParquetSink(str(folder / "out" / "rows.parquet")))
        run_pipeline(pipeline.with_settings(db_file=str(folder / "out" / "runs.db")), gather=True, progress=False)

    times = rounds({"plain": plain, "curated": curated}, _N_ROUNDS)
    share = statistics.median(a / b for a, b in zip(times["plain"], times["curated"], strict=True))
    wanted = "" if target is None else f"at least {target:.0%}"
    return Row(f"speed over pyarrow's scan and write: {what}", f"{share:.0%}", wanted, target and share >= target)


def _table(number: int, n_rows: int) -> pa.Table:
    random = np.random.default_rng(number)
    return pa.table(
        {
            "time": pa.array(np.arange(n_rows) + number * n_rows),
            "station": pa.array(np.char.add("station ", random.integers(0, 50, n_rows).astype(str))),
            "count": pa.array(random.integers(0, 10_000, n_rows), mask=random.integers(0, 50, n_rows) == 0),
            **{f"value_{n}": random.normal(size=n_rows).round(3) for n in range(6)},
        }
    )
