"""Random schedules of whole runs, on a backend or in Dagster."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from curator_core import run_pipeline
from curator_core.pipeline.components import Filter
from tests.domains.grid.schedule_plans import Plan, compare_with_scratch, items_of


class Killed(Filter[Any]):
    """Kills its worker, once, where there is a file that says so.

    Parameters
    ----------
    folder
        Where the file is.
    """

    name = "test_killed"

    def __init__(self, folder: str) -> None:
        self._order = Path(folder) / "kill"

    def __call__(self, items: Iterator[Any]) -> Generator[Any, None, None]:
        """Die, or pass everything on."""
        try:
            self._order.unlink()
        except FileNotFoundError:
            yield from items
        else:
            os.kill(os.getpid(), signal.SIGKILL)


class Runs:
    """Schedules of whole runs on a backend, each with the processes that it starts."""

    def __init__(self, backend: str, *, may_kill: bool) -> None:
        self._backend, self._may_kill = backend, may_kill

    def go(self, folder: Path, seed: int) -> None:
        """Go through one schedule, of three refreshes."""
        plan = Plan(folder, seed)
        plan.begin()
        for number in range(3):
            if number:
                plan.change()
            if self._may_kill and plan.random.random() < 0.5:
                (folder / "kill").touch()
            self._refresh(plan, folder, number)

    def _refresh(self, plan: Plan, folder: Path, number: int) -> None:
        pipeline = plan.source().filter(Killed(str(folder))).write(plan.sink())
        pipeline = pipeline.with_settings(db_file=folder / "run.db", resume=True)
        expected = plan.expected()
        if expected is None:
            with pytest.raises(Exception, match="both give"):
                self._run(pipeline, folder, plan)
            return
        self._run(pipeline, folder, plan)
        plan.owners = expected
        plan.compare(folder / "d.zarr")
        if not plan.is_failing and plan.axis != "learned":
            compare_with_scratch(plan, items_of(folder / "d.zarr"), number)

    def _run(self, pipeline: Any, folder: Path, plan: Plan) -> None:
        if self._backend == "dagster":
            is_whole = not any(steps.is_broken for steps in plan.items.values())
            _refresh_in_dagster(pipeline, folder, is_whole=is_whole)
            return
        options = {} if self._backend == "sequential" else {"n_jobs": 2}
        run_pipeline(pipeline, backend=self._backend, gather=True, progress=False, on_error="skip", **options)


def _refresh_in_dagster(pipeline: Any, folder: Path, *, is_whole: bool) -> None:
    """Refresh in Dagster's multiprocess executor, where each item is a step; it fails at its end where some do."""
    (folder / "pipeline.pickle").write_bytes(pickle.dumps(pipeline))
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    location, root = Path(__file__).with_name("schedules_location.py"), Path(__file__).parents[3]
    own = {"DAGSTER_HOME": str(folder / "home"), "SCHEDULE_FOLDER": str(folder), "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "dagster", "job", "execute", "-f", str(location), "-j", "schedule_refresh"]
    done = subprocess.run(command, env=os.environ | own, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == int(not is_whole), done.stderr[-3000:]
    assert "both give" not in done.stderr, done.stderr[-3000:]
