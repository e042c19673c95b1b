"""`curator workflow`: what a newcomer does, and what goes wrong."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from curator_core.workflow import ExperimentData
from curator_core.workflow.state import Position, Progress, WorkflowStatus

pytest.importorskip("pandas")
EXECUTABLE = Path(sys.executable).with_name("curator")
STUDY = """
name: study
steps:
  - block: {_target_: study_parts.Design, n: 4}
  - loop:
      n_iterations: 5
      until: study_parts.is_enough
      steps:
        - block: study_parts.chain
          name: more
        - name: evaluate
          block: study_parts:Square
          parallel: true
          resources: {time: "00:10:00", cpus_per_task: 2}
  - function: study_parts.note
    kwargs: {text: the end}
    project_dir: notes
"""


@pytest.fixture
def write_study(folder):
    """Write a workflow file; returns its name."""

    def write(text=STUDY, name="study.yaml"):
        (folder / name).write_text(text)
        return name

    return write


def rows(folder):
    """Status of every experiment."""
    return ExperimentData.from_file(folder).jobs.tolist()


def notes(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_newcomers_path(executable, write_study, folder):
    """A file is run by the installed command, tells what it does, and its status says that all is done."""
    done = executable("workflow", "run", write_study(), "-j", "2", "--job", "first")
    assert done.code == 0, done.err
    told = [line.partition(" ")[2] for line in done.err.splitlines() if " step " in line]
    assert told == [
        "step 'Design'",
        "step 'Design' done: 4 experiments: 4 open",
        "step 'more', iteration 1 of at most 5",
        "step 'more' done: 7 experiments: 7 open",
        "step 'evaluate', iteration 1 of at most 5",
        "step 'evaluate' done: 7 experiments: 7 finished",
        "step 'more', iteration 2 of at most 5",
        "step 'more' done: 10 experiments: 7 finished, 3 open",
        "step 'evaluate', iteration 2 of at most 5",
        "step 'evaluate' done: 10 experiments: 10 finished",
        "step 'note'",
        "step 'note' done",
    ]
    assert done.out.splitlines()[1:] == ["first: 10 experiments: 10 finished"]
    assert notes(folder / "first" / "notes" / "notes.jsonl") == [["the end", "0"]]
    status = executable("workflow", "status", "first").out
    assert "state     done" in status
    assert "next      nothing: all is done" in status
    assert executable("workflow", "run", "study.yaml", "--job", "first", "--quiet").err == ""
    assert len(rows(folder / "first")) == 14 + 3


@pytest.mark.parametrize("given", ["study_parts:first", "study_parts.py:first", "one.py"])
def test_a_workflow_made_in_python(curator, folder, given):
    """In a module, or in a file, whose only one need not be named."""
    (folder / "one.py").write_text("from study_parts import first\nsame = first\n")
    if given.startswith("study_parts.py"):
        given = str(Path(__file__).parent / "parts" / given)
    result = curator("workflow", "run", given, "--rootdir", "jobs", "--job", "a", "--backend", "sequential")
    assert result.code == 0, result.err
    assert rows(folder / "jobs" / "a") == ["finished"] * 2


def test_modules_and_files_beside_the_workflow_are_found(executable, folder):
    """From another folder, too; jobs go to the folder where the command is run."""
    there = folder / "there"
    there.mkdir()
    (there / "mine.py").write_text("from study_parts import Design as Mine\n")
    pipeline = {
        "source": {"component": "cli_parts:Numbers", "params": {"n": 2}},
        "sink": {"component": "cli_parts:Files", "params": {"folder": "out"}},
        "settings": {"db_file": "p.db"},
    }
    (there / "curate.yaml").write_text(yaml.safe_dump(pipeline))
    steps = [
        {"block": "mine.Mine"},
        {"name": "file", "pipeline": "curate.yaml"},
        {"name": "inline", "pipeline": pipeline},
    ]
    (there / "w.yaml").write_text(yaml.safe_dump({"steps": steps, "rootdir": "jobs"}))
    done = executable("workflow", "run", "there/w.yaml")
    assert done.code == 0, done.err
    (job,) = (folder / "jobs").iterdir()
    assert Progress.read(job).name == "w"
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["0.txt", "1.txt"]


def test_every_new_job_has_a_folder_of_its_own(curator, write_study, folder):
    """Also those that begin within the same second."""
    path = write_study("steps: [{block: study_parts.Design}]")
    for _ in range(3):
        assert curator("workflow", "run", path, "--rootdir", "jobs", "-q").code == 0
    assert [rows(job) for job in (folder / "jobs").iterdir()] == [["open"] * 4] * 3


def test_failed_experiments_are_told_and_give_status_1(curator, write_study, folder):
    """The workflow goes on with the others; the status has the reasons."""
    text = "steps: [{block: study_parts.Design}, {block: study_parts.Square, parallel: true, kwargs: {bad: 2}}]"
    result = curator("workflow", "run", write_study(text), "--job", "a", "--backend", "sequential")
    assert result.code == 1
    assert "error: 1 experiment failed:\n  a, row 2: ValueError: no square of 2\n" in result.err
    assert "step 'Square' done: 4 experiments: 3 finished, 1 failed" in result.err
    (table,) = json.loads(curator("workflow", "status", "a", "--json").out)["tables"]
    assert (table["rows"], table["errors"]) == ({"finished": 3, "error": 1}, {"2": "ValueError: no square of 2"})
    shown = curator("workflow", "status", "a").out
    assert "2    ValueError: no square of 2" in shown
    assert "mark failed experiments as open" in shown


def test_a_failed_step_ends_it_and_the_command_told_goes_on(curator, write_study, folder):
    """Exit status 1, the error, a command that goes on there; its status says the same."""
    text = (
        "steps: [{block: study_parts.Design}, {function: study_parts.fails_until_mended}, {function: study_parts.note}]"
    )
    result = curator("workflow", "run", write_study(text), "--job", "a b")
    assert result.code == 1
    first, again = result.err.splitlines()[-2:]
    assert first == "error: step 'fails_until_mended' failed: RuntimeError: not yet"
    status = json.loads(curator("workflow", "status", "a b", "--json").out)
    assert [step["state"] for step in status["steps"]] == ["done", "failed", "to come"]
    assert (status["state"], status["error"]) == ("failed", "RuntimeError: not yet")
    assert "Traceback" in curator("workflow", "run", "study.yaml", "--job", "a b", "--traceback").err
    (folder / "mended").touch()
    words = shlex.split(again.partition("go on with: ")[2])
    assert curator(*words[1:]).code == 0
    assert rows(folder / "a b") == ["open"] * 4
    assert notes(folder / "a b" / "notes.jsonl") == [["noted", "0"]]


def test_a_step_that_may_fail_is_told_and_passed(curator, write_study, folder):
    """With ``afterany`` the next one is carried out, and the workflow is done."""
    text = "steps: [{function: study_parts.fails_until_mended}, {function: study_parts.note, dependency: afterany}]"
    result = curator("workflow", "run", write_study(text), "--job", "a")
    assert result.code == 0
    assert "step 'fails_until_mended' failed: RuntimeError: not yet" in result.err
    assert (folder / "a" / "notes.jsonl").exists()


def test_from_a_step_by_name_or_number(curator, write_study, folder):
    """In the folder of a job; what comes before is not done again."""
    path = write_study()
    assert curator("workflow", "run", path, "--job", "a", "--backend", "sequential").code == 0
    for step in ("note", "2"):
        assert curator("workflow", "run", path, "--job", "a", "--from-step", step).code == 0
    assert len(notes(folder / "a" / "notes" / "notes.jsonl")) == 3
    assert len(rows(folder / "a")) == 10
    assert (
        "Unknown step 'nota'. Known: note" in curator("workflow", "run", path, "--job", "a", "--from-step", "nota").err
    )
    assert "There is no step 7" in curator("workflow", "run", path, "--job", "a", "--from-step", "7").err
    assert "name it with --job" in curator("workflow", "run", path, "--from-step", "note").err


SLOW = """
steps:
  - {block: {_target_: study_parts.Design, n: 30}}
  - {block: study_parts.Square, parallel: true, kwargs: {pause_s: %s}}
