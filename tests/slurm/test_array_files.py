"""What tasks and their coordinator hand each other as files: private, and one damaged line costs its own item."""

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from curator_core.errors import RunFailed, StoreCorruptError, StoreError, UntrustedFileError, WorkflowError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult, Item
from curator_core.run import run_pipeline
from curator_core.run.backends.slurm.array import ArrayFolder, ResultTail, TaskSetup
from curator_core.slurm import SlurmCluster, SlurmResources, render_script
from curator_core.testing import JsonSink, NumbersSource
from curator_core.workflow import DataGenerator, Step, Workflow
from curator_core.workflow.slurm.jobs import SlurmPlan

SBATCH = """
import os, re, subprocess, sys
if "--test-only" in sys.argv:
    sys.exit()
with open("submitted", "a") as file:
    file.write(" ".join(sys.argv[1:-1]) + "\\n")
number = len(open("submitted").readlines())
array = re.search(r"--array=0-(\\d+)", " ".join(sys.argv))
for task in range(int(array[1]) + 1) if array else ():
    names = {"SLURM_ARRAY_TASK_ID": task, "SLURM_JOB_ID": number, "SLURM_CPUS_PER_TASK": 3}
    subprocess.run(["bash", sys.argv[-1]], env={**os.environ, **{k: str(v) for k, v in names.items()}}, stdout=2)
if os.path.exists("after.py"):
    exec(open("after.py").read())
print(number)
"""


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Stand-ins for SLURM's commands: tasks run at once, one after the other; `after.py` is run then."""
    monkeypatch.chdir(tmp_path)
    Path("bin").mkdir()
    commands = {"sbatch": SBATCH, "sacct": "sys.exit('accounting storage is disabled')"}
    for name, text in (commands | dict.fromkeys(("squeue", "scancel", "scontrol"), "")).items():
        Path("bin", name).write_text(f"#!{sys.executable}\nimport sys\n{text}")
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr("curator_core.run.backends.slurm.coordinator.LOOK_S", 0.01)
    monkeypatch.setattr("curator_core.run.backends.slurm.coordinator.ASK_S", (0.01, 0.1))
    return tmp_path


def curate(n=6, **resources):
    pipeline = Pipeline(NumbersSource(n), [], JsonSink("out"), db_file="m.db", resume=True)
    cluster = SlurmCluster(runner=sys.executable)
    run_pipeline(pipeline, backend="slurm", cluster=cluster, resources=SlurmResources(**resources), progress=False)
    return pipeline


DAMAGE = """
import pathlib
for path in pathlib.Path().glob("*.slurm/*/results/*.jsonl"):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(bytes(len(line) - {n_kept}) + line[len(line) - {n_kept}:] if b'"000002"' in line else line
                              for line in lines))
"""


@pytest.mark.parametrize("n_kept", [0, 1])
def test_a_damaged_result_costs_its_own_item(scheduler, n_kept):
    """Zeros at the end of a file, once with the line's end: all others are recorded, and the next run does that one."""
    Path("after.py").write_text(DAMAGE.format(n_kept=n_kept))
    with pytest.raises(RunFailed) as caught:
        curate(3, max_array_size=1)
    assert list(caught.value.failures) == [2]
    assert "handed back a result of item '000002' that cannot be read" in caught.value.failures[2]
    Path("after.py").unlink()
    assert len(curate(3).completed_indices) == 3


LINE = IndexResult(1, "b", "completed").to_json().encode()


@pytest.mark.parametrize(
    "damaged",
    [bytes(99), LINE[:40], LINE + LINE, b"[" * 99_999, b"\xff" + LINE, b"{}", b"\r", b"null", LINE[:-1] + b",1}"],
)
def test_a_damaged_line_is_told_and_passed_over(tmp_path, caplog, damaged):
    """By file and line; what stands before and after it is read, and zeros before a whole result are no damage."""
    first, last = (IndexResult(index, "k", "completed").to_json().encode() for index in (0, 2))
    (tmp_path / "0.jsonl").write_bytes(b"\n".join([first, damaged, bytes(9) + last, b""]))
    tail = ResultTail(tmp_path / "0.jsonl")
    assert [result.index for result in tail.new()] == [0, 2]
    assert f"{tmp_path / '0.jsonl'}, line 2, is no result" in caplog.text
    assert (tail.n_lines, tail.has_damage, tail.new()) == (3, True, [])


