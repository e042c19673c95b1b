"""Workflows as jobs of a real SLURM."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from curator_core.errors import ConfigError
from curator_core.slurm import SlurmError, is_alive
from curator_core.workflow import DataGenerator, ExperimentData, SlurmResources, Step, Workflow
from curator_core.workflow.state import Progress

pytest.importorskip("pandas")
pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

TARGET = Path(__file__).with_name("workflow_target.py")
JOB = "job it's"


@pytest.fixture
def folder(tmp_path, monkeypatch, slurm):
    """Where the workflow is started: every part of its name means something to a shell or to SLURM."""
    folder = tmp_path / "it's $(touch pwned) %j"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def start(*words):
    """Submit the workflow, as a user does."""
    return subprocess.run([sys.executable, str(TARGET), *words], capture_output=True, text=True, check=False)


def progress():
    return Progress.read(Path(JOB))


def wait_until(claim, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def wait_for_end(timeout_s=120.0):
    wait_until(lambda: progress().status != "running", timeout_s)
    return progress()


def told():
    """What the jobs and the folder say, for the one who reads a failure."""
    logs = "\n".join(f"{path.name}: {path.read_text()}" for path in sorted(Path("logs").rglob("*.out")))
    queue = subprocess.run(["squeue"], capture_output=True, text=True, check=False).stdout
    return f"{progress()}\n{queue}\n{logs}"


def noted():
    lines = Path("log").read_text().splitlines()
    return {line: lines.count(line) for line in lines}


def check_complete(without=frozenset()):
    """The whole table, each row once and right, and a curated file for each; some experiments failed."""
    failed = {3, *without}
    data = ExperimentData.from_file(JOB)
    assert len(data) == 20, told()
    inputs, outputs = data.to_pandas()
    assert inputs["x"].tolist() == list(range(20))
    assert data.jobs.tolist() == ["error" if x in failed else "finished" for x in range(20)]
    assert [y for x, y in enumerate(outputs["y"]) if x not in failed] == [x * x for x in range(20) if x not in failed]
    iterations = outputs["iteration"].dropna().astype(int).to_dict()
    assert iterations == {x: int(x >= 16) for x in range(20) if x not in failed}
    assert "no squares of three" in data.failures[3].error
    curated = [json.loads(path.read_text()) for path in sorted(Path("out").iterdir())]
    assert curated == [[x * x] for x in range(20) if x not in failed]
    assert not list(Path().rglob("pwned"))


@pytest.mark.campaign
def test_a_workflow_from_its_design_to_its_dataset(folder):
    """Steps, arrays, a loop, a pipeline: each experiment once; nothing is left in the queue or between the files."""
    said = start()
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == JOB
    assert wait_for_end().status == "done", told()
    check_complete()
    counts = noted()
    assert set(counts.values()) == {1}, counts
    wait_until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout)
    assert sorted(path.name for path in Path(JOB, "slurm").iterdir() if path.is_dir()) == []
    assert not list(Path(JOB, "experiment_results").iterdir())
    assert len(list(Path("logs", JOB).glob("*.out"))) > 20


@pytest.mark.campaign
def test_dependencies_rows_one_by_one_and_arrays_one_after_another(folder):
    """A row that fails is an error of its own without parallel, too; a step follows one that it does not need."""
    Path("faults.json").write_text(json.dumps({"write_inputs": True}))
    said = start("careful")
    assert said.returncode == 0, said.stderr
    assert wait_for_end().status == "done", told()
    assert progress().failures == ("step 'write_inputs' failed: WorkflowError: RuntimeError: disk full",)
    data = ExperimentData.from_file(JOB)
    assert data.jobs.tolist() == ["error" if x == 3 else "finished" for x in range(7)]
    assert "no squares of three" in data.failures[3].error
    assert set(noted().values()) == {1}
    assert Path(JOB, "clean").exists()
    assert len(list(Path("logs", JOB).glob("*Square-2-*_0.out"))) == 2, told()
    for path in Path(JOB, "slurm").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir()
    assert Path(JOB, "slurm").stat().st_mode & 0o077 == 0


class Locked(DataGenerator):
    """Cannot be sent anywhere."""

    def __init__(self):
        self.lock = threading.Lock()

    def execute(self, experiment_sample):
        return experiment_sample


def write_nothing(project_dir):
    """A step that would be done at once."""


def test_what_the_scheduler_would_refuse_is_told_before_the_first_job(folder, slurm, resources):
    """Of any step, by its name; nothing is left behind, and the folder can be used."""
    greedy = Step(write_nothing, name="greedy", resources=SlurmResources(mem="900G"))
    first = Step(write_nothing, resources=resources)
    workflow = Workflow("w", [first, greedy], orchestrator_resources=resources)
    with pytest.raises(SlurmError, match=r"Step 'greedy': .* no node of the partition has that much"):
        workflow.run("slurm", slurm, project_job=JOB)
    assert progress() is None
    assert not Path("logs").exists()
    with pytest.raises(ConfigError, match="needs a cluster"):
        workflow.run("slurm", project_job=JOB)
    with pytest.raises(ConfigError, match="takes no backend"):
        workflow.run("slurm", slurm, project_job=JOB, backend="loky")
    unsendable = Workflow("w", [Step(Locked(), resources=resources)], orchestrator_resources=resources)
    with pytest.raises(ConfigError, match="Step 'Locked' cannot be sent"):
        unsendable.run("slurm", slurm, project_job=JOB)


def test_generated_scripts_say_what_would_be_submitted(folder):
    """By label, without a trace; shellcheck has nothing to say, nothing but the environment's commands can run."""
    said = start("scripts")
    scripts = json.loads(said.stdout)
    labels = ["design it's $(touch pwned)", "Square", "collect", "loop3_more", "loop3_again"]
    assert list(scripts) == [*labels, "write_inputs", "curate", "orchestrator"]
    assert not list(folder.iterdir())
    for label, text in scripts.items():
        assert '#SBATCH --account="a c\'c"' in text
        assert "\nmodule load python\n" in text
        assert f"export PYTHONPATH='{TARGET.parent}" in text
        assert "/jobs/logs/PLACEHOLDER/" in text
        fixed, told = "CURATOR_ITERATION='0'" in text, "${CURATOR_ITERATION:?" in text
        assert (fixed, told) == (not label.startswith("loop") and label != "orchestrator", label.startswith("loop"))
        checked = subprocess.run(
            ["shellcheck", "--exclude=SC2016", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, f"{text}\n{checked.stdout}"


@pytest.mark.campaign
def test_a_time_limit_leaves_experiments_open_and_the_rest_goes_on(folder):
    """One minute, SLURM's least: what a task was at is tried once more, alone; then it is open, not in progress."""
    Path("faults.json").write_text(json.dumps({"hang": 2}))
    start()
    assert wait_for_end(300).status == "failed", told()
    assert "1 of 12 experiments are still open; row 2: SLURM tasks ended 2 times while they" in progress().error
    jobs = ExperimentData.from_file(JOB).jobs.tolist()
    assert jobs == ["open" if x == 2 else "error" if x == 3 else "finished" for x in range(12)]
    assert noted()["square 2"] == 2
    Path("faults.json").unlink()
    start()
    assert wait_for_end().status == "done", told()
    check_complete()


@pytest.mark.campaign
def test_a_failed_step_ends_the_workflow_and_the_next_run_goes_on(folder):
    """Its error is in the folder, what was done is not done again; a step whose job dies once is tried again."""
    Path("faults.json").write_text(json.dumps({"write_inputs": True, "5": 1}))
    start()
    assert wait_for_end().status == "failed"
    assert "RuntimeError: disk full" in progress().error
    before = noted()
    assert before["square 5"] == 2
    Path("faults.json").unlink()
    assert start().returncode == 0
    assert wait_for_end().status == "done", told()
    check_complete()
    assert noted() == before


@pytest.mark.campaign
def test_an_experiment_that_kills_its_task_twice_is_an_error_of_its_row(folder):
    """With a message that says so; the others are evaluated and the workflow goes on."""
    Path("faults.json").write_text(json.dumps({"7": 2}))
    start()
    assert wait_for_end().status == "done", told()
    data = ExperimentData.from_file(JOB)
    assert {row for row, status in enumerate(data.jobs) if status == "error"} == {3, 7}
    assert "SLURM tasks ended 2 times while they held item 'row 7'" in data.failures[7].error
    assert noted()["square 7"] == 2


@pytest.mark.campaign
def test_a_second_one_on_the_same_folder_is_refused(folder):
    """Whether it is started on SLURM or here, and by whatever means."""
    Path("faults.json").write_text(json.dumps({"pause_s": 1}))
    start()
    for again in (start(), start("local")):
        assert again.returncode != 0
        assert "goes on as SLURM's job" in again.stderr
    wait_until(lambda: Path("log").exists() and "square" in Path("log").read_text())
    second = subprocess.run(
        ["sbatch", "--parsable", f"{JOB}/slurm/orchestrator.sh"], capture_output=True, text=True, check=True
    )
    log = Path("logs", JOB, f"orchestrator-{second.stdout.strip()}.out")
    wait_until(lambda: log.exists() and "so this one ends" in log.read_text())
    assert wait_for_end().status == "done", told()
    check_complete()
    assert set(noted().values()) == {1}


@pytest.mark.campaign
@pytest.mark.parametrize("word", ["design", "square"])
def test_a_workflow_that_was_cancelled_goes_on_where_it_was(folder, word):
    """All of its jobs, while a step or an array is at work: one more run does what is left, and does not fail."""
    Path("faults.json").write_text(json.dumps({"pause_s": 0.7}))
    start()
    wait_until(lambda: Path("log").exists() and word in Path("log").read_text())
    subprocess.run(["scancel", "--me"], check=True)
    wait_until(lambda: not is_alive(progress().orchestrator))
    assert progress().status == "running"
    assert start().returncode == 0
    assert wait_for_end().status == "done", told()
    check_complete()


@pytest.mark.campaign
def test_cancelled_tasks_leave_their_experiments_open_and_the_workflow_to_its_user(folder):
    """The step fails when its other tasks are done; the next run evaluates what is open."""
    Path("faults.json").write_text(json.dumps({"pause_s": 0.7}))
    start()
    wait_until(lambda: Path("log").exists() and "square" in Path("log").read_text())
    subprocess.run(["scancel", f"{progress().jobs[0]}_1"], check=True)
    assert wait_for_end().status == "failed"
    assert "experiments are still open; row 1: SLURM task" in progress().error
    assert "was cancelled before" in progress().error
    jobs = ExperimentData.from_file(JOB).jobs.tolist()
    assert set(jobs) == {"open", "finished", "error"}
    assert "in_progress" not in jobs
    Path("faults.json").unlink()
    start()
    assert wait_for_end().status == "done", told()
    check_complete()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(int(os.environ.get("CURATOR_CAMPAIGN_SEEDS", "1"))))
def test_random_kills_end_in_the_complete_table(folder, disturb, seed):
    """Twenty kills and cancellations of tasks, steps and orchestrators; whenever it has stopped, it is run again."""
    chance = random.Random(seed)
    Path("faults.json").write_text(json.dumps({"pause_s": 0.3}))
    start()
    done, deadline = [], time.monotonic() + 500
    while len(done) < 20 and progress().status != "done":
        assert time.monotonic() < deadline, told()
        time.sleep(chance.uniform(0.2, 1.5))
        kind = disturb(chance, folder.name, ["slurm.task", "slurm.orchestrator", "slurm.step"])
        if kind is not None:
            done.append(kind)
        ensure_running()
    while progress().status != "done":
        assert time.monotonic() < deadline, f"{done}\n{told()}"
        ensure_running()
        time.sleep(0.2)
    assert len(done) >= 10, done
    errors = ExperimentData.from_file(JOB).failures
    twice = {x for x, failure in errors.items() if "ended 2 times while they held" in failure.error}
    check_complete(without=twice)
    assert all(noted()[f"square {x}"] >= 2 for x in twice)


def ensure_running():
    """Run it again if it has stopped, as its user would."""
    found = progress()
    has_stopped = found.status == "failed" or (found.status == "running" and not is_alive(found.orchestrator))
    if has_stopped and progress().status != "done":  # which its orchestrator may have written, and ended, in between
        start()
