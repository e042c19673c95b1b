"""Dagster's runs as users start them: executors on real work, the sensor on many files, the import of a location."""

# No deferred annotations here: Dagster reads those of assets as they are.
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.timing import Row
from benchmarks.workload import Nowhere
from curator_core import Pipeline, Source

LOCATION = """
from dagster import in_process_executor
from benchmarks.dagster_location import {pipeline}
from curator_dagster import build_curation_defs, curation_executor

executor = {{"in_process": in_process_executor, "multiprocess": curation_executor(max_concurrent=2)}}[{executor!r}]
defs = build_curation_defs("things", lambda: {pipeline}({folder!r}, {n}), executor=executor)
"""
TICK = """
import time
from dagster import DagsterInstance, build_sensor_context
from location import defs

sensor = defs.resolve_sensor_def("things_new_data")
with DagsterInstance.get() as instance:
    context = build_sensor_context(instance, cursor={cursor!r}, repository_def=defs.get_repository_def())
    started = time.perf_counter()
    told = sensor.evaluate_tick(context)
    print(time.perf_counter() - started, told.cursor or context.cursor, sep="\\n")
"""
TEN = """
from dagster import Definitions
from curator_dagster import build_curation_defs

def never():
    raise AssertionError("importing definitions builds no pipeline")

defs = Definitions.merge(*(build_curation_defs(f"curation_{k}", never) for k in range(10)))
"""


class Busy(Source[int]):
    """`n` items of 5 ms of computing each."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        end = time.thread_time() + 0.005
        while time.thread_time() < end:
            pass
        yield index


class Files(Source[Path]):
    """The files of a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @cached_property
    def _files(self) -> list[tuple[str, str]]:
        with os.scandir(self.folder) as entries:
            found = ((entry.name, entry.stat()) for entry in entries)
            return sorted((name, f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}") for name, stat in found)

    def __len__(self) -> int:
        return len(self._files)

    def key(self, index: int) -> str:
        return self._files[index][0]

    def fingerprint(self, index: int) -> str:
        return self._files[index][1]

    def __getitem__(self, index: int) -> Generator[Path, None, None]:
        yield Path(self.folder) / self.key(index)


def busy_pipeline(folder: str, n: int) -> Pipeline[Any]:
    """Real work."""
    return Pipeline(Busy(n), [], Nowhere(), db_dir=folder)


def files_pipeline(folder: str, n: int) -> Pipeline[Any]:
    """Many files; nothing is done with them."""
    del n
    return Pipeline(Files(f"{folder}/input"), [], Nowhere(), db_dir=folder)


def executor_rows(n: int = 2_000, n_rounds: int = 3) -> Iterator[Row]:
    """The refresh on two processes against the same in one, from the run's start to its end."""
    best = {
        executor: min(_run_seconds(executor, n) for _ in range(n_rounds)) for executor in ("in_process", "multiprocess")
    }
    for executor, taken in best.items():
        yield Row(f"refresh of {n:,} items of 5 ms, `{executor}`", f"{taken:.1f} s")
    ratio = best["in_process"] / best["multiprocess"]
    yield Row("2 processes against one", f"{ratio:.2f} times as fast", "≥ 1.7", ratio >= 1.7)  # noqa: PLR2004


def sensor_rows(n: int = 100_000) -> Iterator[Row]:
    """A tick of the sensor on a folder that has not changed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "input").mkdir()
        for index in range(n):
            (Path(folder) / "input" / f"{index:06d}").touch()
        _location(folder, "files_pipeline", "in_process", n)
        _, cursor = _tick(folder, None)
        taken = min(_tick(folder, cursor)[0] for _ in range(3))
        listing = min(_listing_seconds(folder) for _ in range(3))
    yield Row(f"sensor tick, {n:,} unchanged files", f"{taken:.2f} s", "≤ 0.5 s", taken <= 0.5)  # noqa: PLR2004
    yield Row("of that, listing the folder", f"{listing:.2f} s")


def location_rows() -> Iterator[Row]:
    """Import of a code location with ten curations."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ten.py").write_text(TEN, encoding="utf-8")
        alone, ten = (
            min(_python_seconds(folder, code) for _ in range(5)) for code in ("import dagster", "import dagster, ten")
        )
    cost = ten - alone
    yield Row("import of ten curations, over Dagster's own", f"{cost:.2f} s", "≤ 0.5 s", cost <= 0.5)  # noqa: PLR2004


def _location(folder: str, pipeline: str, executor: str, n: int) -> dict[str, str]:
    text = LOCATION.format(pipeline=pipeline, executor=executor, folder=folder, n=n)
    (Path(folder) / "location.py").write_text(text, encoding="utf-8")
    curator = str(Path(sys.executable).with_name("curator"))
    subprocess.run([curator, "dagster", "init", f"{folder}/home", "--force"], check=True, stdout=subprocess.DEVNULL)
    return _environment(folder)


def _environment(folder: str) -> dict[str, str]:
    paths = os.pathsep.join([folder, str(Path(__file__).resolve().parents[1])])
    return os.environ | {"PYTHONPATH": paths, "DAGSTER_HOME": f"{folder}/home"}


def _run_seconds(executor: str, n: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        environment = _location(folder, "busy_pipeline", executor, n)
        command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "location", "-j", "things_refresh"]
        done = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True)
        asked = (
            "from dagster import DagsterInstance\n"
            "with DagsterInstance.get() as instance:\n"
            "    (record,) = instance.get_run_records()\n"
            "    print(record.end_time - record.start_time)"
        )
        told = subprocess.run([sys.executable, "-c", asked], env=environment, check=True, stdout=subprocess.PIPE)
        if not re.search(r"RUN_SUCCESS", done.stderr):
            raise RuntimeError(done.stderr)
        return float(told.stdout)


def _tick(folder: str, cursor: str | None) -> tuple[float, str]:
    done = subprocess.run(
        [sys.executable, "-c", TICK.format(cursor=cursor)],
        env=_environment(folder),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    taken, told = done.stdout.splitlines()[-2:]
    return float(taken), told


def _listing_seconds(folder: str) -> float:
    started = time.perf_counter()
    source = Files(f"{folder}/input")
    for index in range(len(source)):
        source.key(index)
        source.fingerprint(index)
    return time.perf_counter() - started


def _python_seconds(folder: str, code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=_environment(folder), check=True)
    return time.perf_counter() - started