"""


def begun(write_study, folder, pace_s=0.5):
    """A run in a process of its own, of which some experiments are done."""
    command = [EXECUTABLE, "workflow", "run", write_study(SLOW % pace_s), "--job", "a", "-j", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while len(list(folder.glob("a/experiment_results/[!.]*.json"))) < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def test_killed_while_at_work_it_goes_on(executable, write_study, folder):
    """Its status says that it is at work, then that it was stopped; the next run evaluates the rest, nothing twice."""
    process = begun(write_study, folder)
    assert "state     running" in executable("workflow", "status", "a").out
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status = json.loads(executable("workflow", "status", "a", "--json").out)
    assert (status["state"], status["steps"][1]["state"]) == ("stopped", "stopped")
    (table,) = status["tables"]
    done = {path.stem for path in folder.glob("a/experiment_results/[!.]*.json")}
    assert table["rows"] == {"finished": len(done), "open": 30 - len(done)}
    assert table["waiting_to_be_collected"] == len(done)
    attempts = len((folder / "attempts").read_text().split())
    write_study(SLOW % 0)
    assert executable("workflow", "run", "study.yaml", "--job", "a", "-j", "2").code == 0
    again = (folder / "attempts").read_text().split()[attempts:]
    assert set(again).isdisjoint(done)
    assert len(set(again)) == len(again)
    assert rows(folder / "a") == ["finished"] * 30


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.campaign)])
def test_interrupted_it_says_how_to_go_on(executable, write_study, folder, stop):
    """Exit status 130, and a command that goes on."""
    process = begun(write_study, folder)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = err.splitlines()[-1]
    assert last.startswith("Interrupted in step 'Square'; continue with: curator workflow run study.yaml --job a -j 2")
    assert "go on with: curator workflow run FILE --job a --rootdir" in executable("workflow", "status", "a").out
    write_study(SLOW % 0)
    words = shlex.split(last.partition("continue with: ")[2])
    assert executable(*words[1:]).code == 0
    assert rows(folder / "a") == ["finished"] * 30


def test_scripts_are_printed_or_written(curator, folder):
    """With the cluster and the names that were given."""
    (folder / "cluster.yaml").write_text("partition: long")
    words = ["workflow", "scripts", "study_parts:scripted", "--cluster", "cluster.yaml", "--rootdir", "jobs"]
    assert curator(*words).out == "##### orchestrator\nlong PLACEHOLDER\n\n##### Design\njobs\n\n"
    assert curator(*words, "--out", "scripts", "--job", "a").out == "scripts/orchestrator.sh\nscripts/Design.sh\n"
    assert (folder / "scripts" / "orchestrator.sh").read_text() == "long a\n"


def test_a_workflow_elsewhere_is_followed_until_it_ends(folder, monkeypatch):
    """Whoever waits reads what it writes down, until it is done or failed, or nobody goes on with it."""
    from curator_core.cli.workflow import progress as workflow_progress
    from curator_core.workflow import Step, Workflow

    monkeypatch.setattr(workflow_progress, "POLL_S", 0)
    workflow = Workflow("w", [Step(print, name="first"), Step(print, name="last")])
    start = Progress("w", ["first", "last"], Position(), WorkflowStatus.RUNNING)
    second = start.at(Position(1))
    last = Progress("w", ["first", "last"], Position(1), WorkflowStatus.FAILED, "RuntimeError: at last")
    coming = iter([start, second, last])
    monkeypatch.setattr(time, "sleep", lambda _: next(coming).write(folder))
    assert workflow_progress.Follower(workflow, folder).wait() == last
    monkeypatch.setattr(workflow_progress, "ASK_EVERY_S", 0)
    left = iter([second, second, second])
    monkeypatch.setattr(time, "sleep", lambda _: next(left).write(folder))
    second.write(folder)
    assert workflow_progress.Follower(workflow, folder).wait() == second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.yaml"], "File 'none.yaml' does not exist"),
        (["run", "none.py"], "File 'none.py' does not exist"),
        (["run", "study"], "'study' is neither a workflow file (.yaml, .yml, .json), file.py"),
        (["run", "no_such:thing"], "cannot load 'no_such:thing': No module named 'no_such'"),
        (["run", "study_parts:firstt"], "has no attribute 'firstt'. Is 'first' meant?"),
        (["run", "study_parts:Design"], "study_parts:Design is no Workflow"),
        (["run", "empty.py"], "empty.py: one Workflow is needed, and it defines none"),
        (["run", "two.py"], "say which: two.py:first, two.py:scripted"),
        (["run", "json.py"], "json.py cannot be imported, since 'json' is"),
        (["run", "broken.py"], "broken.py cannot be imported: SyntaxError"),
        (["run", "study.yaml", "--mode", "sulrm"], "'sulrm' is not one of 'local', 'slurm'"),
        (["run", "study.yaml", "--job", "../a"], "leaves the folder of jobs"),
        (
            ["run", "study.yaml", "--cluster", "cluster.yaml"],
            "Unknown setting of SlurmCluster 'partitoin'. Known: partition",
        ),
        (["status", "jobs"], "jobs is not the folder of a workflow's job: it has no workflow.json. Jobs in it: a."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_one_line_and_exit_status_2(curator, write_study, folder, words, message):
    """What is wrong before any work is one line, and exit status 2."""
    write_study("steps: [{block: study_parts.Design}]")
    (folder / "empty.py").write_text("")
    (folder / "two.py").write_text("from study_parts import first, scripted\n")
    (folder / "json.py").write_text("")
    (folder / "broken.py").write_text("def (:\n")
    (folder / "cluster.yaml").write_text("partitoin: long")
    (folder / "jobs" / "a").mkdir(parents=True)
    (folder / "jobs" / "a" / "workflow.json").write_text("{}")
    result = curator("workflow", *words)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith("error: ")
    assert message in result.err.splitlines()[-1]
    assert not (folder / "attempts").exists()


def test_the_folder_of_another_workflow_is_refused(curator, write_study):
    """With what differs, however unlike the two are."""
    assert curator("workflow", "run", write_study(), "--job", "a", "--backend", "sequential").code == 0
    write_study("name: study\nsteps: [{block: study_parts.Design}]")
    result = curator("workflow", "run", "study.yaml", "--job", "a")
    assert result.code == 2
    assert "belongs to a workflow with the steps ['Design', ['more', 'evaluate'], 'note']" in result.err


def test_a_second_run_of_a_job_at_work_is_refused(executable, write_study, folder):
    """The first one goes on, and its status is as it was."""
    process = begun(write_study, folder, pace_s=1.0)
    result = executable("workflow", "run", "study.yaml", "--job", "a")
    assert result.code == 2
    assert "runs already" in result.err
    assert process.poll() is None
    assert "state     running" in executable("workflow", "status", "a").out
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_jobs_of_a_cluster_that_cannot_be_asked_are_believed(curator, folder, monkeypatch):
    """On a machine that knows nothing of the cluster, the status is what was written down, with the jobs' numbers."""
    running = Progress("w", ["one"], Position(), WorkflowStatus.RUNNING, orchestrator="17", jobs=("18", "19"))
    running.write(folder)
    monkeypatch.setenv("PATH", "")
    shown = curator("workflow", "status", ".").out
    assert "state       running" in shown
    assert "SLURM jobs  orchestrator: 17; its step: 18, 19" in shown
