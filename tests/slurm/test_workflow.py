"""Workflows as jobs of a real SLURM."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core.errors import ConfigError, WorkflowError
from curator_core.slurm import SlurmError
from curator_core.workflow import ExperimentData, Step, Workflow
from curator_core.workflow.progress import Progress

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


def check_complete():
    """The whole table, each row once and right, and a curated file for each."""
    data = ExperimentData.from_file(JOB)
    assert len(data) == 20, told()
    inputs, outputs = data.to_pandas()
    assert inputs["x"].tolist() == list(range(20))
    assert data.jobs.tolist() == ["error" if x == 3 else "finished" for x in range(20)]
    assert [y for x, y in enumerate(outputs["y"]) if x != 3] == [x * x for x in range(20) if x != 3]
    iterations = outputs["iteration"].dropna().astype(int).tolist()
    assert iterations == [0] * 11 + [0] * 4 + [1] * 4
    assert "no squares of three" in data.failures[3].error
    curated = [json.loads(path.read_text()) for path in sorted(Path("out").iterdir())]
    assert curated == [[x * x] for x in range(20) if x != 3]
    assert not list(Path().rglob("pwned"))


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
