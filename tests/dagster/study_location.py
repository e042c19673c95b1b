"""A workflow as assets; its folder, its size and where it runs come from the environment."""

import json
import os
import sys
import time
from pathlib import Path

from dagster import in_process_executor

from curator_core.workflow import (
    Block,
    DataGenerator,
    Domain,
    ExperimentData,
    Loop,
    SlurmCluster,
    SlurmResources,
    Step,
    Workflow,
)
from curator_dagster import build_workflow_defs, curation_executor

FOLDER = Path(os.environ["STUDY_FOLDER"])


def note(what):
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{what}\n")


class Design(Block):
    """`n` experiments with x = 0, 1, 2 … more than there are."""

    def __init__(self, n):
        self.n = n

    def call(self, data, **kwargs):
        note("design")
        if (FOLDER / "break").exists() and len(data):
            raise RuntimeError("broken, as meant")
        domain = Domain()
        domain.add_int("x", 0, 1000)
        more = ExperimentData(domain, [{"x": len(data) + k} for k in range(self.n)])
        return data + more if len(data) else more


class Square(DataGenerator):
    """y = x² in a unit; every 29th x from 3 on has none."""

    def execute(self, experiment_sample):
        x = experiment_sample.get("x")
        note(f"x{x}")
        time.sleep(float(os.environ.get("STUDY_PAUSE", "0")))
        if x % 29 == 3:
            raise ValueError(f"no square of {x}")
        experiment_sample.store("y", x * x)
        experiment_sample.store("unit", "m²")
        return experiment_sample


def study(n=None, loops=None):
    """The workflow."""
    n, loops = n or int(os.environ.get("STUDY_N", "2")), loops or int(os.environ.get("STUDY_LOOPS", "2"))
    little = SlurmResources(time="00:05:00", mem="100M", max_array_size=4)
    steps = [Step(Design(n), resources=little), Step(Square(), parallel=True, resources=little)]
    return Workflow("squares", [Loop(loops, steps)], orchestrator_resources=little)


def definitions(**settings):
    """Its definitions, as the environment has them."""
    settings = {"rootdir": FOLDER / "jobs", "backend": "sequential", "executor": in_process_executor} | settings
    if os.environ.get("STUDY_MODE") == "slurm":
        cluster = SlurmCluster(account="", runner=f"'{sys.executable}'")
        settings |= {"mode": "slurm", "cluster": cluster, "backend": "auto"}
    if os.environ.get("STUDY_EXECUTOR") == "multiprocess":
        settings["executor"] = curation_executor()
    return build_workflow_defs("study", study(), **settings | json.loads(os.environ.get("STUDY_SETTINGS", "{}")))


defs = definitions()
