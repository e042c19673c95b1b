"""Workflows as jobs; the folder and what goes wrong come from the environment.

``workflow_location.py JOB PARENT`` runs a job, or with the id of a run re-executes that from failure.
"""

import json
import os
import sys
import time
from pathlib import Path

from dagster import (
    DagsterInstance,
    Definitions,
    ReexecutionOptions,
    build_reconstructable_job,
    execute_job,
    in_process_executor,
)

from curator_core.testing import FileSource, JsonSink
from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Loop, Step, Workflow
from curator_dagster import build_workflow_job
from curator_dagster.executors.choice import named_executor

FOLDER = Path(os.environ["WORKFLOW_FOLDER"])


def note(name):
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{name}\n")


class Design(Block):
    """`n` experiments with x = 0, 1, 2 … more than there are."""

    def __init__(self, n=6):
        self.n = n

    def call(self, data, **kwargs):
        note("design")
        domain = Domain()
        domain.add_int("x", 0, 1000)
        more = ExperimentData(domain, [{"x": len(data) + k} for k in range(self.n)])
        return data + more if len(data) else more


class Square(DataGenerator):
    """y = x², except where x is 3; a process that is told to die does so at x = 2."""

    def execute(self, experiment_sample, **kwargs):
        x = experiment_sample.get("x")
        note(f"x{x}")
        time.sleep(float(os.environ.get("WORKFLOW_SLEEP", "0")))
        if x == 2 and (FOLDER / "die").exists():
            os.kill(os.getpid(), 9)
        if x == 3:
            raise ValueError("no squares of three")
        experiment_sample.store("y", x * x)
        return experiment_sample


class Sum(Block):
    """Notes how many experiments there are, in which iteration."""

    def call(self, data, **kwargs):
        note(f"sum {os.environ['CURATOR_ITERATION']} {len(data)}")
        return data


def fragile(project_dir):
    note("fragile")
    if (FOLDER / "break").exists():
        raise RuntimeError("broken, as meant")


def enough(data):
    note(f"enough? {len(data)}")
    if (FOLDER / "break until").exists():
        raise RuntimeError("no answer, as meant")
    return len(data) >= 4


def square(dependency="afterok"):
    return Step(Square(), parallel=True, dependency=dependency)


def curated():
    pipeline = FileSource(str(FOLDER / "in"), by_content=True).write(JsonSink(str(FOLDER / "out")))
    return pipeline.with_settings(db_file=str(FOLDER / "pipeline.db"))


WORKFLOWS = {
    "plain": lambda: Workflow("plain study", [Step(Design()), square(), Step(fragile), Step(Sum(), name="input")]),
    "any": lambda: Workflow("any", [Step(Design()), Step(fragile), square("afterany"), Step(Sum())]),
    "hollow": lambda: Workflow("hollow", [Step(Square(), parallel=True), Step(Design(), dependency="afterany")]),
    "until": lambda: Workflow("until", [Loop(4, [Step(Design(2)), square()], until=enough), Step(Sum(), name="end")]),
    "files": lambda: Workflow("files", [Step(curated(), name="curate", parallel=True)]),
}


def job_of(name, folder=None):
    """A job; Dagster keeps one per name and folder in its memory."""
    config = {"multiprocess": {"max_concurrent": 2}, "dask": json.loads(os.environ.get("WORKFLOW_DASK", "{}"))}
    chosen = os.environ.get("WORKFLOW_EXECUTOR", "in_process")
    executor = in_process_executor if chosen == "in_process" else named_executor(chosen, config[chosen])
    size = int(os.environ.get("WORKFLOW_BATCH_SIZE", "2"))
    rootdir = Path(folder or FOLDER) / "jobs"
    return build_workflow_job(WORKFLOWS[name](), rootdir=rootdir, executor_def=executor, batch_size=size)


defs = Definitions(jobs=[job_of("plain")])


def execute(target, parent, project_job, chosen=()):
    """Run a job, or re-execute a run from failure, or steps of it as the UI does; run id and success."""
    with DagsterInstance.get() as instance:
        options = ReexecutionOptions.from_failure(parent, instance) if parent else None
        if chosen:
            options = ReexecutionOptions(parent, chosen)
        config = {"resources": {"workflow": {"config": {"project_job": project_job}}}} if project_job else {}
        done = execute_job(
            build_reconstructable_job("workflow_location", "job_of", (target, str(FOLDER))),
            instance,
            run_config=None if parent else config,
            reexecution_options=options,
            tags={"dagster/step_selection": ",".join(chosen)} if chosen else None,
            raise_on_error=False,
        )
        return done.run_id, done.success


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, execute(*sys.argv[1:]))))
