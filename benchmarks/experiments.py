"""What tables of experiments, job arrays and the orchestrator of a workflow cost.

What needs SLURM runs on the cluster of the machine where it is measured, or on daemons that are started for it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from pathlib import Path

from benchmarks.slurm_daemons import SlurmDaemons
from benchmarks.timing import Row, seconds
from benchmarks.workload import Nowhere, Numbers
from curator_core import Pipeline, run_pipeline
from curator_core.errors import ArrayUnfinishedError
from curator_core.slurm import SlurmCluster, SlurmResources, cancel
from curator_core.workflow import (
    DataGenerator,
    Domain,
    ExperimentData,
    Loop,
    Step,
    Workflow,
    claim_open,
    collect_results,
    write_result,
)
from curator_core.workflow.state import Progress

LITTLE = SlurmResources(time="00:10:00", mem="200M", max_array_size=4)
CLAIMS_PER_S = 2_000
CLAIM = """
from curator_core.workflow import claim_open
print("ready", flush=True)
input()
while True:
    with claim_open({folder!r}, n=25) as rows:
        if not rows:
            break
        for row in rows:
            open(f"{folder}/experiment_results/{{row}}.json", "x").close()  # a second claim of a row would fail
"""
NOTHING = "import curator_core.workflow.slurm.step"
"""What a job of a step does that does nothing."""


def experiment_rows(n_claimed: int = 10_000, n_collected: int = 2_000) -> Iterator[Row]:
    """Claims and results of a table of experiments."""
    with tempfile.TemporaryDirectory() as folder:
        taken = _claim_all(folder, n_claimed, n_processes=4)
        rate = n_claimed / taken
        measure = f"claiming {n_claimed:,} rows, 4 processes, 25 at a time, each row once"
        yield Row(measure, f"{rate:,.0f} rows/s", f"{CLAIMS_PER_S:,} rows/s", is_met=rate >= CLAIMS_PER_S)
    with tempfile.TemporaryDirectory() as folder:
        _table(folder, n_collected)
        for row in range(n_collected):
            write_result(folder, row, {"y": row * 0.5})
        taken = seconds(lambda: collect_results(folder))
        yield Row(f"collecting {n_collected:,} results into the table", f"{taken / n_collected * 1e3:.2f} ms each")


def slurm_rows(n: int = 20_000, n_tasks: int = 1_000, n_iterations: int = 5) -> Iterator[Row]:
    """Job arrays and workflows on SLURM."""
    with ExitStack() as stack:
        if not _is_answered():
            if os.geteuid() != 0 or shutil.which("slurmctld") is None:
                yield Row("there is no SLURM here", "-")
                return
            daemons = stack.enter_context(SlurmDaemons())
            daemons.start()
            os.environ["SLURM_CONF"] = str(daemons.configuration)
            stack.callback(os.environ.pop, "SLURM_CONF")
        yield from _measured_rows(n, n_tasks, n_iterations)


def _is_answered() -> bool:
    sinfo = shutil.which("sinfo")
    return sinfo is not None and subprocess.run([sinfo], capture_output=True, check=False).returncode == 0


def _measured_rows(n: int, n_tasks: int, n_iterations: int) -> Iterator[Row]:
    cluster = SlurmCluster(account="", runner=shlex.quote(sys.executable))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield from _submission_rows(cluster, n_tasks)
        pipeline = Pipeline(Numbers(n), [], Nowhere(), db_file="run.db")
        before = time.process_time()
        run_pipeline(pipeline, backend="slurm", cluster=cluster, resources=LITTLE, progress=False)
        each = (time.process_time() - before) / n * 1e3
        measure = f"the coordinator's time per index, {n:,} indices in 4 tasks"
        yield Row(measure, f"{each:.3f} ms", "1 ms", is_met=each <= 1)
        if n_iterations == 0:
            return
        bare = _bare_iteration(cluster, n_iterations)
        ours = _loop_iteration(cluster, n_iterations)
        yield Row("an iteration of two jobs and an array of two tasks, bare `sbatch --wait`", f"{bare:.1f} s")
        yield Row("the same as a loop of a workflow", f"{ours:.1f} s, {ours - bare:+.1f} s")


def _table(folder: str, n: int) -> None:
    domain = Domain()
    domain.add_int("x", 0, n)
    ExperimentData(domain, [{"x": x} for x in range(n)]).store(folder)


def _claim_all(folder: str, n: int, *, n_processes: int) -> float:
    """Seconds until all rows of a table are claimed, once each."""
    _table(folder, n)
    Path(folder, "experiment_results").mkdir()
    with claim_open(folder):
        pass
    command = [sys.executable, "-c", CLAIM.format(folder=folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    claimants = [subprocess.Popen(command, **pipes) for _ in range(n_processes)]
    for process in claimants:
        process.stdout.readline()
    started = time.perf_counter()
    for process in claimants:
        process.communicate("\n")
    taken = time.perf_counter() - started
    if any(process.returncode for process in claimants) or len(list(Path(folder, "experiment_results").iterdir())) != n:
        raise RuntimeError("Not every row was claimed once.")
    return taken


def _submission_rows(cluster: SlurmCluster, n_tasks: int) -> Iterator[Row]:
    """Submit an array that is held, so that nothing of it runs."""
    calls = Path("calls")
    Path("bin").mkdir()
    counting = Path("bin/sbatch")
    counting.write_text(f'#!/bin/sh\necho >> {calls.absolute()}\nexec {shutil.which("sbatch")} "$@"\n')
    counting.chmod(0o755)
    path, os.environ["PATH"] = os.environ["PATH"], f"{counting.parent.absolute()}:{os.environ['PATH']}"
    resources = SlurmResources(mem="200M", max_array_size=n_tasks, extra_sbatch={"hold": True})
    pipeline = Pipeline(Numbers(n_tasks), [], Nowhere(), db_file="held.db")
    started = time.perf_counter()
    try:
        run_pipeline(pipeline, backend="slurm", wait=False, cluster=cluster, resources=resources, progress=False)
    except ArrayUnfinishedError as exc:
        taken = time.perf_counter() - started
        cancel(*exc.job_ids)
    finally:
        os.environ["PATH"] = path
    n_calls = len(calls.read_text().splitlines())
    measure = f"submitting an array of {n_tasks:,} tasks"
    yield Row(measure, f"{n_calls} call of sbatch, {taken:.2f} s", "1 call", is_met=n_calls == 1)


class Nothing(DataGenerator):
    """Experiments that take no time."""

    def execute(self, experiment_sample, **kwargs):  # noqa: ANN001, ANN201, ANN003 - as its base
        experiment_sample.store("y", 1)
        return experiment_sample


def open_two(project_dir: Path) -> None:
    """A new table with two open experiments."""
    _table(str(project_dir), 2)


def nothing(project_dir: Path) -> None:
    """A step that does nothing."""


def _loop_iteration(cluster: SlurmCluster, n: int) -> float:
    """Seconds per iteration of a workflow's loop."""
    steps = [Step(open_two, resources=LITTLE), Step(Nothing(), parallel=True, resources=LITTLE)]
    loop = Loop(n, [*steps, Step(nothing, resources=LITTLE)])
    started = time.perf_counter()
    Workflow("bench", [loop], orchestrator_resources=LITTLE).run("slurm", cluster, project_job="job")
    while (found := Progress.read(Path("job"))) is None or found.status == "running":
        time.sleep(0.05)
    if found.status != "done":
        raise RuntimeError(found.error)
    return (time.perf_counter() - started) / n


def _bare_iteration(cluster: SlurmCluster, n: int) -> float:
    """Seconds per iteration of the same jobs, submitted one after the other by a shell."""
    python = cluster.runner
    wrap = ["sbatch", "--wait", "--mem=200M", "--output=/dev/null", f"--wrap={python} -c {shlex.quote(NOTHING)}"]
    started = time.perf_counter()
    for _ in range(n):
        for options in ([], ["--array=0-1"], []):
            subprocess.run([*wrap[:-1], *options, wrap[-1]], check=True, capture_output=True)
    return (time.perf_counter() - started) / n
