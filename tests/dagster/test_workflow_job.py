"""Workflows as jobs of Dagster: on its executors, with what fails, what is killed, what goes on where it was."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInvalidDefinitionError, DagsterRunStatus

from curator_core import MetricsStore
from curator_core.workflow import DataGenerator, ExperimentData, Loop, Step, Workflow
from curator_core.workflow.state import Progress, job_lock
from curator_dagster import build_workflow_job

pytest.importorskip("pandas")

LOCATION = Path(__file__).with_name("workflow_location.py")


@pytest.fixture
def command(project):
    def command(job, parent="", project_job=""):
        return [sys.executable, str(LOCATION), job, parent, project_job]

    return command


@pytest.fixture
def environment(project):
    paths = os.pathsep.join([str(LOCATION.parent), *sys.path])
    return project.environment | {"WORKFLOW_FOLDER": str(project.folder), "PYTHONPATH": paths}


@pytest.fixture
def execute(project, command, environment, monkeypatch):
    """Runs a job, or re-executes a run from failure; run id and success."""

    def here(job, parent, project_job, chosen, settings):
        with monkeypatch.context() as patched:
            for name, value in (environment | settings).items():
                patched.setenv(name, value)
            patched.syspath_prepend(str(LOCATION.parent))
            import workflow_location

            return importlib.reload(workflow_location).execute(job, parent, project_job, chosen)

    def execute(job, parent="", project_job="", chosen=(), **settings):
        if settings.get("WORKFLOW_EXECUTOR", "in_process") == "in_process":
            return here(job, parent, project_job, chosen, settings)
        done = subprocess.run(
            command(job, parent, project_job),
            env=environment | settings,
            cwd=project.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        run_id, success = done.stdout.split()[-2:]
        return run_id, success == "True"

    return execute


def notes(project):
    return (project.folder / "notes").read_text().splitlines()


def outputs(project, run_id, step):
    """Metadata of a step's output."""
    with project.instance() as instance:
        events = [entry.get_dagster_event() for entry in instance.all_logs(run_id) if entry.is_dagster_event]
    found = [e for e in events if e.step_key == step and e.is_successful_output]
    return [{key: value.value for key, value in e.step_output_data.metadata.items()} for e in found]


def skipped(project, run_id):
    with project.instance() as instance:
        events = [entry.get_dagster_event() for entry in instance.all_logs(run_id) if entry.is_dagster_event]
    return [e.step_key for e in events if e.is_step_skipped]


def table(project, run_id):
    return ExperimentData.from_file(project.folder / "jobs" / run_id)


def progress(project, job):
    return Progress.read(project.folder / "jobs" / job)


@pytest.mark.parametrize("executor", ["in_process", pytest.param("multiprocess", marks=pytest.mark.campaign)])
def test_steps_in_order_and_parallel_ones_in_batches(project, execute, executor):
    """Every experiment once; one that fails is an error of its row; the UI has the counts."""
    run_id, success = execute("plain", WORKFLOW_EXECUTOR=executor)
    assert success
    assert progress(project, run_id).status == "done"
    data = table(project, run_id)
    assert data.jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2
    assert data.to_pandas()[1]["y"].tolist()[4:] == [16, 25]
    assert "in execute" in data.failures[3].traceback
    assert notes(project)[0] == "design"
    assert notes(project)[-2:] == ["fragile", "sum 0 6"]
    assert Counter(notes(project)[1:-2]) == {f"x{x}": 1 for x in range(6)}
    (said,) = outputs(project, run_id, "Square")
    assert said["curator/path"] == str(project.folder / "jobs" / run_id)
    counts = ("n_processed", "n_failed", "n_finished", "n_error")
    assert [said[f"curator/{name}"] for name in counts] == [6, 1, 5, 1]
    (batch,) = outputs(project, run_id, "Square__batch[1]")
    assert batch["curator/n_processed"] == 2
    with MetricsStore(project.folder / "jobs" / run_id / "metrics" / "Square.db") as store:
        statuses = {key: record.status for key, record in store.items(store.latest_run().run_id).items()}
    assert statuses == {f"row {row}": "error" if row == 3 else "completed" for row in range(6)}


def test_a_failed_step_ends_the_run_and_a_re_execution_goes_on_in_its_folder(project, execute):
    """What is done is not done again, twice in succession; a run of all steps has a folder of its own."""
    (project.folder / "break").touch()
    first, success = execute("plain")
    assert not success
    second, success = execute("plain", first)
    assert not success
    (project.folder / "break").unlink()
    third, success = execute("plain", second)
    assert success
    assert Counter(notes(project)) == {"design": 1, "fragile": 3, "sum 0 6": 1, **{f"x{x}": 1 for x in range(6)}}
    assert [path.name for path in (project.folder / "jobs").iterdir()] == [first]
    with project.instance() as instance:
        assert instance.get_run_by_id(third).status == DagsterRunStatus.SUCCESS


