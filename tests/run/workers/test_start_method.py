"""How worker processes are started, and how they are stopped for good."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from curator_core import RunFailed, run_pipeline
from curator_core.run.workers.start_method import UNSAFE_TO_FORK, start_method
from curator_core.testing import JsonSink, NumbersSource


@pytest.mark.parametrize("library", ["torch", "grpc", "pyarrow"])
def test_no_fork_once_a_library_with_threads_is_loaded(monkeypatch, library):
    """Its locks may be held at the moment of the fork, and no thread would release them in the child."""
    for name in UNSAFE_TO_FORK:
        monkeypatch.delitem(sys.modules, name, raising=False)
    others = threading.active_count() > 1  # of the test runner
    assert start_method(None, None).get_start_method() == ("forkserver" if others else "fork")
    monkeypatch.setitem(sys.modules, library, types.ModuleType(library))
    assert start_method(None, None).get_start_method() == "forkserver"


class Stubborn(NumbersSource):
    """An item that no signal but SIGKILL ends, as C code without the lock of the interpreter."""

    def __getitem__(self, index):
        if index == 1:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})
            ctypes.CDLL(None).pause()
        yield index


@pytest.mark.parametrize("backend", ["process_pool", "loky"])
def test_an_item_that_cannot_be_interrupted_is_killed_with_its_worker(tmp_path, backend):
    """After its timeout and a grace time; it is not tried again, and all others are done."""
    pipeline = Stubborn(5).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db")
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, backend=backend, n_jobs=2, progress=False, timeout=1)
    assert list(failed.value.failures) == [1]
    assert failed.value.failures[1].startswith("ItemTimeoutError")
    assert "killed" in failed.value.failures[1]
    assert len(list((tmp_path / "out").iterdir())) == 4


class Orphaned(NumbersSource):
    """An item that kills the process which forks the workers, and its own, at the first attempt."""

    def __init__(self, n, log):
        super().__init__(n)
        self.log = Path(log)

    def __getitem__(self, index):
        if index == 2 and not self.log.exists():
            self.log.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        yield index


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_the_server_that_forks_workers_may_be_killed(tmp_path, n_jobs):
    """It is started again, and every item is done."""
    pipeline = Orphaned(8, str(tmp_path / "log")).write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db")
    assert all(run_pipeline(pipeline, backend="process_pool", n_jobs=n_jobs, progress=False, mp_context="forkserver"))


def test_workers_that_cannot_be_started_end_the_run(tmp_path, monkeypatch):
    """After some attempts the system's own error is raised; nothing is recorded as failed."""

    def refuse(_process):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    pipeline = NumbersSource(3).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db")
    with pytest.raises(BlockingIOError):
        run_pipeline(pipeline, backend="process_pool", n_jobs=2, progress=False)
    assert pipeline.failed_indices == {}


_SERVED = """
import os, sys
from pathlib import Path
import of_the_user
from curator_core import run_pipeline
from curator_core.filters.statistics import StatisticsFilter
from curator_core.testing import JsonSink, NumbersSource

def note():
    has_numpy = "_multiarray_umath" in Path(f"/proc/{os.getppid()}/maps").read_text()
    Path("noted").write_text(f"{has_numpy} {of_the_user.PID == os.getpid()}")

if __name__ == "__main__":
    pipeline = NumbersSource(2).filter(StatisticsFilter("statistics.parquet")).write(JsonSink("out"))
    settings = {"backend": "process_pool", "n_jobs": 2, "progress": False, "mp_context": "forkserver"}
    run_pipeline(pipeline.with_settings(track_metrics=False), initializer=note, **settings)
    print(*sorted(Path("out").iterdir()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what another process has loaded is read from /proc")
def test_the_server_that_forks_workers_has_loaded_components(tmp_path):
    """Those of the package that the run imported, whatever lies in the working directory; not the user's own."""
    here, scripts = tmp_path / "here", tmp_path / "scripts"
    (here / "curator_core").mkdir(parents=True)
    (here / "curator_core" / "__init__.py").write_text("raise RuntimeError('another one')")
    scripts.mkdir()
    (scripts / "served.py").write_text(_SERVED)
    (scripts / "of_the_user.py").write_text("import os\nPID = os.getpid()\n")
    command = [sys.executable, str(scripts / "served.py")]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["out/item_000000.json", "out/item_000001.json"], done.stderr
    assert (here / "noted").read_text() == "True True"