def test_a_result_that_is_whole_a_moment_later_is_read_then(tmp_path):
    """A network file system showed zeros first; nothing is read twice."""
    lines = [IndexResult(index, f"{index:06d}", "completed").to_json().encode() + b"\n" for index in range(3)]
    path = tmp_path / "0.jsonl"
    path.write_bytes(lines[0] + bytes(len(lines[1]) - 1) + b"\n")
    tail = ResultTail(path)
    assert [result.index for result in tail.new()] == [0]
    assert (tail.n_lines, tail.has_damage) == (2, True)
    assert tail.new() == []
    path.write_bytes(b"".join(lines) + lines[0][:20])
    assert [result.index for result in tail.new()] == [1, 2]
    assert (tail.n_lines, tail.has_damage, tail.new()) == (3, False, [])


@pytest.mark.parametrize(
    "change",
    [
        {"index": "1"},
        {"index": [1]},
        {"index": True},
        {"key": 1},
        {"status": "great"},
        {"fingerprint": {}},
        {"more": 1},
    ],
)
def test_a_line_of_other_kinds_is_no_result(tmp_path, change):
    """None of these may be looked up, or recorded."""
    said = json.loads(IndexResult(1, "a", "completed").to_json()) | change
    (tmp_path / "0.jsonl").write_text(json.dumps(said) + "\n")
    tail = ResultTail(tmp_path / "0.jsonl")
    assert (tail.new(), tail.has_damage) == ([], True)


def array(folder):
    setup = TaskSetup(b"", None, ())
    return ArrayFolder.create(folder, "0" * 64, setup, [[[Item(0, "a", None)]]])


def test_an_array_is_its_owners_alone(tmp_path):
    """Its folder and what is in it; a pickle that others could have written is not opened."""
    before = os.umask(0o002)
    try:
        made = array(tmp_path / "m.slurm")
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((made.path / "setup.pickle").stat().st_mode) == 0o600
    made.path.joinpath("setup.pickle").chmod(0o666)
    with pytest.raises(UntrustedFileError):
        made.setup()


@pytest.mark.parametrize("at", ["setup.pickle", "tasks.json"])
def test_an_array_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch, at):
    """It is told by its folder, whichever file is the one that no longer fits."""
    real_open, real_text = os.open, Path.write_text

    def full(path, *args, **kwargs):
        if Path(path).name == at:
            raise OSError(28, "No space left on device")
        return (real_text if args and isinstance(args[0], str) else real_open)(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match=r"files of an array cannot be written .*No space left"):
        array(tmp_path / "m.slurm")
    assert list((tmp_path / "m.slurm").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_array_of_somebody_else_is_told(tmp_path):
    """Another user's run on the same database, whose results cannot be read."""
    made = array(tmp_path)
    os.chown(made.path, 12345, -1)
    with pytest.raises(UntrustedFileError, match="An array of user 12345 works on this database"):
        ArrayFolder.of(tmp_path, "0" * 64)


@pytest.mark.parametrize("text", ["", "[[[[1]]]]", "3", "[" * 99_999, "[[[3]]]"])
def test_a_damaged_list_of_tasks_is_told_with_what_to_do(tmp_path, text):
    """By its path."""
    made = array(tmp_path)
    (made.path / "tasks.json").write_text(text)
    with pytest.raises(StoreCorruptError, match=r"tasks\.json does not tell .* delete "):
        _ = made.tasks


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"worker_id": 1, "pid": 2, "host": "h", "until": 3}', "[" * 9999])
def test_a_damaged_word_of_a_task_says_nothing(tmp_path, text):
    """As one that has not begun."""
    made = array(tmp_path)
    (made.path / "at" / "0").write_text(text)
    assert made.presence(0) is None


