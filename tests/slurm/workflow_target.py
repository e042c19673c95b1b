"""A workflow on SLURM, in the current folder: ``workflow_target.py [local|careful|scripts]``.

Twelve experiments at first, four more in each of two iterations; x = 3 fails. What else happens to it is in `faults`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from curator_core.testing import FileSource, JsonSink
from curator_core.workflow import (
    Block,
    CollectArrayResults,
    DataGenerator,
    Domain,
    ExperimentData,
    Loop,
    SlurmCluster,
    SlurmResources,
    Step,
    Workflow,
)


class Design(Block):
    """More experiments: x goes on from the last one."""

    def __init__(self, n):
        self.n = n

    def call(self, data, **kwargs):
        note("design", len(data))
        domain = Domain()
        domain.add_int("x", 0, 1000)
        more = ExperimentData(domain, [{"x": len(data) + k} for k in range(self.n)])
        return data + more if len(data) else more


class Square(DataGenerator):
    """y = x²; 3 has none, and what `faults` names kills its task that often."""

    def execute(self, experiment_sample, pause_s=0.0):
        x = experiment_sample.get("x")
        n = note("square", x)
        if n <= faults().get(str(x), 0):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1000 if faults().get("hang") == x else faults().get("pause_s", pause_s))
        if x == 3:
            raise ValueError("no squares of three")
        experiment_sample.store("y", x * x)
        experiment_sample.store("iteration", int(os.environ["CURATOR_ITERATION"]))
        return experiment_sample


def faults():
    path = Path("faults.json")
    return json.loads(path.read_text()) if path.exists() else {}


def note(what, which):
    """How often this was called with it."""
    with open("log", "a") as file:  # noqa: PTH123 - several tasks append
        file.write(f"{what} {which}\n")
    return Path("log").read_text().split("\n").count(f"{what} {which}")


def write_inputs(project_dir, n):
    """Files for the pipeline: every square in one of its own."""
    _, outputs = ExperimentData.from_file(project_dir).to_pandas()
    Path("in").mkdir(exist_ok=True)
    for row, y in outputs["y"].dropna().items():
        Path("in", f"{row:03d}.txt").write_text(f"{int(y)}")
    if faults().get("write_inputs"):
        raise RuntimeError("disk full")


def workflow(collects=True):
    little = SlurmResources(time="00:01:00" if "hang" in faults() else "00:05:00", mem="100M", max_array_size=4)
    pipeline = FileSource("in", by_content=True).write(JsonSink("out")).with_settings(db_file="curate.db")
    square = [Step(Square(), parallel=True, resources=little)]
    if collects:
        square.append(Step(CollectArrayResults(), name="collect", resources=little))
    more = [
        Step(Design(4), name="more", resources=little),
        Step(Square(), name="again", parallel=True, resources=little),
    ]
    steps = [
        Step(Design(12), name="design it's $(touch pwned)", resources=little),
        *square,
        Loop(2, more),
        Step(write_inputs, kwargs={"n": 1}, resources=little),
        Step(pipeline, name="curate", parallel=True, resources=little),
    ]
    return Workflow("squares $(touch pwned) 'n more", steps, orchestrator_resources=little)


def clean_up(project_dir):
    """What is done whatever became of the step before."""
    (project_dir / "clean").touch()


def careful():
    """Four experiments one by one, three in arrays of one task that does two, a step that fails, and one after it."""
    little = SlurmResources(time="5", mem="100mb", max_array_size=1, max_jobs_per_task=2)
    steps = [
        Step(Design(4), resources=little),
        Step(Square(), resources=little),
        Step(Design(3), resources=little),
        Step(Square(), parallel=True, resources=little),
        Step(write_inputs, kwargs={"n": 1}, resources=little),
        Step(clean_up, dependency="afterany", resources=little),
    ]
    return Workflow("careful", steps, orchestrator_resources=little)


def cluster():
    return SlurmCluster(account="", runner=f"'{sys.executable}'", env_vars={"OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    if sys.argv[1:] == ["scripts"]:
        other = SlurmCluster(account="a c'c", env_setup=["module load python"], env_vars={"A": "$(touch pwned)"})
        said = json.dumps(workflow().generate_scripts(other, rootdir="jobs"))
    else:
        where = {"mode": "local"} if sys.argv[1:] == ["local"] else {"mode": "slurm", "cluster": cluster()}
        chosen = careful() if sys.argv[1:] == ["careful"] else workflow()
        said = chosen.run(project_job="job it's", **where)
    sys.stdout.write(said + "\n")
