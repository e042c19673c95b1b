"""Workflows in local mode: steps, loops, parallel ones, what fails, what goes on where it was."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core import MetricsStore
from curator_core.errors import ConfigError, WorkflowError
from curator_core.run.config import BackendChoice
from curator_core.testing import FileSource, JsonSink
from curator_core.workflow import (
    Block,
    CollectArrayResults,
    DataGenerator,
    Domain,
    ExperimentData,
    Loop,
    Step,
    Workflow,
    write_result,
)
from curator_core.workflow.execution import run_step
from curator_core.workflow.state import Progress

pytest.importorskip("pandas")
TARGET = Path(__file__).parent / "parts" / "workflow_target.py"


class Design(Block):
    """`n` experiments with x = 0, 1, 2 … more than there are."""

    def __init__(self, n=6):
        self.n = n

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 1000)
        more = ExperimentData(domain, [{"x": len(data) + k} for k in range(self.n)])
        return data + more if len(data) else more


class Square(DataGenerator):
    """y = x², except where x is 3."""

    def execute(self, experiment_sample, offset=0):
        x = experiment_sample.get("x")
        if x == 3:
            raise ValueError("no squares of three")
        experiment_sample.store("y", x * x + offset)
        return experiment_sample


class Sums(Block):
    """Writes the sum of all squares beside the table."""

    def arm(self, data):
        self.seen = len(data)

    def call(self, data, **kwargs):
        _, outputs = data.to_pandas()
        line = [os.environ["CURATOR_ITERATION"], self.seen, float(outputs["y"].sum())]
        with (data.project_dir / "sums.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return data


def sums(folder):
    return [json.loads(line) for line in (folder / "sums.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("backend", ["sequential", "process_pool", "thread_pool"])
def test_steps_in_order_and_parallel_ones_on_any_backend(tmp_path, backend):
    """Every open experiment is evaluated once; one that fails is an error of its row, with its traceback."""
    steps = [Step(Design()), Step(Square(), parallel=True, kwargs={"offset": 1}), Step(Sums())]
    job = Workflow("squares", steps).run(rootdir=tmp_path, project_job="job", backend=backend, n_jobs=2)
    assert job == "job"
    data = ExperimentData.from_file(tmp_path / "job")
    assert data.jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2
    assert data.to_pandas()[1]["y"].tolist()[4:] == [17, 26]
    assert "no squares of three" in data.failures[3].error
    assert "in execute" in data.failures[3].traceback
    assert sums(tmp_path / "job") == [["0", 6, 1.0 + 2 + 5 + 17 + 26]]
    with MetricsStore(tmp_path / "job" / "metrics" / "Square.db") as store:
        statuses = {key: record.status for key, record in store.items(store.latest_run().run_id).items()}
    assert statuses == {f"row {row}": "error" if row == 3 else "completed" for row in range(6)}


def test_a_loop_tells_its_iteration_and_ends_when_it_is_enough(tmp_path):
    """Only what is new is evaluated in each."""
    loop = Loop(5, [Step(Design(2)), Step(Square(), parallel=True), Step(Sums())], until=lambda data: len(data) >= 4)
    Workflow("loop", [loop]).run(rootdir=tmp_path, project_job="job", backend="sequential")
    assert [line[:2] for line in sums(tmp_path / "job")] == [["0", 2], ["1", 4]]
    assert "CURATOR_ITERATION" not in os.environ


class Told(DataGenerator):
    """Which iteration a worker was told."""

    def execute(self, experiment_sample, **kwargs):
        experiment_sample.store("iteration", os.environ["CURATOR_ITERATION"])
        return experiment_sample


OTHERS = [("thread_pool", {}), ("process_pool", {"mp_context": "forkserver"}), ("dask", {})]


@pytest.mark.parametrize(("backend", "options"), OTHERS)
def test_workers_are_told_the_iteration_whenever_they_started(tmp_path, backend, options):
    """Also where a server that starts them, or a cluster, was there before it."""
    with contextlib.ExitStack() as stack:
        if backend == "dask":
            from distributed import Client, LocalCluster

            cluster = stack.enter_context(LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None))
            stack.enter_context(Client(cluster))
        loop = Loop(2, [Step(Design(2)), Step(Told(), parallel=True)])
        Workflow("loop", [loop]).run(rootdir=tmp_path, project_job="job", backend=backend, n_jobs=2, **options)
    assert ExperimentData.from_file(tmp_path / "job").to_pandas()[1]["iteration"].tolist() == ["0", "0", "1", "1"]
    assert "CURATOR_ITERATION" not in os.environ


def test_functions_and_pipelines_are_steps(tmp_path, monkeypatch):
    """A function gets its folder and arguments, a pipeline is run, and run again when its input changed."""
    monkeypatch.chdir(tmp_path)
    seen = []

    def write(project_dir, text):
        seen.append(project_dir)
        Path("in").mkdir(exist_ok=True)
        Path("in/a.txt").write_text(text)

    pipeline = FileSource("in").write(JsonSink("out")).with_settings(db_file="p.db")
    steps = [Step(write, name="write", project_dir="deep/er", kwargs={"text": "1 2"}), Step(pipeline, name="curate")]
    Workflow("files", steps).run(project_job="job")
    assert seen == [tmp_path / "job" / "deep" / "er"]
    assert json.loads(Path("out/item_000000.json").read_text()) == [1, 2]
    again = [Step(write, name="write", project_dir="deep/er", kwargs={"text": "7"}), steps[1]]
    Workflow("files", again).run(project_job="job")
    assert json.loads(Path("out/item_000000.json").read_text()) == [7]


def test_blocks_are_chained_and_repeated(tmp_path):
    """`>>` and `loop`, with the iteration untouched."""
    made = (Design(2) >> Design(1)).loop(2)(ExperimentData(project_dir=tmp_path))
    assert made.to_pandas()[0]["x"].tolist() == list(range(6))


def test_a_block_from_a_configuration():
    """Its class, the arguments of its constructor, those of its call."""
    target = {"_target_": "curator_core.workflow.CollectArrayResults", "cleanup": False}
    block = Block.from_yaml(target)
    assert type(block) is CollectArrayResults
    assert block.cleanup is False
    for wrong, message in [
        ({"_target_": "no.such.Thing"}, "cannot load 'no.such.Thing'"),
        ({"_target_": "curator_core.workflow.Domain"}, "is no Block"),
        ({**target, "speed": 1}, "cannot be made of"),
    ]:
        with pytest.raises(ConfigError, match=message):
            Block.from_yaml(wrong)


def test_results_of_array_tasks_are_collected(tmp_path):
    """The block takes them into the table and removes them, or leaves them."""
    Design(2)(ExperimentData()).store(tmp_path)
    write_result(tmp_path, 1, {"y": 5})
    done = CollectArrayResults()(ExperimentData.from_file(tmp_path))
    assert done.jobs.tolist() == ["open", "finished"]
    assert not list((tmp_path / "experiment_results").iterdir())


class Deadly(DataGenerator):
    """Kills its process at x = 1."""

    def execute(self, experiment_sample, **kwargs):
        if experiment_sample.get("x") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        experiment_sample.store("y", 0)
        return experiment_sample


def test_an_experiment_that_kills_its_worker_is_an_error_of_its_row(tmp_path):
    """Not open for ever, and never in silence."""
    steps = [Step(Design(3)), Step(Deadly(), parallel=True)]
    Workflow("w", steps).run(rootdir=tmp_path, project_job="job", backend="process_pool", n_jobs=2)
    data = ExperimentData.from_file(tmp_path / "job")
    assert data.jobs.tolist() == ["finished", "error", "finished"]
    assert "WorkerDiedError" in data.failures[1].error


def test_a_step_that_stored_its_table_is_not_carried_out_again(tmp_path):
    """It was killed before that was written down: the attempt is the same, and its table says so."""
    step, workers = Step(Design(3)), BackendChoice()
    for attempt in ("first", "first", "second"):
        run_step(step, tmp_path, iteration=0, workers=workers, attempt=attempt)
    assert len(ExperimentData.from_file(tmp_path)) == 6


def fails(project_dir):
    if not (project_dir / "mended").exists():
        raise RuntimeError("not yet")


def test_a_failed_step_ends_the_workflow_which_goes_on_there(tmp_path):
    """The error says in which step; what was done before it is not done again."""
    workflow = Workflow("w", [Step(Design(2)), Step(fails), Step(Square(), parallel=True), Step(Sums())])
    with pytest.raises(RuntimeError, match="not yet") as caught:
        workflow.run(rootdir=tmp_path, project_job="job", backend="sequential")
    assert "In step 'fails'" in caught.value.__notes__[0]
    (tmp_path / "job" / "mended").touch()
    workflow.run(rootdir=tmp_path, project_job="job", backend="sequential")
    assert sums(tmp_path / "job") == [["0", 2, 1.0]]


def test_a_step_may_fail_that_the_next_one_does_not_need(tmp_path):
    """With ``afterany``, it is carried out; the failure is kept."""
    steps = [Step(Design(2)), Step(fails), Step(Square(), parallel=True, dependency="afterany"), Step(Sums())]
    Workflow("w", steps).run(rootdir=tmp_path, project_job="job", backend="sequential")
    assert len(sums(tmp_path / "job")) == 1
    found = Progress.read(tmp_path / "job")
    assert found.status == "done"
    assert found.failures == ("step 'fails' failed: RuntimeError: not yet",)


def test_from_a_step_on(tmp_path):
    """By position or name; a name in a loop takes all of it; in the job's own folder."""
    loop = Loop(2, [Step(Design(2)), Step(Sums())])
    workflow = Workflow("w", [Step(Design(1), name="first"), Step(Square(), parallel=True), loop])
    workflow.run(rootdir=tmp_path, project_job="job", backend="sequential")
    workflow.from_step("Sums").run(rootdir=tmp_path, project_job="job", backend="sequential")
    assert [line[1] for line in sums(tmp_path / "job")] == [3, 5, 7, 9]
    assert len(workflow.from_step(1).steps) == 2
    assert [found.n_iterations for found in workflow.from_step(-1).steps] == [2]
    for wrong in ("Sum", 3, -4, 1.0, None):
        with pytest.raises(ValueError, match="step"):
            workflow.from_step(wrong)