def test_a_named_folder_goes_on_where_it_was_in_a_new_run(project, execute):
    """As with `Workflow.run`; and it begins anew once it was done."""
    (project.folder / "break").touch()
    assert not execute("plain", project_job="study")[1]
    (project.folder / "break").unlink()
    assert execute("plain", project_job="study")[1]
    assert Counter(notes(project))["design"] == 1
    assert notes(project)[-2:] == ["fragile", "sum 0 6"]
    assert execute("plain", project_job="study")[1]
    assert Counter(notes(project))["design"] == 2


def test_a_folder_that_somebody_is_at_is_refused(project, execute):
    """`Workflow.run`, or another run; nothing is done, and the run says why."""
    folder = project.folder / "jobs" / "study"
    folder.mkdir(parents=True)
    with job_lock(folder, "somebody"):
        run_id, success = execute("plain", project_job="study")
    assert not success
    with project.instance() as instance:
        (failed,) = instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
    assert "runs already" in str(failed.get_dagster_event().step_failure_data.error)
    assert not (project.folder / "notes").exists()


def test_a_job_that_was_begun_here_goes_on_in_local_mode(project, execute, monkeypatch):
    """Both write down how far they are in the same way."""
    (project.folder / "break").touch()
    execute("plain", project_job="study")
    (project.folder / "break").unlink()
    monkeypatch.setenv("WORKFLOW_FOLDER", str(project.folder))
    monkeypatch.syspath_prepend(str(LOCATION.parent))
    import workflow_location

    workflow = importlib.reload(workflow_location).WORKFLOWS["plain"]()
    workflow.run(rootdir=project.folder / "jobs", project_job="study", backend="sequential")
    assert notes(project)[-3:] == ["fragile", "fragile", "sum 0 6"]
    assert Counter(notes(project))["design"] == 1


def test_steps_chosen_in_the_ui_are_done_again_in_the_runs_folder(project, execute):
    """Although they are done; nothing else is."""
    first, _ = execute("plain")
    n_before = len(notes(project))
    assert execute("plain", first, chosen=["fragile", "input_"])[1]
    assert notes(project)[n_before:] == ["fragile", "sum 0 6"]


@pytest.mark.campaign
def test_an_experiment_that_ends_its_process_is_an_error_of_its_row(project, execute):
    """Those after it in its batch are evaluated, those before it not again; the run goes on."""
    (project.folder / "die").touch()
    run_id, success = execute("plain", WORKFLOW_EXECUTOR="multiprocess", WORKFLOW_BATCH_SIZE="100")
    assert success
    found = table(project, run_id)
    assert found.jobs.tolist() == ["finished"] * 2 + ["error"] * 2 + ["finished"] * 2
    assert "WorkerDiedError" in found.failures[2].error
    assert Counter(note for note in notes(project) if note.startswith("x")) == {
        **{f"x{x}": 1 for x in range(6)},
        "x2": 3,
    }