def test_arrays_follow_one_another_where_tasks_do_a_limited_number(scheduler):
    """Five items, one task of three at a time: three, then two."""
    assert len(curate(5, max_array_size=1, max_jobs_per_task=3).completed_indices) == 5
    submitted = Path("submitted").read_text().splitlines()
    assert [line.partition("--array=")[2] for line in submitted] == ["0-0%64", "0-0%64"]


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ({}, ["3", "3", "3"]),
        ({"env_vars": {"OMP_NUM_THREADS": 1}}, ["1", "3", "3"]),
        ({"env_setup": ["export MKL_NUM_THREADS=2"]}, ["3", "2", "3"]),
    ],
)
def test_threads_are_the_tasks_cpus_unless_they_are_set(cluster, expected):
    """By the cluster's settings; what the submitter's own shell has is not meant for the task."""
    text = render_script([], cluster=SlurmCluster(runner="sh -c env", **cluster), options={})
    environment = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "64", "SLURM_CPUS_PER_TASK": "3"}
    said = subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, check=True).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert [found[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")] == expected


def test_a_set_up_command_that_fails_is_told_and_the_job_goes_on(scheduler):
    """By its line: what is in it may be a secret. One that is not there, too; with ``set -e`` it ends the job."""
    lines = ["module() { return 3; }", "module load python token=hunter2", "no_such_command", "if false; then :; fi"]
    cluster = SlurmCluster(env_setup=lines, runner="echo ran")
    text = Workflow("w", [Step(print, name="s")]).generate_scripts(cluster)["s"]
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("ran -m curator_core")
    at = text.splitlines().index(lines[1]) + 1
    assert f"curator: env_setup: line {at} of the script returned 3" in done.stderr
    assert f"curator: env_setup: line {at + 1} of the script returned 127" in done.stderr
    assert done.stderr.count("curator: env_setup") == 2
    assert "hunter2" not in done.stderr
    strict = text.replace("module() {", "set -e\nmodule() {")
    assert subprocess.run(["bash", "-c", strict], capture_output=True, check=False).returncode == 3


class Keeps(DataGenerator):
    """Has a secret."""

    def __init__(self, token):
        self.token = token

    def execute(self, experiment_sample):
        return experiment_sample


def test_what_a_workflow_tells_its_jobs_is_its_owners_alone(scheduler):
    """Under the usual umask: its folder, the pickle, scripts with variables; replaced by others, it is not opened."""
    before = os.umask(0o022)
    try:
        Workflow("w", [Step(Keeps("hunter2"))]).run(
            "slurm", SlurmCluster(env_vars={"TOKEN": "hunter2"}), project_job="job"
        )
    finally:
        os.umask(before)
    holding = [path for path in Path("job").rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert {path.name for path in holding} == {"plan.pickle", "orchestrator.sh"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
    assert stat.S_IMODE(Path("job/slurm").stat().st_mode) == 0o700
    plan = Path("job/slurm/plan.pickle")
    assert SlurmPlan.read(Path("job")).course.name == "w"
    plan.chmod(0o664)
    with pytest.raises(UntrustedFileError, match=r"plan\.pickle can be written by others"):
        SlurmPlan.read(Path("job"))


def test_a_script_that_was_only_shown_says_so(tmp_path):
    """Submitted by hand, there is no workflow in its folder."""
    script = Workflow("w", [Step(print, name="s")]).generate_scripts(
        SlurmCluster(runner=sys.executable), rootdir=tmp_path
    )
    assert "As the orchestrator submits it" in script["s"]
    with pytest.raises(WorkflowError, match=r"no workflow was submitted in .*run\(mode=\"slurm\"\)"):
        SlurmPlan.read(tmp_path / "PLACEHOLDER")


def test_a_pickle_that_was_put_in_its_place_is_never_run(tmp_path):
    """It would have made a file."""
    made = array(tmp_path)
    path = made.path / "setup.pickle"
    path.write_bytes(pickle.dumps(Trap(str(tmp_path / "ran"))))
    path.chmod(0o622)
    with pytest.raises(UntrustedFileError):
        made.setup()
    assert not (tmp_path / "ran").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))
