"""Blocks and functions that the tests name in their workflow files."""

import json
import os
import time
from pathlib import Path

from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Step, Workflow


class Design(Block):
    """More experiments with x = 0, 1, 2 …."""

    def __init__(self, n: int = 4):
        if n < 1:
            raise ValueError(f"n must be positive, got {n}")
        self.n = n

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 1000)
        more = ExperimentData(domain, [{"x": len(data) + k} for k in range(self.n)])
        return data + more if len(data) else more


class Square(DataGenerator):
    """y = x², except for `bad`; notes every attempt."""

    def execute(self, experiment_sample, bad=None, pause_s=0.0):
        x = experiment_sample.get("x")
        with open("attempts", "a") as file:  # noqa: PTH123 - appended to by several processes
            file.write(f"{x}\n")
        time.sleep(pause_s)
        if x == bad:
            raise ValueError(f"no square of {x}")
        experiment_sample.store("y", x * x)
        return experiment_sample


class Idle(Block):
    """Lacks its `call`."""


chain = Design(1) >> Design(2)
first = Workflow("made", [Step(Design(2)), Step(Square(), parallel=True)])


class Scripted(Workflow):
    """Its scripts tell what they were asked for with."""

    def generate_scripts(self, cluster, project_job="PLACEHOLDER", rootdir=None):
        return {"orchestrator": f"{cluster.partition} {project_job}\n", "Design": f"{rootdir}\n"}


scripted = Scripted("scripted", [Step(Design())])


def note(project_dir, text="noted"):
    with (Path(project_dir) / "notes.jsonl").open("a") as file:
        file.write(json.dumps([text, os.environ["CURATOR_ITERATION"]]) + "\n")


def fails_until_mended(project_dir):
    if not Path("mended").exists():
        raise RuntimeError("not yet")


def is_enough(data):
    return len(data) >= 8