def test_the_folder_of_another_workflow_is_refused(tmp_path):
    """Another name, another step, or no workflow's file at all."""
    Workflow("w", [Step(Design(1))]).run(rootdir=tmp_path, project_job="job")
    for other in (Workflow("v", [Step(Design(1))]), Workflow("w", [Step(Design(1), name="renamed")])):
        with pytest.raises(ConfigError, match="belongs to"):
            other.run(rootdir=tmp_path, project_job="job")
    (tmp_path / "job" / "workflow.json").write_text("{}")
    with pytest.raises(ConfigError, match="does not tell"):
        Workflow("w", [Step(Design(1))]).run(rootdir=tmp_path, project_job="job")
    with pytest.raises(ConfigError, match="leaves the folder"):
        Workflow("w", [Step(Design(1))]).run(rootdir=tmp_path, project_job="../job")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(3), "not 3"),
        (lambda: Step(Design(), dependency="after"), "afterok"),
        (lambda: Step(Design(), project_dir="../x"), "leaves"),
        (lambda: Step(Design(), name="a/b"), "slashes"),
        (lambda: Step(print, parallel=True), "DataGenerator"),
        (lambda: Step(Design), "made first"),
        (lambda: Step(DataGenerator()), "has no execute"),
        (lambda: Step(Design(), name=3), "one line"),
        (lambda: Step(Design(), name="n" * 300), "200 bytes"),
        (lambda: Step(Design(), parallel="yes"), "parallel must be of type bool"),
        (lambda: Step(Design(), resources={"mem": "4G"}), "resources must be of type SlurmResources"),
        (lambda: Step(Design(), project_dir=None), "project_dir must be"),
        (lambda: Step(Design(), project_dir="a\nb"), "project_dir"),
        (lambda: Step(Design(), kwargs=None), "kwargs must be"),
        (lambda: Step(Design(), kwargs={1: 2}), "the name 1 is no text"),
        (lambda: Loop(-1, [Step(Design())]), "0 or more, not -1"),
        (lambda: Loop(True, [Step(Design())]), "0 or more, not True"),
        (lambda: Loop("2", [Step(Design())]), "0 or more, not '2'"),
        (lambda: Loop(2, [Loop(2, [Step(Design())])]), "cannot hold another loop"),
        (lambda: Loop(2, Step(Design())), "list of steps"),
        (lambda: Loop(2, [Design()]), "made of steps"),
        (lambda: Loop(2, [], until=3), "until must be a function"),
        (lambda: Workflow("w", [Design()]), "made of steps"),
        (lambda: Workflow("w", None), "list of steps"),
        (lambda: Workflow("a\nb"), "one line"),
        (lambda: Workflow("w", orchestrator_resources={"mem": "1G"}), "of type SlurmResources"),
    ],
)
def test_what_is_wrong_is_told_at_once(make, message):
    """Before any work, as a ``ValueError``."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_killed_workflow_goes_on_and_two_at_once_are_refused(tmp_path):
    """Kill -9 in a parallel step: finished experiments are kept, the others are evaluated, each result once."""
    process = subprocess.Popen([sys.executable, str(TARGET), "0.2"], cwd=tmp_path, start_new_session=True)
    results = tmp_path / "job" / "experiment_results"
    deadline = time.monotonic() + 60
    while not results.is_dir() or len(list(results.glob("*.json"))) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(WorkflowError, match="runs already"):
        Workflow("slow", [Step(Design())]).run(rootdir=tmp_path, project_job="job")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path.name for path in results.glob("*.json")}
    attempts = (tmp_path / "attempts").read_text().split()
    assert subprocess.run([sys.executable, str(TARGET), "0"], cwd=tmp_path, check=False).returncode == 0
    data = ExperimentData.from_file(tmp_path / "job")
    assert data.jobs.tolist() == ["finished"] * 16
    again = (tmp_path / "attempts").read_text().split()[len(attempts) :]
    assert {f"{row}.json" for row in again}.isdisjoint(before)
    assert len(set(again)) == len(again)