@pytest.mark.campaign
def test_kill_9_leaves_rows_open_that_the_re_execution_evaluates(project, execute, command, environment):
    """The process of the run and all of its: no row that has a result is evaluated again."""
    settings = {"WORKFLOW_EXECUTOR": "multiprocess", "WORKFLOW_BATCH_SIZE": "3"}
    running = subprocess.Popen(
        command("plain"),
        env=environment | settings | {"WORKFLOW_SLEEP": "0.4"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    results = project.folder / "jobs"
    while not list(results.glob("*/experiment_results/*.json")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    with project.instance() as instance:
        (run,) = instance.get_runs()
        instance.report_run_failed(run, "as the daemon's run monitoring does")
        run_id = run.run_id
    folder = project.folder / "jobs" / run_id
    before = {int(path.stem) for path in (folder / "experiment_results").glob("*.json")}
    assert before
    n_before = len(notes(project))
    _, success = execute("plain", run_id, **settings)
    assert success
    again = notes(project)[n_before:]
    assert sorted(note for note in again if note.startswith("x")) == [f"x{x}" for x in range(6) if x not in before]
    assert again[-2:] == ["fragile", "sum 0 6"]
    assert table(project, run_id).jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2


@pytest.mark.parametrize("executor", ["in_process", pytest.param("multiprocess", marks=pytest.mark.campaign)])
def test_a_loop_ends_when_it_is_enough_and_what_follows_it_runs(project, execute, executor):
    """Later iterations are skipped; each is told its number."""
    run_id, success = execute("until", WORKFLOW_EXECUTOR=executor)
    assert success
    order = [note for note in notes(project) if not note.startswith("x")]
    assert order == ["design", "enough? 2", "design", "enough? 4", "sum 0 4"]
    assert "Design__iteration_3" in skipped(project, run_id)
    assert "end" not in skipped(project, run_id)
    assert len(table(project, run_id)) == 4


def test_a_condition_that_fails_is_asked_again_without_its_iteration(project, execute):
    """The steps before it are done."""
    (project.folder / "break until").touch()
    run_id, success = execute("until")
    assert not success
    (project.folder / "break until").unlink()
    assert execute("until", run_id)[1]
    order = [note for note in notes(project) if not note.startswith("x")]
    assert order == ["design", "enough? 2", "enough? 2", "design", "enough? 4", "sum 0 4"]


@pytest.mark.parametrize("job", ["any", "hollow"])
def test_a_step_on_which_nothing_depends_may_fail_and_the_run_says_so(project, execute, job):
    """A step that raises, and a parallel one without a table."""
    (project.folder / "break").touch()
    run_id, success = execute(job)
    assert success
    failed = {"any": "fragile", "hollow": "Square"}[job]
    with project.instance() as instance:
        assert instance.get_run_by_id(run_id).tags["curator/failed_steps"] == failed
        said = [entry.user_message for entry in instance.all_logs(run_id)]
    assert [text for text in said if f"Step '{failed}' failed; the next one does not depend on it" in text]
    assert notes(project)[-1] == {"any": "sum 0 6", "hollow": "design"}[job]
    assert [text.partition(":")[0] for text in progress(project, run_id).failures] == [f"step '{failed}' failed"]


def test_a_pipeline_is_a_fan_out_whose_failed_items_fail_the_step(project, execute):
    """A re-execution does those alone."""
    for name in "abc":
        (project.folder / "in").mkdir(exist_ok=True)
        (project.folder / "in" / f"{name}.txt").write_text("1 x" if name == "b" else "1 2")
    run_id, success = execute("files")
    assert not success
    (project.folder / "in" / "b.txt").write_text("3")
    assert execute("files", run_id)[1]
    assert len(list((project.folder / "out").glob("*.json"))) == 3
    with MetricsStore(project.folder / "pipeline.db") as store:
        assert {record.status for record in store.items(store.latest_run().run_id).values()} == {"completed"}


@pytest.mark.campaign
def test_workers_of_dask_carry_out_a_workflow(project, execute):
    """As any executor."""
    pytest.importorskip("distributed")
    cluster = {"cluster": {"local": {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}}}
    run_id, success = execute("plain", WORKFLOW_EXECUTOR="dask", WORKFLOW_DASK=json.dumps(cluster))
    assert success
    assert table(project, run_id).jobs.tolist() == ["finished"] * 3 + ["error"] + ["finished"] * 2
    assert Counter(notes(project))["x4"] == 1


def nothing(project_dir):
    pass


class Kept(DataGenerator):
    """Leaves experiments as they are."""

    def execute(self, experiment_sample):
        return experiment_sample


def test_every_step_has_a_name_that_dagster_takes(tmp_path):
    """Whatever the steps are called, and however their names run into one another."""
    names = ["config", "größe 1", "größe-1", "a", "a__plan", "for"]
    steps = [Step(nothing, name=name) for name in names[:3]]
    steps += [Loop(2, [Step(Kept(), name="a", parallel=True), Step(nothing, name="a__plan")])]
    job = build_workflow_job(Workflow("import", [*steps, Step(nothing, name="for")]), rootdir=tmp_path)
    first = {"config_", "gr__e_1", "gr__e_1_2", "a", "a__plan", "a__batch", "a__plan_2", "for_"}
    second = {"a__iteration_2", "a__iteration_2__plan", "a__iteration_2__batch", "a__plan__iteration_2"}
    assert {node.name for node in job.graph.nodes} == first | second
    assert job.name == "import_"


def test_wrong_settings_are_told_when_the_job_is_built(tmp_path):
    """A relative folder would be another one for every worker; arguments that nothing takes; no step at all."""
    workflow = Workflow("w", [Step(nothing)])
    for wrong, message in (
        (Workflow("w", [Step(nothing, kwargs={"a": 1})]), "Step 'nothing': .* called wrongly"),
        (Workflow("w", [Loop(2)]), "has no step"),
    ):
        with pytest.raises(DagsterInvalidDefinitionError, match=message):
            build_workflow_job(wrong, rootdir=tmp_path)
    with pytest.raises(DagsterInvalidDefinitionError, match="rootdir must be an absolute path"):
        build_workflow_job(workflow, rootdir="jobs")
    with pytest.raises(DagsterInvalidDefinitionError, match="batch_size must be at least 1"):
        build_workflow_job(workflow, rootdir=tmp_path, batch_size=0)


def test_a_folder_outside_of_the_folder_of_jobs_is_refused(project, execute):
    """Before any step."""
    assert not execute("plain", project_job="../elsewhere")[1]
    assert not (project.folder / "elsewhere").exists()
    assert not (project.folder / "notes").exists()
